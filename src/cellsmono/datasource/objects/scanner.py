"""How the synchronizer looks at a local bucket: the FolderScanner half of a ``LocalStore``."""

import fcntl
import hashlib
import os
from collections.abc import Sequence

from cellsmono.datasource.objects import markers, scan
from cellsmono.datasource.objects.bucket import LocalBucket, facts_of
from cellsmono.datasource.objects.names import key_below, split_read
from cellsmono.datasource.objects.service import LocalService
from cellsmono.datasource.objects.workers import Workers
from cellsmono.interfaces.node import Facts
from cellsmono.interfaces.objects import Entry, Listing, Skipped
from cellsmono.kernel.errors import NotFound, Unavailable

_SLICE_BYTES = 1024 * 1024


class LocalScanner(LocalService):
    """FolderScanner on local folders."""

    async def scan(self, bucket: str, folders: Sequence[tuple[str, bytes]]) -> list[Listing]:
        """List these folders in one hop to a thread."""
        return await self.workers.scan(scan.scan_folders, self.bucket(bucket), folders, self.clock.time_ns())

    async def stat_folders(self, bucket: str, folders: Sequence[str]) -> list[tuple[int, int] | None]:
        """Times of these folders."""
        return await self.workers.scan(scan.stat_folders, self.bucket(bucket), folders)

    async def stat_entries(self, bucket: str, keys: Sequence[str]) -> list[Entry | Skipped | None]:
        """What stands at these keys."""
        return await self.workers.scan(scan.stat_entries, self.bucket(bucket), keys)

    async def read_marker(self, bucket: str, folder: str) -> str:
        """The UUID in the folder's marker."""
        return await self.workers.scan(_read_marker, self.bucket(bucket), folder)

    async def write_marker(self, bucket: str, folder: str, uuid: str) -> bool:
        """Write the folder's marker; False where it can not be written, or markers are not wanted."""
        return await self.workers.run(_write_marker, self.bucket(bucket), folder, uuid)

    async def hash_object(self, bucket: str, key: str) -> tuple[Facts, str] | None:
        """MD5 of an object, computed in a thread of low priority."""
        return await self.workers.idle(_hash_file, self.bucket(bucket), key, self.workers)

    def key_of(self, bucket: str, path: bytes) -> str | None:
        """The key of an absolute path."""
        return key_below(self.bucket(bucket).path, path)

    def root(self, bucket: str) -> str:
        """The absolute path of a bucket's folder."""
        return os.fsdecode(self.bucket(bucket).path)


def _read_marker(bucket: LocalBucket, key: str) -> str:
    try:
        folder = bucket.open_folder(split_read(key))
    except (OSError, NotFound):
        return ""
    try:
        return markers.read_marker(folder)
    finally:
        os.close(folder)


def _write_marker(bucket: LocalBucket, key: str, uuid: str) -> bool:
    if not bucket.marked:
        return False
    try:
        folder = bucket.open_folder(split_read(key))
    except (OSError, NotFound):
        return False
    try:
        with bucket.work.opened() as work:
            return markers.replace_marker(work, folder, uuid, durable=False)
    except OSError:
        return False
    finally:
        os.close(folder)


def _hash_file(bucket: LocalBucket, key: str, workers: Workers) -> tuple[Facts, str] | None:
    try:
        descriptor, before = bucket.open_file(split_read(key), key)
    except NotFound:
        return None
    try:
        _keep_atime(descriptor)
        digest = hashlib.md5(usedforsecurity=False)
        offset = 0
        while data := os.pread(descriptor, _SLICE_BYTES, offset):
            if workers.is_stopping:
                return None
            digest.update(data)
            offset += len(data)
        after = os.fstat(descriptor)
    except OSError as error:
        raise Unavailable(f"'{key}' can not be read ({error.strerror}).", reason="io", path=key) from error
    finally:
        os.close(descriptor)
    unchanged = facts_of(before) == facts_of(after) and before.st_ctime_ns == after.st_ctime_ns
    return (facts_of(after), digest.hexdigest()) if unchanged and offset == after.st_size else None


def _keep_atime(descriptor: int) -> None:
    """Reading in the background is no use of the file. Only its owner may ask for that."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_NOATIME)
    except OSError:
        return
