"""A request's body as it comes off the connection."""

from collections.abc import AsyncIterator, Callable

from aiohttp.web import RequestPayloadError

from cellsmono.gateway.http.exchange import Exchange


async def stream_body(exchange: Exchange, broken: Callable[[], Exception]) -> AsyncIterator[bytes]:
    """The body. Raises what ``broken`` makes when it ends early or is malformed."""
    exchange.accept_body()
    content = exchange.content
    try:
        # Piece by piece: to take all that waits (up to three pieces) would join them, and have them in memory twice.
        while True:
            piece, ends_chunk = await content.readchunk()
            if piece:
                yield piece
            elif not ends_chunk or content.at_eof():  # aiohttp's one empty body ends chunks for ever
                break
    except (RequestPayloadError, ConnectionError) as error:
        raise broken() from error
