"""Flushing folders: one flush for all who wait for the same folder at the same time."""

import errno
import os
import threading
from collections.abc import Iterable

from cellsmono.datasource.objects.failures import FlushFailed
from cellsmono.datasource.objects.kernel import finish_writeback
from cellsmono.datasource.objects.ordering import keeps_order


def flush_file(descriptor: int, *, inode: bool = True) -> None:
    """Bring a file's content, and with ``inode`` its times and attributes too, to the disk. Raises FlushFailed."""
    try:
        if inode:
            os.fsync(descriptor)
        else:
            os.fdatasync(descriptor)
    except OSError as error:
        raise FlushFailed(error.errno, error.strerror) from error


def settle_file(descriptor: int, device: int, *, content: bool, inode: bool) -> None:
    """Have a file durable by the time that its folder is flushed, after a rename into it. Raises FlushFailed.

    Where the journal keeps order its bytes are only waited for (see ``ordering``); elsewhere it is flushed by itself.
    """
    if not content and not inode:
        return
    if keeps_order(device):
        try:
            if not content or finish_writeback(descriptor):
                return
        except OSError as error:
            raise FlushFailed(error.errno, error.strerror) from error
    flush_file(descriptor, inode=inode)


# Some file systems can not flush a folder and say so; there is nothing more that could be done.
_NOT_FOR_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})


class _Folder:
    """The flushes of one folder: which have begun, which have ended."""

    __slots__ = ("begun", "ended", "failure", "users")

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.failure: FlushFailed | None = None
        self.users = 0


class FolderFlusher:
    """Group commit of folder flushes, for worker threads.

    A caller needs a flush that began after its own rename. While one runs, the next callers gather; when it ends, one
    of them flushes for all. A failed flush is told to everybody who relied on it, and is never repeated.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._folders: dict[tuple[int, int], _Folder] = {}

    def flush(self, descriptors: Iterable[int]) -> None:
        """Flush these open folders. Raises FlushFailed."""
        for descriptor in descriptors:
            status = os.fstat(descriptor)
            self._flush(descriptor, (status.st_dev, status.st_ino))

    def _flush(self, descriptor: int, identity: tuple[int, int]) -> None:
        with self._changed:
            folder = self._folders.setdefault(identity, _Folder())
            folder.users += 1
            try:
                needed = folder.begun + 1
                while folder.ended < needed and folder.begun != folder.ended:
                    self._changed.wait()
                if folder.failure is not None:
                    # Also for who came later: the failed flush may have been the one that dropped their names.
                    raise folder.failure
                if folder.ended < needed:
                    self._lead(descriptor, folder)
            finally:
                folder.users -= 1
                if not folder.users:
                    del self._folders[identity]

    def _lead(self, descriptor: int, folder: _Folder) -> None:
        folder.begun += 1
        turn = folder.begun
        self._changed.release()
        failure: FlushFailed | None = None
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NOT_FOR_FOLDERS:
                failure = FlushFailed(error.errno, error.strerror)
        finally:
            self._changed.acquire()
            folder.ended = turn
            if failure is not None:
                folder.failure = failure
            self._changed.notify_all()
        if failure is not None:
            raise failure
