"""AWS Signature Version 4 as S3 uses it: what is signed, and the arithmetic. Who may sign is ``authentication``'s.

Source: "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API reference. S3 differs from the other
AWS services in that the path is percent-encoded once and never normalised.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.s3.escaping import encode_query

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINAL: Final = "aws4_request"
SERVICE: Final = "s3"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"

_CANONICAL_PATH: Final = re.compile(r"[A-Za-z0-9\-._~/]*", re.ASCII)
_RUNS_OF_SPACE: Final = re.compile(r"[ \t]+")
_MAX_KEYS: Final = 256
_signing_keys: dict[tuple[str, str, str], bytes] = {}


class Scope(msgspec.Struct, frozen=True, gc=False):
    """The credential scope: who signs, for which day (``YYYYMMDD``), region and service."""

    access_key: str
    date: str
    region: str
    service: str = SERVICE

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{TERMINAL}"


class ChunkSigning(msgspec.Struct, frozen=True):
    """What the chunks of a signed streaming body are verified with. Never log it: it holds the signing key."""

    key: bytes
    timestamp: str
    scope: str
    seed_signature: str

    def __repr__(self) -> str:
        return f"ChunkSigning({self.timestamp}, {self.scope})"


def derive_key(secret: str, date: str, region: str) -> bytes:
    """The signing key of a secret for one day and region.

    Cached, as deriving costs four HMACs. Ask only for dates and regions that are acceptable anyway, so that strangers
    can not push the good ones out.
    """
    found = _signing_keys.get((secret, date, region))
    if found is not None:
        return found
    key = b"AWS4" + secret.encode("utf-8")
    for step in (date, region, SERVICE, TERMINAL):
        key = hmac.digest(key, step.encode("utf-8"), "sha256")
    if len(_signing_keys) >= _MAX_KEYS:
        _signing_keys.clear()
    _signing_keys[secret, date, region] = key
    return key


def canonical_path(raw_path: str) -> str:
    """The path percent-encoded once, whatever encoding the client chose for it."""
    if _CANONICAL_PATH.fullmatch(raw_path) is not None:
        return raw_path or "/"
    return quote(unquote_to_bytes(raw_path.encode("utf-8", "surrogateescape")), safe="/~")


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Decoded names and values, encoded anew and sorted by their encoded form."""
    encoded = sorted((encode_query(name), encode_query(value)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def canonical_value(values: Iterable[str]) -> str:
    """A header's values: trimmed, runs of spaces folded, repeated headers joined by commas."""
    return ",".join(_RUNS_OF_SPACE.sub(" ", value.strip(" \t")) for value in values)


def canonical_headers(headers: MultiMapping[str], names: Iterable[str], host: str) -> str:
    """The block of signed headers, each line ended by a newline. A header that is absent counts as empty."""
    lines = []
    for name in names:
        if name == "host":
            value = host
        else:
            values = headers.getall(name, ())
            value = values[0] if len(values) == 1 else canonical_value(values)
        if "  " in value or "\t" in value:
            value = _RUNS_OF_SPACE.sub(" ", value)
        lines.append(f"{name}:{value.strip()}\n")
    return "".join(lines)


def build_canonical_request(
    method: str, path: str, query: str, header_block: str, signed_headers: str, payload_hash: str
) -> str:
    """The canonical request from its canonical pieces."""
    return f"{method}\n{path}\n{query}\n{header_block}\n{signed_headers}\n{payload_hash}"


def build_string_to_sign(timestamp: str, scope: str, canonical_request: str) -> str:
    """The string to sign of a request."""
    digest = hashlib.sha256(canonical_request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"


def sign(key: bytes, string_to_sign: str) -> str:
    """The signature in hex."""
    return hmac.digest(key, string_to_sign.encode("utf-8", "surrogateescape"), "sha256").hex()


def sign_chunk(signing: ChunkSigning, previous: str, payload_sha256: str) -> str:
    """The signature of one chunk, given the one before it (at first: the request's) and the SHA-256 of its bytes."""
    text = (
        f"AWS4-HMAC-SHA256-PAYLOAD\n{signing.timestamp}\n{signing.scope}\n{previous}\n{EMPTY_SHA256}\n{payload_sha256}"
    )
    return hmac.digest(signing.key, text.encode("ascii"), "sha256").hex()


def sign_trailer(signing: ChunkSigning, previous: str, trailers: bytes) -> str:
    """The signature of the trailing headers in their canonical form (``name:value\\n`` each)."""
    digest = hashlib.sha256(trailers).hexdigest()
    text = f"AWS4-HMAC-SHA256-TRAILER\n{signing.timestamp}\n{signing.scope}\n{previous}\n{digest}"
    return hmac.digest(signing.key, text.encode("ascii"), "sha256").hex()
