"""Time as an argument, so that tests move it instead of sleeping."""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall-clock and monotonic time."""

    def time(self) -> float:
        """Seconds since the epoch, UTC."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back, whatever happens to the wall clock."""


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def time_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is told to move. For tests."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._ns = round(now * 1e9)
        self._monotonic = 0.0

    def time(self) -> float:
        """Seconds since the epoch, UTC."""
        return self._ns / 1e9

    def time_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return self._ns

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks on."""
        self._ns += round(seconds * 1e9)
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Move the wall clock only, as an administrator or NTP does."""
        self._ns += round(seconds * 1e9)
