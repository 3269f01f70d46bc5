"""Staging: taking a body in, hashing it and keeping it where nobody sees it yet.

A small body stays in memory until it is committed; then one job in one thread does everything (create, write, flush,
rename, flush of the folder), because a hop between threads costs more than most of these calls. A larger one goes to a
temporary file while it arrives: one job for each batch hashes and writes, while the loop gathers the next one.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterable, AsyncIterator, Sequence

from cellsmono.datasource.objects.bucket import LocalBucket, new_temporary
from cellsmono.datasource.objects.failures import explain
from cellsmono.datasource.objects.flushing import flush_file
from cellsmono.datasource.objects.kernel import preallocate, start_writeback
from cellsmono.datasource.objects.workers import Workers
from cellsmono.interfaces.objects import Hasher

SMALL_BYTES = 64 * 1024
"""Bodies up to this size are kept in memory until they are committed."""

_MIB = 1024 * 1024
BATCH_BYTES = 512 * 1024
"""How much is handed to a thread at a time; two batches at most are in memory, for each of many uploads at once."""

_INLINE_HASH_BYTES = 16 * 1024
_PREALLOCATE_FROM = 8 * _MIB
# A client may announce more than it ever sends: it must not be able to reserve a whole disk.
_PREALLOCATE_UP_TO = 1024 * _MIB
_WRITEBACK_BYTES = 8 * _MIB


_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class SmallBytes:
    """A staged body that is kept in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def discard(self) -> None:
        """Forget it."""
        self.data = b""


class TemporaryFile:
    """A staged body in a file of the work folder. Locked while it is in use, so that no clean-up takes it away."""

    def __init__(self, bucket: LocalBucket, work: int | None = None) -> None:
        """Make it. ``work`` is the open work folder when the caller keeps it, and the file lives only for a moment."""
        self.name = new_temporary()
        self.size = 0
        self.is_linked = False
        self._owns_work = work is None
        self.work = bucket.work.open() if work is None else work
        self.descriptor = -1
        try:
            self.descriptor = os.open(self.name, _CREATE, 0o666, dir_fd=self.work)
            if self._owns_work:
                lock_file(self.descriptor)
        except BaseException:
            self.discard()
            raise

    @classmethod
    def adopt(cls, work: int, descriptor: int, name: bytes, size: int) -> "TemporaryFile":
        """Take over a file that was made under this name in the work folder, sharing its bytes with another name."""
        adopted = cls.__new__(cls)
        adopted.work, adopted.descriptor, adopted.name, adopted.size = work, descriptor, name, size
        adopted.is_linked = adopted._owns_work = True
        return adopted

    def device(self) -> int:
        """The device that it lies on."""
        return os.fstat(self.descriptor).st_dev

    def discard(self) -> None:
        """Remove it; harmless when it was renamed into place or removed already."""
        self.release(remove=True)

    def release(self, *, remove: bool) -> None:
        """Close it, and remove its name when it still has one here."""
        work, descriptor = self.work, self.descriptor
        self.work = self.descriptor = -1
        if descriptor >= 0:
            os.close(descriptor)
        if work < 0:
            return
        try:
            if remove:
                os.unlink(self.name, dir_fd=work)
        except OSError:
            # What can not be removed now is removed at the next start.
            return
        finally:
            if self._owns_work:
                os.close(work)


Kept = SmallBytes | TemporaryFile


def lock_file(descriptor: int) -> None:
    """Mark an open file as in use, for every clean-up in any process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # Some network file systems have no locks; then a second process on the same folder is not supported.
        return


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all bytes at an offset. Raises OSError."""
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):
        written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)


class FileSink:
    """Writes batches to an open file from an offset on, in threads, one after the other."""

    def __init__(self, workers: Workers, descriptor: int, hashers: Sequence[Hasher], *, durable: bool, offset: int = 0):
        self._workers = workers
        self._descriptor = descriptor
        self._hashers = hashers
        self._durable = durable
        self._start = offset
        self._flushing = offset
        self.size = 0

    async def write(self, chunks: Sequence[bytes]) -> None:
        """Hash and write a batch."""
        await self._workers.run(self._write, chunks)

    def _write(self, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            for hasher in self._hashers:
                hasher.update(chunk)
            write_all(self._descriptor, chunk, self._start + self.size)
            self.size += len(chunk)
        end = self._start + self.size
        if self._durable and end - self._flushing >= _WRITEBACK_BYTES:
            start_writeback(self._descriptor, self._flushing, end - self._flushing)
            self._flushing = end


async def gather_small(body: AsyncIterator[bytes], limit: int) -> tuple[list[bytes], bool]:
    """Chunks until there are more than ``limit`` bytes or the body ends; and whether it ended."""
    chunks: list[bytes] = []
    total = 0
    async for chunk in body:
        if chunk:
            chunks.append(chunk)
            total += len(chunk)
            if total > limit:
                return chunks, False
    return chunks, True


async def pump(first: list[bytes], body: AsyncIterator[bytes], sink: FileSink) -> None:
    """Carry a body into a sink: while one batch is written, the next one is gathered."""
    writing: asyncio.Task[None] | None = None
    batch, total = first, sum(map(len, first))
    try:
        async for chunk in body:
            batch.append(chunk)
            total += len(chunk)
            if total >= BATCH_BYTES:
                if writing is not None:
                    await writing
                writing = asyncio.create_task(sink.write(batch), name="objects-write")
                batch, total = [], 0
    finally:
        # Also after an error: nobody may close the file while a thread still writes to it.
        if writing is not None:
            await _settle(writing)
    if writing is not None:
        writing.result()
    if batch:
        await sink.write(batch)


async def _settle(task: asyncio.Task[None]) -> None:
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if not task.cancelled():
        task.exception()  # told to whoever asks for the result
    if cancelled:
        raise asyncio.CancelledError


async def stage_body(
    bucket: LocalBucket, workers: Workers, body: AsyncIterable[bytes], hashers: Sequence[Hasher], size: int | None
) -> Kept:
    """Take a body in. Raises the domain's errors; nothing is left behind then."""
    stream = aiter(body)
    first: list[bytes] = []
    ended = False
    if size is None or size <= SMALL_BYTES:
        first, ended = await gather_small(stream, SMALL_BYTES)
    if ended:
        return SmallBytes(await hash_small(b"".join(first) if len(first) != 1 else first[0], hashers, workers))
    try:
        kept = await workers.acquire(TemporaryFile.discard, _open_temporary, bucket, size)
    except OSError as error:
        raise explain(error, writing=True) from error
    try:
        sink = FileSink(workers, kept.descriptor, hashers, durable=bucket.durable)
        await pump(first, stream, sink)
        kept.size = sink.size
        await workers.run(_seal, kept, size, durable=bucket.durable)
    except OSError as error:
        await workers.run(kept.discard)
        raise explain(error, writing=True) from error
    except BaseException:
        await workers.run(kept.discard)
        raise
    return kept


async def hash_small(data: bytes, hashers: Sequence[Hasher], workers: Workers) -> bytes:
    """Hash a body that is in memory: at once when that is quicker than a hop to a thread."""

    def update() -> None:
        for hasher in hashers:
            hasher.update(data)

    if len(data) <= _INLINE_HASH_BYTES:
        update()
    elif hashers:
        await workers.run(update)
    return data


def _open_temporary(bucket: LocalBucket, size: int | None) -> TemporaryFile:
    kept = TemporaryFile(bucket)
    if size is not None and size >= _PREALLOCATE_FROM:
        try:
            preallocate(kept.descriptor, min(size, _PREALLOCATE_UP_TO))
        except OSError:
            kept.discard()
            raise
    return kept


def _seal(kept: TemporaryFile, announced: int | None, *, durable: bool) -> None:
    if announced is not None and announced >= _PREALLOCATE_FROM and announced > kept.size:
        os.ftruncate(kept.descriptor, kept.size)
    if durable:
        flush_file(kept.descriptor, inode=False)
