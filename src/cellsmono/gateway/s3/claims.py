"""What a request that is signed with SigV4 claims, by header or by query, parsed strictly and not yet believed."""

import hashlib
import re
from functools import lru_cache
from typing import Final

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping

from cellsmono.gateway.s3 import dates
from cellsmono.gateway.s3.addressing import Query
from cellsmono.gateway.s3.checksums import encode_value, find_by_header
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.signature_v4 import ALGORITHM, TERMINAL, Scope

MAX_EXPIRES: Final = 604_800
"""Seconds that a presigned URL may be valid: one week."""

QUERY_V4: Final = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)
_HEADER: Final = re.compile(
    r"AWS4-HMAC-SHA256[ \t]+Credential=([^,\s]+)[ \t]*,[ \t]*SignedHeaders=([^,\s]+)[ \t]*,"
    r"[ \t]*Signature=([0-9a-f]{64})[ \t]*",
    re.ASCII,
)
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+\-.^_`|~]+", re.ASCII)
_DAY: Final = re.compile(r"\d{8}", re.ASCII)
_MAX_DIGITS: Final = 12


class Claimed(msgspec.Struct, frozen=True):
    """What a SigV4 request claims: by whom and over what it is signed."""

    scope: Scope
    signed_headers: str
    names: tuple[str, ...]
    signature: str


BAD_CREDENTIAL: Final = (
    "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed;"
    ' expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
)


def is_count(text: str) -> bool:
    """Whether a text is a number of plain digits, and not absurdly many."""
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


@lru_cache(maxsize=256)
def parse_credential(text: str) -> Scope | None:
    """``AKID/YYYYMMDD/REGION/s3/aws4_request``; an access key may hold slashes. None when it is malformed."""
    pieces = text.rsplit("/", 4)
    if len(pieces) != 5 or pieces[4] != TERMINAL or not _DAY.fullmatch(pieces[1]):  # noqa: PLR2004 - parts of a scope
        return None
    if not pieces[0] or not pieces[2]:
        return None
    return Scope(pieces[0], pieces[1], pieces[2], pieces[3])


@lru_cache(maxsize=256)
def parse_signed_headers(text: str) -> tuple[str, ...] | None:
    """The list of signed headers; None unless lower-case, sorted, without duplicates and with ``host``."""
    names = text.split(";")
    if any(_HEADER_NAME.fullmatch(name) is None for name in names):
        return None
    if "host" not in names or names != sorted(set(names)):
        return None
    return tuple(names)


def parse_authorization(text: str) -> Claimed:
    """The claims of an Authorization header. Raises S3Error AuthorizationHeaderMalformed."""
    match = _HEADER.fullmatch(text)
    if match is not None:
        credential, signed_headers, signature = match.groups()
    else:
        credential, signed_headers, signature = _parse_loosely(text)
    scope = parse_credential(credential)
    if scope is None:
        raise S3Error(
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the Credential is mal-formed; expecting"
            ' "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
        )
    names = parse_signed_headers(signed_headers)
    if names is None:
        raise S3Error(
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; SignedHeaders must be lower-case names, sorted, separated by"
            " semicolons, and include host.",
        )
    return Claimed(scope, signed_headers, names, signature)


def _parse_loosely(text: str) -> tuple[str, str, str]:
    """The header's parts in any order, or an error that says which one is missing or wrong."""
    if not text.startswith(ALGORITHM + " "):
        raise unsupported_type()
    parts: dict[str, str] = {}
    for piece in text[len(ALGORITHM) :].split(","):
        name, equals, value = piece.strip().partition("=")
        if not equals or name in parts or name not in {"Credential", "SignedHeaders", "Signature"}:
            raise S3Error(
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed; expecting Credential, SignedHeaders and Signature, each once.",
            )
        parts[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            raise S3Error("AuthorizationHeaderMalformed", f"The authorization header is malformed; missing {name}.")
    if _SIGNATURE.fullmatch(parts["Signature"]) is None:
        raise S3Error(
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the Signature must be 64 lower-case hex digits.",
        )
    return parts["Credential"], parts["SignedHeaders"], parts["Signature"]


def parse_query_claims(query: Query) -> Claimed:
    """The claims of a presigned URL. Raises S3Error AuthorizationQueryParametersError."""
    for name in QUERY_V4:
        if not query.get(name):
            raise bad_query(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential,"
                " X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
            )
        if query.count(name) > 1:
            raise bad_query(f"Query-string authentication version 4 takes {name} only once.")
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise bad_query(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    scope = parse_credential(query.get("X-Amz-Credential"))
    if scope is None:
        raise bad_query(BAD_CREDENTIAL)
    signed_headers = query.get("X-Amz-SignedHeaders")
    names = parse_signed_headers(signed_headers)
    if names is None:
        raise bad_query("X-Amz-SignedHeaders must be lower-case names, sorted, and include host.")
    signature = query.get("X-Amz-Signature")
    if _SIGNATURE.fullmatch(signature) is None:
        raise bad_query("X-Amz-Signature must be 64 lower-case hex digits.")
    return Claimed(scope, signed_headers, names, signature)


def read_expires(query: Query) -> int:
    """For how many seconds a presigned URL is valid. Raises S3Error AuthorizationQueryParametersError."""
    text = query.get("X-Amz-Expires")
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise bad_query("X-Amz-Expires should be a number")
    if text.startswith("-"):
        raise bad_query("X-Amz-Expires must be non-negative")
    expires = int(text) if len(text) <= _MAX_DIGITS else MAX_EXPIRES + 1
    if expires > MAX_EXPIRES:
        raise bad_query(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than"
            " 604800 seconds"
        )
    if expires < 1:
        raise bad_query("X-Amz-Expires must be at least 1")
    return expires


def read_timestamp(headers: MultiMapping[str]) -> str:
    """The request's time in the compact form, from ``x-amz-date`` or else ``date``."""
    text = headers.get("x-amz-date")
    if text is None:
        text = headers.get("date", "")
    text = text.strip()
    if dates.parse_compact(text) is not None:
        return text
    seconds = dates.parse_http(text)
    if seconds is None:
        raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    return dates.format_compact(seconds)


def check_signed_headers(headers: MultiMapping[str], names: tuple[str, ...]) -> None:
    """Refuse ``x-amz-`` headers that are not covered: they change what a request does."""
    missing = [name.lower() for name in headers if name[:6].lower() == "x-amz-" and name.lower() not in names]
    if missing:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            fields={"HeadersNotSigned": ", ".join(missing)},
        )


_EMPTY_BODY: Final = frozenset(
    encode_value(value)
    for value in (bytes(4), bytes(8), hashlib.sha1(usedforsecurity=False).digest(), hashlib.sha256().digest())
)
"""The values that checksums of nothing have: CRCs are zero then."""
# The last one only says which header carries the checksum, and stands in URLs without that header, too.
_NOT_HOISTED: Final = frozenset(
    {
        *(name.lower() for name in QUERY_V4),
        "x-amz-content-sha256",
        "x-amz-security-token",
        "x-amz-sdk-checksum-algorithm",
    }
)


def merge_hoisted(headers: CIMultiDictProxy[str], query: Query) -> CIMultiDictProxy[str]:
    """The headers of a request together with the ``x-amz-`` headers that its presigned URL carries in the query.

    Some SDKs move them there, so that whoever uses the URL need not send them. Only for URLs signed with SigV4: its
    signature covers the whole query, that of SigV2 does not. A header that was sent as well counts alone.

    The checksum of an empty body does not count: SDKs write it into every URL for an upload, because they have no
    body when they sign it.
    """
    hoisted = {
        name.lower(): value
        for name, value in reversed(query.pairs)
        if name[:6].lower() == "x-amz-" and name.lower() not in _NOT_HOISTED and name not in headers
    }
    for name in [name for name, value in hoisted.items() if value in _EMPTY_BODY and find_by_header(name)]:
        del hoisted[name]
    return CIMultiDictProxy(CIMultiDict([*headers.items(), *hoisted.items()])) if hoisted else headers


def bad_query(message: str) -> S3Error:
    """The error of a presigned URL whose parameters are wrong."""
    return S3Error("AuthorizationQueryParametersError", message)


def unsupported_type() -> S3Error:
    """The error of an Authorization header of another kind. It does not repeat the header, which is a secret."""
    return S3Error("InvalidArgument", "Unsupported Authorization Type", fields={"ArgumentName": "Authorization"})
