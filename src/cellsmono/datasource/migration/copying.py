"""One round over all leaves: what has no copy yet is copied, compared, brought to the disk and noted in the journal."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext

import msgspec

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.contents import (
    carries_versions,
    describe_content,
    describe_missing,
    is_copy_of,
    keys_of,
    list_leaves,
    list_noncurrent,
    remove_objects,
    uses_keeper,
)
from cellsmono.datasource.migration.journal import Copy, Journal
from cellsmono.datasource.migration.problems import Problems
from cellsmono.datasource.migration.progress import Meter
from cellsmono.datasource.migration.side import Side, local_of, share_source
from cellsmono.datasource.migration.streaming import attributes_of, copy_inside, copy_kept, copy_object
from cellsmono.datasource.objects.copy_pool import open_pool
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.mass_copying import (
    Changed,
    Damaged,
    FileCopied,
    FileJob,
    Outcome,
    copy_files,
    flush_bucket,
)
from cellsmono.datasource.objects.workers import see_through
from cellsmono.interfaces.migration import Obstacle
from cellsmono.interfaces.node import Node
from cellsmono.kernel.tasks import cancel_and_wait, create_task

_BATCH_FILES = 128
_BATCH_BYTES = 32 * 1024 * 1024
_LANES = 2
"""Batches that are copied at the same time between folders: more gain nothing but waiting for one another."""
MANY_FILES = 4000
"""From so many on it pays to start processes for them: that takes as long as copying a thousand."""
_STREAMS = 8
"""Objects that are copied at the same time where a server takes part."""
_FLUSH_FILES = 32768
_FLUSH_BYTES = 2 * 1024 * 1024 * 1024
"""So much is copied again at most after a kill: a few seconds' work, and each flush holds everybody up."""
_FLUSH_FILES_SOON = 1024
_FLUSH_BYTES_SOON = 256 * 1024 * 1024
"""The same where a server has it safe already, or where the source is to make room for what comes next."""

Job = tuple[Node, str, str]
"""A leaf, its key at the source, and its key at the target."""


class _Lanes(msgspec.Struct, frozen=True):
    """How many batches are copied at the same time, how many files are one, and what copies it.

    ``kept``: what is copied are versions that go to the internal datasource ``versions``, or come from there.
    """

    count: int
    batch: int
    copy: Callable[[Sequence[Job]], Awaitable[list[Outcome]]]
    kept: bool = False


class Copying:
    """A round of one migration. ``moves``: objects are removed from the source once their copies are safe."""

    def __init__(
        self, source: Side, target: Side, index: SqliteIndex, journal: Journal, meter: Meter, *, moves: bool
    ) -> None:
        self.problems = Problems()
        self.stale: list[str] = []
        """Paths whose objects are not what the index says."""
        self._source = source
        self._target = target
        self._index = index
        self._journal = journal
        self._meter = meter
        self._moves = moves
        self._fresh: list[Copy] = []
        self._fresh_bytes = 0
        self._flushing: asyncio.Task[None] | None = None
        self._shared: str | None = None
        self._is_new = False
        """Whether the journal was empty when this began, so that nothing has to be looked for in it."""

    async def run(self) -> None:
        """Copy everything. Raises what keeps the target from being written; what was done until then is kept."""
        done = (await self._journal.total())[0]
        self._is_new = not done
        left = (await self._index.stats()).files - done
        try:
            async with self._open_lanes(left) as lanes:
                await self._run_lanes(lanes)
            if uses_keeper(self._source, self._target):
                await self._run_lanes(_Lanes(_STREAMS, 1, self._copy_kept, kept=True))
        finally:
            await self._flush()
            await self._end_flush()

    async def _run_lanes(self, lanes: _Lanes) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            async for batch in self._batches(lanes):
                if len(running) >= lanes.count:
                    running = await self._collect(running)
                running.add(create_task(self._copy(lanes, batch), "data.migration:copy"))
            while running:
                running = await self._collect(running)
        finally:
            for task in running:
                await cancel_and_wait(task)

    @asynccontextmanager
    async def _open_lanes(self, files: int) -> AsyncIterator["_Lanes"]:
        """How so many files are copied."""
        source, target = self._source.objects, self._target.objects
        # Records beside the files are written one by one.
        if not (isinstance(source, LocalStore) and isinstance(target, LocalStore)) or self._target.sides(""):
            self._shared = share_source(self._source, self._target)
            yield _Lanes(_STREAMS, 1, self._copy_objects)
            return
        buckets = source.bucket(self._source.bucket), target.bucket(self._target.bucket)
        workers = target.workers

        async def copy_here(batch: Sequence[Job]) -> list[Outcome]:
            work = workers.run(copy_files, *buckets, [self._make_job(*job) for job in batch])
            return await see_through(asyncio.ensure_future(work))

        async with open_pool(*buckets) if files >= MANY_FILES else nullcontext() as pool:
            if pool is None:
                yield _Lanes(_LANES, _BATCH_FILES, copy_here)
                return

            async def copy_there(batch: Sequence[Job]) -> list[Outcome]:
                return await pool.copy([self._make_job(*job) for job in batch])

            yield _Lanes(pool.size, _BATCH_FILES, copy_there)

    async def _collect(self, running: "set[asyncio.Task[None]]") -> "set[asyncio.Task[None]]":
        done, rest = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        is_soon = self._moves or not isinstance(self._target.objects, LocalStore)
        most = (_FLUSH_FILES_SOON, _FLUSH_BYTES_SOON) if is_soon else (_FLUSH_FILES, _FLUSH_BYTES)
        if len(self._fresh) >= most[0] or self._fresh_bytes >= most[1]:
            await self._flush()
        return rest

    async def _flush(self) -> None:
        """Begin to bring fresh copies to the disk, while others are copied; one such flush at a time."""
        await self._end_flush()
        fresh, self._fresh, self._fresh_bytes = self._fresh, [], 0
        if fresh:
            self._flushing = create_task(self._make_safe(fresh), "data.migration:flush")

    async def _end_flush(self) -> None:
        """Wait for the flush that was begun, and raise what it failed with."""
        flushing, self._flushing = self._flushing, None
        if flushing is not None:
            await see_through(flushing)

    async def _make_safe(self, fresh: Sequence[Copy]) -> None:
        """Bring copies to the disk, then into the journal, and only then remove their sources."""
        folders = local_of(self._target.objects)
        if folders is not None:
            await folders.workers.run(flush_bucket, folders.bucket(self._target.bucket))
        await self._journal.add(fresh)
        if self._moves:
            await self._remove_sources(fresh)

    # --- what is to be done

    async def _contents(self, *, kept: bool) -> AsyncGenerator[list[Node], None]:
        if not kept:
            async for leaves in list_leaves(self._index):
                yield leaves
        if kept or (carries_versions(self._source, self._target) and not uses_keeper(self._source, self._target)):
            async for versions in list_noncurrent(self._index):
                yield versions

    async def _batches(self, lanes: _Lanes) -> AsyncGenerator[list[Job], None]:
        """What is still to be copied, neighbours together."""
        batch: list[Job] = []
        size = 0
        async for nodes in self._contents(kept=lanes.kept):
            for job in await self._find_missing(nodes, kept=lanes.kept):
                batch.append(job)
                size += job[0].size
                if len(batch) >= lanes.batch or size >= _BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    async def _find_missing(self, nodes: Sequence[Node], *, kept: bool) -> list[Job]:
        jobs = [(node, *keys_of(self._source, self._target, node, kept=kept)) for node in nodes]
        if self._is_new:
            return jobs
        missing: list[Job] = []
        done: list[Copy] = []
        copies = await self._journal.find([(node.uuid, source) for node, source, _ in jobs])
        for job, copy in zip(jobs, copies, strict=True):
            if copy is not None and copy.kept is kept and is_copy_of(self._source, self._target, job[0], copy):
                done.append(copy)
            else:
                missing.append(job)
        if self._moves and done:
            await self._remove_sources(done)
        return missing

    # --- copying

    async def _copy(self, lanes: "_Lanes", batch: Sequence[Job]) -> None:
        self._take(batch, await lanes.copy(batch), kept=lanes.kept)

    async def _copy_objects(self, batch: Sequence[Job]) -> list[Outcome]:
        source, target, shared = self._source, self._target, self._shared
        if shared is not None:
            return [await copy_inside(source, target, shared, *job) for job in batch]
        return [await copy_object(source, target, *job) for job in batch]

    async def _copy_kept(self, batch: Sequence[Job]) -> list[Outcome]:
        return [await copy_kept(self._source, self._target, *job) for job in batch]

    def _make_job(self, node: Node, source: str, target: str) -> FileJob:
        return FileJob(
            source=source,
            target=target,
            mtime_ns=node.mtime_ns,
            facts=node.facts,
            by_size=self._source.is_flat,
            md5=node.content_hash,
            attributes=attributes_of(self._target, node),
            keeps_mode=not self._source.is_flat and not self._target.is_flat,
        )

    def _take(self, batch: Sequence[Job], outcomes: Sequence[Outcome], *, kept: bool) -> None:
        files = size = 0
        for (node, source, target), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, FileCopied):
                self._fresh.append(Copy(node.uuid, source, target, outcome.source, outcome.target, kept))
                files, size = files + 1, size + node.size
            else:
                self._take_fault(node, source, outcome, kept=kept)
        self._fresh_bytes += size
        self._meter.add(files, size)

    def _take_fault(self, node: Node, source: str, outcome: Changed | Damaged, *, kept: bool) -> None:
        if isinstance(outcome, Damaged):
            self.problems.add(Obstacle.DIFFERS, node.path, outcome.detail)
        elif not self._source.is_flat and not kept:
            self.stale.append(node.path)
        elif outcome.facts is None:
            self.problems.add(Obstacle.MISSING, node.path, describe_missing(self._source, source))
        else:
            detail = f"{describe_content(self._source, source)} has {outcome.facts.size} bytes, not {node.size}"
            self.problems.add(Obstacle.SIZE, node.path, detail)

    # --- removing sources

    async def _remove_sources(self, copies: Sequence[Copy]) -> None:
        """Remove what was copied. What ``versions`` keeps stays until the end: that is no room of this source."""
        objects = [copy for copy in copies if self._source.is_flat or not copy.kept]
        changed = await remove_objects(self._source, [(copy.source, copy.source_facts) for copy in objects])
        if changed:
            await self._journal.remove([copy for copy in objects if copy.source in changed])
            self.stale += changed
