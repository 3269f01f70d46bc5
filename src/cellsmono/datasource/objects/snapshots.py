"""The snapshots of a bucket that is a folder: files in ``snapshots`` in the bucket's hidden work folder."""

import os
from collections.abc import AsyncGenerator, AsyncIterable

from cellsmono.datasource.objects.beneath import LIST, READ, open_beneath
from cellsmono.datasource.objects.bucket import LocalBucket, make_directory, sync_quietly
from cellsmono.datasource.objects.failures import explain
from cellsmono.datasource.objects.flushing import flush_file
from cellsmono.datasource.objects.names import WORK_FOLDER
from cellsmono.datasource.objects.workers import Workers
from cellsmono.datasource.objects.writer import TemporaryFile, write_all
from cellsmono.interfaces.snapshots import StoredFile, check_basename, no_snapshot

FOLDER_NAME = b"snapshots"
"""The clean-up of leftovers takes temporary files and uploads by their names, so it never takes this."""

_PIECE = 1024 * 1024


class LocalSnapshots:
    """See ``SnapshotPlace``. What lies in a work folder of before (it may change its place) is found, too."""

    def __init__(self, bucket: LocalBucket, workers: Workers) -> None:
        self._bucket = bucket
        self._workers = workers

    async def put(self, name: str, body: AsyncIterable[bytes]) -> int:
        """See ``SnapshotPlace``. A crash leaves a temporary file, which the next start removes."""
        check_basename(name)
        run = self._workers.run
        try:
            kept = await self._workers.acquire(TemporaryFile.discard, TemporaryFile, self._bucket)
            try:
                async for data in body:
                    await run(write_all, kept.descriptor, data, kept.size)
                    kept.size += len(data)
                await run(_publish, kept, os.fsencode(name))
            finally:
                await run(kept.discard)
        except OSError as error:
            raise explain(error, name, writing=True) from error
        return kept.size

    async def open(self, name: str) -> AsyncGenerator[bytes, None]:
        """See ``SnapshotPlace``."""
        check_basename(name)
        try:
            descriptor = await self._workers.acquire(os.close, self._find, name)
            try:
                while data := await self._workers.run(os.read, descriptor, _PIECE):
                    yield data
            finally:
                os.close(descriptor)
        except OSError as error:
            raise explain(error, name, writing=False) from error

    async def list_files(self) -> list[StoredFile]:
        """See ``SnapshotPlace``."""
        try:
            return await self._workers.run(self._list)
        except OSError as error:
            raise explain(error, writing=False) from error

    async def delete(self, name: str) -> None:
        """See ``SnapshotPlace``."""
        check_basename(name)
        try:
            await self._workers.run(self._delete, name)
        except OSError as error:
            raise explain(error, name, writing=True) from error

    async def keeps_bucket(self) -> bool:
        """See ``SnapshotPlace``: they do where there is no room for them beside the bucket."""
        return await self._workers.run(self._lies_inside)

    # in a worker thread

    def _lies_inside(self) -> bool:
        root = self._bucket.open_root()
        try:
            return has_snapshots(root)
        finally:
            os.close(root)

    def _folders(self) -> list[int]:
        """Descriptors of every folder that may hold snapshots."""
        os.close(self._bucket.open_root())  # raises Unavailable: a disk that is away is not one without snapshots
        found = []
        for work in self._bucket.work.existing():
            try:
                found.append(os.open(FOLDER_NAME, LIST | os.O_NOFOLLOW, dir_fd=work))
            except FileNotFoundError:
                continue
            finally:
                os.close(work)
        return found

    def _find(self, name: str) -> int:
        folders = self._folders()
        try:
            for folder in folders:
                try:
                    return os.open(name, READ | os.O_NOFOLLOW, dir_fd=folder)
                except FileNotFoundError:
                    continue
        finally:
            for folder in folders:
                os.close(folder)
        raise no_snapshot(name)

    def _list(self) -> list[StoredFile]:
        found: dict[str, StoredFile] = {}
        for folder in self._folders():
            try:
                for name in os.listdir(folder):
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    found.setdefault(name, StoredFile(name, status.st_size, status.st_mtime_ns))
            finally:
                os.close(folder)
        return [found[name] for name in sorted(found)]

    def _delete(self, name: str) -> None:
        is_gone = False
        for folder in self._folders():
            try:
                os.unlink(name, dir_fd=folder)
                os.fsync(folder)
                is_gone = True
            except FileNotFoundError:
                continue
            finally:
                os.close(folder)
        if not is_gone:
            raise no_snapshot(name)
        self._remove_empty_folders()

    def _remove_empty_folders(self) -> None:
        """So that an empty bucket stays one that can be removed."""
        for work in self._bucket.work.existing():
            try:
                os.rmdir(FOLDER_NAME, dir_fd=work)
            except OSError:
                continue
            finally:
                os.close(work)


def has_snapshots(folder: int) -> bool:
    """Whether the work folder in a folder holds snapshots."""
    try:
        os.close(open_beneath(folder, (WORK_FOLDER.encode(), FOLDER_NAME), LIST))
    except OSError:
        return False
    return True


def _publish(kept: TemporaryFile, name: bytes) -> None:
    """Give a complete temporary file its name."""
    os.fchmod(kept.descriptor, 0o600)
    flush_file(kept.descriptor)
    if make_directory(kept.work, FOLDER_NAME, 0o700):
        sync_quietly(kept.work)
    folder = os.open(FOLDER_NAME, LIST | os.O_NOFOLLOW, dir_fd=kept.work)
    try:
        os.rename(kept.name, name, src_dir_fd=kept.work, dst_dir_fd=folder)
        os.fsync(folder)
    finally:
        os.close(folder)
