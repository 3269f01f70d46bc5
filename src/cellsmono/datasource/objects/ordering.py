"""File systems whose journal keeps the order of changes: there, one flush makes everything before it durable.

A flush is dear because the device's own cache is emptied for it. ext4 (with its journal) and XFS write all metadata
through one sequential log, and put a file's size and extents into that log when its bytes have been written out, before
``sync_file_range`` stops waiting for them. So bytes that were waited for, then a rename, then *one* ``fsync`` of the
folder are as durable as a flush of every file: the log is forced up to the rename, which lies behind everything else,
and the device's cache is emptied before the log is. Elsewhere (Btrfs, network and FUSE file systems, ext4 without a
journal) nothing of the sort is promised, and every file and folder is flushed by itself.

Sources: the kernel's documentation of jbd2 and of XFS's delayed logging; sync_file_range(2) and its warnings, which the
last flush answers.
"""

import functools
import os
import time

_SECONDS_KNOWN = 30
"""How long an answer is kept: the number of a device may come to mean another file system."""
_LOGGED = frozenset({b"xfs"})
_JOURNALED = frozenset({b"ext3", b"ext4"})
_UNSAFE = (b"nobarrier", b"barrier=0", b"journal_async_commit")
_JOURNALS = "/proc/fs/jbd2"


def keeps_order(device: int) -> bool:
    """Whether the file system on this device (``st_dev``) forces all earlier changes to the disk with a later one."""
    return _keeps_order(device, int(time.monotonic() // _SECONDS_KNOWN))


@functools.lru_cache(maxsize=64)
def _keeps_order(device: int, _: int) -> bool:
    number = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            kinds = {kind for kind in map(functools.partial(_read_mount, number), mounts) if kind is not None}
    except OSError:
        return False
    if kinds <= _LOGGED:
        return bool(kinds)
    return kinds <= _JOURNALED and _has_journal(number)


def _read_mount(number: bytes, line: bytes) -> bytes | None:
    """The file system's type when a line of mountinfo (proc(5)) is about this device; empty: not to be trusted."""
    fields, _, rest = line.partition(b" - ")
    if fields.split(b" ")[2] != number:
        return None
    kind, _, options = rest.split(b" ", 2)
    return b"" if any(word in options for word in _UNSAFE) else kind


def _has_journal(number: bytes) -> bool:
    try:
        name = os.path.basename(os.readlink(b"/sys/dev/block/" + number)).decode()
        return any(entry.startswith(name + "-") for entry in os.listdir(_JOURNALS))
    except OSError:
        return False
