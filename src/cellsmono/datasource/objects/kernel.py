"""Linux calls that Python 3.11 has no name for."""

import ctypes
import errno
import os
import signal
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)

RENAME_NOREPLACE = 1
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2
_SYNC_FILE_RANGE_WRITE = 2
_SYNC_FILE_RANGE_ALL = 7
_PR_SET_PDEATHSIG = 1
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


def _declare(name: str, *types: Any) -> Callable[..., int] | None:
    call = getattr(_libc, name, None)
    if call is not None:
        call.argtypes = types
        call.restype = ctypes.c_int
    return call


_renameat2 = _declare("renameat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_fallocate = _declare("fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_sync_file_range = _declare("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

_syncfs = _declare("syncfs", ctypes.c_int)
_prctl = _declare("prctl", ctypes.c_int, ctypes.c_ulong)


def flush_file_system(descriptor: int) -> None:
    """Bring everything that was written to the file system of an open folder to the disk (syncfs(2)). Raises OSError.

    Linux 5.8 and later tell of pages that could not be written since the folder was opened.
    """
    if _syncfs is None:
        os.sync()
    elif _syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def rename_new(source_folder: int, source: bytes, target_folder: int, target: bytes) -> None:
    """Rename, and fail with EEXIST when the target exists (renameat2(2)); else raises OSError as rename does.

    Where the file system does not know the flag, the target is looked for first.
    """
    number = errno.ENOSYS
    if _renameat2 is not None:
        if _renameat2(source_folder, source, target_folder, target, RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
    if number not in _UNSUPPORTED:
        raise OSError(number, os.strerror(number), source)
    try:
        os.stat(target, dir_fd=target_folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)


def preallocate(descriptor: int, size: int) -> None:
    """Reserve blocks without changing the file's size, so that a full disk shows early. Raises OSError (ENOSPC).

    A file system that can not is left alone: glibc's emulation would write every block.
    """
    if _fallocate is None or _fallocate(descriptor, _FALLOC_FL_KEEP_SIZE, 0, size) == 0:
        return
    number = ctypes.get_errno()
    if number not in _UNSUPPORTED and number != errno.EINTR:
        raise OSError(number, os.strerror(number))


def free_range(descriptor: int, offset: int, length: int) -> None:
    """Give a range of a file back to the file system, where that can be done; the file's size stays."""
    if _fallocate is not None:
        _fallocate(descriptor, _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE, offset, length)


def start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Ask the kernel to begin writing a range out, without waiting: a later flush then has less left to do."""
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


def finish_writeback(descriptor: int) -> bool:
    """Write a whole file out and wait until the device has taken it (its cache is not emptied by this).

    Raises OSError when that failed; False where the kernel or the file system can not.
    """
    if _sync_file_range is None:
        return False
    if _sync_file_range(descriptor, 0, 0, _SYNC_FILE_RANGE_ALL) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number))


def end_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it ends (PR_SET_PDEATHSIG, prctl(2))."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
