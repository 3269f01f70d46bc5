"""What the halves of a ``LocalStore`` share: buckets, threads, staged bytes."""

import fcntl
import itertools
import os
from pathlib import Path

from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.failures import explain
from cellsmono.datasource.objects.lane import Lane
from cellsmono.datasource.objects.names import RESERVED
from cellsmono.datasource.objects.publishing import Publisher
from cellsmono.datasource.objects.workers import DEFAULT_THREADS, Workers
from cellsmono.datasource.objects.writer import Kept
from cellsmono.interfaces.datasource import Durability, Markers, Symlinks
from cellsmono.interfaces.objects import Staged
from cellsmono.kernel.clock import Clock, SystemClock
from cellsmono.kernel.errors import AlreadyExists, Invalid, Locked, NotFound
from cellsmono.kernel.log import get_logger

log = get_logger("objects")


class LocalService:
    """One parent folder, and those of its child folders that are buckets."""

    def __init__(self, name: str, parent: Path, *, clock: Clock | None = None, threads: int = DEFAULT_THREADS) -> None:
        self.name = name
        self.parent = os.path.abspath(os.fsencode(parent))
        self.clock = clock or SystemClock()
        self.workers = Workers(threads)
        self.publisher = Publisher()
        self._buckets: dict[str, LocalBucket] = {}
        self._lanes: dict[bytes, Lane] = {}
        self._staged: dict[str, Kept] = {}
        self._tokens = itertools.count(1)
        self._held: dict[str, int] = {}

    def add_bucket(
        self,
        bucket: str,
        folder_name: str,
        *,
        durability: Durability = Durability.FSYNC,
        symlinks: Symlinks = Symlinks.IGNORE,
        markers: Markers = Markers.FILE,
    ) -> None:
        """Serve a child folder as a bucket; it need not be there now. Removes what a crash left in its work folder.

        Raises AlreadyExists for a name or folder that is served already, Invalid for what is no child's name.
        """
        folder = os.fsencode(folder_name)
        if not folder or b"/" in folder or folder in (b".", b"..") or folder_name in RESERVED:
            raise Invalid(
                f"'{folder_name}' is not the name of a folder in '{os.fsdecode(self.parent)}'.", reason="folder"
            )
        path = os.path.join(self.parent, folder)
        if bucket in self._buckets or any(other.path == path for other in self._buckets.values()):
            raise AlreadyExists(
                f"The bucket '{bucket}' (folder '{os.fsdecode(path)}') is served already.", reason="bucket"
            )
        made = LocalBucket(
            bucket,
            path,
            durable=durability is Durability.FSYNC,
            follow=symlinks is Symlinks.INSIDE,
            marked=markers is Markers.FILE,
        )
        made.work.remove_leftovers()
        self._buckets[bucket] = made

    def forget_bucket(self, bucket: str) -> None:
        """Serve it no longer; the folder stays as it is. Nothing happens for an unknown one."""
        forgotten = self._buckets.pop(bucket, None)
        if forgotten is not None:
            self._lanes.pop(forgotten.path, None)
        held = self._held.pop(bucket, None)
        if held is not None:
            os.close(held)

    async def hold_bucket(self, bucket: str) -> None:
        """See ``Holder``: a lock on the bucket's folder itself, so it leaves nothing behind, however we end."""
        try:
            descriptor = self.bucket(bucket).open_folder(())
        except OSError as error:
            raise explain(error, writing=True) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Locked(
                f"The folder '{os.fsdecode(self.bucket(bucket).path)}' is served by another process, which alone may "
                "change it. Stop that one first, or choose another folder.",
                reason="held",
            ) from None
        except OSError:
            # Some network file systems have no locks; then a second process on the same folder is not supported.
            log.warning("the file system has no locks, so a second process would not be noticed", bucket=bucket)
        self._held[bucket] = descriptor

    def describe_loss(self, bucket: str) -> str:
        """See ``Holder``: the kernel's lock is never lost."""
        return ""

    def bucket(self, name: str) -> LocalBucket:
        """A bucket that is served. Raises NotFound (reason ``bucket``)."""
        found = self._buckets.get(name)
        if found is None:
            raise NotFound(f"There is no bucket '{name}'.", reason="bucket")
        return found

    def lane(self, bucket: LocalBucket) -> Lane:
        """The lane for a bucket's commits: one each, so that a slow disk holds up only its own."""
        lane = self._lanes.get(bucket.path)
        if lane is None:
            lane = self._lanes[bucket.path] = Lane(bucket, self.publisher, self.workers)
        return lane

    def keep(self, bucket: str, kept: Kept) -> Staged:
        """Hand out a token for staged bytes."""
        token = str(next(self._tokens))
        self._staged[token] = kept
        return Staged(bucket, kept.size, token)

    def take(self, staged: Staged) -> Kept | None:
        """What a token stands for; each is taken once."""
        return self._staged.pop(staged.token, None)

    async def close(self) -> None:
        """Discard what is staged, end the threads."""
        for kept in self._staged.values():
            kept.discard()
        self._staged.clear()
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()
        await self.workers.close()
        self.publisher.close()
