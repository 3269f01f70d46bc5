"""Background loops: owned, named, and stopped so that work is finished and waiting is interrupted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from cellsmono.kernel.clock import Clock, SystemClock
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceState, ServiceStatus
from cellsmono.kernel.tasks import cancel_and_wait, create_task

log = get_logger("worker")

FIRST_BACKOFF = 1.0
LAST_BACKOFF = 60.0

Step = Callable[[], Awaitable[bool]]
"""One unit of work. True: there is more, call again at once. False: idle until woken or the interval has passed."""

Waiter = Callable[["asyncio.Event", float | None], Awaitable[None]]


async def wait_for_event(event: asyncio.Event, seconds: float | None) -> None:
    """Return when the event is set, or after this many seconds (None: never by time)."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


class Worker:
    """Calls ``step`` again and again.

    After an error it waits 1, 2, 4, ... at most 60 seconds, shows the error in its status, and goes on; ``wake`` cuts
    a plain wait short, not one after an error. Many calls of ``wake`` cost one step.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        *,
        interval: float | None = None,
        clock: Clock | None = None,
        waiter: Waiter = wait_for_event,
    ) -> None:
        self.name = name
        self.last_error = ""
        self.errors_in_a_row = 0
        self.steps = 0
        self.last_step_at = 0.0
        """Wall-clock seconds when the last step ended well; 0: never."""
        self._step = step
        self._interval = interval
        self._clock = clock or SystemClock()
        self._waiter = waiter
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_working = False

    def start(self) -> None:
        """Begin; the first step runs at once. May be called once."""
        if self._task is not None:
            raise RuntimeError(f"the worker {self.name} was started twice")
        self._task = create_task(self._run(), self.name)

    def wake(self) -> None:
        """There is work: do not wait for the interval."""
        self._woken.set()

    async def stop(self, patience: float = 10.0) -> None:
        """Interrupt the waiting, let a step that runs finish; after ``patience`` seconds it is cancelled."""
        self._stopping.set()
        self._woken.set()
        if self._task is None:
            return
        done, _ = await asyncio.wait([self._task], timeout=patience)
        if not done:
            log.warning("worker did not finish in time and is cancelled", worker=self.name, seconds=patience)
            await cancel_and_wait(self._task)

    @asynccontextmanager
    async def running(self, patience: float = 10.0) -> AsyncIterator["Worker"]:
        """Started inside the block, stopped after it."""
        self.start()
        try:
            yield self
        finally:
            await self.stop(patience)

    @property
    def is_working(self) -> bool:
        """Whether a step runs now."""
        return self._is_working

    def status(self) -> ServiceStatus:
        """Degraded while the last step failed."""
        if self.errors_in_a_row:
            return ServiceStatus(ServiceState.DEGRADED, self.last_error)
        return ServiceStatus(ServiceState.READY, "working" if self._is_working else "")

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            pause = await self._work()
            if pause == 0 or self._stopping.is_set():
                continue
            waited_for = self._stopping if self.errors_in_a_row else self._woken
            await self._waiter(waited_for, pause)

    async def _work(self) -> float | None:
        """Run one step; returns how long to wait then (0: not at all, None: until woken)."""
        self._is_working = True
        try:
            has_more = await self._step()
        except Exception as error:
            return self._note_error(error)
        finally:
            self._is_working = False
        self.steps += 1
        self.last_step_at = self._clock.time()
        self.errors_in_a_row = 0
        self.last_error = ""
        if has_more:
            await asyncio.sleep(0)  # a busy worker must let others run between two steps
            return 0
        return self._interval

    def _note_error(self, error: Exception) -> float:
        pause = min(FIRST_BACKOFF * 2.0 ** min(self.errors_in_a_row, 16), LAST_BACKOFF)
        self.errors_in_a_row += 1
        self.last_error = f"{type(error).__name__}: {error}"
        log.warning("worker failed and tries again", worker=self.name, error=self.last_error, in_seconds=pause)
        return pause
