"""Wrong passwords are counted for each login that is tried, existing or not, and cost the next attempt time."""

from collections import OrderedDict

import msgspec

from cellsmono.kernel.clock import Clock

FREE_ATTEMPTS = 3
"""Attempts that cost no delay: people mistype."""
FIRST_DELAY = 1.0
LONGEST_DELAY = 900.0
"""Seconds; each further attempt doubles the delay, up to this."""
LOCK_AFTER = 20
"""Attempts in a row after which a user is locked until an administrator unlocks."""
FORGET_AFTER = 86_400.0
"""Seconds without an attempt after which the count begins anew."""
MOST_KEPT = 10_000
"""Logins that are remembered; the one tried longest ago goes first."""


class _Count(msgspec.Struct):
    attempts: int = 0
    last: float = 0.0

    @property
    def delay(self) -> float:
        """Seconds from the last attempt to the next."""
        more = self.attempts - FREE_ATTEMPTS
        return min(FIRST_DELAY * 2 ** min(more, 20), LONGEST_DELAY) if more >= 0 else 0.0


class Attempts:
    """The counts, in memory: a restart forgets delays, while a lock is stored with the user."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def begin(self, login: str) -> float:
        """Count an attempt, and return 0; or count nothing, and return how many seconds it is too early.

        It counts before the password is looked at, so that many attempts at once are as slow as one after another.
        """
        now = self._clock.monotonic()
        count = self._counts.get(login)
        if count is None or now - count.last > FORGET_AFTER:
            count = self._counts[login] = _Count()
        early = count.last + count.delay - now
        if count.attempts and early > 0:
            return early
        count.attempts += 1
        count.last = now
        self._counts.move_to_end(login)
        if len(self._counts) > MOST_KEPT:
            self._counts.popitem(last=False)
        return 0.0

    def is_exhausted(self, login: str) -> bool:
        """Whether so many attempts failed that the user is to be locked."""
        count = self._counts.get(login)
        return count is not None and count.attempts >= LOCK_AFTER

    def forget(self, login: str) -> None:
        """Begin anew: the password was right, or an administrator says so."""
        self._counts.pop(login, None)
