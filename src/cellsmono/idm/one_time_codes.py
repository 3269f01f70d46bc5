"""Codes that are good for half a minute (TOTP, RFC 6238), and those that stand in for them. Pure."""

import base64
import hmac
import re
from urllib.parse import quote, urlencode

from cellsmono.kernel.draws import draw_text

STEP_SECONDS = 30
DIGITS = 6
STEPS_OFF = 1
"""How many steps a clock may be off, either way."""
SECRET_BYTES = 20
RECOVERY_CODES = 10
_RECOVERY_SIGNS = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that look alike
_RECOVERY_LENGTH = 16
_CODE = re.compile(rf"\d{{{DIGITS}}}", re.ASCII)


def step_at(now: float) -> int:
    """The number of the half minute."""
    return int(now // STEP_SECONDS)


def code_at(secret: bytes, step: int) -> str:
    """The code of a half minute (RFC 4226, section 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def find_step(secret: bytes, code: str, now: float, used: int) -> int | None:
    """The step that a code belongs to, if it is good now and later than ``used``, the last one that was."""
    if _CODE.fullmatch(code) is None:
        return None
    found, present = None, step_at(now)
    for step in range(present - STEPS_OFF, present + STEPS_OFF + 1):
        if hmac.compare_digest(code_at(secret, step), code) and step > used:
            found = step
    return found


def clean_code(text: str) -> str:
    """A code as people type it, without what they put between."""
    return re.sub(r"[\s-]", "", text).lower()


def draw_recovery_codes() -> list[str]:
    """Codes that are good once each, for who lost the generator: about 79 random bits in four groups."""
    codes = [draw_text(_RECOVERY_SIGNS, _RECOVERY_LENGTH) for _ in range(RECOVERY_CODES)]
    return ["-".join(code[at : at + 4] for at in range(0, _RECOVERY_LENGTH, 4)) for code in codes]


def spell_secret(secret: bytes) -> str:
    """The secret as people type it."""
    return base64.b32encode(secret).decode().rstrip("=")


def spell_uri(secret: bytes, issuer: str, login: str) -> str:
    """What generators read from a picture: an ``otpauth`` address."""
    fields = {"secret": spell_secret(secret), "issuer": issuer, "digits": DIGITS, "period": STEP_SECONDS}
    return f"otpauth://totp/{quote(issuer)}:{quote(login)}?{urlencode(fields)}"
