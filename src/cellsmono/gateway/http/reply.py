"""A finished answer and the one way in which it goes out."""

import asyncio
import errno
import os
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol, runtime_checkable

from aiohttp import web

from cellsmono.gateway.http.exchange import Exchange
from cellsmono.gateway.http.outlet import open_outlet

SERVER = "cellsmono"
INLINE_BYTES = 128 * 1024
"""Bodies up to this size leave together with their headers, in one write."""
CHUNK_BYTES = 1024 * 1024
PIECE_BYTES = 128 * 1024
"""Of what comes from elsewhere, so that one piece is sent on while the next one comes. A file that has ``read_piece``
is asked by it, and gives what it has."""
SENDFILE_BYTES = 8 * 1024 * 1024
"""Bodies from here on leave by ``sendfile``. It costs less CPU for smaller ones, too, but they arrived later."""

_PHRASES = {int(status): status.phrase for status in HTTPStatus} | {416: "Requested Range Not Satisfiable"}
_NO_BODY = frozenset({204, 304})


class FileBody(Protocol):
    """An open file to send from (``interfaces.objects.ObjectReader`` is one)."""

    async def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes."""

    def fileno(self) -> int | None:
        """A descriptor for ``sendfile``, or None."""

    def close(self) -> None:
        """Release it."""


@runtime_checkable
class FlowingBody(Protocol):
    """A body that comes from elsewhere while it is sent."""

    async def read_piece(self, offset: int, length: int) -> bytes:
        """What came in at once, up to ``length`` bytes; nothing at the end alone."""


_Read = Callable[[int, int], Awaitable[bytes]]


class Reply:
    """Status, headers and body of an answer.

    ``headers`` come without Content-Length, Date, Server and Connection, which ``send_reply`` adds. The body is
    ``body``, or ``length`` bytes of ``file`` from ``offset``; whoever sends a Reply closes its file. ``length`` given
    without a file is the Content-Length of an answer to HEAD.
    """

    __slots__ = ("body", "close", "file", "headers", "length", "offset", "status")

    def __init__(
        self,
        status: int = 200,
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
        *,
        file: FileBody | None = None,
        offset: int = 0,
        length: int = -1,
        close: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers if headers is not None else []
        self.body = body
        self.file = file
        self.offset = offset
        self.length = len(body) if length < 0 else length
        self.close = close


class SentResponse(web.StreamResponse):
    """Stands for an answer that was written already, so that aiohttp only decides what becomes of the connection."""

    def __init__(self, status: int, keep_alive: bool) -> None:
        super().__init__(status=status)
        self._keep_alive = keep_alive
        self._eof_sent = True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing left to do."""
        return

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing left to do."""
        return


async def send_reply(request: Exchange, reply: Reply) -> SentResponse:
    """Write an answer. Raises ConnectionError when the client is gone or the file turned out shorter than announced
    (the connection is cut then: a short answer must not look like a whole one).
    """
    try:
        return await _send(request, reply)
    finally:
        if reply.file is not None:
            reply.file.close()


async def _send(request: Exchange, reply: Reply) -> SentResponse:
    connection = request.connection
    transport = connection.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("The client is gone")
    keep_alive = request.keep_alive and not reply.close and not connection.draining
    head = _render_head(request, reply, keep_alive)
    has_body = request.method != "HEAD" and reply.status not in _NO_BODY and reply.length > 0
    request.status = reply.status
    # From here on aiohttp must not try to send an error page of its own.
    request.writer.output_size = len(head)
    if not has_body:
        transport.write(head)
    elif reply.file is None:
        transport.write(head + reply.body)
        request.bytes_out = reply.length
        if connection.writing_paused:
            await request.writer.drain()
    elif reply.length <= INLINE_BYTES:
        body = await _read_small(reply.file, reply.offset, reply.length)
        if len(body) < reply.length:
            connection.abort()
            raise ConnectionAbortedError("The file is shorter than it was when it was opened")
        transport.write(head + body)
        request.bytes_out = reply.length
        if connection.writing_paused:
            await request.writer.drain()
    else:
        transport.write(head)
        await _send_file(request, transport, reply.file, reply.offset, reply.length)
    return SentResponse(reply.status, keep_alive)


def _render_head(request: Exchange, reply: Reply, keep_alive: bool) -> bytes:
    major, minor = request.version
    lines = [f"HTTP/{major}.{minor} {reply.status} {_PHRASES.get(reply.status, '')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    if reply.status not in _NO_BODY:
        lines.append(f"Content-Length: {reply.length}")
    lines.append(f"Date: {http_date_now()}")
    lines.append(f"Server: {SERVER}")
    if not keep_alive:
        lines.append("Connection: close")
    elif minor == 0:
        lines.append("Connection: keep-alive")
    text = "\r\n".join(lines)
    ends = len(lines) - 1
    if text.count("\n") != ends or text.count("\r") != ends or "\0" in text:
        raise ValueError("a control character in a response header")
    return text.encode("utf-8", "surrogateescape") + b"\r\n\r\n"


_date_cache: tuple[int, str] = (0, "")


def http_date_now() -> str:
    """The Date header's value, made once a second."""
    global _date_cache  # noqa: PLW0603
    now = int(time.time())
    if _date_cache[0] != now:
        _date_cache = (now, formatdate(now, usegmt=True))
    return _date_cache[1]


async def _read_small(file: FileBody, offset: int, length: int) -> bytes:
    """Read what is in the page cache here and now; leave to the reader's thread what would have to wait for a disk."""
    descriptor = file.fileno()
    data = b"" if descriptor is None else _read_cached(descriptor, offset, length)
    while len(data) < length:
        more = await file.read(offset + len(data), length - len(data))
        if not more:
            break
        data += more
    return data


_can_read_cached = hasattr(os, "RWF_NOWAIT")


def _read_cached(descriptor: int, offset: int, length: int) -> bytes:
    global _can_read_cached  # noqa: PLW0603
    if not _can_read_cached:
        return b""
    buffer = bytearray(length)
    try:
        count = os.preadv(descriptor, [buffer], offset, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EINTR, errno.EIO):
            _can_read_cached = error.errno not in (errno.ENOSYS, errno.EINVAL)
        return b""
    return bytes(buffer) if count == length else bytes(buffer[:count])


async def _send_file(request: Exchange, transport: asyncio.Transport, file: FileBody, offset: int, length: int) -> None:
    descriptor = file.fileno()
    if descriptor is None or length < SENDFILE_BYTES or transport.get_extra_info("ssl_object") is not None:
        await _send_chunks(request, transport, file, offset, length)
        return
    end = offset + length
    async with open_outlet(request.connection, transport) as outlet:
        while offset < end:
            size = min(CHUNK_BYTES, end - offset)
            if not _read_cached(descriptor, offset + size - 1, 1):
                # Fetched into the page cache by the reader's thread, so that the loop need not wait for a disk.
                await file.read(offset, size)
            sent = await outlet.send_from(descriptor, offset, size)
            if sent is None:
                break
            if not sent:
                request.connection.abort()
                raise ConnectionAbortedError("The file became shorter while it was sent")
            offset += sent
            request.bytes_out += sent
    if offset < end:
        await _send_chunks(request, transport, file, offset, end - offset)


async def _send_chunks(
    request: Exchange, transport: asyncio.Transport, file: FileBody, offset: int, length: int
) -> None:
    """The way without ``sendfile``: at most one chunk in memory beside what the transport holds."""
    end = offset + length
    most = CHUNK_BYTES if file.fileno() is not None else PIECE_BYTES
    read: _Read = file.read
    if isinstance(file, FlowingBody):
        read, most = file.read_piece, length
    while offset < end:
        data = await read(offset, min(most, end - offset))
        if not data:
            request.connection.abort()
            raise ConnectionAbortedError("The file became shorter while it was sent")
        if transport.is_closing():
            raise ConnectionResetError("The client is gone")
        transport.write(data)
        offset += len(data)
        request.bytes_out += len(data)
        await request.writer.drain()
