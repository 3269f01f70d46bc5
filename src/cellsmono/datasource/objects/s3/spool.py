"""Bytes on their way to the server: the first ones in memory, more in a nameless temporary file.

So memory depends neither on how large an object is nor on how slowly its client sends. What is sent along with a body
to protect it is computed while it comes in, in the same threads: the client would read it all once more on the event
loop, or send it in a framing with a trailer, which older servers do not know.
"""

import base64
import errno
import hashlib
import tempfile
import threading
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import msgspec

from cellsmono.datasource.objects.workers import Workers
from cellsmono.interfaces.objects import Hasher
from cellsmono.kernel.errors import QuotaExceeded, Unavailable

MEMORY_BYTES = 1024 * 1024
BATCH_BYTES = 256 * 1024
_READ_BYTES = 256 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Sums(msgspec.Struct, frozen=True):
    """What is computed of each body: a CRC32 for the server, a SHA-256 for the signature."""

    crc32: bool = True
    sha256: bool = True


class Body:
    """A file of a spool as the client takes it: read from its beginning as often as it is sent."""

    def __init__(self, spool: "Spool", crc32: str, sha256: str) -> None:
        self.crc32 = crc32
        self.sha256 = sha256
        self._spool = spool
        self._position = 0

    def __len__(self) -> int:
        return self._spool.size

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._spool.read_on()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, for a signature that was not foreseen."""
        data = self._spool.read_at(self._position, len(self) if size < 0 else size)
        self._position += len(data)
        return data

    def tell(self) -> int:
        """Where ``read`` goes on."""
        return self._position

    def seek(self, position: int) -> int:
        """Let ``read`` go on elsewhere, counted from the beginning."""
        self._position = position
        return position


class Bytes(bytes):
    """A body in memory, with its sums: base64, hexadecimal; empty where they are not wanted."""

    crc32 = ""
    sha256 = ""


class Spool:
    """A piece of a body that is written once and read as often as it must be sent."""

    def __init__(self, workers: Workers, sums: Sums) -> None:
        self.size = 0
        self._workers = workers
        self._chunks: list[bytes] = []
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._crc32: int | None = 0 if sums.crc32 else None
        self._sha256 = hashlib.sha256() if sums.sha256 else None

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
            if self._sha256 is not None:
                self._sha256.update(chunk)
            if self._crc32 is not None:
                self._crc32 = zlib.crc32(chunk, self._crc32)
            self.size += len(chunk)
        self._chunks += chunks
        if self._file is not None or self.size > MEMORY_BYTES:
            with _explained():
                self._write()

    def _write(self) -> None:
        """Move what is in memory into the file."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="cellsmono-")  # noqa: SIM115 - it lives as long as the spool
        self._file.writelines(self._chunks)
        self._file.flush()
        self._chunks = []

    def body(self) -> Bytes | Body:
        """All of it, from its beginning, as the client takes it. Nothing more may be added."""
        crc32 = "" if self._crc32 is None else encode_crc32(self._crc32)
        sha256 = "" if self._sha256 is None else self._sha256.hexdigest()
        if self._file is not None:
            return Body(self, crc32, sha256)
        whole = Bytes(b"".join(self._chunks))
        whole.crc32, whole.sha256 = crc32, sha256
        return whole

    def read_at(self, position: int, size: int) -> bytes:
        """Bytes of the file. Raises ValueError once it is closed."""
        with self._lock:  # several attempts to send it may overlap, and the spool be closed below the last of them
            if self._file is None:
                raise ValueError("the spool is closed")
            self._file.seek(position)
            return self._file.read(size)

    async def read_on(self) -> AsyncIterator[bytes]:
        """The file piece by piece, read in a thread."""
        for position in range(0, self.size, _READ_BYTES):
            yield await self._workers.run(self.read_at, position, _READ_BYTES)

    def close(self) -> None:
        """Let go of the bytes."""
        self._chunks = []
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


@contextmanager
def _explained() -> Iterator[None]:
    """Say which folder it is that can not hold the bytes."""
    try:
        yield
    except OSError as error:
        place = f"the temporary folder '{tempfile.tempdir or ''}'"
        advice = "make room in it, or let TMPDIR name another folder and restart"
        if error.errno in _FULL:
            text = f"There is no space left in {place}, where long bodies wait for the S3 server; {advice}."
            raise QuotaExceeded(text, reason="disk_full") from error
        text = f"Long bodies can not wait for the S3 server in {place} ({error.strerror or error}); {advice}."
        raise Unavailable(text, reason="io") from error


def encode_crc32(value: int) -> str:
    """As S3 writes it in a header."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()
