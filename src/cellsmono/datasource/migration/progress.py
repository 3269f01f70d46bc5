"""How far a migration is, and how fast."""

from collections.abc import Callable

from cellsmono.interfaces.migration import MigrationProgress
from cellsmono.kernel.clock import Clock

Note = Callable[[MigrationProgress], None]


def ignore_progress(progress: MigrationProgress) -> None:
    """A ``Note`` for nobody."""


class Meter:
    """Counts what is done of one phase. What was done before it began counts, but not for its rate."""

    def __init__(self, note: Note, clock: Clock) -> None:
        self.files = 0
        self.bytes = 0
        self._note = note
        self._clock = clock
        self._phase = ""
        self._totals = (0, 0)
        self._before = (0, 0)
        self._begun = clock.monotonic()

    def begin(self, phase: str, files_total: int = 0, bytes_total: int = 0, done: tuple[int, int] = (0, 0)) -> None:
        """A phase begins, with so much of it done before."""
        self._phase, self._totals, self._before = phase, (files_total, bytes_total), done
        self.files, self.bytes = done
        self._begun = self._clock.monotonic()
        self._tell()

    def add(self, files: int, size: int = 0) -> None:
        """So much more is done."""
        self.files += files
        self.bytes += size
        self._tell()

    def _tell(self) -> None:
        files_total, bytes_total = self._totals
        seconds = self._clock.monotonic() - self._begun
        share = self._share()
        eta = None
        if 0 < share < 1 and seconds > 0:
            eta = seconds * (1 - share) / share
        rate = (self.bytes - self._before[1]) / seconds if seconds > 0 else 0.0
        self._note(MigrationProgress(self._phase, self.files, files_total, self.bytes, bytes_total, rate, eta))

    def _share(self) -> float:
        """How much of what this run has to do is done: files and bytes both take their time."""
        shares = [
            (now - before) / (total - before)
            for now, before, total in zip((self.files, self.bytes), self._before, self._totals, strict=True)
            if total > before
        ]
        return sum(shares) / len(shares) if shares else 0.0
