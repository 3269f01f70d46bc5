"""``data.recycle``: lets what lies in recycle bins for long go for good, and the oldest where there is too much."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from cellsmono.data.jobs.ground import Ground
from cellsmono.data.jobs.origins import Origin
from cellsmono.data.jobs.removing import remove_all
from cellsmono.data.jobs.store import Item, JobPlan
from cellsmono.data.jobs.work import Tally, Work
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.tree import NodeLocator
from cellsmono.kernel.errors import CellsError
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceState, ServiceStatus
from cellsmono.kernel.worker import Worker

log = get_logger("recycle")

INTERVAL = 3600.0
PAGE = 500
DAY = 86_400.0
SYSTEM = Actor("recycle", "system")


class Purged(msgspec.Struct):
    """What the last run did: nodes that went, their files and folders, and what could not go."""

    nodes: int = 0
    files: int = 0
    failed: int = 0


class RecyclePurge:
    """The service. Only what users deleted is ever purged, never what lies in a folder of that name otherwise.

    ``keep_days`` is how long things stay, ``max_bytes`` how much may lie in one bin; 0 for either: no limit.
    """

    name = "data.recycle"
    tag = "data"

    def __init__(self, ground: Ground, locator: NodeLocator, keep_days: float, max_bytes: int) -> None:
        self.last = Purged()
        self._ground = ground
        self._locator = locator
        self._keep = keep_days * DAY
        self._most = max_bytes
        self._worker = Worker(self.name, self.step, interval=INTERVAL, clock=ground.clock)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Looks each hour while it is entered."""
        async with self._worker.running():
            yield

    def status(self) -> ServiceStatus:
        """What the last run did."""
        if (status := self._worker.status()).state is not ServiceState.READY:
            return status
        return ServiceStatus(detail=f"last run: {self.last.nodes} purged, {self.last.failed} failed")

    async def step(self) -> bool:
        """One run over all bins."""
        purged = Purged()
        lying = await self._list_lying() if self._keep or self._most else []
        sizes: dict[str, int] = {}
        for origin, _ in lying:
            sizes[origin.bin] = sizes.get(origin.bin, 0) + origin.size
        now = self._ground.clock.time()
        for origin, tree in lying:  # the oldest first
            is_old = bool(self._keep) and origin.at + self._keep <= now
            is_too_much = bool(self._most) and sizes[origin.bin] > self._most
            if (is_old or is_too_much) and await self._purge(origin, tree, purged):
                sizes[origin.bin] -= origin.size
        self.last = purged
        if purged.nodes or purged.failed:
            log.info("recycle bins were purged", **msgspec.structs.asdict(purged))
        return False

    async def _list_lying(self) -> list[tuple[Origin, str]]:
        """What was deleted and lies in its bin still, with its tree path.

        What does not is forgotten, but for what may be on its way.
        """
        lying: list[tuple[Origin, str]] = []
        gone: list[str] = []
        offset, sources, now = 0, self._locator.sources(), self._ground.clock.time()
        while page := await self._ground.origins.list_oldest(PAGE, offset):
            offset += len(page)
            places = await self._locator.locate([origin.uuid for origin in page])
            for origin in page:
                tree = places.get(origin.uuid, "")
                if tree.startswith(origin.bin):
                    lying.append((origin, tree))
                elif origin.at + DAY <= now and (tree or origin.bin.partition("/")[0] in sources):
                    gone.append(origin.uuid)
        await self._ground.origins.forget(gone)
        return lying

    async def _purge(self, origin: Origin, tree: str, purged: Purged) -> bool:
        async def save(_: Item) -> None:
            return

        root, _, path = tree.partition("/")
        work = Work(self._ground, SYSTEM, JobPlan(), Tally(), save)
        try:
            await remove_all(work, Item(0, tree), root, path)
        except CellsError as error:
            work.tally.failed += 1
            log.warning("something in a recycle bin could not be purged", path=tree, error=error.message)
        purged.files += work.tally.done
        if work.tally.failed:
            purged.failed += 1
            return False
        purged.nodes += 1
        await self._ground.origins.forget([origin.uuid])
        return True
