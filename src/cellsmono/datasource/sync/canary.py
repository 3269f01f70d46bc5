"""Finds out whether the watcher still tells everything: what the schedule finds should have been announced. Pure."""

from collections.abc import Iterable

GRACE_NS = 2_000_000_000
"""A change this young may still be on its way through the watcher."""

MOST_REMEMBERED = 20_000


class Canary:
    """Remembers which folders the watcher spoke of since the comparison before the last one."""

    def __init__(self) -> None:
        self._now: set[str] = set()
        self._before: set[str] = set()
        self._is_sure = False
        self._was_sure = False

    def hear(self, folder: str) -> None:
        """The watcher spoke of this folder or something directly in it."""
        if len(self._now) < MOST_REMEMBERED:
            self._now.add(folder)
        else:
            self._is_sure = False

    def begin(self, *, is_watching: bool) -> None:
        """A comparison was done: begin the next stretch. ``is_watching``: the watcher is alive as it begins."""
        self._before, self._now = self._now, set()
        self._was_sure, self._is_sure = self._is_sure, is_watching

    def doubt(self) -> None:
        """The watcher was away: nothing can be held against it for this stretch."""
        self._is_sure = False

    def find_missed(self, changed: Iterable[tuple[str, int]], now_ns: int) -> list[str]:
        """Of the folders that a comparison found changed (with their mtime), those never spoken of."""
        if not (self._is_sure and self._was_sure):
            return []
        heard = self._now | self._before
        return [path for path, mtime_ns in changed if path not in heard and mtime_ns < now_ns - GRACE_NS]
