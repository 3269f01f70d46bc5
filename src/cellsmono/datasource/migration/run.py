"""The course of one migration from the first copy to an index that is ready for the switch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.contents import carries_versions, find_owners, is_copy_of
from cellsmono.datasource.migration.copying import Copying
from cellsmono.datasource.migration.folders import make_folders, remove_outdated_folders, set_folder_times
from cellsmono.datasource.migration.journal import Copy, Journal
from cellsmono.datasource.migration.planning import check_room, count_needed, find_problems, find_room
from cellsmono.datasource.migration.problems import Problems
from cellsmono.datasource.migration.progress import Meter
from cellsmono.datasource.migration.relocating import Relocating
from cellsmono.datasource.migration.side import Side, claim_target, local_of, with_sides
from cellsmono.datasource.objects.mass_copying import flush_bucket
from cellsmono.interfaces.migration import Obstacle
from cellsmono.kernel.errors import Conflict
from cellsmono.store.backup import seal_database

_ROUNDS = 5
"""How often is copied again what others changed in the source meanwhile."""


class Follow(msgspec.Struct, frozen=True):
    """How the index is brought to what is on the storage, where others may change that.

    ``look`` takes paths, ``compare`` looks at everything; both return how many rows changed.
    """

    look: Callable[[Sequence[str]], Awaitable[int]]
    compare: Callable[[], Awaitable[int]]


class Outcome(msgspec.Struct, frozen=True):
    """What a run came to: ``last`` is the number of the last event in the index that was prepared.

    It is None when there are problems instead. ``done`` are the files and bytes at the target, ``free`` the room there.
    """

    last: int | None
    problems: Problems
    done: tuple[int, int]
    free: int | None = None


class Migration:
    """One migration with both its sides open. ``follow`` is None where nobody else can change the source."""

    def __init__(
        self,
        source: Side,
        target: Side,
        index: SqliteIndex,
        journal: Journal,
        meter: Meter,
        *,
        moves: bool,
        follow: Follow | None,
    ) -> None:
        self._source = source
        self._target = target
        self._index = index
        self._journal = journal
        self._meter = meter
        self._moves = moves
        self._follow = follow

    async def run(self, prepared: Path) -> Outcome:
        """Copy everything and prepare the index of the target, as a file that is on the disk. Raises Conflict, ..."""
        problems = await self._look_ahead()
        if problems.total:
            return await self._end(problems)
        await claim_target(self._target, (await self._index.read_node("")).uuid)
        for _ in range(_ROUNDS):
            problems, is_settled = await self._copy()
            if problems.total:
                return await self._end(problems)
            if is_settled:
                return await self._prepare(prepared)
        raise Conflict(
            f"{self._source.config.place} keeps changing while it is copied; stop what writes there, then go on.",
            reason="changing",
        )

    async def _look_ahead(self) -> Problems:
        stats = await self._index.stats()
        self._meter.begin("looking", stats.files)
        problems = await find_problems(self._source, self._target, self._index, self._journal, self._meter)
        if not self._moves:
            needed = await count_needed(self._target, self._index, self._journal)
            check_room(problems, await find_room(self._target), needed)
        return problems

    async def _copy(self) -> tuple[Problems, bool]:
        """One round: its problems, and whether nothing is left to do."""
        await self._remove_outdated()
        if not self._target.is_flat:
            await remove_outdated_folders(self._target, self._index)
            await make_folders(self._target, self._index)
        stats = await self._index.stats()
        files, size = stats.files, stats.bytes
        if carries_versions(self._source, self._target):
            files, size = files + await self._index.count_contents(), size + stats.version_bytes
        self._meter.begin("copying", files, size, await self._journal.total())
        copying = Copying(self._source, self._target, self._index, self._journal, self._meter, moves=self._moves)
        await copying.run()
        if copying.problems.total:
            return copying.problems, False
        if self._follow is None:
            for path in copying.stale:
                copying.problems.add(Obstacle.ALTERED, path, "it was changed after it was copied")
            return copying.problems, True
        if copying.stale:
            await self._follow.look(copying.stale)
            return copying.problems, False
        # What was moved away is missing at the source, so it can not be compared any more.
        return copying.problems, self._moves or not await self._follow.compare()

    async def _remove_outdated(self) -> None:
        """Remove copies of what is somewhere else now, or gone, or has other content."""
        in_blobs = self._source.is_flat and self._target.is_flat
        async for page in self._journal.pages():
            owners = await find_owners(self._source, self._index, page, takes_either=in_blobs)
            outdated = [
                copy
                for copy, node in zip(page, owners, strict=True)
                if node is None or not is_copy_of(self._source, self._target, node, copy)
            ]
            if outdated:
                await self._remove_copies(outdated)

    async def _remove_copies(self, copies: Sequence[Copy]) -> None:
        kept = self._target.kept
        if kept is not None:
            await kept.remove([copy.target for copy in copies if copy.kept])
        objects = [copy.target for copy in copies if kept is None or not copy.kept]
        for outcome in await self._target.objects.delete_many(self._target.bucket, with_sides(self._target, objects)):
            if isinstance(outcome, Exception):
                raise outcome
        await self._journal.remove(copies)

    async def _prepare(self, prepared: Path) -> Outcome:
        await set_folder_times(self._target, self._index)
        folders = local_of(self._target.objects)
        if folders is not None:
            await folders.workers.run(flush_bucket, folders.bucket(self._target.bucket))
        summary = await self._index.back_up(prepared)
        self._meter.begin("checking", summary.usage.files)
        index = await SqliteIndex.open(prepared, datasource=self._source.config.name, durability="relaxed")
        try:
            relocating = Relocating(self._source, self._target, index, self._journal, self._meter)
            await relocating.run()
            problems = relocating.problems
            for violation in [] if problems.total else await index.verify():
                problems.add(Obstacle.ALTERED, "", violation)
        finally:
            await index.close()
        if problems.total:
            return await self._end(problems)
        await asyncio.to_thread(seal_database, prepared)
        return await self._end(problems, summary.last_sequence)

    async def _end(self, problems: Problems, last: int | None = None) -> Outcome:
        return Outcome(last, problems, await self._journal.total(), await find_room(self._target))
