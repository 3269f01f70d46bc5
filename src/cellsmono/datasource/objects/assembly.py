"""Where the parts of an upload lie, so that completing it seldom moves a byte.

Each upload has a folder in the work folder with one assembly file. The first part tells the distance of two parts; a
part that fits is written at its own place, (number - 1) x distance. A part that does not fit, or whose place is taken
(its number was stored before, or is under way, or the assembly file is shared with a completed object) gets a file of
its own. When the listed parts lie in the assembly file one after the other, the object is a hard link to it.
"""

import asyncio
import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cellsmono.datasource.objects.beneath import LIST
from cellsmono.datasource.objects.bucket import LocalBucket, make_directory, new_temporary, remove_tree, sync_quietly
from cellsmono.datasource.objects.copying import copy_slice
from cellsmono.datasource.objects.flushing import flush_file
from cellsmono.datasource.objects.kernel import free_range
from cellsmono.datasource.objects.registry import StoredPart
from cellsmono.datasource.objects.writer import TemporaryFile, lock_file
from cellsmono.kernel.errors import Corrupt

ASSEMBLY = b"assembly"
UPLOAD = b"u-"
"""What the folder of an upload begins with; its id follows."""

LEAST_PART_BYTES = 5 * 1024 * 1024
"""S3's least size of a part that is not the last: a smaller one tells nothing about the distance."""


class Slots:
    """Which places of an upload's assembly file are used, as far as this process knows."""

    def __init__(self, part_bytes: int, stored: Sequence[StoredPart]) -> None:
        self.lock = asyncio.Lock()
        self.part_bytes = part_bytes
        self.taken = {one.part.number for one in stored if not one.file}
        self.writing: set[int] = set()
        self.users = 0

    def reserve(self, number: int, size: int | None) -> int | None:
        """Where in the assembly file a part may be written now; None: it needs a file of its own."""
        if size is None or number in self.taken or number in self.writing:
            return None
        if not self.part_bytes:
            if number > 1 and size < LEAST_PART_BYTES:
                return None
            self.part_bytes = size
        if size > self.part_bytes or (number > 1 and not size):
            return None
        self.writing.add(number)
        return (number - 1) * self.part_bytes

    def settle(self, number: int, *, stored: bool) -> None:
        """The writing of a part at its place ended."""
        self.writing.discard(number)
        if stored:
            self.taken.add(number)
        elif not self.taken and not self.writing:
            self.part_bytes = 0


@contextmanager
def upload_folder(bucket: LocalBucket, upload_id: str, *, make: bool = False) -> Iterator[int]:
    """The open folder of an upload. Raises OSError."""
    with bucket.work.opened() as work:
        name = UPLOAD + upload_id.encode()
        if make and make_directory(work, name, 0o700) and bucket.durable:
            flush_file(work)
        folder = os.open(name, LIST | os.O_NOFOLLOW, dir_fd=work)
    try:
        yield folder
    finally:
        os.close(folder)


def is_shared(bucket: LocalBucket, upload_id: str) -> bool:
    """Whether a completed object is the assembly file; then nothing may be written to it. Raises OSError."""
    try:
        with upload_folder(bucket, upload_id) as folder:
            return os.stat(ASSEMBLY, dir_fd=folder, follow_symlinks=False).st_nlink > 1
    except FileNotFoundError:
        return False


def open_part(bucket: LocalBucket, upload_id: str, file: str) -> int:
    """Open the assembly file (empty name) or a part's own file for writing. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with upload_folder(bucket, upload_id, make=True) as folder:
        descriptor = os.open(file.encode() or ASSEMBLY, flags, 0o666, dir_fd=folder)
        if bucket.durable:
            flush_file(folder)
        return descriptor


def new_part_file(number: int) -> str:
    """A fresh name for a part's own file."""
    return f"p-{number}-{secrets.token_hex(6)}"


def remove_part_file(bucket: LocalBucket, upload_id: str, file: str) -> None:
    """Remove a part's own file, if it is there."""
    try:
        with upload_folder(bucket, upload_id) as folder:
            os.unlink(file.encode(), dir_fd=folder)
    except OSError:
        return


def free_place(bucket: LocalBucket, upload_id: str, start: int, length: int) -> None:
    """Free the blocks that a failed part took in the assembly file."""
    try:
        with upload_folder(bucket, upload_id) as folder:
            descriptor = os.open(ASSEMBLY, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return
    try:
        free_range(descriptor, start, length)
    finally:
        os.close(descriptor)


def remove_upload_folder(bucket: LocalBucket, upload_id: str) -> None:
    """Remove everything an upload has on the disk; the register still knows it as finished, should a crash come."""
    for work in bucket.work.existing():
        try:
            remove_tree(work, UPLOAD + upload_id.encode())
            sync_quietly(work)
        finally:
            os.close(work)


def list_upload_folders(bucket: LocalBucket, older_than_ns: int) -> list[str]:
    """Ids of the uploads that have a folder which was not touched since then."""
    found = []
    for work in bucket.work.existing():
        try:
            for name in map(os.fsencode, os.listdir(work)):
                if not name.startswith(UPLOAD):
                    continue
                status = os.stat(name, dir_fd=work, follow_symlinks=False)
                if status.st_mtime_ns < older_than_ns:
                    found.append(name[len(UPLOAD) :].decode("ascii", "replace"))
        except OSError:
            continue
        finally:
            os.close(work)
    return found


def is_tiled(parts: Sequence[StoredPart]) -> bool:
    """Whether these parts lie in the assembly file, in this order, from its beginning and without gaps."""
    at = 0
    for stored in parts:
        if stored.file or (stored.start != at and stored.part.size):
            return False
        at += stored.part.size
    return at > 0


def link_assembly(bucket: LocalBucket, upload_id: str, size: int, end_of_stored: int) -> TemporaryFile | None:
    """Give the assembly file a second name in the work folder, cut to this size; None when it can not be.

    The caller holds the slots' lock and nothing is being written. Raises OSError.
    """
    with upload_folder(bucket, upload_id) as folder:
        descriptor = os.open(ASSEMBLY, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=folder)
        work = -1
        try:
            status = os.fstat(descriptor)
            if status.st_size < size:
                raise Corrupt(f"The upload '{upload_id}' lost bytes on the disk; begin it anew.", reason="upload")
            if status.st_size > size:
                # Beyond may lie parts that are not listed now but may be next time, or a failed part's leavings.
                if status.st_nlink > 1 or end_of_stored > size:
                    os.close(descriptor)
                    return None
                os.ftruncate(descriptor, size)
            if bucket.durable:
                flush_file(descriptor, inode=False)
            lock_file(descriptor)
            name = new_temporary()
            work = bucket.work.open()
            os.link(ASSEMBLY, name, src_dir_fd=folder, dst_dir_fd=work, follow_symlinks=False)
        except BaseException as error:
            os.close(descriptor)
            if work >= 0:
                os.close(work)
            if isinstance(error, OSError) and error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                return None
            raise
    return TemporaryFile.adopt(work, descriptor, name, size)


class Join:
    """Copies parts from wherever they lie into one temporary file, in slices. Used from worker threads, in order."""

    def __init__(self, bucket: LocalBucket, upload_id: str, parts: Sequence[StoredPart]) -> None:
        self.kept = TemporaryFile(bucket)
        self._bucket = bucket
        self._upload_id = upload_id
        self._todo = [stored for stored in parts if stored.part.size]
        self._done = 0

    def step(self, length: int) -> bool:
        """Copy up to ``length`` bytes; False when all is there (and flushed). Raises OSError, Corrupt."""
        if not self._todo:
            if self._bucket.durable:
                flush_file(self.kept.descriptor, inode=False)
            return False
        stored = self._todo[0]
        wanted = min(length, stored.part.size - self._done)
        with upload_folder(self._bucket, self._upload_id) as folder:
            source = os.open(stored.file.encode() or ASSEMBLY, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        try:
            count = copy_slice(source, stored.start + self._done, self.kept.descriptor, self.kept.size, wanted)
        finally:
            os.close(source)
        if count < wanted:
            raise Corrupt(f"Part {stored.part.number} lost bytes on the disk; upload it again.", reason="part")
        self.kept.size += count
        self._done += count
        if self._done == stored.part.size:
            self._todo.pop(0)
            self._done = 0
        return True
