"""Short blocking calls on the event loop, for as long as they prove to be short.

Handing a call over to a thread and back costs more than most calls of a file system or of SQLite take, above all in
Python, where both sides want the interpreter's lock at each of their system calls. But the same calls may wait: for a
disk that is busy, for memory that has to be written out first. So they are timed, and after one that held the loop up
the next ones go to threads for a while, the longer the more often that happens. Calls that are meant to wait (a flush)
never belong here.
"""

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

STALL_SECONDS = 0.01
"""A call that takes longer held the loop up."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds for which threads are used after a stall: after the first one, and at most. Each stall that follows within
the longest pause doubles the last pause."""


class Calm:
    """Whether calls of one kind (one disk, one database) may run on the loop now. Lives on the event loop."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._pause = FIRST_PAUSE
        self._begins = 0.0

    def __bool__(self) -> bool:
        return self._begins <= self._monotonic()

    def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call here and take note of how long it took. Raises what it raises."""
        begun = self._monotonic()
        try:
            return call(*args, **kwargs)
        finally:
            ended = self._monotonic()
            if ended - begun > STALL_SECONDS:
                self._note_stall(ended)

    def _note_stall(self, now: float) -> None:
        is_repeated = self._begins and now - self._begins < LONGEST_PAUSE
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if is_repeated else FIRST_PAUSE
        self._begins = now + self._pause
