"""``data.versions``: keeps versions where the configuration says so, and removes those that policies do not keep."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from cellsmono.data.versions.prune import Prune
from cellsmono.interfaces.datasource import NodeStore
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceState, ServiceStatus
from cellsmono.kernel.worker import Worker

log = get_logger("versions")

PERIOD = 3600.0
"""Seconds between two runs."""


class Stores(Protocol):
    """The datasources that are there now."""

    def find(self, name: str) -> NodeStore | None:
        """The datasource of this name when it is ready, else None. Raises Unavailable for one that failed to start."""

    def names(self) -> list[str]:
        """The names of all datasources that are ready, sorted."""


class VersionsService:
    """The service."""

    name = "data.versions"
    tag = "data"

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock
        self._worker = Worker(f"{self.name}:run", self.step, interval=PERIOD, clock=clock)
        self._slices: AsyncGenerator[None, None] | None = None
        self._keeping = self._removed = self._locked = 0
        self._problem = ""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Runs in the background."""
        async with self._worker.running():
            yield
        if self._slices is not None:
            await self._slices.aclose()

    async def step(self) -> bool:
        """Do one slice, of a new run if none is under way; whether there is more of it."""
        if self._slices is None:
            self._slices = self._run()
        try:
            await anext(self._slices)
        except StopAsyncIteration:
            self._slices = None
            return False
        except BaseException:
            self._slices = None
            raise
        return True

    async def _run(self) -> AsyncGenerator[None, None]:
        keeping = removed = locked = 0
        problem = ""
        for name in self._stores.names():
            try:
                store = self._stores.find(name)
                if store is None:
                    continue
                await enable_as_configured(store)
                keeping += store.versioning is Versioning.ENABLED
                policy = store.config.version_policy
                if store.versioning is Versioning.OFF or policy.keeps_all:
                    continue
                prune = Prune(store, policy, self._clock)
                async for _ in prune.slices():
                    yield
                done = prune.report
                removed += done.removed
                locked += done.kept
                if done.removed or done.kept:
                    log.info("versions pruned", datasource=name, versions=done.removed, kept_by_locks=done.kept)
            except CellsError as error:
                # Gone meanwhile, offline, read-only: the others go on, and the next run looks again.
                problem = problem or f"{name}: {error.message}"
                log.warning("versions of a datasource could not be looked after", datasource=name, error=error.message)
            yield
        self._keeping, self._removed, self._locked, self._problem = keeping, removed, locked, problem

    def status(self) -> ServiceStatus:
        """What the last run did; degraded when versions can not be kept although the configuration says so."""
        if (status := self._worker.status()).state is not ServiceState.READY:
            return status
        detail = f"{self._keeping} datasources keep versions, {self._removed} removed in the last run"
        detail += f", {self._locked} kept by locks" if self._locked else ""
        if self._problem:
            return ServiceStatus(ServiceState.DEGRADED, f"{detail}; {self._problem}")
        return ServiceStatus(detail=detail)


async def enable_as_configured(store: NodeStore) -> None:
    """Keep versions where the configuration says so and nobody decided otherwise.

    Raises what ``set_versioning`` raises.
    """
    if store.config.versions and store.versioning is Versioning.OFF:
        await store.set_versioning(Versioning.ENABLED)
