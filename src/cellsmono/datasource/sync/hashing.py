"""Hashing in the background what appeared without anybody knowing its MD5: with long rests, and pausable."""

import asyncio

import structlog

from cellsmono.datasource.sync.context import SyncContext
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.patch import Patch, SetHash
from cellsmono.kernel.errors import CellsError

BATCH_FILES = 500
BATCH_BYTES = 64 << 20
WORK_SECONDS = 0.05
REST_SHARE = 2.0
"""Seconds of rest for each second of hashing, so that a third of one core at most is used; taken after this much work,
so that a request has to share with it for a moment only."""

RETRY_SECONDS = 60.0

log = structlog.get_logger("cellsmono.sync")


class ContentHasher:
    """Fills in missing content hashes of one datasource."""

    def __init__(self, context: SyncContext) -> None:
        self._context = context
        self._wake = asyncio.Event()
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._wake.set()

    def wake(self) -> None:
        """There may be files without a hash."""
        self._wake.set()

    def pause(self) -> None:
        """Stop after the file that is being hashed."""
        self._may_run.clear()

    def resume(self) -> None:
        """Go on."""
        self._may_run.set()

    async def run(self) -> None:
        """Hash until cancelled."""
        if not self._context.config.hash_content:
            return
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.hash_all()
            except CellsError as error:
                log.warning("hashing was interrupted", datasource=self._context.config.name, error=error.message)
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()

    async def hash_all(self) -> int:
        """Hash every file that has no hash yet, once; returns how many were hashed."""
        count = 0
        after = ""
        while True:
            nodes = await self._context.index.list_unhashed(after, BATCH_FILES)
            if not nodes:
                return count
            after = nodes[-1].path
            count += await self._hash_page(nodes)

    async def _hash_page(self, nodes: list[Node]) -> int:
        clock = self._context.clock
        found: list[SetHash] = []
        weight = 0
        began = clock.monotonic()
        for node in nodes:
            await self._may_run.wait()
            result = await self._context.objects.hash_object(self._context.bucket, node.path)
            if result is not None:
                facts, digest = result
                found.append(SetHash(node.path, facts, digest))
                weight += facts.size
            if weight >= BATCH_BYTES:
                await self._store(found)
                found, weight = [], 0
            spent = clock.monotonic() - began
            if spent > WORK_SECONDS:
                await asyncio.sleep(min(spent, 5.0) * REST_SHARE)
                began = clock.monotonic()
        await self._store(found)
        return len(nodes)

    async def _store(self, found: list[SetHash]) -> None:
        if found:
            await self._context.index.apply(Patch(tuple(found), origin="hash"))
