"""Request bodies: taken off the connection within their limits."""

from collections.abc import AsyncIterator
from typing import TypeVar

from cellsmono.gateway.http import Exchange, stream_body
from cellsmono.gateway.rest.errors import JSON_TYPE, RestError, bad_request
from cellsmono.gateway.rest.proto_json import decode

T = TypeVar("T")

JSON_BYTES = 4 * 1024**2
"""The largest JSON body. Content of files goes another way."""


def stream_content(exchange: Exchange) -> AsyncIterator[bytes]:
    """The body as it comes off the connection. Raises RestError (400) when it ends early or is malformed."""
    return stream_body(exchange, lambda: bad_request("The body ended before it was complete", "incomplete"))


async def read_json(exchange: Exchange, kind: type[T]) -> T:
    """The body as a struct; an absent one has the defaults. Raises RestError (400, 413, 415)."""
    check_type(exchange)
    data = bytearray()
    announced = exchange.content_length
    if announced is not None and announced > JSON_BYTES:
        raise _too_large()
    async for piece in stream_content(exchange):
        data += piece
        if len(data) > JSON_BYTES:
            raise _too_large()
    return decode(bytes(data), kind)


def check_type(exchange: Exchange) -> None:
    """Raise RestError (415) for a body that says it is no JSON. One that says nothing is taken for it."""
    if not exchange.can_read_body or "Content-Type" not in exchange.headers:
        return
    kind = exchange.content_type
    if kind != JSON_TYPE and not kind.endswith("+json"):
        raise RestError(415, "media_type", f"The body must be {JSON_TYPE}, not {kind[:100]}")
    if (exchange.charset or "utf-8").lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise RestError(415, "media_type", "JSON is encoded as UTF-8")


def _too_large() -> RestError:
    return RestError(413, "too_large", f"A JSON body has at most {JSON_BYTES} bytes")
