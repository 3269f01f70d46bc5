"""One bucket: a folder, how it is to be treated, and the work folder beside it."""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cellsmono.datasource.objects.beneath import FOLDER, LIST, LOOK, READ, open_beneath
from cellsmono.datasource.objects.failures import explain
from cellsmono.datasource.objects.names import WORK_FOLDER, not_found
from cellsmono.kernel.errors import CellsError, Unavailable

_WORK_NAME = WORK_FOLDER.encode()
TEMPORARY = b"t-"
"""What files and folders begin with that belong to one running call."""


class LocalBucket:
    """A child folder of a service's parent folder.

    The root is opened anew for every call: so a disk can be unmounted while we run, a root that is gone is noticed at
    once, and one that was made anew is used at once.
    """

    def __init__(self, name: str, path: bytes, *, durable: bool, follow: bool, marked: bool) -> None:
        self.name = name
        self.path = path
        self.durable = durable
        self.follow = follow
        self.marked = marked
        self.work = WorkFolder(self)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the root. Raises Unavailable when it is not there."""
        descriptor = self.open_root()
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open_root(self) -> int:
        """A descriptor of the root, to be closed by the caller. Raises Unavailable when it is not there."""
        try:
            return os.open(self.path, FOLDER)
        except OSError as error:
            raise self._explain_root(error) from error

    def look_at_root(self) -> os.stat_result:
        """What stands at the root. Raises Unavailable when that is no folder."""
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise self._explain_root(error) from error
        if not stat.S_ISDIR(status.st_mode):
            raise self._explain_root(NotADirectoryError())
        return status

    def _explain_root(self, error: OSError) -> CellsError:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return Unavailable(
                f"The folder of bucket '{self.name}' is not there; is its disk mounted?", reason="offline"
            )
        return explain(error, writing=True)

    def open_at(self, names: Sequence[bytes], flags: int) -> int:
        """Open something beneath the root. Raises OSError, and Unavailable when the root is not there."""
        root = self.open_root()
        try:
            return open_beneath(root, names, flags, follow=self.follow)
        finally:
            os.close(root)

    def open_folder(self, names: Sequence[bytes]) -> int:
        """Open a folder so that it can be listed and flushed. Raises as ``open_at``."""
        return self.open_at(names, LIST)

    def open_file(self, names: Sequence[bytes], key: str) -> tuple[int, os.stat_result]:
        """Open a regular file for reading. Raises NotFound for everything else."""
        try:
            descriptor = self.open_at(names, READ)
        except OSError as error:
            raise explain(error, key, writing=False) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise not_found(key)
        return descriptor, status

    def look(self, names: Sequence[bytes]) -> os.stat_result:
        """What stands there, without opening it. Raises as ``open_at``."""
        descriptor = self.open_at(names, LOOK)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)


class WorkFolder:
    """Where bytes wait until they become visible: hidden, and on the same mount as the bucket, so that a rename does.

    It is ``.cellsmono/<bucket>`` beside the bucket, or ``.cellsmono`` in it where the folder above is not writable or
    is another mount.
    """

    def __init__(self, bucket: LocalBucket) -> None:
        self._bucket = bucket
        self._place: tuple[bytes, tuple[bytes, ...]] | None = None

    @property
    def is_made(self) -> bool:
        """Whether opening it should take a moment only."""
        return self._place is not None

    def open(self) -> int:
        """A descriptor of the work folder, which is made if it is not there. Raises OSError, Unavailable."""
        if self._place is not None:
            try:
                return self._open(self._place)
            except FileNotFoundError:
                self._place = None
        os.close(self._bucket.open_root())
        refused: OSError | None = None
        for place in self._places():
            try:
                self._make(place)
                descriptor = self._open(place)
            except OSError as error:
                refused = refused or error
                continue
            self._place = place
            return descriptor
        raise refused or OSError("no place for a work folder")

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the work folder for a while."""
        descriptor = self.open()
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _places(self) -> list[tuple[bytes, tuple[bytes, ...]]]:
        above, name = os.path.split(self._bucket.path)
        inside = (self._bucket.path, (_WORK_NAME,))
        beside = (above, (_WORK_NAME, name))
        if _mount_of(above) != _mount_of(self._bucket.path) or not os.access(above, os.W_OK | os.X_OK):
            return [inside]
        return [beside, inside]

    @staticmethod
    def _open(place: tuple[bytes, tuple[bytes, ...]]) -> int:
        base = os.open(place[0], FOLDER)
        try:
            return open_beneath(base, place[1], LIST)
        finally:
            os.close(base)

    @staticmethod
    def _make(place: tuple[bytes, tuple[bytes, ...]]) -> None:
        at = os.open(place[0], LIST)
        try:
            for name in place[1]:
                made = make_directory(at, name, 0o700)
                found = open_beneath(at, [name], LIST)
                if made:
                    sync_quietly(at)
                os.close(at)
                at = found
        finally:
            os.close(at)

    def existing(self) -> list[int]:
        """Descriptors of every work folder that is there already, also one from before a change of place."""
        found = []
        above, name = os.path.split(self._bucket.path)
        for place in ((above, (_WORK_NAME, name)), (self._bucket.path, (_WORK_NAME,))):
            try:
                found.append(self._open(place))
            except OSError:
                continue
        return found

    def remove_leftovers(self, older_than_ns: int | None = None) -> int:
        """Remove temporary files that a crash left (last written before a time); those in use (locked) stay.

        Returns how many went.
        """
        removed = 0
        for descriptor in self.existing():
            try:
                removed += remove_leftovers_in(descriptor, older_than_ns)
            finally:
                os.close(descriptor)
        return removed

    def remove(self) -> None:
        """Take the work folders away, as far as nothing is in them."""
        above, name = os.path.split(self._bucket.path)
        for path in (
            os.path.join(above, _WORK_NAME, name),
            os.path.join(above, _WORK_NAME),
            os.path.join(self._bucket.path, _WORK_NAME),
        ):
            try:
                os.rmdir(path)
            except OSError:
                continue


def _mount_of(path: bytes) -> tuple[int, bytes]:
    """What must be equal for a rename between two folders: device and mount (bind mounts share a device)."""
    descriptor = os.open(path, FOLDER)
    try:
        device = os.fstat(descriptor).st_dev
        try:
            with open(f"/proc/self/fdinfo/{descriptor}", "rb") as info:
                return device, next((line for line in info if line.startswith(b"mnt_id:")), b"")
        except OSError:
            return device, b""
    finally:
        os.close(descriptor)


def remove_leftovers_in(work: int, older_than_ns: int | None = None) -> int:
    """Remove temporary files from an open work folder, but those in use; how many went."""
    names = [os.fsencode(name) for name in os.listdir(work)]
    return sum(_remove_leftover(work, name, older_than_ns) for name in names if name.startswith(TEMPORARY))


def _remove_leftover(folder: int, name: bytes, older_than_ns: int | None) -> bool:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if older_than_ns is not None and status.st_mtime_ns >= older_than_ns:
            return False
        if stat.S_ISDIR(status.st_mode):
            return remove_tree(folder, name)
        descriptor = os.open(name, READ | os.O_NOFOLLOW, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=folder)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def remove_tree(folder: int, name: bytes) -> bool:
    """Remove a folder of ours and the files right in it; False when something stayed."""
    try:
        descriptor = os.open(name, LIST | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return False
    try:
        for child in os.listdir(descriptor):
            os.unlink(child, dir_fd=descriptor)
        os.rmdir(name, dir_fd=folder)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def make_directory(folder: int, name: bytes, mode: int = 0o777) -> bool:
    """Make a folder; False when something of that name is there."""
    try:
        os.mkdir(name, mode, dir_fd=folder)
    except FileExistsError:
        return False
    return True


def sync_quietly(descriptor: int) -> None:
    """Flush a folder whose loss would only cost space or a repetition."""
    try:
        os.fsync(descriptor)
    except OSError:
        return


def new_temporary() -> bytes:
    """A fresh name in the work folder."""
    return TEMPORARY + secrets.token_hex(8).encode()
