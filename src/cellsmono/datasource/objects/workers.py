"""Threads for calls that block: the one way in which this room leaves the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_THREADS = 8
"""Enough for a file system's journal to join their flushes; more gained nothing when it was measured."""

_SCANNERS = 2


class Workers:
    """Three pools: for requests, for folder scans, and one thread for hashing in the background.

    That thread has the priority of the others: one of a lower priority would be put aside while it holds the
    interpreter's lock, and everybody would wait for it. Who gives it work gives it rests (see ``hashing``).

    A job always runs to its end: when the waiting task is cancelled, the cancellation goes on only once the job is
    done, so that clean-up never races with it.
    """

    def __init__(self, threads: int = DEFAULT_THREADS) -> None:
        self._requests = ThreadPoolExecutor(threads, "objects")
        self._scans = ThreadPoolExecutor(_SCANNERS, "objects-scan")
        self._idle = ThreadPoolExecutor(1, "objects-idle")

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call for a request."""
        return await _finish(self._requests, lambda: call(*args, **kwargs))

    async def run_all(self, *calls: Callable[[], object]) -> None:
        """Run calls for a request side by side; returns when all are at their end. Raises what the first one raised."""
        found = await asyncio.gather(*(_finish(self._requests, call) for call in calls), return_exceptions=True)
        for error in found:
            if isinstance(error, BaseException):
                raise error

    async def acquire(self, undo: Callable[[R], None], call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As ``run``, for a call whose result must be released: ``undo`` does it when nobody is left to take it."""
        return await _finish(self._requests, lambda: call(*args, **kwargs), undo)

    async def scan(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call that looks at many entries."""
        return await _finish(self._scans, lambda: call(*args, **kwargs))

    async def idle(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call that has time."""
        return await _finish(self._idle, lambda: call(*args, **kwargs))

    async def close(self) -> None:
        """Wait for what runs, then end the threads."""
        loop = asyncio.get_running_loop()
        for pool in (self._requests, self._scans, self._idle):
            await loop.run_in_executor(None, pool.shutdown)


async def _finish(pool: ThreadPoolExecutor, call: Callable[[], R], undo: Callable[[R], None] | None = None) -> R:
    return await see_through(asyncio.get_running_loop().run_in_executor(pool, call), undo)


async def see_through(future: asyncio.Future[R], undo: Callable[[R], None] | None = None) -> R:
    """Wait for a job that can not be stopped; a cancellation of the caller goes on once the job is done.

    ``undo`` is then given its result.
    """
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue
        if not future.cancelled() and future.exception() is None and undo is not None:
            undo(future.result())
        raise
