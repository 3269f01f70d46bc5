"""Watches that do not hear of reading.

watchfiles asks inotify to tell also of every file and folder that is opened (IN_OPEN), and throws those events away.
Each of them wakes its thread, so that reading a small file in a watched folder cost more for the event than for the
reading. The mask of a watch can be replaced: adding the same folder again to the same inotify instance does that
(inotify_add_watch(2)). The instance is the one that came into being with the ``RustNotify``; where that can not be
told, the watches stay as they are.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

MASK: Final = 0xFCE
"""Everything that watchfiles asks for but IN_OPEN: modify, attrib, close_write, moved, create, delete, self."""

_ONLYDIR: Final = 0x01000000
_DESCRIPTORS: Final = "/proc/self/fd"
_INSTANCE: Final = "anon_inode:inotify"
_one_at_a_time = threading.Lock()


def open_quietly(folders: Sequence[str], begin: Callable[[], T]) -> T:
    """Call ``begin``, which watches these folders in an inotify instance of its own, and quieten the watches."""
    with _one_at_a_time:
        before = _list_instances()
        begun = begin()
        made = _list_instances() - before
        if len(made) == 1:
            _quieten(made.pop(), folders)
        return begun


def _list_instances() -> set[int]:
    """The inotify instances of this process."""
    found: set[int] = set()
    try:
        names = os.listdir(_DESCRIPTORS)
    except OSError:
        return found
    for name in names:
        try:
            if os.readlink(f"{_DESCRIPTORS}/{name}") == _INSTANCE:
                found.add(int(name))
        except OSError:
            continue
    return found


def _quieten(instance: int, folders: Sequence[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for folder in folders:
        watch = libc.inotify_add_watch(instance, os.fsencode(folder), MASK | _ONLYDIR)
        if watch > len(folders):
            # Another folder stands at this path since it was watched: nobody knows this watch, and its events are
            # dropped, but it must not stay. (Numbers are given in order.)
            libc.inotify_rm_watch(instance, watch)
