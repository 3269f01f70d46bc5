"""Reading an open file: from the page cache at once, from the disk in a thread."""

import os

from cellsmono.datasource.objects.workers import Workers
from cellsmono.interfaces.node import facts_of
from cellsmono.interfaces.objects import ObjectInfo
from cellsmono.kernel.errors import Corrupt

INLINE_BYTES = 128 * 1024
"""Up to this length a cached read is tried on the loop; copying more would hold up others longer than a thread hop."""


class LocalReader:
    """An open file of a ``LocalStore``. It stays the same version when the key is replaced by a rename."""

    def __init__(self, descriptor: int, status: os.stat_result, key: str, workers: Workers) -> None:
        self.info = ObjectInfo(key, facts_of(status))
        self._descriptor = descriptor
        self._workers = workers
        self._reading = 0
        self._is_closed = False

    async def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer only at the end. Raises Corrupt on an I/O error."""
        if self._is_closed:
            raise ValueError("the reader is closed")
        if length <= INLINE_BYTES:
            cached = self._read_cached(offset, length)
            if len(cached) == length or offset + len(cached) == self.info.facts.size:
                return cached
        self._reading += 1
        try:
            return await self._workers.run(_read_fully, self._descriptor, offset, length)
        except OSError as error:
            raise Corrupt(
                f"'{self.info.key}' can not be read ({error.strerror}); check the disk.",
                reason="io",
                path=self.info.key,
            ) from error
        finally:
            self._reading -= 1
            self._release()

    def _read_cached(self, offset: int, length: int) -> bytes:
        buffer = bytearray(length)
        try:
            count = os.preadv(self._descriptor, [buffer], offset, os.RWF_NOWAIT)
        except OSError:
            # Not in the page cache, or this file system has no such reads: a thread tells.
            return b""
        return bytes(buffer) if count == length else bytes(memoryview(buffer)[:count])

    def fileno(self) -> int | None:
        """The descriptor, for ``sendfile``; only while the reader is open."""
        return None if self._is_closed else self._descriptor

    def close(self) -> None:
        """Release the descriptor, after a read that still runs."""
        self._is_closed = True
        self._release()

    def _release(self) -> None:
        if self._is_closed and not self._reading and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


def _read_fully(descriptor: int, offset: int, length: int) -> bytes:
    data = os.pread(descriptor, length, offset)
    if not data or len(data) == length:
        return data
    pieces = [data]
    got = len(data)
    while got < length:
        data = os.pread(descriptor, length - got, offset + got)
        if not data:
            break
        pieces.append(data)
        got += len(data)
    return b"".join(pieces)
