"""How long an operation on the server may take, and how often it is begun anew when the server fails for a while."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cellsmono.datasource.objects.s3.failures import is_passing

T = TypeVar("T")
Pause = Callable[[float], Awaitable[None]]

SECONDS = 60.0
"""How long an operation may take in all, unless the endpoint is configured otherwise."""

ATTEMPTS = 5
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

SLOWEST_BYTES = 64 * 1024
"""Bytes a second that a body is given time for."""

_LONGER_IN_SERVER = 10
_IN_SERVER = frozenset({"complete_multipart_upload", "copy_object", "upload_part_copy"})
"""Operations in which the server moves bytes by itself, however many; they get so much longer."""


class Patience:
    """Asks again what failed for a while, after pauses that grow and vary at random, until the time is over.

    No attempt may take more than half of the time, so that a connection that hangs is given up for another one.
    """

    def __init__(self, seconds: float = SECONDS, *, pause: Pause = asyncio.sleep) -> None:
        self.seconds = seconds
        self._pause = pause

    def allowed(self, operation: str, size: int = 0) -> float:
        """Seconds for an operation that sends a body of this size."""
        seconds = self.seconds * (_LONGER_IN_SERVER if operation in _IN_SERVER else 1)
        return seconds + size / SLOWEST_BYTES

    async def insist(self, call: Callable[[], Awaitable[T]], seconds: float) -> T:
        """What the call returns in the end. Raises what its last attempt raised, TimeoutError for one that hung."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        for attempt in range(ATTEMPTS):
            try:
                async with asyncio.timeout_at(min(end, loop.time() + seconds / 2)):
                    return await call()
            except Exception as error:
                pause = pause_before(attempt + 1)
                if attempt + 1 == ATTEMPTS or loop.time() + pause >= end or not is_passing(error):
                    raise
            await self._pause(pause)
        raise AssertionError("unreachable")


def pause_before(attempt: int) -> float:
    """Seconds before this attempt (from 1): twice as long each time, shortened at random by up to a half."""
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - it only keeps many from asking at the same moment
