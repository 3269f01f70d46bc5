"""When everything is compared next, and how thoroughly. Waits on the event loop; decides by the clock it is given."""

import asyncio
import contextlib
import math

from cellsmono.datasource.sync.polling import FULL_COST_FACTOR, choose_pause, longest_pause
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.clock import Clock

REST_FACTOR = 10.0
"""Between two comparisons of everything that doubt asked for: so many times as long as the last one took."""


class Schedule:
    """The schedule of one datasource's comparisons: quick ones (folders' times) and full ones (every file)."""

    def __init__(self, config: DatasourceConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._now = asyncio.Event()
        self._is_doubted = False
        self._is_suspicious = False
        self._last_full = 0.0
        self._full_took = 0.0
        self._quick_took = 0.0

    @property
    def wants_full(self) -> bool:
        """Whether full comparisons are made at all, unless somebody doubts."""
        return self._config.full_reconcile_hours > 0

    def doubt(self) -> None:
        """Changes may have been missed: compare everything, and soon."""
        self._is_doubted = True
        self._now.set()

    def suspect(self) -> None:
        """So much happened that something may have been missed: compare quickly, when the burst is likely over."""
        self._is_suspicious = True
        self._now.set()

    async def wait(self, *, is_polling: bool) -> bool:
        """Wait for the next comparison; whether it is to be a full one.

        Where nothing tells of changes it comes as often as its cost allows, and so does the full one: what is
        rewritten in place shows in no folder's times.
        """
        pause = self.pause(is_polling=is_polling)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._now.wait(), None if pause == math.inf else pause)
        if self._is_suspicious and not self._is_doubted:
            await asyncio.sleep(choose_pause(self._quick_took, self._longest))
        self._is_suspicious = False
        self._now.clear()
        return self._choose_full(is_polling=is_polling)

    def pause(self, *, is_polling: bool) -> float:
        """Seconds until the next comparison, if nobody asks for one before; infinite where none is scheduled."""
        if self._config.reconcile_seconds > 0:
            return choose_pause(self._quick_took, self._longest) if is_polling else self._longest
        return max(0.0, self._last_full + self._full_seconds - self._clock.monotonic())

    @property
    def _longest(self) -> float:
        return longest_pause(self._config)

    @property
    def _full_seconds(self) -> float:
        """Seconds between full comparisons; infinite where there are none."""
        return self._config.full_reconcile_hours * 3600 if self.wants_full else math.inf

    def _choose_full(self, *, is_polling: bool) -> bool:
        rested = self._clock.monotonic() - self._last_full
        due = self._full_seconds
        if is_polling:
            due = min(due, max(self._longest, FULL_COST_FACTOR * self._full_took))
        full = (self.wants_full and rested >= due) or (self._is_doubted and rested >= REST_FACTOR * self._full_took)
        if full:
            self._is_doubted = False
        return full

    def note(self, began: float, *, full: bool, changed: bool) -> None:
        """A comparison that began at ``began`` is done. One that changed something does not tell what looking costs."""
        took = self._clock.monotonic() - began
        if full:
            self._last_full, self._full_took = began + took, took
        elif not changed:
            self._quick_took = took
