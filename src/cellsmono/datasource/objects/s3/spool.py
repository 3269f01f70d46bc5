"""Bytes on their way to the server: the first ones in memory, more in a nameless temporary file.

So memory depends neither on how large an object is nor on how slowly its client sends.
"""

import tempfile
from collections.abc import Sequence
from typing import BinaryIO

from cellsmono.datasource.objects.workers import Workers
from cellsmono.interfaces.objects import Hasher

MEMORY_BYTES = 1024 * 1024
BATCH_BYTES = 256 * 1024


class Spool:
    """A piece of a body that is written once and read as often as it must be sent."""

    def __init__(self, workers: Workers) -> None:
        self.size = 0
        self._workers = workers
        self._chunks: list[bytes] = []
        self._file: BinaryIO | None = None

    async def add(self, chunks: Sequence[bytes], hashers: Sequence[Hasher]) -> None:
        """Hash and keep these bytes; many of them in a thread."""
        total = sum(map(len, chunks))
        if self._file is None and self.size + total <= BATCH_BYTES // 8:
            self._add(chunks, hashers)
        else:
            await self._workers.run(self._add, chunks, hashers)

    def _add(self, chunks: Sequence[bytes], hashers: Sequence[Hasher]) -> None:
        for chunk in chunks:
            for hasher in hashers:
                hasher.update(chunk)
            self.size += len(chunk)
            if self._file is not None:
                self._file.write(chunk)
            else:
                self._chunks.append(chunk)
        if self._file is None and self.size > MEMORY_BYTES:
            self._file = tempfile.TemporaryFile(prefix="cellsmono-")  # noqa: SIM115 - it lives as long as the spool
            self._file.writelines(self._chunks)
            self._chunks = []

    def body(self) -> bytes | BinaryIO:
        """All of it, from its beginning, as the client takes it."""
        if self._file is None:
            return b"".join(self._chunks)
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Let go of the bytes."""
        self._chunks = []
        if self._file is not None:
            self._file.close()
            self._file = None
