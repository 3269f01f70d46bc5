"""Publishing: the steps that make bytes or folders visible, in the order that survives a loss of power.

Content first (write, times, attributes, flush), then the name (one rename), then the folder's flush. Commits that come
together go each of these steps together (see ``lane``), so that they share journal commits, open folders and the
folder's flush. Everything here runs in a worker thread. A flush that failed is not repeated: the kernel may have marked
the lost pages as clean.
"""

import errno
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from cellsmono.datasource.objects import markers
from cellsmono.datasource.objects.attributes import write_attributes
from cellsmono.datasource.objects.beneath import LIST, open_beneath
from cellsmono.datasource.objects.bucket import (
    LocalBucket,
    make_directory,
    new_temporary,
    remove_leftovers_in,
    remove_tree,
)
from cellsmono.datasource.objects.copying import copy_slice
from cellsmono.datasource.objects.emptying import take_back
from cellsmono.datasource.objects.failures import explain
from cellsmono.datasource.objects.flushing import FolderFlusher, settle_file
from cellsmono.datasource.objects.kernel import rename_new, start_writeback
from cellsmono.datasource.objects.names import WORK_FOLDER, join_names
from cellsmono.datasource.objects.ordering import keeps_order
from cellsmono.datasource.objects.writer import Kept, SmallBytes, TemporaryFile, write_all
from cellsmono.interfaces.node import Facts, NodeAttributes, facts_of, new_uuid
from cellsmono.interfaces.objects import FolderMade
from cellsmono.kernel.errors import CellsError, Conflict, Invalid

Describe = Callable[[Facts], NodeAttributes]
_ATTEMPTS = 8
_FLUSHERS = 8
"""Threads that wait for flushes; they start when there is something to wait for."""
_PERMISSIONS = 0o777


class Road:
    """The open folders from the first one that had to be made to the one that holds a name. Close it."""

    def __init__(self) -> None:
        self.to_flush: list[int] = []
        self.made: list[FolderMade] = []
        self.folder = -1
        self.is_changed = False
        self.dev = -1
        self.group = -1
        self._work = -1

    def open_work(self) -> int:
        """A hidden work folder in the folder itself, for one that lies on another mount than the bucket's own."""
        if self._work < 0:
            name = WORK_FOLDER.encode()
            make_directory(self.folder, name, 0o700)
            self._work = os.open(name, LIST | os.O_NOFOLLOW, dir_fd=self.folder)
            remove_leftovers_in(self._work)
        return self._work

    def close(self) -> None:
        """Close every folder."""
        if self._work >= 0:
            os.close(self._work)
            self._work = -1
            with suppress(OSError):
                os.rmdir(WORK_FOLDER.encode(), dir_fd=self.folder)
        for descriptor in {*self.to_flush, self.folder} - {-1}:
            os.close(descriptor)
        self.to_flush = []
        self.folder = -1


class Job:
    """One commit: what is to become visible where, and how it went."""

    def __init__(
        self, kept: Kept, key: str, names: Sequence[bytes], mtime_ns: int | None, describe: Describe | None
    ) -> None:
        self.kept = kept
        self.key = key
        self.names = names
        self.mtime_ns = mtime_ns
        self.describe = describe
        self.error: BaseException | None = None
        self.made: list[FolderMade] = []
        self.facts = Facts(0, 0)
        self.road: Road | None = None
        self.file: TemporaryFile | None = None
        self.needs_content = False
        self.needs_inode = False

    def try_step(self, step: Callable[["Job"], None]) -> None:
        """Go one step further, unless an earlier one failed."""
        if self.error is not None:
            return
        try:
            step(self)
        except OSError as error:
            self.error = explain(error, self.key, writing=True)
        except Exception as error:
            self.error = error

    def discard(self) -> None:
        """Remove what did not become visible."""
        self.kept.discard()
        if self.file is not None:
            self.file.discard()


class Batch:
    """Jobs that go together: they share the open work folder, and the open folders that they write to.

    ``prepare_known`` does what does not wait for the disk and may be left out; ``finish`` does the rest, and uses the
    batch up.
    """

    def __init__(self, publisher: "Publisher", bucket: LocalBucket, jobs: Sequence[Job]) -> None:
        self._publisher = publisher
        self._bucket = bucket
        self._jobs = jobs
        self._work = -1
        self._work_dev = -1
        self.roads: dict[tuple[bytes, ...], Road] = {}
        self._last: dict[int, Road] = {}

    def prepare_known(self, first: int, last: int) -> bool:
        """Prepare the jobs of a range as far as no folder has to be made for them; whether all of them were."""
        for job in self._jobs[first:last]:
            if self._is_unknown(tuple(job.names[:-1])):
                return False
            job.try_step(self._prepare)
        return True

    def _is_unknown(self, above: tuple[bytes, ...]) -> bool:
        if above in self.roads:
            return False
        road = Road()
        try:
            road.folder = self._bucket.open_folder(above)
        except FileNotFoundError:
            return True
        except (OSError, CellsError):
            return False  # whoever prepares the job meets the same error
        self.roads[above] = road
        return False

    def finish(self) -> None:
        """Prepare what is not prepared yet, then make everything visible, in order."""
        try:
            for job in self._jobs:
                if job.file is None:
                    job.try_step(self._prepare)
            self._flush_files()
            for job in self._jobs:
                job.try_step(self._rename)
            self._flush_folders()
        finally:
            self.close()

    def _prepare(self, job: Job) -> None:
        """Have the folder and the file ready, complete but for the flush."""
        job.road = self._find_road(job)
        file = self._place_file(job, job.road)
        is_touched = _keep_permissions(file.descriptor, job.road.folder, job.names[-1])
        if job.road.group >= 0:
            is_touched = _inherit_group(file.descriptor, job.road.group) or is_touched
        job.facts, is_described = _describe_file(file.descriptor, job.mtime_ns, job.describe)
        job.needs_inode = is_touched or is_described
        if self._bucket.durable and job.needs_content:
            # All files of a batch are on their way before the first one is waited for: one journal commit serves many.
            start_writeback(file.descriptor, 0, 0)

    def _place_file(self, job: Job, road: Road) -> TemporaryFile:
        """The temporary file, on the same mount as the folder that it goes to."""
        kept = job.kept
        if road.dev < 0:
            status = os.fstat(road.folder)
            road.dev, road.group = status.st_dev, status.st_gid if status.st_mode & stat.S_ISGID else -1
        is_here = road.dev == (self._find_work_dev() if isinstance(kept, SmallBytes) else kept.device())
        if isinstance(kept, TemporaryFile) and is_here:
            job.file = kept
            return kept
        work = self._open_work() if is_here else road.open_work()
        job.file = file = TemporaryFile(self._bucket, work)
        job.needs_content = True
        if isinstance(kept, SmallBytes):
            write_all(file.descriptor, kept.data, 0)
        elif copy_slice(kept.descriptor, 0, file.descriptor, 0, kept.size) != kept.size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return file

    def _find_road(self, job: Job) -> Road:
        above = tuple(job.names[:-1])
        road = self.roads.get(above)
        if road is None:
            road = Road()
            try:
                self._publisher.open_road(self._bucket, above, road)
            except BaseException:
                road.close()
                raise
            self.roads[above] = road
            job.made = road.made
        return road

    def _open_work(self) -> int:
        if self._work < 0:
            self._work = self._bucket.work.open()
        return self._work

    def _find_work_dev(self) -> int:
        if self._work_dev < 0:
            self._work_dev = os.fstat(self._open_work()).st_dev
        return self._work_dev

    def _flush_files(self) -> None:
        """Content and inode of every file on the way to the disk; several at once, where each has to be flushed."""
        if not self._bucket.durable:
            return
        waiting = [job for job in self._jobs if job.error is None and (job.needs_content or job.needs_inode)]
        if len(waiting) > 1 and not all(job.road is not None and keeps_order(job.road.dev) for job in waiting):
            # Flushes that wait at the same time are answered by one of the device.
            list(self._publisher.flushers.map(lambda job: job.try_step(_settle), waiting))
            return
        for job in waiting:
            job.try_step(_settle)

    def _rename(self, job: Job) -> None:
        """The step that makes it visible."""
        file, road = job.file, job.road
        if file is None or road is None:
            raise RuntimeError("a job is renamed before it was prepared")
        os.rename(file.name, job.names[-1], src_dir_fd=file.work, dst_dir_fd=road.folder)
        road.is_changed = True
        self._last[road.dev] = road
        # A rename onto another name of the same file does nothing at all: then our name is still there.
        file.release(remove=file.is_linked)

    def _flush_folders(self) -> None:
        """Names to the disk: one flush for each folder, or for all where the journal keeps their order."""
        for road in self.roads.values():
            if not road.is_changed and not road.to_flush:
                continue
            last = self._last.get(road.dev) if road.is_changed and keeps_order(road.dev) else None
            if last is not None and last is not road:
                continue
            try:
                self._publisher.flush(self._bucket, [road.folder] if last is road else [*road.to_flush, road.folder])
            except OSError as error:
                for job in self._jobs:
                    is_served = job.road is road or (last is road and job.road is not None and job.road.dev == road.dev)
                    if is_served and job.error is None:
                        job.error = explain(error, job.key, writing=True)

    def close(self) -> None:
        """Remove what did not become visible and close every folder; those made for a file that did not come go.

        May be called again.
        """
        for job in self._jobs:
            job.discard()
        roads, self.roads = self.roads, {}
        for names, road in roads.items():
            if road.made and not road.is_changed:
                take_back(road.to_flush[0], names[-len(road.made) :])
            road.close()
        work, self._work = self._work, -1
        if work >= 0:
            os.close(work)


class Publisher:
    """Makes things visible in the buckets of one service."""

    def __init__(self) -> None:
        self._flusher = FolderFlusher()
        self.flushers = ThreadPoolExecutor(_FLUSHERS, thread_name_prefix="objects-flush")

    def close(self) -> None:
        """End the threads."""
        self.flushers.shutdown()

    def flush(self, bucket: LocalBucket, folders: Sequence[int]) -> None:
        """Flush open folders, if the bucket is durable. Raises OSError."""
        if bucket.durable:
            self._flusher.flush(folders)

    def flush_together(self, bucket: LocalBucket, folders: Sequence[int]) -> None:
        """Flush open folders, in the order in which they were changed; one flush for all whose order is kept."""
        devices = {folder: os.fstat(folder).st_dev for folder in folders}
        last = {device: folder for folder, device in devices.items()}
        needed = [each for each, device in devices.items() if last[device] == each or not keeps_order(device)]
        self.flush(bucket, needed)

    def publish(self, bucket: LocalBucket, jobs: Sequence[Job]) -> None:
        """Make staged bytes visible, in order; how it went stands in each job. The staged bytes are used up."""
        Batch(self, bucket, jobs).finish()

    def open_road(self, bucket: LocalBucket, names: Sequence[bytes], road: Road) -> None:
        """Open the folder that these names lead to and make what is missing. Raises OSError, Conflict."""
        try:
            road.folder = bucket.open_folder(names)
            return
        except FileNotFoundError:
            pass
        depth = len(names) - 1
        while True:
            try:
                road.folder = bucket.open_folder(names[:depth])
                break
            except FileNotFoundError:
                depth -= 1
                if depth < 0:
                    raise
        for end in range(depth + 1, len(names) + 1):
            child, made = self._enter(bucket, road.folder, names[:end])
            road.to_flush.append(road.folder)
            road.folder = child
            if made is not None:
                road.made.append(made)

    def _enter(self, bucket: LocalBucket, folder: int, names: Sequence[bytes]) -> tuple[int, FolderMade | None]:
        for _ in range(_ATTEMPTS):
            made = self._make(bucket, folder, names)
            try:
                child = open_beneath(folder, names[-1:], LIST, follow=bucket.follow)
            except FileNotFoundError:
                continue  # removed by somebody in between
            if made is None:
                return child, None
            return child, FolderMade(join_names(list(names), folder=True), made, facts_of(os.fstat(child)))
        raise Conflict(
            f"The folder '{join_names(list(names))}' is removed again and again while it is made; repeat.",
            reason="changed",
        )

    def _make(self, bucket: LocalBucket, folder: int, names: Sequence[bytes]) -> str | None:
        """Make one folder, complete with its marker before it can be seen; its UUID, None when one is there."""
        uuid = new_uuid()
        name = new_temporary()
        with bucket.work.opened() as work:
            os.mkdir(name, dir_fd=work)
            try:
                fresh = os.open(name, LIST, dir_fd=work)
                try:
                    above = os.fstat(folder)
                    if above.st_mode & stat.S_ISGID and _inherit_group(fresh, above.st_gid):
                        os.fchmod(fresh, os.fstat(fresh).st_mode & 0o7777 | stat.S_ISGID)
                    if bucket.marked:
                        markers.put_marker(work, fresh, uuid, durable=bucket.durable)
                    if not keeps_order(above.st_dev):
                        self.flush(bucket, [fresh])
                finally:
                    os.close(fresh)
                rename_new(work, name, folder, names[-1])
            except FileExistsError:
                remove_tree(work, name)
                return None
            except BaseException as error:
                remove_tree(work, name)
                if not (isinstance(error, OSError) and error.errno == errno.EXDEV):
                    raise
                return self._make_in_place(bucket, work, folder, names[-1], uuid)
        return uuid

    def _make_in_place(self, bucket: LocalBucket, work: int, folder: int, name: bytes, uuid: str) -> str | None:
        """For a folder on another mount than the work folder."""
        if not make_directory(folder, name):
            return None
        fresh = os.open(name, LIST | os.O_NOFOLLOW, dir_fd=folder)
        try:
            if bucket.marked:
                markers.put_marker(work, fresh, uuid, durable=bucket.durable)
            self.flush(bucket, [fresh])
        finally:
            os.close(fresh)
        return uuid


def _keep_permissions(descriptor: int, folder: int, name: bytes) -> bool:
    """Give a file the permissions of the one that it replaces; whether that changed it."""
    try:
        before = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return False
    if stat.S_ISDIR(before):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(before) or before & _PERMISSIONS == os.fstat(descriptor).st_mode & _PERMISSIONS:
        return False
    try:
        os.fchmod(descriptor, before & _PERMISSIONS)
    except OSError:
        return False
    return True


def _inherit_group(descriptor: int, group: int) -> bool:
    """What the kernel does for files made right in a set-group-ID folder: they belong to its group."""
    try:
        os.fchown(descriptor, -1, group)
    except OSError:
        return False
    return True


def _describe_file(descriptor: int, mtime_ns: int | None, describe: Describe | None) -> tuple[Facts, bool]:
    """Set time and attributes; the final facts, and whether the inode was changed."""
    if mtime_ns is not None:
        try:
            os.utime(descriptor, ns=(mtime_ns, mtime_ns))
        except OverflowError:
            raise Invalid("The modification time is outside of what a file can have.", reason="mtime") from None
    facts = facts_of(os.fstat(descriptor))
    kept = describe is not None and write_attributes(descriptor, facts.dev, describe(facts), fresh=True)
    return facts, kept or mtime_ns is not None


def _settle(job: Job) -> None:
    if job.file is not None and job.road is not None:
        settle_file(job.file.descriptor, job.road.dev, content=job.needs_content, inode=job.needs_inode)
