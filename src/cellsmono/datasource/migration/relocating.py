"""The index of the target: a copy of the present one that says where everything lies now.

It is made from a complete listing of the target, so that nothing is missing there and nothing is there that was not
copied; and so that the first comparison after the switch finds what the index says.
"""

from collections.abc import Sequence

import msgspec

from cellsmono.datasource.flat.blobs import SIDE
from cellsmono.datasource.flat.layout import NOT_OURS, OURS, Layout, parse_key
from cellsmono.datasource.index.relocating import Relocation
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.contents import carries_versions, is_unchanged, number_at
from cellsmono.datasource.migration.journal import Copy, Journal
from cellsmono.datasource.migration.problems import Problems
from cellsmono.datasource.migration.progress import Meter
from cellsmono.datasource.migration.side import Side, find_leaves, list_all
from cellsmono.datasource.versions.kept import Kept
from cellsmono.interfaces.migration import Obstacle
from cellsmono.interfaces.node import Facts
from cellsmono.interfaces.objects import Entry, Listing

_PAGE = 1000


class Relocating:
    """Goes through the target once. ``index`` is the copy, which nobody else uses."""

    def __init__(self, source: Side, target: Side, index: SqliteIndex, journal: Journal, meter: Meter) -> None:
        self.problems = Problems()
        self._source = source
        self._target = target
        self._index = index
        self._journal = journal
        self._meter = meter
        self._leaves = 0
        self._versions = 0
        self._folders = 0

    async def run(self) -> None:
        """Enter where every node lies; what does not fit is a problem. Raises Unavailable when it can not be listed."""
        await self._index.relocator.forget_storage()
        if self._target.is_flat and not self._source.is_flat:
            await self._index.relocator.drop_ahead()
        async for listings in list_all(self._target):
            await self._take_listings(listings)
        if self._target.kept is not None:
            await self._take_kept(self._target.kept)
        stats = await self._index.stats()
        versions = await self._index.count_contents() if carries_versions(self._source, self._target) else 0
        if self.problems.total:
            return
        if (self._leaves, self._versions) != (stats.files, versions):
            await self._find_lost()
        elif self._target.is_flat:
            await self._index.relocator.relocate_into_blobs()
        if not self._target.is_flat and self._folders != stats.folders + 1:
            self.problems.add(Obstacle.ALTERED, "", f"{stats.folders + 1 - self._folders} folders are missing there")

    async def _take_listings(self, listings: Sequence[Listing]) -> None:
        """Many folders at once: every look-up and every transaction takes its time."""
        if not self._target.is_flat:
            await self._take_folders(listings)
        found = [
            (listing.key + entry.name, entry.facts)
            for listing in listings
            for entry in listing.entries or ()
            if not self._is_ours(listing.key, entry)
        ]
        take = self._take_blobs if self._target.is_flat else self._take_leaves
        for start in range(0, len(found), _PAGE):
            await take(found[start : start + _PAGE])
            self._meter.add(len(found[start : start + _PAGE]))
        for listing in listings:
            for skipped in listing.skipped:
                if skipped.key not in NOT_OURS:
                    text = f"it is there and can not be served ({skipped.reason})"
                    self.problems.add(Obstacle.ALTERED, skipped.key, text)

    def _is_ours(self, folder: str, entry: Entry) -> bool:
        """Whether an entry is no content of a leaf."""
        key = folder + entry.name
        if entry.name.endswith("/") or not self._target.is_flat:
            return entry.name.endswith("/")
        return key in OURS or (bool(self._target.sides(key)) and key.endswith(SIDE))

    async def _take_folders(self, listings: Sequence[Listing]) -> None:
        nodes = await self._index.read_nodes([listing.key for listing in listings])
        places: list[Relocation] = []
        for listing, node in zip(listings, nodes, strict=True):
            if node is None:
                self.problems.add(Obstacle.ALTERED, listing.key, "there is such a folder at the target, and none here")
                continue
            facts = listing.facts
            if not facts.mtime_ns:  # a storage without times of folders
                facts = msgspec.structs.replace(facts, mtime_ns=node.mtime_ns)
            places.append(Relocation(node.uuid, facts))
        self._folders += len(places)
        await self._index.relocator.relocate([], places)

    async def _take_leaves(self, found: Sequence[tuple[str, Facts]]) -> None:
        nodes = await find_leaves(self._target, self._index, [key for key, _ in found])
        copies = await self._journal.find_all([node.uuid for node in nodes if node is not None])
        places: list[Relocation] = []
        for (key, facts), node in zip(found, nodes, strict=True):
            if node is None:
                continue
            copy = next((each for each in copies.get(node.uuid, ()) if not each.kept), None)
            if copy is not None and self._is_copy(copy, key, facts):
                places.append(Relocation(node.uuid, copy.target_facts, node.effective_etag))
        self._leaves += len(places)
        await self._index.relocator.relocate(places, [])

    async def _take_blobs(self, found: Sequence[tuple[str, Facts]]) -> None:
        """Compare only: what the index says of content does not depend on its blob, but for the blob's number."""
        layout = self._target.layout or Layout.PLAIN
        uuids = ["" if each is None else each[0] for each in (parse_key(layout, key) for key, _ in found)]
        named = [uuid for uuid in uuids if uuid]
        blobs = await self._index.relocator.read_blobs(named)
        copies = await self._journal.find_all(named)
        leaves: list[tuple[str, int, int]] = []
        versions: list[tuple[str, int, int]] = []
        for (key, facts), uuid in zip(found, uuids, strict=True):
            copy = next((each for each in copies.get(uuid, ()) if each.target == key), None)
            if not self._is_copy(copy, key, facts) or copy is None:
                continue
            old, new = self._numbers(copy)
            (leaves if not copy.kept and blobs.get(uuid) == old else versions).append((uuid, old, new))
        self._leaves += len(leaves)
        await self._index.relocator.renumber([(uuid, new) for uuid, old, new in leaves if old != new])
        await self._take_versions(versions)

    async def _take_kept(self, kept: Kept) -> None:
        """Look for what was copied into the datasource ``versions``, and enter its numbers."""
        async for page in self._journal.pages():
            copies = [copy for copy in page if copy.kept]
            found = await kept.find([copy.target for copy in copies]) if copies else []
            there = []
            for copy, node in zip(copies, found, strict=True):
                if node is None or node.size != copy.target_facts.size:
                    self.problems.add(Obstacle.ALTERED, copy.source, f"its copy {copy.target} is not there")
                else:
                    there.append((copy.uuid, *self._numbers(copy)))
            await self._take_versions(there)

    async def _take_versions(self, numbers: Sequence[tuple[str, int, int]]) -> None:
        """Enter under which number the content of a version lies now, for UUIDs and the numbers that they had."""
        if numbers:
            self._versions += await self._index.relocator.renumber_versions(numbers)

    def _numbers(self, copy: Copy) -> tuple[int, int]:
        """The number that copied content has in the index, and the one that it has at the target."""
        return (
            number_at(self._source, copy.source, kept=copy.kept),
            number_at(self._target, copy.target, kept=copy.kept),
        )

    def _is_copy(self, copy: Copy | None, key: str, facts: Facts) -> bool:
        if copy is None or copy.target != key:
            self.problems.add(Obstacle.ALTERED, key, "it is at the target and was not copied")
        elif not is_unchanged(copy.target_facts, facts):
            self.problems.add(Obstacle.ALTERED, copy.source, f"its copy {key} was changed")
        else:
            return True
        return False

    async def _find_lost(self) -> None:
        """Name the leaves whose copies are not there."""
        async for page in self._journal.pages():
            copies = [copy for copy in page if self._target.kept is None or not copy.kept]
            found = await self._target.objects.stat_entries(self._target.bucket, [copy.target for copy in copies])
            for copy, entry in zip(copies, found, strict=True):
                if not isinstance(entry, Entry):
                    self.problems.add(Obstacle.ALTERED, copy.source, f"its copy {copy.target} is not there")
        if not self.problems.total:
            self.problems.add(Obstacle.ALTERED, "", "the target has not as many files as the index; go on once more")
