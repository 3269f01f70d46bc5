"""Authorization codes: good once, for a minute, and for the client that asked for them.

They are in memory alone: a restart costs whoever is just signing in one more click.
"""

import base64
import hashlib
import hmac
import re
from collections import OrderedDict

import msgspec

from cellsmono.idm.auth import digest_of
from cellsmono.interfaces.oidc import Wanted
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.draws import LETTERS_AND_DIGITS, draw_text
from cellsmono.kernel.errors import Forbidden

CODE_SECONDS = 60.0
REMEMBERED_SECONDS = 3_600.0
"""How long it is noticed that a code is used again."""
MOST_KEPT = 10_000
_CODE_LENGTH = 43
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Code(msgspec.Struct):
    """What a code stands for: user (UUID), what the client asked for, and when the user signed in."""

    user: str
    wanted: Wanted
    since: float
    made: float
    is_used: bool = False
    session: str = ""
    """The session that it brought."""


class Codes:
    """The codes that were given lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._codes: OrderedDict[bytes, Code] = OrderedDict()

    def draw(self, user: str, wanted: Wanted, since: float) -> str:
        """A new code."""
        self._forget()
        text = draw_text(LETTERS_AND_DIGITS, _CODE_LENGTH)
        self._codes[digest_of(text)] = Code(user, wanted, since, self._clock.monotonic())
        return text

    def find_used(self, text: str) -> Code | None:
        """A code that is good no more because it was used."""
        code = self._codes.get(digest_of(text))
        return code if code is not None and code.is_used else None

    def take(self, text: str, client: str, redirect: str, verifier: str) -> Code:
        """Use a code: good or not, it is used up. Raises Forbidden (reason ``code``)."""
        code = self._codes.get(digest_of(text))
        if code is None or code.is_used:
            raise _refuse()
        code.is_used = True
        is_late = self._clock.monotonic() - code.made >= CODE_SECONDS
        wanted = code.wanted
        if is_late or (client, redirect) != (wanted.client, wanted.redirect) or not _proves(wanted, verifier):
            raise _refuse()
        return code

    def _forget(self) -> None:
        """The oldest first, since all are remembered for the same time."""
        too_old = self._clock.monotonic() - REMEMBERED_SECONDS
        while self._codes:
            oldest = next(iter(self._codes.values()))
            if oldest.made > too_old and len(self._codes) < MOST_KEPT:
                return
            self._codes.popitem(last=False)


def _proves(wanted: Wanted, verifier: str) -> bool:
    """Whether whoever redeems a code is who asked for it (RFC 7636).

    A verifier without a challenge is refused: somebody took the challenge away (RFC 9700, section 4.8.2).
    """
    if not wanted.challenge:
        return not verifier
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    proof = challenge_of(verifier) if wanted.method == "S256" else verifier
    return hmac.compare_digest(proof.encode(), wanted.challenge.encode())


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _refuse() -> Forbidden:
    return Forbidden("The code is not good, or not any more", reason="code")
