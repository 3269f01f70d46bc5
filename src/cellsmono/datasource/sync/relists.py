"""How often large folders are listed by the schedule. Pure.

A folder that receives writes has new times whenever the schedule looks, although every write was carried into the
index already. With a million entries that would be seconds of listing, over and over.
"""

LARGE_FOLDER = 5000
"""Entries from which on a folder is remembered."""

RELIST_FACTOR = 100.0
"""Between two listings of such a folder: so many times as long as the last one took."""

MOST_REMEMBERED = 10_000


class Relists:
    """What listing the large folders took, and when that was."""

    def __init__(self) -> None:
        self._large: dict[str, tuple[float, float]] = {}

    def note(self, folder: str, entries: int, began: float, ended: float) -> None:
        """A folder was listed and compared."""
        self._large.pop(folder, None)
        if entries >= LARGE_FOLDER:
            self._large[folder] = (ended, ended - began)
            if len(self._large) > MOST_REMEMBERED:
                del self._large[next(iter(self._large))]

    def is_large(self, folder: str) -> bool:
        """Whether the folder is one of those that are not listed whenever their times are new."""
        return folder in self._large

    def is_due(self, folder: str, now: float) -> bool:
        """Whether the schedule may list the folder again."""
        ended, took = self._large.get(folder, (now, 0.0))
        return now >= ended + RELIST_FACTOR * took
