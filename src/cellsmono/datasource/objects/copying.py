"""Copying files without moving their bytes through the process: shared blocks, else a copy inside the kernel."""

import errno
import fcntl
import os

from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.flushing import flush_file
from cellsmono.datasource.objects.workers import Workers
from cellsmono.datasource.objects.writer import SMALL_BYTES, Kept, SmallBytes, TemporaryFile, write_all
from cellsmono.interfaces.node import facts_of
from cellsmono.interfaces.objects import ObjectInfo
from cellsmono.kernel.errors import Unavailable

SLICE_BYTES = 64 * 1024 * 1024
"""How much is copied in one job: a cancelled copy stops after this at the latest."""

_BUFFER_BYTES = 1024 * 1024
_ATTEMPTS = 3
_FICLONE = 0x40049409  # ioctl_ficlone(2)
_NO_KERNEL_COPY = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.ETXTBSY})


def clone_file(source: int, target: int) -> bool:
    """Let a new file share all blocks of another one, where the file system can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def copy_slice(source: int, source_offset: int, target: int, target_offset: int, length: int) -> int:
    """Copy up to ``length`` bytes; how many it were, fewer only at the source's end. Raises OSError."""
    done = 0
    while done < length:
        try:
            count = os.copy_file_range(
                source, target, length - done, offset_src=source_offset + done, offset_dst=target_offset + done
            )
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise
            data = os.pread(source, min(_BUFFER_BYTES, length - done), source_offset + done)
            write_all(target, data, target_offset + done)
            count = len(data)
        if not count:
            break
        done += count
    return done


async def copy_range(
    workers: Workers, source: int, source_offset: int, target: int, target_offset: int, length: int
) -> int:
    """Copy a range in slices that can be cancelled between; how many bytes it were. Raises OSError."""
    done = 0
    while done < length:
        wanted = min(SLICE_BYTES, length - done)
        count = await workers.run(copy_slice, source, source_offset + done, target, target_offset + done, wanted)
        done += count
        if count < wanted:
            break
    return done


async def stage_copy(
    workers: Workers, source_bucket: LocalBucket, names: list[bytes], key: str, bucket: LocalBucket
) -> tuple[Kept, ObjectInfo]:
    """Stage a copy of one version of a file. Raises NotFound, Unavailable when it changes all the time, OSError."""
    for _ in range(_ATTEMPTS):
        descriptor, status = source_bucket.open_file(names, key)
        try:
            kept = await _copy(workers, descriptor, status.st_size, bucket)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if facts_of(after) == facts_of(status) and kept.size == status.st_size:
            return kept, ObjectInfo(key, facts_of(status))
        await workers.run(kept.discard)
    raise Unavailable(f"'{key}' changes while it is copied; repeat when it is complete.", reason="changing", path=key)


async def _copy(workers: Workers, source: int, size: int, bucket: LocalBucket) -> Kept:
    if size <= SMALL_BYTES:
        return SmallBytes(await workers.run(os.pread, source, SMALL_BYTES + 1, 0))
    kept = await workers.acquire(TemporaryFile.discard, TemporaryFile, bucket)
    try:
        if not await workers.run(clone_file, source, kept.descriptor):
            await copy_range(workers, source, 0, kept.descriptor, 0, size)
        kept.size = os.fstat(kept.descriptor).st_size
        if bucket.durable:
            await workers.run(flush_file, kept.descriptor, inode=False)
    except BaseException:
        await workers.run(kept.discard)
        raise
    return kept
