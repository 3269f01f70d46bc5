"""Numbers, flags and tokens in queries."""

import base64
import binascii
import zlib
from typing import Final

from cellsmono.gateway.s3.addressing import Query
from cellsmono.gateway.s3.errors import S3Error, invalid_argument

PAGE_LIMIT: Final = 1000
_MAX_INT: Final = 2**31 - 1
_MAX_DIGITS: Final = 12


def read_count(query: Query, name: str, limit: int = PAGE_LIMIT) -> int:
    """How many entries a page may have: 0 to 2^31-1 is taken, more than ``limit`` are never given.

    Raises S3Error InvalidArgument for anything else.
    """
    if name not in query:
        return limit
    text = query.get(name)
    if not text:
        return limit
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise invalid_argument(f"Provided {name} not an integer or within integer range", name, text)
    number = int(text)
    if not 0 <= number <= _MAX_INT:
        raise invalid_argument(f"Argument {name} must be an integer between 0 and {_MAX_INT}", name, text)
    return min(number, limit)


def read_marker(query: Query, name: str, limit: int) -> int:
    """A number after which to go on, 0 when it is not given. Raises S3Error InvalidArgument."""
    text = query.get(name)
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise invalid_argument(f"Provided {name} not an integer or within integer range", name, text)
    return min(int(text), limit)


def read_encoding(query: Query) -> bool:
    """Whether keys are to be percent-encoded. Raises S3Error InvalidArgument for any other encoding than ``url``."""
    text = query.get("encoding-type")
    if not text:
        return False
    if text.lower() != "url":
        raise invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", text)
    return True


def make_token(after: str) -> str:
    """A continuation token that stands for "after this key". Its check value tells a damaged one from a real one."""
    data = after.encode("utf-8", "surrogateescape")
    return base64.urlsafe_b64encode(b"\x01" + zlib.crc32(data).to_bytes(4, "big") + data).decode()


def read_token(query: Query) -> str | None:
    """The key that the continuation token of a query stands for, None when there is no token.

    Raises S3Error InvalidArgument for one that this server did not make.
    """
    if "continuation-token" not in query:
        return None
    text = query.get("continuation-token")
    try:
        data = base64.b64decode(text, altchars=b"-_", validate=True)
        if data[:1] == b"\x01" and zlib.crc32(data[5:]).to_bytes(4, "big") == data[1:5]:
            return data[5:].decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        pass
    raise invalid_argument("The continuation token provided is incorrect", "continuation-token", text)


def require_arguments(query: Query, marker: str, id_marker: str) -> None:
    """An id marker makes sense only together with its key marker. Raises S3Error InvalidArgument."""
    if query.get(id_marker) and not query.get(marker):
        raise S3Error(
            "InvalidArgument",
            f"A {id_marker} marker cannot be specified without a {marker} marker.",
            fields={"ArgumentName": id_marker, "ArgumentValue": query.get(id_marker)},
        )
