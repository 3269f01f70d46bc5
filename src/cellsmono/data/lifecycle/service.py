"""``data.lifecycle``: runs the rules of all buckets, again and again."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from cellsmono.data.lifecycle.run import Buckets, Run, Totals
from cellsmono.interfaces.bucket_settings import BucketSettingsStore
from cellsmono.interfaces.lifecycle import DAY_SECONDS
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceState, ServiceStatus
from cellsmono.kernel.worker import Worker

log = get_logger("lifecycle")

_RUNS_A_DAY = 24


class LifecycleService:
    """The service. Rules count whole days, so that a run in each hour of a day is soon enough."""

    name = "data.lifecycle"
    tag = "data"

    def __init__(
        self, buckets: Buckets, settings: BucketSettingsStore, clock: Clock, day_seconds: float = DAY_SECONDS
    ) -> None:
        self.last = Totals()
        """What the last finished run did."""
        self._buckets = buckets
        self._settings = settings
        self._clock = clock
        self._day = day_seconds
        self._run: Run | None = None
        self._slices: AsyncGenerator[None, None] | None = None
        self._begun = 0.0
        self._worker = Worker(self.name, self.step, interval=day_seconds / _RUNS_A_DAY, clock=clock)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Runs go on while it is entered; the slice that is being done at the end is finished."""
        async with self._worker.running():
            yield
        if self._slices is not None:
            await self._slices.aclose()

    async def step(self) -> bool:
        """Do one slice, of a new run if none is under way; whether there is more of it."""
        if self._run is None or self._slices is None:
            self._run = Run(self._buckets, self._settings, self._clock, self._day)
            self._slices = self._run.slices()
            self._begun = time.perf_counter()
        try:
            await anext(self._slices)
        except StopAsyncIteration:
            self._finish(self._run.totals)
            self._run = self._slices = None
            return False
        except BaseException:
            self._run = self._slices = None
            raise
        return True

    def _finish(self, totals: Totals) -> None:
        self.last = totals
        if totals.buckets:
            seconds = round(time.perf_counter() - self._begun, 3)
            log.info("lifecycle rules were run", **msgspec.structs.asdict(totals), seconds=seconds)

    def status(self) -> ServiceStatus:
        """What the last run did, or how far this one is."""
        if (status := self._worker.status()).state is not ServiceState.READY:
            return status
        run = self._run.totals if self._run is not None else self.last
        if not run.buckets:
            return ServiceStatus(detail="no bucket has rules")
        state = "running" if self._run is not None else "last run"
        return ServiceStatus(
            detail=f"{state}: {run.looked_at} objects in {run.buckets} buckets, {run.expired} expired, "
            f"{run.versions} versions removed, {run.kept} kept by locks, {run.aborted} uploads aborted, "
            f"{run.failed} failed"
        )
