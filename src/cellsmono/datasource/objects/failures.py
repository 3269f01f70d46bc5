"""What the kernel's error numbers mean for a caller."""

import errno

from cellsmono.kernel.errors import (
    DISK_FAILED,
    CellsError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    TooLarge,
    Unavailable,
)


class FlushFailed(OSError):
    """The kernel could not bring bytes or names to the disk: it may have dropped them, and repeating proves nothing."""


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_UNNAMEABLE = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})
_LINKS = frozenset({errno.ELOOP, errno.EXDEV})
_BUSY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
_OFFLINE = frozenset({errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.EHOSTDOWN, errno.ESHUTDOWN, errno.ETIMEDOUT})

ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENXIO, *_UNNAMEABLE, *_LINKS})
"""Error numbers of a look-up that mean: nothing that is served stands there."""


def explain(error: OSError, key: str = "", *, writing: bool) -> CellsError:
    """The domain's error for an ``OSError`` that came up at a key.

    While reading, everything that can not be there is NotFound; while writing the caller learns what stands in the way.
    """
    number = error.errno or 0
    if isinstance(error, FlushFailed) and number not in _FULL:
        return Unavailable(
            f"The disk could not keep what was written to '{key}' ({error.strerror}).", reason=DISK_FAILED, path=key
        )
    if number in _FULL:
        return QuotaExceeded(
            "The storage is full (or its quota is used up); make room and repeat.", reason="disk_full", path=key
        )
    if number in _REFUSED:
        return Forbidden(
            f"The operating system refuses access to '{key}' ({error.strerror}); check owner and mode of the folder.",
            reason="permission",
            path=key,
        )
    if number in _OFFLINE:
        return Unavailable(f"The storage does not answer ({error.strerror}).", reason="offline", path=key)
    if number in _BUSY:
        return Unavailable(f"The machine has no resources left for this ({error.strerror}).", reason="busy", path=key)
    found = _explain_written(error, key) if writing else _explain_read(number, key)
    return found or Unavailable(f"The storage failed at '{key}' ({error.strerror}).", reason="io", path=key)


def _explain_read(number: int, key: str) -> CellsError | None:
    if number in ABSENT or number == errno.EISDIR:
        return NotFound(f"There is nothing at '{key}'.", reason="key", path=key)
    return None


def _explain_written(error: OSError, key: str) -> CellsError | None:
    number = error.errno or 0
    if number == errno.ENOTDIR:
        return Conflict(
            f"Above '{key}' stands an object, so nothing can be stored below it.", reason="parent_is_object", path=key
        )
    if number == errno.EISDIR:
        return Conflict(f"'{key}' is a folder; choose another key.", reason="is_folder", path=key)
    if number in (errno.EEXIST, errno.ENOTEMPTY):
        return Conflict(f"There is something at '{key}' already.", reason="exists", path=key)
    if number in _LINKS:
        return Conflict(
            f"A symbolic link or another file system stands on the way to '{key}'.", reason="symlink", path=key
        )
    if number in _UNNAMEABLE:
        return Invalid(f"The file system can not store the name '{key}' ({error.strerror}).", reason="key", path=key)
    if number == errno.EFBIG:
        return TooLarge("The file system can not hold a file of this size.", reason="size", path=key)
    if number == errno.ENOENT:
        return Conflict(f"The folder of '{key}' was removed meanwhile; repeat.", reason="changed", path=key)
    return None
