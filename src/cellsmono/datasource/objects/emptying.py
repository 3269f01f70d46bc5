"""Removing folders that hold nothing but our own files."""

import os
from collections.abc import Sequence

from cellsmono.datasource.objects.names import MARKER, WORK_FOLDER

_MARKER = MARKER.encode()
_OURS = frozenset({MARKER, WORK_FOLDER})


def empty_folder(above: int, name: bytes, folder: int) -> bool:
    """Remove a folder with nothing but our own files in it; False (and it is as before) when there is more."""
    if any(entry not in _OURS for entry in os.listdir(folder)):
        return False
    marker = _take_file(folder, _MARKER)
    _drop(folder, WORK_FOLDER.encode(), is_folder=True)
    try:
        os.rmdir(name, dir_fd=above)
    except OSError:
        # Somebody put a file in meanwhile.
        _give_back(folder, marker)
        return False
    return True


def _take_file(folder: int, name: bytes) -> bytes | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    try:
        content = os.read(descriptor, 64)
    finally:
        os.close(descriptor)
    _drop(folder, name, is_folder=False)
    return content


def _drop(folder: int, name: bytes, *, is_folder: bool) -> None:
    try:
        (os.rmdir if is_folder else os.unlink)(name, dir_fd=folder)
    except OSError:
        return


def _give_back(folder: int, marker: bytes | None) -> None:
    if marker is None:
        return
    try:
        descriptor = os.open(_MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
    except OSError:
        return
    try:
        os.write(descriptor, marker)
    finally:
        os.close(descriptor)


def take_back(above: int, names: Sequence[bytes]) -> None:
    """Remove folders that were made for nothing, from the innermost to the one right in ``above``; others stay."""
    opened: list[int] = []
    at = above
    try:
        for name in names:
            at = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            opened.append(at)
        for depth in range(len(names) - 1, -1, -1):
            if not empty_folder(opened[depth - 1] if depth else above, names[depth], opened[depth]):
                return
    except OSError:
        return
    finally:
        for descriptor in opened:
            os.close(descriptor)
