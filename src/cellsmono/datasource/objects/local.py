"""The object service over local folders."""

import os
import stat
from collections.abc import AsyncIterable, Callable, Sequence

from cellsmono.datasource.objects import attributes as mirror
from cellsmono.datasource.objects.batches import delete_many, set_mtime
from cellsmono.datasource.objects.beneath import FOLDER, open_beneath
from cellsmono.datasource.objects.bucket import LocalBucket, facts_of
from cellsmono.datasource.objects.copying import stage_copy
from cellsmono.datasource.objects.failures import ABSENT, explain
from cellsmono.datasource.objects.kernel import rename_new
from cellsmono.datasource.objects.names import (
    MARKER,
    WORK_FOLDER,
    not_found,
    refuse_folder_key,
    refuse_move_into_itself,
    split_read,
    split_written,
)
from cellsmono.datasource.objects.publishing import Describe, Publisher, Road
from cellsmono.datasource.objects.reader import LocalReader
from cellsmono.datasource.objects.scanner import LocalScanner
from cellsmono.datasource.objects.uploads import LocalUploads
from cellsmono.datasource.objects.writer import Kept, stage_body
from cellsmono.interfaces.node import Facts, NodeAttributes
from cellsmono.interfaces.objects import (
    Capabilities,
    Committed,
    FolderMade,
    Hasher,
    ObjectInfo,
    Staged,
)
from cellsmono.kernel.errors import AlreadyExists, CellsError, Conflict, NotFound, Unavailable

_MARKER = MARKER.encode()
_OURS = frozenset({MARKER, WORK_FOLDER})


class LocalStore(LocalScanner, LocalUploads):
    """ObjectStore, FolderScanner and Multipart over the child folders of one parent folder.

    ``stat`` and ``open`` do their few calls on the event loop: names and inodes of what is in use are in memory, and a
    hop to a thread would cost several times as much. Everything that writes, lists or may wait runs in threads.
    """

    def capabilities(self, bucket: str) -> Capabilities:
        """What this bucket can do, asked of its file system now."""
        found = self.bucket(bucket)
        try:
            descriptor = os.open(found.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return Capabilities(writable=False)
        try:
            return Capabilities(
                attributes=mirror.can_mirror(descriptor), writable=os.access(found.path, os.W_OK | os.X_OK)
            )
        finally:
            os.close(descriptor)

    async def stat(self, bucket: str, key: str) -> ObjectInfo:
        """Facts of an object or folder now."""
        found = self.bucket(bucket)
        try:
            status = found.look(split_read(key))
        except OSError as error:
            raise explain(error, key, writing=False) from error
        is_right = stat.S_ISDIR if not key or key.endswith("/") else stat.S_ISREG
        if not is_right(status.st_mode):
            raise not_found(key)
        return ObjectInfo(key, facts_of(status))

    def check_key(self, bucket: str, key: str) -> None:
        """Raise what writing this key would raise for its form alone."""
        self.bucket(bucket)
        split_written(key)

    async def open(self, bucket: str, key: str) -> LocalReader:
        """Open an object for reading."""
        if key.endswith("/"):
            raise not_found(key)
        descriptor, status = self.bucket(bucket).open_file(split_read(key), key)
        return LocalReader(descriptor, status, key, self.workers)

    async def stage(
        self, bucket: str, body: AsyncIterable[bytes], hashers: Sequence[Hasher] = (), size: int | None = None
    ) -> Staged:
        """Store a body in a temporary place (a small one in memory, see ``writer``)."""
        return self.keep(bucket, await stage_body(self.bucket(bucket), self.workers, body, hashers, size))

    async def stage_copy(self, bucket: str, source_bucket: str, source: str) -> tuple[Staged, ObjectInfo]:
        """Stage a copy of another object of this service."""
        target = self.bucket(bucket)
        if source.endswith("/"):
            raise not_found(source)
        names = split_read(source)
        try:
            kept, info = await stage_copy(self.workers, self.bucket(source_bucket), names, source, target)
        except OSError as error:
            raise explain(error, source, writing=True) from error
        return self.keep(bucket, kept), info

    async def commit(
        self,
        staged: Staged,
        key: str,
        *,
        mtime_ns: int | None = None,
        attributes: Callable[[Facts], NodeAttributes] | None = None,
    ) -> Committed:
        """Make staged bytes visible. ``attributes`` is called in a worker thread."""
        kept = self.take(staged)
        if kept is None:
            raise NotFound("These staged bytes were committed or discarded before.", reason="staged")
        try:
            bucket = self.bucket(staged.bucket)
            refuse_folder_key(key)
            names = split_written(key)
        except CellsError:
            await self.workers.run(kept.discard)
            raise
        facts, made = await self.workers.run(_publish, self.publisher, bucket, kept, names, key, mtime_ns, attributes)
        return Committed(ObjectInfo(key, facts), tuple(made))

    async def discard(self, staged: Staged) -> None:
        """Throw staged bytes away."""
        kept = self.take(staged)
        if kept is not None:
            await self.workers.run(kept.discard)

    async def make_folder(self, bucket: str, key: str) -> tuple[FolderMade, ...]:
        """Make a folder and its missing parents."""
        names = split_written(key)
        return await self.workers.run(_make_folder, self.publisher, self.bucket(bucket), names, key)

    async def delete(self, bucket: str, key: str) -> bool:
        """Remove one object; a link is removed itself, never what it leads to."""
        found = self.bucket(bucket)
        try:
            names = split_read(key)
        except NotFound:
            return False
        if key.endswith("/") or not key:
            return False
        return await self.workers.run(_delete, self.publisher, found, names, key)

    async def delete_many(self, bucket: str, keys: Sequence[str]) -> list[bool | Exception]:
        """Remove many objects, with one flush a folder."""
        return await self.workers.run(delete_many, self.publisher, self.bucket(bucket), keys)

    async def set_mtime(self, bucket: str, key: str, mtime_ns: int) -> ObjectInfo:
        """Change an object's time of modification."""
        return ObjectInfo(key, await self.workers.run(set_mtime, self.bucket(bucket), split_read(key), key, mtime_ns))

    async def remove_folder(self, bucket: str, key: str) -> bool:
        """Remove a folder that holds nothing but its marker."""
        found = self.bucket(bucket)
        try:
            names = split_read(key)
        except NotFound:
            return False
        return bool(names) and await self.workers.run(_remove_folder, self.publisher, found, names, key)

    async def move(self, bucket: str, source: str, target: str) -> Committed:
        """Rename an object or a folder."""
        found = self.bucket(bucket)
        is_folder = source.endswith("/")
        if is_folder and not target.endswith("/"):
            target += "/"
        if not source:
            raise Conflict("The root of a bucket can not be moved.", reason="root")
        names = split_read(source), split_written(target)
        if not is_folder:
            refuse_folder_key(target)
        if source != target:
            refuse_move_into_itself(source, target)
        return await self.workers.run(_move, self.publisher, found, *names, source, target)

    async def set_attributes(self, bucket: str, key: str, attributes: NodeAttributes) -> None:
        """Mirror attributes beside an existing object."""
        if key.endswith("/"):
            raise not_found(key)
        await self.workers.run(_set_attributes, self.bucket(bucket), split_read(key), key, attributes)

    async def read_attributes(self, bucket: str, keys: Sequence[str]) -> list[NodeAttributes | None]:
        """What is mirrored beside these objects."""
        return await self.workers.scan(_read_attributes, self.bucket(bucket), keys)

    async def create_bucket(self, bucket: str) -> None:
        """Make a child folder of that name and serve it, durable and with the usual settings."""
        path = os.path.join(self.parent, os.fsencode(bucket))
        if bucket in self._buckets:
            raise AlreadyExists(f"The bucket '{bucket}' is there already.", reason="bucket")
        try:
            await self.workers.run(_make_bucket, path)
        except FileExistsError:
            raise AlreadyExists(
                f"There is something at '{os.fsdecode(path)}' already; serve that folder, or choose another name.",
                reason="bucket",
            ) from None
        except OSError as error:
            raise explain(error, bucket, writing=True) from error
        self.add_bucket(bucket, bucket)

    async def remove_bucket(self, bucket: str) -> None:
        """Remove a bucket's folder that is empty but for our own files, and serve it no longer."""
        await self.workers.run(_remove_bucket, self.bucket(bucket))
        self.forget_bucket(bucket)

    async def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket is served and its folder is there."""
        found = self._buckets.get(bucket)
        if found is None:
            return False
        try:
            os.close(found.open_root())
        except CellsError:
            return False
        return True

    async def used_space(self, bucket: str) -> tuple[int, int]:
        """Free (for us) and total bytes of the file system."""
        found = self.bucket(bucket)
        try:
            space = await self.workers.run(os.statvfs, found.path)
        except OSError as error:
            raise Unavailable(f"The folder of bucket '{bucket}' is not there.", reason="offline") from error
        return space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize


def _publish(
    publisher: Publisher,
    bucket: LocalBucket,
    kept: Kept,
    names: Sequence[bytes],
    key: str,
    mtime_ns: int | None,
    describe: Describe | None,
) -> tuple[Facts, list[FolderMade]]:
    try:
        return publisher.publish(bucket, kept, names, mtime_ns, describe)
    except OSError as error:
        raise explain(error, key, writing=True) from error


def _make_folder(publisher: Publisher, bucket: LocalBucket, names: Sequence[bytes], key: str) -> tuple[FolderMade, ...]:
    road = Road()
    try:
        publisher.open_road(bucket, names, road)
        publisher.flush(bucket, road.to_flush)
        return tuple(road.made)
    except OSError as error:
        raise explain(error, key, writing=True) from error
    finally:
        road.close()


def _delete(publisher: Publisher, bucket: LocalBucket, names: list[bytes], key: str) -> bool:
    try:
        folder = bucket.open_folder(names[:-1])
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise explain(error, key, writing=True) from error
    try:
        if not stat.S_ISREG(bucket.look(names).st_mode):
            return False
        os.unlink(names[-1], dir_fd=folder)
        publisher.flush(bucket, [folder])
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise explain(error, key, writing=True) from error
    finally:
        os.close(folder)
    return True


def _remove_folder(publisher: Publisher, bucket: LocalBucket, names: list[bytes], key: str) -> bool:
    opened: list[int] = []
    try:
        opened.append(bucket.open_folder(names[:-1]))
        opened.append(os.open(names[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[0]))
        if not _empty_folder(opened[0], names[-1], opened[1]):
            return False
        publisher.flush(bucket, opened[:1])
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise explain(error, key, writing=True) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return True


def _empty_folder(above: int, name: bytes, folder: int) -> bool:
    """Remove a folder with nothing but our own files in it; False (and it is as before) when there is more."""
    if any(entry not in _OURS for entry in os.listdir(folder)):
        return False
    marker = _take_file(folder, _MARKER)
    _drop(folder, WORK_FOLDER.encode(), is_folder=True)
    try:
        os.rmdir(name, dir_fd=above)
    except OSError:
        # Somebody put a file in meanwhile.
        _give_back(folder, marker)
        return False
    return True


def _take_file(folder: int, name: bytes) -> bytes | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    try:
        content = os.read(descriptor, 64)
    finally:
        os.close(descriptor)
    _drop(folder, name, is_folder=False)
    return content


def _drop(folder: int, name: bytes, *, is_folder: bool) -> None:
    try:
        (os.rmdir if is_folder else os.unlink)(name, dir_fd=folder)
    except OSError:
        return


def _give_back(folder: int, marker: bytes | None) -> None:
    if marker is None:
        return
    try:
        descriptor = os.open(_MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
    except OSError:
        return
    try:
        os.write(descriptor, marker)
    finally:
        os.close(descriptor)


def _move(
    publisher: Publisher,
    bucket: LocalBucket,
    source_names: list[bytes],
    target_names: list[bytes],
    source: str,
    target: str,
) -> Committed:
    road = Road()
    folder = -1
    try:
        folder = bucket.open_folder(source_names[:-1])
        status = os.stat(source_names[-1], dir_fd=folder, follow_symlinks=False)
        if not (stat.S_ISDIR if source.endswith("/") else stat.S_ISREG)(status.st_mode):
            raise not_found(source)
    except OSError as error:
        if folder >= 0:
            os.close(folder)
        raise explain(error, source, writing=False) from error
    except CellsError:
        os.close(folder)
        raise
    try:
        publisher.open_road(bucket, target_names[:-1], road)
        if source != target:
            _rename(folder, source_names[-1], road.folder, target_names[-1], target)
            publisher.flush(bucket, [*road.to_flush, road.folder, folder])
        info = ObjectInfo(target, facts_of(os.stat(target_names[-1], dir_fd=road.folder, follow_symlinks=False)))
        return Committed(info, tuple(road.made))
    except OSError as error:
        raise explain(error, target, writing=True) from error
    finally:
        os.close(folder)
        road.close()


def _rename(source_folder: int, source: bytes, target_folder: int, target: bytes, key: str) -> None:
    if not key.endswith("/"):
        os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)
        return
    try:
        rename_new(source_folder, source, target_folder, target)
    except FileExistsError:
        there = os.stat(target, dir_fd=target_folder, follow_symlinks=False)
        if stat.S_ISDIR(there.st_mode):
            raise Conflict(f"There is a folder at '{key}' already.", reason="exists", path=key) from None
        raise Conflict(f"There is an object at '{key}' already.", reason="parent_is_object", path=key) from None


def _set_attributes(bucket: LocalBucket, names: list[bytes], key: str, attributes: NodeAttributes) -> None:
    descriptor, status = bucket.open_file(names, key)
    try:
        mirror.write_attributes(descriptor, status.st_dev, attributes, fresh=False)
    finally:
        os.close(descriptor)


def _read_attributes(bucket: LocalBucket, keys: Sequence[str]) -> list[NodeAttributes | None]:
    found: list[NodeAttributes | None] = []
    for key in keys:
        try:
            descriptor, _ = bucket.open_file(split_read(key), key)
        except CellsError:
            found.append(None)
            continue
        try:
            found.append(mirror.read_attributes(descriptor))
        finally:
            os.close(descriptor)
    return found


def _make_bucket(path: bytes) -> None:
    os.mkdir(path)
    above = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(above)
    finally:
        os.close(above)


def _remove_bucket(bucket: LocalBucket) -> None:
    above_path, name = os.path.split(bucket.path)
    bucket.work.remove_leftovers()
    with bucket.opened() as root:
        folder = open_beneath(root, [], os.O_RDONLY | os.O_DIRECTORY)
    above = os.open(above_path, FOLDER)
    try:
        if not _empty_folder(above, name, folder):
            raise Conflict(f"The bucket '{bucket.name}' is not empty.", reason="not_empty")
    finally:
        os.close(above)
        os.close(folder)
    bucket.work.remove()
