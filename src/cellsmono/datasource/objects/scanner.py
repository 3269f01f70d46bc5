"""How the synchronizer looks at a local bucket: the FolderScanner half of a ``LocalStore``."""

import fcntl
import hashlib
import os
from collections.abc import Sequence

from cellsmono.datasource.objects import markers, scan
from cellsmono.datasource.objects.beneath import LIST, open_beneath
from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.names import key_below, split_read
from cellsmono.datasource.objects.service import LocalService
from cellsmono.interfaces.node import Facts, facts_of
from cellsmono.interfaces.objects import Entry, Listing, Skipped
from cellsmono.kernel.errors import NotFound, Unavailable

_SLICE_BYTES = 1024 * 1024
_STRETCH_SLICES = 32


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

    async def write_markers(self, bucket: str, markers: Sequence[tuple[str, str]]) -> list[tuple[int, int] | None]:
        """Write the markers of these folders; None where one can not be written, or markers are not wanted."""
        return await self.workers.scan(_write_markers, self.bucket(bucket), markers)

    async def hash_object(self, bucket: str, key: str) -> tuple[Facts, str] | None:
        """MD5 of an object, computed in the thread for work in the background."""
        try:
            hashing = await self.workers.acquire(_Hashing.close, _Hashing, self.bucket(bucket), key)
        except NotFound:
            return None
        try:
            # In stretches, so that whoever cancels does not wait for the end of a huge file.
            while await self.workers.idle(hashing.step):
                pass
            return hashing.result()
        except OSError as error:
            raise Unavailable(f"'{key}' can not be read ({error.strerror}).", reason="io", path=key) from error
        finally:
            hashing.close()

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


def _write_markers(bucket: LocalBucket, wanted: Sequence[tuple[str, str]]) -> list[tuple[int, int] | None]:
    if not bucket.marked:
        return [None] * len(wanted)
    with bucket.opened() as root:
        return [_write_marker(bucket, root, key, uuid) for key, uuid in wanted]


def _write_marker(bucket: LocalBucket, root: int, key: str, uuid: str) -> tuple[int, int] | None:
    try:
        folder = open_beneath(root, split_read(key), LIST, follow=bucket.follow)
    except (OSError, NotFound):
        return None
    try:
        return markers.mark_folder(bucket.work, folder, uuid)
    except OSError:
        return None
    finally:
        os.close(folder)


class _Hashing:
    """The MD5 of one open file, computed in stretches."""

    def __init__(self, bucket: LocalBucket, key: str) -> None:
        self._descriptor, self._before = bucket.open_file(split_read(key), key)
        _keep_atime(self._descriptor)
        self._digest = hashlib.md5(usedforsecurity=False)
        self._offset = 0

    def step(self) -> bool:
        """Hash the next stretch; False at the end. Raises OSError."""
        for _ in range(_STRETCH_SLICES):
            data = os.pread(self._descriptor, _SLICE_BYTES, self._offset)
            if not data:
                return False
            self._digest.update(data)
            self._offset += len(data)
        return True

    def result(self) -> tuple[Facts, str] | None:
        """Facts and MD5; None when the file changed meanwhile."""
        before, after = self._before, os.fstat(self._descriptor)
        facts = facts_of(after)
        if facts_of(before) != facts or before.st_ctime_ns != after.st_ctime_ns or self._offset != facts.size:
            return None
        return facts, self._digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _keep_atime(descriptor: int) -> None:
    """Reading in the background is no use of the file. Only its owner may ask for that."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_NOATIME)
    except OSError:
        return
