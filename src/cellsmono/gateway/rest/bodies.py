"""Request bodies: taken off the connection within their limits."""

from collections.abc import AsyncIterator
from typing import TypeVar

from aiohttp.web import RequestPayloadError

from cellsmono.gateway.http import Exchange
from cellsmono.gateway.rest.errors import JSON_TYPE, RestError, bad_request
from cellsmono.gateway.rest.proto_json import decode

T = TypeVar("T")

JSON_BYTES = 4 * 1024**2
"""The largest JSON body. Content of files goes another way."""


async def stream_body(exchange: Exchange) -> AsyncIterator[bytes]:
    """The body as it comes off the connection. Raises RestError (400) when it ends early or is malformed."""
    exchange.accept_body()
    content = exchange.content
    try:
        while True:
            piece, ends_chunk = await content.readchunk()
            if piece:
                yield piece
            elif not ends_chunk or content.at_eof():
                break
    except (RequestPayloadError, ConnectionError) as error:
        raise bad_request("The body ended before it was complete", "incomplete") from error


async def read_json(exchange: Exchange, kind: type[T]) -> T:
    """The body as a struct; an absent one has the defaults. Raises RestError (400, 413, 415)."""
    check_type(exchange)
    data = bytearray()
    announced = exchange.content_length
    if announced is not None and announced > JSON_BYTES:
        raise _too_large()
    async for piece in stream_body(exchange):
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
