"""The object service over local folders."""

import os
import stat
from collections.abc import AsyncIterable, Callable, Sequence

from cellsmono.datasource.objects import attributes as mirror
from cellsmono.datasource.objects import changing
from cellsmono.datasource.objects.batches import delete_many, set_mtime
from cellsmono.datasource.objects.copying import stage_copy
from cellsmono.datasource.objects.failures import explain
from cellsmono.datasource.objects.names import (
    MARKER,
    WORK_FOLDER,
    not_found,
    refuse_folder_key,
    refuse_move_into_itself,
    split_read,
    split_written,
)
from cellsmono.datasource.objects.publishing import Job
from cellsmono.datasource.objects.reader import LocalReader
from cellsmono.datasource.objects.scanner import LocalScanner
from cellsmono.datasource.objects.snapshots import LocalSnapshots
from cellsmono.datasource.objects.uploads import LocalUploads
from cellsmono.datasource.objects.writer import stage_body
from cellsmono.interfaces.node import Facts, NodeAttributes, facts_of
from cellsmono.interfaces.objects import (
    Capabilities,
    Committed,
    FolderMade,
    Hasher,
    ObjectInfo,
    Staged,
    Target,
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

    def snapshots(self, bucket: str) -> LocalSnapshots:
        """Where the snapshots of a bucket lie. Raises NotFound for a bucket that is not served."""
        return LocalSnapshots(self.bucket(bucket), self.workers)

    async def stat(self, bucket: str, key: str) -> ObjectInfo:
        """Facts of an object or folder now."""
        found = self.bucket(bucket)
        try:
            status = found.look(split_read(key)) if key else found.look_at_root()
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
        self,
        bucket: str,
        body: AsyncIterable[bytes],
        hashers: Sequence[Hasher] = (),
        size: int | None = None,
        target: Target | None = None,
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
        job = Job(kept, key, names, mtime_ns, attributes)
        await self.lane(bucket).commit(job)
        return Committed(ObjectInfo(key, job.facts), tuple(job.made))

    async def discard(self, staged: Staged) -> None:
        """Throw staged bytes away."""
        kept = self.take(staged)
        if kept is not None:
            await self.workers.run(kept.discard)

    async def make_folder(self, bucket: str, key: str) -> tuple[FolderMade, ...]:
        """Make a folder and its missing parents."""
        names = split_written(key)
        return await self.workers.run(changing.make_folder, self.publisher, self.bucket(bucket), names, key)

    async def delete(self, bucket: str, key: str) -> bool:
        """Remove one object; a link is removed itself, never what it leads to."""
        found = self.bucket(bucket)
        try:
            names = split_read(key)
        except NotFound:
            return False
        if key.endswith("/") or not key:
            return False
        return await self.workers.run(changing.delete, self.publisher, found, names, key)

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
        return bool(names) and await self.workers.run(changing.remove_folder, self.publisher, found, names, key)

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
        return await self.workers.run(changing.move, self.publisher, found, *names, source, target)

    async def set_attributes(self, bucket: str, key: str, attributes: NodeAttributes) -> None:
        """Mirror attributes beside an existing object."""
        if key.endswith("/"):
            raise not_found(key)
        await self.workers.run(changing.set_attributes, self.bucket(bucket), split_read(key), key, attributes)

    async def read_attributes(self, bucket: str, keys: Sequence[str]) -> list[NodeAttributes | None]:
        """What is mirrored beside these objects."""
        return await self.workers.scan(changing.read_attributes, self.bucket(bucket), keys)

    async def create_bucket(self, bucket: str) -> None:
        """Make a child folder of that name and serve it, durable and with the usual settings."""
        path = os.path.join(self.parent, os.fsencode(bucket))
        if bucket in self._buckets:
            raise AlreadyExists(f"The bucket '{bucket}' is there already.", reason="bucket")
        try:
            await self.workers.run(changing.make_bucket, path)
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
        await self.workers.run(changing.remove_bucket, self.bucket(bucket))
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
