"""Reading an object: its answer streams on while it is read in order; another place is asked for anew."""

import asyncio
from typing import Any

from cellsmono.datasource.objects.s3.endpoint import Connection
from cellsmono.datasource.objects.s3.metadata import read_facts
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.requests import ask
from cellsmono.interfaces.objects import ObjectInfo
from cellsmono.kernel.errors import NotFound, PreconditionFailed, Unavailable
from cellsmono.kernel.log import get_logger

log = get_logger("datasource")

_PIECE_BYTES = 128 * 1024

_FRUITLESS = 3
"""A stream that broke is taken up where it broke off; after so many times without a byte it is given up."""


class S3Reader:
    """One version of one object, pinned by its ETag."""

    def __init__(self, connection: Connection, place: Place, key: str, answer: dict[str, Any]) -> None:
        self._stream: Any = answer["Body"]
        self.info = ObjectInfo(key, read_facts(answer, answer["ContentLength"]))
        self._connection = connection
        self._place = place
        self._etag = answer["ETag"]
        self._position = 0
        self._lock = asyncio.Lock()
        self._is_closed = False

    async def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer only at the end.

        Raises Unavailable (reason ``changed``) when the object was replaced and its version is not to be had any more.
        """
        if self._is_closed:
            raise ValueError("the reader is closed")
        length = min(length, self.info.facts.size - offset)
        if length <= 0:
            return b""
        async with self._lock:
            return await self._read(offset, length)

    async def read_piece(self, offset: int, length: int) -> bytes:
        """As ``read``, but up to the end of the object what came in at once is handed on as it is.

        Nothing is cut or joined, which would copy it. The pieces are as large as the connection's buffer.
        """
        if self._is_closed or offset != self._position or offset + length != self.info.facts.size:
            return await self.read(offset, min(length, _PIECE_BYTES))
        async with self._lock:
            if self._stream is not None and self._position == offset:
                piece = await self._take(0)
                self._position += len(piece)
                if piece:
                    return piece if len(piece) <= length else piece[:length]
                self._drop()
            return await self._read(offset, min(length, _PIECE_BYTES))

    async def _read(self, offset: int, length: int) -> bytes:
        pieces: list[bytes] = []
        left, fruitless = length, 0
        while left:
            if self._stream is None or self._position != offset:
                await self._seek(offset)
            piece = await self._take(left)
            if not piece:
                fruitless += 1
                if fruitless == _FRUITLESS:
                    raise Unavailable(
                        f"The S3 server breaks off while '{self.info.key}' is read; repeat.",
                        reason="io",
                        path=self.info.key,
                    )
                self._drop()
                continue
            fruitless = 0
            pieces.append(piece)
            offset += len(piece)
            left -= len(piece)
            self._position = offset
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _take(self, length: int) -> bytes:
        """The next bytes of the stream, with ``length`` 0 as they came; none when it broke or hangs."""
        try:
            async with asyncio.timeout(self._connection.patience.seconds / _FRUITLESS):
                if length:
                    data: bytes = await self._stream.read(length)
                else:
                    data = await _next_piece(self._stream.raw_stream.content)
                return data
        except Exception as error:  # whatever the client of the day calls a broken connection
            log.debug("a stream broke", key=self.info.key, error=repr(error))
            return b""

    async def _seek(self, offset: int) -> None:
        self._drop()
        arguments = {**self._place.at(self.info.key), "IfMatch": self._etag, "Range": f"bytes={offset}-"}
        try:
            answer = await ask(self._connection, "get_object", self.info.key, **arguments)
        except (PreconditionFailed, NotFound) as error:
            raise Unavailable(
                f"'{self.info.key}' was replaced while it was read; read it again.",
                reason="changed",
                path=self.info.key,
            ) from error
        self._stream, self._position = answer["Body"], offset

    def fileno(self) -> int | None:
        """There is no descriptor."""
        return None

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        """Give the connection back."""
        self._is_closed = True
        self._drop()

    def __del__(self) -> None:
        self.close()


async def _next_piece(content: Any) -> bytes:
    """What came in at once, none at the end. ``content`` is aiohttp's stream."""
    while True:
        piece: bytes
        piece, ends_chunk = await content.readchunk()
        if piece or not ends_chunk or content.at_eof():  # the end of an HTTP chunk is told by none as well
            return piece


async def open_reader(connection: Connection, place: Place, key: str) -> S3Reader:
    """Ask for an object from its beginning. Raises NotFound."""
    return S3Reader(connection, place, key, await ask(connection, "get_object", key, **place.at(key)))
