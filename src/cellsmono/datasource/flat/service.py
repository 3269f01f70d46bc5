"""The service that a flat datasource has in place of a synchronizer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.flat.blobs import Blobs, FlatObjects
from cellsmono.datasource.flat.checking import Repair, check_blobs
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.interfaces.datasource import DatasourceConfig, Encryption
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.objects import Multipart
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceState, ServiceStatus
from cellsmono.kernel.worker import Worker

log = get_logger("flat")

SWEEP_PERIOD = 6 * 3600.0
"""Seconds between two looks for content that was replaced and is still there."""


class BlobsService:
    """``data.blobs.NAME``: holds the bucket for this process, and removes blobs that were replaced.

    ``sweep`` says whether it looks by itself for those that a crash left.
    """

    tag = "datasource"

    def __init__(
        self,
        config: DatasourceConfig,
        objects: FlatObjects,
        uploads: Multipart,
        index: NodeIndex,
        clock: Clock,
        *,
        sweep: bool,
    ) -> None:
        self.name = f"data.blobs.{config.name}"
        self._config = config
        self._objects = objects
        self._uploads = uploads
        self._index = index
        self._clock = clock
        self._sweep = sweep
        self._is_new = True
        self.store: FlatStore

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Opens the blobs; raises what ``Blobs.open`` raises."""
        seals = self._config.encryption is not Encryption.NONE
        blobs = await Blobs.open(self._objects, self._config.name, self._index, self._clock, seals=seals)
        self.store = FlatStore(self._config, blobs, self._uploads, self._index, Claims(), self._clock)
        worker = Worker(f"{self.name}:sweep", self.remove_superseded, interval=SWEEP_PERIOD, clock=self._clock)
        try:
            async with worker.running() if self._sweep else nullcontext():
                yield
        finally:
            await blobs.close()

    async def remove_superseded(self) -> bool:
        """Remove old content that a crash left; not at the start, which is no time for looking at every blob."""
        if self._is_new:
            self._is_new = False
            return False
        report = await check_blobs(self.store, self._clock, repair=Repair.SUPERSEDED)
        if report.removed:
            log.info("superseded blobs removed", datasource=self._config.name, blobs=report.removed)
        return False

    def status(self) -> ServiceStatus:
        """Degraded while a failed disk, or a hold that was lost, forbids writing."""
        reason = self.store.trouble
        return ServiceStatus(ServiceState.DEGRADED, reason) if reason else ServiceStatus()
