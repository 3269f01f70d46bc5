"""The service that fills in missing hashes: in the background, with long rests, and giving way to whoever asks."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext

from cellsmono.datasource.hashing.run import PAGE, HashRun, Note
from cellsmono.interfaces.datasource import NodeStore
from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.hashes import RehashOptions, RehashReport
from cellsmono.interfaces.node import Facts
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.service import ServiceState, ServiceStatus
from cellsmono.kernel.worker import Worker, wait_for_event

LOOK_SECONDS = 600.0
"""How often it looks for missing hashes that nobody told it of."""
WORK_SECONDS = 0.05
REST_SHARE = 2.0
"""Seconds of rest for each second of hashing, so that a third of one core at most is used; taken after this much work,
so that a request has to share with it for a moment only."""
LONGEST_REST = 10.0
MOST_TROUBLED = 1000


class _Ended(Exception):
    """The service is to end."""


class HashService:
    """``data.hashes.NAME``: hashes of one datasource. ``fills`` says whether it looks for missing ones by itself."""

    tag = "datasource"

    def __init__(self, store: NodeStore, clock: Clock, *, fills: bool) -> None:
        self.name = f"data.hashes.{store.config.name}"
        self._store = store
        self._clock = clock
        self._fills = fills
        self._worker = Worker(self.name, self._fill_page, interval=LOOK_SECONDS, clock=clock)
        self._after = ""
        self._troubled: dict[str, Facts] = {}
        self._seen: dict[str, Facts] = {}
        self._has_news = False
        self._asked = 0
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._work_began = 0.0
        self._ending = asyncio.Event()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Fills in while entered; leaving stops it in the middle of a file, and keeps what was found."""
        async with self._worker.running() if self._fills else nullcontext():
            try:
                yield
            finally:
                self._ending.set()
                self._may_run.set()

    def status(self) -> ServiceStatus:
        """Degraded while it knows of content that is not what it was."""
        if not self._troubled:
            return self._worker.status()
        path = next(iter(self._troubled))
        return ServiceStatus(
            ServiceState.DEGRADED,
            f"{len(self._troubled)} files have not the content that was written, for instance {path!r}: "
            f"run `cellsmono ds rehash {self._store.config.name}`",
        )

    def hear(self, events: Iterable[NodeEvent]) -> None:
        """Look soon when one of these events tells of content without a hash."""
        for event in events:
            node = event.node
            if event.kind is EventKind.RELOAD or (node is not None and not node.is_folder and not node.is_hashed):
                self._look_again()
                return

    def _look_again(self) -> None:
        """Begin once more when the look that goes on is at its end: it may have passed the place already."""
        self._has_news = True
        self._worker.wake()

    async def rehash(self, path: str, options: RehashOptions, note: Note | None = None) -> RehashReport:
        """See ``Operations.rehash``. Meanwhile nothing is hashed in the background."""
        self._asked += 1
        self._may_run.clear()
        try:
            return await HashRun(self._store, self._clock, options, path=path, note=note).run()
        finally:
            self._asked -= 1
            if not self._asked:
                self._may_run.set()
                self._look_again()

    # --- in the background

    async def _fill_page(self) -> bool:
        """Hash a page of files that lack a hash. A step of the worker."""
        await self._may_run.wait()
        if not self._after:
            self._has_news = False
        nodes = await self._store.index.list_unhashed(self._after, PAGE)
        if not nodes:
            # What was not met again was hashed, replaced or deleted.
            self._after, self._troubled, self._seen = "", self._seen, {}
            return self._has_news
        run = HashRun(self._store, self._clock, pace=self._rest)
        self._work_began = self._clock.monotonic()
        try:
            for node in nodes:
                if self._troubled.get(node.path) == node.facts:
                    self._seen[node.path] = node.facts
                elif not await run.hash_node(node) and len(self._seen) < MOST_TROUBLED:
                    self._troubled[node.path] = self._seen[node.path] = node.facts
                self._after = node.path
                await self._rest()
        except _Ended:
            return False
        finally:
            await run.store()
        return True

    async def _rest(self) -> None:
        """Between two pieces of work: give way to whoever asks, and leave most of the time to others."""
        spent = self._clock.monotonic() - self._work_began
        if spent <= WORK_SECONDS and self._may_run.is_set():
            return
        await wait_for_event(self._ending, min(spent * REST_SHARE, LONGEST_REST))
        await self._may_run.wait()
        if self._ending.is_set():
            raise _Ended
        self._work_began = self._clock.monotonic()
