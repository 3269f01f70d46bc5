"""From a file to a socket within the kernel, on event loops of any make.

uvloop has no ``loop.sendfile``; reading a file into memory and writing it out costs two copies more.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cellsmono.gateway.http.connection import Connection

_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class Outlet:
    """A connection's socket while a file is sent through it; nothing else may be written meanwhile."""

    def __init__(self, connection: Connection, descriptor: int) -> None:
        self._connection = connection
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()

    async def send_from(self, file: int, offset: int, size: int) -> int | None:
        """Send up to ``size`` bytes of an open file; how many they were, 0 at its end. Others get a turn after it.

        None says that nothing was sent because this file system can not do it. Raises ConnectionError when the
        connection is gone, or has to be cut because sending broke off.
        """
        while True:
            if self._connection.transport is None or self._connection.transport.is_closing():
                raise ConnectionResetError("The client is gone")
            try:
                sent = os.sendfile(self._descriptor, file, offset, size)
            except BlockingIOError:
                await self._wait_writable()
            except OSError as error:
                if error.errno in _UNSUPPORTED:
                    return None
                self._connection.abort()
                raise ConnectionAbortedError(f"Sending broke off ({error.strerror})") from error
            else:
                if 0 < sent < size:
                    # The buffer is full. Filling it up again by bits would wake the client for each of them.
                    await self._wait_writable()
                else:
                    await asyncio.sleep(0)
                return sent

    async def _wait_writable(self) -> None:
        writable = self._connection.gate = self._loop.create_future()
        self._loop.add_writer(self._descriptor, _open_gate, writable)
        try:
            await writable
        finally:
            self._loop.remove_writer(self._descriptor)
            self._connection.gate = None


def _open_gate(gate: asyncio.Future[None]) -> None:
    if not gate.done():
        gate.set_result(None)


@asynccontextmanager
async def open_outlet(connection: Connection, transport: asyncio.Transport) -> AsyncIterator[Outlet]:
    """The socket of a connection once everything that was written is off. Raises ConnectionError when it is gone.

    A descriptor of its own, because event loops let nobody wait for one that belongs to a transport.
    """
    low, high = transport.get_write_buffer_limits()
    transport.set_write_buffer_limits(0)
    try:
        # uvloop hands over what was written only at the end of a turn, and asyncio tells of a full buffer at once.
        await asyncio.sleep(0)
        while transport.get_write_buffer_size() and not transport.is_closing():
            await connection._drain_helper()
            await asyncio.sleep(0)
        if transport.is_closing():
            raise ConnectionResetError("The client is gone")
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
    finally:
        if not transport.is_closing():
            transport.set_write_buffer_limits(high, low)
    try:
        yield Outlet(connection, descriptor)
    finally:
        os.close(descriptor)
