"""One round over all leaves: what has no copy yet is copied, compared, brought to the disk and noted in the journal."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import msgspec

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.journal import Copy, Journal
from cellsmono.datasource.migration.problems import Problems
from cellsmono.datasource.migration.progress import Meter
from cellsmono.datasource.migration.side import Side, blob_at, local_of, with_sides
from cellsmono.datasource.migration.streaming import attributes_of, copy_object, is_expected
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.mass_copying import Changed, Damaged, FileJob, Outcome, copy_files, flush_bucket
from cellsmono.datasource.objects.workers import see_through
from cellsmono.interfaces.migration import Obstacle
from cellsmono.interfaces.node import Facts, Node
from cellsmono.interfaces.objects import Entry
from cellsmono.kernel.tasks import cancel_and_wait, create_task

PAGE = 1000
_BATCH_FILES = 128
_BATCH_BYTES = 32 * 1024 * 1024
_LANES = 2
"""Batches that are copied at the same time between folders: more gain nothing but waiting for one another."""
_STREAMS = 8
"""Objects that are copied at the same time where a server takes part."""
_FLUSH_FILES = 4096
_FLUSH_BYTES = 512 * 1024 * 1024
"""So much is copied again at most after a kill."""

Job = tuple[Node, str, str]
"""A leaf, its key at the source, and its key at the target."""


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

    async def run(self) -> None:
        """Copy everything. Raises what keeps the target from being written; what was done until then is kept."""
        is_local = isinstance(self._source.objects, LocalStore) and isinstance(self._target.objects, LocalStore)
        is_local = is_local and not self._target.sides("")  # records beside the files are written one by one
        lanes = _LANES if is_local else _STREAMS
        running: set[asyncio.Task[None]] = set()
        try:
            async for batch in self._batches(_BATCH_FILES if is_local else 1):
                if len(running) >= lanes:
                    running = await self._collect(running)
                work = self._copy_files(batch) if is_local else self._copy_objects(batch)
                running.add(create_task(work, "data.migration:copy"))
            while running:
                running = await self._collect(running)
        finally:
            for task in running:
                await cancel_and_wait(task)
            await self._flush()

    async def _collect(self, running: "set[asyncio.Task[None]]") -> "set[asyncio.Task[None]]":
        done, rest = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if len(self._fresh) >= _FLUSH_FILES or self._fresh_bytes >= _FLUSH_BYTES:
            await self._flush()
        return rest

    async def _flush(self) -> None:
        """Bring fresh copies to the disk, then into the journal, and only then remove their sources."""
        fresh, self._fresh, self._fresh_bytes = self._fresh, [], 0
        if not fresh:
            return
        folders = local_of(self._target.objects)
        if folders is not None:
            await folders.workers.run(flush_bucket, folders.bucket(self._target.bucket))
        await self._journal.add(fresh)
        if self._moves:
            await self._remove_sources(fresh)

    # --- what is to be done

    async def _batches(self, most: int) -> AsyncGenerator[list[Job], None]:
        """What is still to be copied, neighbours together."""
        batch: list[Job] = []
        size = 0
        async for leaves in list_leaves(self._index):
            for job in await self._find_missing(leaves):
                batch.append(job)
                size += job[0].size
                if len(batch) >= most or size >= _BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    async def _find_missing(self, leaves: Sequence[Node]) -> list[Job]:
        missing: list[Job] = []
        kept: list[Copy] = []
        for node, copy in zip(leaves, await self._journal.find([node.uuid for node in leaves]), strict=True):
            if copy is not None and is_copy_of(self._source, self._target, node, copy):
                kept.append(copy)
            else:
                missing.append((node, *keys_of(self._source, self._target, node)))
        if self._moves and kept:
            await self._remove_sources(kept)
        return missing

    # --- copying

    async def _copy_files(self, batch: Sequence[Job]) -> None:
        source, target = self._source.objects, self._target.objects
        if not (isinstance(source, LocalStore) and isinstance(target, LocalStore)):
            raise TypeError(source.name)
        buckets = source.bucket(self._source.bucket), target.bucket(self._target.bucket)
        work = target.workers.run(copy_files, *buckets, [self._make_job(*job) for job in batch])
        outcomes = await see_through(asyncio.ensure_future(work))
        for job, outcome in zip(batch, outcomes, strict=True):
            self._take(job, outcome)

    def _make_job(self, node: Node, source: str, target: str) -> FileJob:
        return FileJob(
            source=source,
            target=target,
            mtime_ns=node.mtime_ns,
            expects=lambda facts: is_expected(self._source, node, facts),
            md5=node.content_hash,
            attributes=attributes_of(self._target, node),
            keeps_mode=not self._source.is_flat and not self._target.is_flat,
        )

    async def _copy_objects(self, batch: Sequence[Job]) -> None:
        for job in batch:
            self._take(job, await copy_object(self._source, self._target, *job))

    def _take(self, job: Job, outcome: Outcome) -> None:
        node, source, target = job
        if isinstance(outcome, Damaged):
            self.problems.add(Obstacle.DIFFERS, node.path, outcome.detail)
        elif not isinstance(outcome, Changed):
            self._fresh.append(Copy(node.uuid, source, target, outcome.source, outcome.target))
            self._fresh_bytes += node.size
            self._meter.add(1, node.size)
        elif not self._source.is_flat:
            self.stale.append(node.path)
        elif outcome.facts is None:
            self.problems.add(Obstacle.MISSING, node.path, f"its blob {source} is not there")
        else:
            self.problems.add(Obstacle.SIZE, node.path, f"its blob {source} has {outcome.facts.size} bytes")

    # --- removing sources

    async def _remove_sources(self, copies: Sequence[Copy]) -> None:
        changed = await remove_objects(self._source, [(copy.source, copy.source_facts) for copy in copies])
        if changed:
            await self._journal.remove([copy.uuid for copy in copies if copy.source in changed])
            self.stale += changed


async def list_leaves(index: SqliteIndex) -> AsyncGenerator[list[Node], None]:
    """All leaves in pages, in the order of their paths."""
    after = ""
    while True:
        page = await index.list_keys(after=after, limit=PAGE)
        yield [entry for entry in page.entries if isinstance(entry, Node) and not entry.is_folder]
        if not page.next_after:
            return
        after = page.next_after


def keys_of(source: Side, target: Side, node: Node) -> tuple[str, str]:
    """Where a leaf's content lies at the source, and where at the target."""
    return source.key(node, node.blob), target.key(node, blob_at(target, node))


def is_copy_of(source: Side, target: Side, node: Node, copy: Copy) -> bool:
    """Whether a copy that was made is that of what a leaf is now."""
    return (copy.source, copy.target) == keys_of(source, target, node) and is_expected(source, node, copy.source_facts)


async def remove_objects(side: Side, objects: Sequence[tuple[str, Facts]]) -> set[str]:
    """Remove objects that still have these facts; the keys of those that are something else now."""
    found = await side.objects.stat_entries(side.bucket, [key for key, _ in objects])
    keys, changed = [], set()
    for (key, facts), entry in zip(objects, found, strict=True):
        if entry is None:
            continue
        if isinstance(entry, Entry) and not entry.name.endswith("/") and is_unchanged(facts, entry.facts):
            keys.append(key)
        else:
            changed.add(key)
    for outcome in await side.objects.delete_many(side.bucket, with_sides(side, keys)):
        if isinstance(outcome, Exception):
            raise outcome
    return changed


def is_unchanged(then: Facts, now: Facts) -> bool:
    """Whether an object is the one that was looked at then."""
    return msgspec.structs.replace(now, mode=then.mode, dev=then.dev) == then or then.is_same_content(now)
