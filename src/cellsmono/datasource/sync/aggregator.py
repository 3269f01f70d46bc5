"""Gathers hints into batches: a quiet delay, a ceiling, and a size from which a hint is no use any more. Pure."""

from collections.abc import Iterable

import msgspec

QUIET_SECONDS = 0.1
CEILING_SECONDS = 0.5
FLOOD = 5000
"""Hints in one batch from which on the batch is dropped for a resync: events are likely to be lost by then."""


class Hint(msgspec.Struct, frozen=True):
    """Something may have happened at ``path`` (a key without trailing ``/``; empty: the root).

    ``deep`` says that it appeared: if it is a folder, what is below it may have gone unnoticed.
    """

    path: str
    deep: bool = False


class Batch(msgspec.Struct, frozen=True):
    """Hints to be looked at together. ``flood`` says that there were so many that all must be compared instead."""

    paths: dict[str, bool]
    since: float
    flood: bool = False


class Aggregator:
    """Holds hints until none came for ``quiet`` seconds, but no hint longer than ``ceiling`` seconds."""

    def __init__(self, quiet: float = QUIET_SECONDS, ceiling: float = CEILING_SECONDS, flood: int = FLOOD) -> None:
        self._quiet = quiet
        self._ceiling = ceiling
        self._flood = flood
        self._paths: dict[str, bool] = {}
        self._first = 0.0
        self._last = 0.0
        self._flooded = False

    def __len__(self) -> int:
        return len(self._paths) + self._flooded

    @property
    def oldest(self) -> float | None:
        """When the oldest waiting hint came, None when nothing waits."""
        return self._first if len(self) else None

    def add(self, hints: Iterable[Hint], now: float) -> None:
        """Take hints in. Above the flood mark their paths are forgotten: memory stays bounded."""
        was_empty = not len(self)
        for hint in hints:
            if self._flooded:
                break
            self._paths[hint.path] = self._paths.get(hint.path, False) or hint.deep
            if len(self._paths) > self._flood:
                self.flood(now)
        if len(self):
            self._last = now
            if was_empty:
                self._first = now

    def flood(self, now: float) -> None:
        """Note that hints were, or may have been, lost."""
        if not len(self):
            self._first = now
        self._last = now
        self._flooded = True
        self._paths.clear()

    def next_due(self) -> float | None:
        """When the next batch is due, None when nothing waits."""
        if not len(self):
            return None
        return min(self._first + self._ceiling, self._last + self._quiet)

    def take(self, now: float, *, force: bool = False) -> Batch | None:
        """The batch that is due now, None when there is none yet. ``force`` takes what waits, due or not."""
        due = self.next_due()
        if due is None or (now < due and not force):
            return None
        batch = Batch(self._paths, self._first, self._flooded)
        self._paths = {}
        self._flooded = False
        return batch
