"""Which folders of a tree can be watched, found by walking it in a thread.

Every folder is watched by itself. A recursive watch would follow links while it registers: one link to ``/`` and the
whole disk is watched. And the watcher can tell of nothing whose name is not UTF-8 and breaks at the first event of
such a name, so a folder that holds one is left out, and with it everything below a folder of such a name.
"""

import os
import stat
from collections.abc import Callable, Iterable

import msgspec

HIDDEN = ".cellsmono"
"""The folder of unfinished writes: nothing in it is ever served."""

LONGEST_PATH = 4095
"""PATH_MAX without the final NUL: what the kernel takes as a path in one call."""

MOST_REPORTED = 1000

TICK_NS = 1_000_000_000
"""How far the times of a file system may lie behind the clock."""


class Survey(msgspec.Struct):
    """Folders that can be watched, and (at most 1,000 of) those that can not because of names in or above them.

    Paths are text with surrogates in the place of what is not UTF-8.
    """

    folders: list[str] = []
    unwatchable: list[str] = []


def survey_folders(tops: Iterable[str], is_stopped: Callable[[], bool]) -> Survey:
    """Walk these folders and everything below them, following no links. Ends early when ``is_stopped``."""
    survey = Survey()
    stack = list(tops)
    while stack and not is_stopped():
        folder = stack.pop()
        found = list_folder(folder)
        if found is None:
            continue
        below, is_plain = found
        stack += below
        if is_plain and is_utf8(folder):
            survey.folders.append(folder)
        elif len(survey.unwatchable) < MOST_REPORTED:
            survey.unwatchable.append(folder)
    return survey


def list_folder(folder: str) -> tuple[list[str], bool] | None:
    """The folders directly in this one, and whether all its names are UTF-8; None when it can not be read."""
    below = []
    is_plain = True
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if not name.isascii() and not is_utf8(name):
                    is_plain = False
                if entry.is_dir(follow_symlinks=False) and name != HIDDEN:
                    below.append(f"{folder}/{name}")
    except OSError:
        return None
    return below, is_plain


def find_latecomers(survey: Survey, began_ns: int) -> list[str]:
    """Folders that came into the surveyed ones since the survey began: they are looked for once more after the watch.

    Only folders that were modified since then are listed again.
    """
    known = {*survey.folders, *survey.unwatchable}
    found = []
    for folder in survey.folders:
        try:
            if os.stat(folder).st_mtime_ns < began_ns - TICK_NS:
                continue
        except OSError:
            continue
        listed = list_folder(folder)
        if listed is not None:
            found += [path for path in listed[0] if path not in known]
    return found


def is_folder(path: str) -> bool:
    """Whether a folder (no link to one) that may be read stands there."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode) and os.access(path, os.R_OK)
    except OSError:
        return False


def is_utf8(text: str) -> bool:
    """Whether a decoded file name holds nothing but UTF-8."""
    try:
        return len(text.encode()) <= LONGEST_PATH
    except UnicodeEncodeError:
        return False
