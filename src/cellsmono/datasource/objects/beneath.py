"""Opening what is beneath a folder, and nothing else, whoever renames or links meanwhile.

``openat2`` (Linux 5.6, openat2(2)) lets the kernel itself keep the whole resolution beneath a folder. Where it is
missing or filtered, every component is opened on its own without following links. Both work beyond PATH_MAX.
"""

import ctypes
import errno
import os
import platform
import stat
from collections.abc import Callable, Sequence

READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""For reading a file. Never waits for a fifo's writer; check that it is a regular file."""

FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
"""A folder as a starting point."""

LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""A folder to be listed or flushed."""

LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
"""Anything at all, to ask what it is; a link at the end is looked at itself."""

_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_STAY = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS
_SYS_OPENAT2 = 437
_PATH_MAX = 4096
_ATTEMPTS = 16
_MAX_LINKS = 40


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_SIZE = ctypes.sizeof(_OpenHow)
_hows: dict[tuple[int, int], ctypes.Array[ctypes.c_char]] = {}
_syscall: Callable[..., int] = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)  # type: ignore[attr-defined]
_syscall.restype = ctypes.c_long  # type: ignore[attr-defined]


def _openat2(folder: int, path: bytes, flags: int, resolve: int) -> int:
    how = _hows.get((flags, resolve))
    if how is None:
        packed = bytes(_OpenHow(flags, 0, resolve))
        how = _hows[(flags, resolve)] = ctypes.create_string_buffer(packed, _HOW_SIZE)
    for _ in range(_ATTEMPTS):
        found = _syscall(_SYS_OPENAT2, folder, path, how, _HOW_SIZE)
        if found >= 0:
            return found
        number = ctypes.get_errno()
        # EAGAIN: something was renamed during the look-up, and the kernel could not be sure.
        if number not in (errno.EAGAIN, errno.EINTR):
            raise OSError(number, os.strerror(number), path)
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)


def _probe() -> bool:
    if platform.machine() not in ("x86_64", "aarch64"):
        return False
    root = os.open("/", FOLDER)
    try:
        os.close(_openat2(root, b".", FOLDER, _STAY))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


def has_openat2() -> bool:
    """Whether the kernel resolves for us here; asked once."""
    global _has_openat2  # noqa: PLW0603
    if _has_openat2 is None:
        _has_openat2 = _probe()
    return _has_openat2


_has_openat2: bool | None = None


def open_beneath(root: int, names: Sequence[bytes], flags: int, *, follow: bool = False) -> int:
    """Open what these names lead to from ``root``; the result never lies outside of it.

    Without ``follow`` a symbolic link anywhere on the way is an error (ELOOP or ENOTDIR). With it links are followed
    while they stay beneath the root; an absolute link, or one that climbs out, is EXDEV. Raises OSError.
    """
    if not names:
        return os.open(b".", flags & ~os.O_NOFOLLOW, dir_fd=root)
    if follow:
        flags &= ~os.O_NOFOLLOW
    if not has_openat2():
        return _walk_links(root, names, flags) if follow else _walk(root, names, flags)
    path = b"/".join(names)
    resolve = _STAY if follow else _STAY | _RESOLVE_NO_SYMLINKS
    if len(path) < _PATH_MAX:
        return _openat2(root, path, flags, resolve)
    return _open_long(root, names, flags, resolve)


def _open_long(root: int, names: Sequence[bytes], flags: int, resolve: int) -> int:
    """In stretches that the kernel takes; a link may then not climb out of its stretch."""
    stretch = _PATH_MAX // 256 - 1
    at = os.dup(root)
    for start in range(0, len(names), stretch):
        path = b"/".join(names[start : start + stretch])
        is_last = start + stretch >= len(names)
        try:
            found = _openat2(at, path, flags if is_last else FOLDER, resolve)
        finally:
            os.close(at)
        at = found
    return at


def _walk(root: int, names: Sequence[bytes], flags: int) -> int:
    """Component by component, without following any link."""
    at = root
    try:
        for name in names[:-1]:
            found = os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=at)
            if at != root:
                os.close(at)
            at = found
        return os.open(names[-1], flags | os.O_NOFOLLOW, dir_fd=at)
    finally:
        if at != root:
            os.close(at)


def _walk_links(root: int, names: Sequence[bytes], flags: int) -> int:
    """Component by component, resolving links by hand; ``..`` goes back to the folder that we came from."""
    trail = [os.dup(root)]
    todo = list(reversed(names))
    links = 0
    try:
        while todo:
            name = todo.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                if len(trail) == 1:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                os.close(trail.pop())
                continue
            found = os.open(name, LOOK, dir_fd=trail[-1])
            mode = os.fstat(found).st_mode
            if stat.S_ISLNK(mode):
                target = _read_link(found)
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith(b"/"):
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                todo.extend(reversed(target.split(b"/")))
            elif todo or stat.S_ISDIR(mode):
                trail.append(found)
            else:
                os.close(found)
                return os.open(name, flags | os.O_NOFOLLOW, dir_fd=trail[-1])
        return os.open(b".", flags, dir_fd=trail[-1])
    finally:
        for descriptor in trail:
            os.close(descriptor)


def _read_link(descriptor: int) -> bytes:
    try:
        return os.readlink(b"", dir_fd=descriptor)
    finally:
        os.close(descriptor)
