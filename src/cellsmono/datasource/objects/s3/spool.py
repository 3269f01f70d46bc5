"""Bytes on their way to the server: in memory while there is room, more in a nameless temporary file.

So memory depends neither on how large objects are, nor on how many come in, nor on how slowly their clients send.
"""

import errno
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from cellsmono.datasource.objects.s3.sums import Sums
from cellsmono.datasource.objects.workers import Workers
from cellsmono.interfaces.objects import Hasher
from cellsmono.kernel.errors import QuotaExceeded, Unavailable

ROOM_BYTES = 12 * 1024 * 1024
"""What all the spools of an endpoint may hold in memory, besides the first bytes of each.

While one body comes in alone it is twice as much, so that its parts under way need no file.
"""

FIRST_BYTES = 128 * 1024
BATCH_BYTES = 256 * 1024
INLINE_BYTES = 32 * 1024
"""So few bytes are hashed at once: a thread would cost more."""

_READ_BYTES = 128 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Room:
    """Memory that is shared out. Used on the event loop only."""

    def __init__(self) -> None:
        self._left = ROOM_BYTES
        self._more = 0

    def widen(self, *, is_alone: bool) -> None:
        """Say whether one body comes in alone."""
        self._more = ROOM_BYTES if is_alone else 0

    def take(self, size: int) -> bool:
        """Take so much, if there is as much."""
        if size > self._left + self._more:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        """Give it back."""
        self._left += size


class Bytes(bytes):
    """A small body, with its sums: base64, hexadecimal; empty where they are not wanted."""

    crc32 = ""
    sha256 = ""


class Body:
    """A spool as the client takes it: read from its beginning as often as it is sent."""

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


class Spool:
    """A piece of a body that is written once and read as often as it must be sent."""

    def __init__(self, workers: Workers, room: Room, sums: Sums) -> None:
        self.size = 0
        self._workers = workers
        self._room = room
        self._sums = sums
        self._chunks: list[bytes] = []
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._taken = 0
        self._is_in_memory = True

    async def add(self, chunks: Sequence[bytes], lanes: Sequence[Sequence[Hasher]]) -> None:
        """Hash and keep these bytes; many of them in a thread, or in one for each of the lanes."""
        total = sum(map(len, chunks))
        self._is_in_memory = self._is_in_memory and self._find_room(total)
        self.size += total
        first, *others = lanes
        if self._is_in_memory and self.size <= INLINE_BYTES:
            for lane in lanes:
                _hash(chunks, lane)
            self._keep(chunks)
            return
        if others:
            await self._workers.run_all(
                lambda: self._keep(chunks, first), *(lambda lane=lane: _hash(chunks, lane) for lane in others)
            )
        else:
            await self._workers.run(self._keep, chunks, first)
        if not self._is_in_memory:
            self._give_back()

    def _find_room(self, size: int) -> bool:
        if self.size + size <= FIRST_BYTES:
            return True
        if not self._room.take(size):
            return False
        self._taken += size
        return True

    def _give_back(self) -> None:
        taken, self._taken = self._taken, 0
        self._room.give(taken)

    def _keep(self, chunks: Sequence[bytes], lane: Sequence[Hasher] = ()) -> None:
        _hash(chunks, [*lane, self._sums])
        self._chunks += chunks
        if not self._is_in_memory:
            with explained_disk():
                self._write()

    def _write(self) -> None:
        """Move what is in memory into the file."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="cellsmono-")  # noqa: SIM115 - it lives as long as the spool
        self._file.writelines(self._chunks)
        self._file.flush()
        self._chunks = []

    def end(self) -> None:
        """Nothing more is added, though the hashers may go on."""
        self._sums.end()

    def body(self) -> Bytes | Body:
        """All of it, from its beginning, as the client takes it. Nothing more may be added."""
        crc32, sha256 = self._sums.tell()
        if self.size > FIRST_BYTES:
            return Body(self, crc32, sha256)
        whole = Bytes(b"".join(self._chunks))
        whole.crc32, whole.sha256 = crc32, sha256
        return whole

    def read_at(self, position: int, size: int) -> bytes:
        """Bytes of it. Raises ValueError once it is closed."""
        if self._is_in_memory and self._chunks:
            return b"".join(self._chunks)[position : position + size]
        with self._lock:  # several attempts to send it may overlap, and the spool be closed below the last of them
            if self._file is None:
                raise ValueError("the spool is closed")
            self._file.seek(position)
            return self._file.read(size)

    async def read_on(self) -> AsyncIterator[bytes]:
        """It piece by piece, a file in a thread."""
        if self._is_in_memory:
            for chunk in self._chunks:
                yield chunk
            return
        for position in range(0, self.size, _READ_BYTES):
            yield await self._workers.run(self.read_at, position, _READ_BYTES)

    def close(self) -> None:
        """Let go of the bytes."""
        self._give_back()
        self._chunks = []
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def _hash(chunks: Sequence[bytes], hashers: Sequence[Hasher]) -> None:
    for chunk in chunks:
        for hasher in hashers:
            hasher.update(chunk)


@contextmanager
def explained_disk() -> Iterator[None]:
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
