"""Folder markers: the file ``.pydio`` that holds a folder's UUID, as text of 36 characters."""

import errno
import os
import re
import stat
from contextlib import suppress

from cellsmono.datasource.objects.beneath import READ
from cellsmono.datasource.objects.bucket import WorkFolder, new_temporary
from cellsmono.datasource.objects.flushing import settle_file
from cellsmono.datasource.objects.names import MARKER

MARKER_NAME = MARKER.encode()
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LENGTH = 36


def read_marker(folder: int) -> str:
    """The UUID in an open folder's marker; empty when there is none, or it is not a UUID."""
    try:
        descriptor = os.open(MARKER_NAME, READ | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        text = os.read(descriptor, _LENGTH + 2)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return parse_uuid(text)


def parse_uuid(text: bytes) -> str:
    """The UUID that a marker's text is; empty when it is none."""
    text = text.strip().lower()
    return text.decode() if _UUID.fullmatch(text) else ""


def put_marker(work: int, folder: int, uuid: str, *, durable: bool) -> None:
    """Write a marker in the work folder and rename it into an open folder, so that nobody sees half of one.

    Raises OSError; nothing is left behind then.
    """
    name = new_temporary()
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=work)
    try:
        os.write(descriptor, uuid.encode())
        if durable:
            settle_file(descriptor, os.fstat(descriptor).st_dev, content=True, inode=False)
        os.rename(name, MARKER_NAME, src_dir_fd=work, dst_dir_fd=folder)
    except OSError as error:
        os.unlink(name, dir_fd=work)
        if error.errno != errno.EXDEV:
            raise
        _write_in_place(folder, uuid)
    finally:
        os.close(descriptor)


def _write_in_place(folder: int, uuid: str) -> None:
    """For a folder on another mount than the work folder. Half a marker counts as none, and is written anew."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    _write(folder, uuid, flags)


def _write(folder: int, uuid: str, flags: int) -> None:
    descriptor = os.open(MARKER_NAME, flags, 0o666, dir_fd=folder)
    try:
        os.write(descriptor, uuid.encode())
    finally:
        os.close(descriptor)


def mark_folder(work: WorkFolder, folder: int, uuid: str) -> tuple[int, int]:
    """Write an existing folder's marker and give the folder its own mtime back; its mtime and ctime then.

    Where there is none, the marker is made in its place: half of one counts as none, and after a crash the index knows
    the UUID or a new one is as good. One that is there is replaced in one step. Not flushed. Raises OSError.
    """
    before = os.fstat(folder)
    try:
        _write(folder, uuid, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
    except FileExistsError:
        with work.opened() as place:
            put_marker(place, folder, uuid, durable=False)
    # Only the owner may set times. The marker counts all the same.
    with suppress(OSError):
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.fstat(folder)
    return after.st_mtime_ns, after.st_ctime_ns
