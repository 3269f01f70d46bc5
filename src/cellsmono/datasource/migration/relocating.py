"""The index of the target: a copy of the present one that says where everything lies now.

It is made from a complete listing of the target, so that nothing is missing there and nothing is there that was not
copied; and so that the first comparison after the switch finds what the index says.
"""

from collections.abc import Sequence

import msgspec

from cellsmono.datasource.flat.blobs import SIDE
from cellsmono.datasource.flat.layout import NOT_OURS, OURS
from cellsmono.datasource.index.relocating import Relocation
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.copying import is_unchanged
from cellsmono.datasource.migration.journal import Copy, Journal
from cellsmono.datasource.migration.problems import Problems
from cellsmono.datasource.migration.progress import Meter
from cellsmono.datasource.migration.side import Side, blob_at, find_leaves, list_all
from cellsmono.interfaces.migration import Obstacle
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.objects import Entry, Listing

_PAGE = 1000


class Relocating:
    """Goes through the target once. ``index`` is the copy, which nobody else uses."""

    def __init__(self, target: Side, index: SqliteIndex, journal: Journal, meter: Meter) -> None:
        self.problems = Problems()
        self._target = target
        self._index = index
        self._journal = journal
        self._meter = meter
        self._leaves = 0
        self._folders = 0

    async def run(self) -> None:
        """Enter where every node lies; what does not fit is a problem. Raises Unavailable when it can not be listed."""
        await self._index.forget_storage()
        async for listings in list_all(self._target):
            for listing in listings:
                await self._take_listing(listing)
        stats = await self._index.stats()
        if self.problems.total:
            return
        if self._leaves != stats.files:
            await self._find_lost()
        if not self._target.is_flat and self._folders != stats.folders + 1:
            self.problems.add(Obstacle.ALTERED, "", f"{stats.folders + 1 - self._folders} folders are missing there")

    async def _take_listing(self, listing: Listing) -> None:
        if not self._target.is_flat:
            await self._take_folder(listing)
        names = [entry for entry in listing.entries or () if not self._is_ours(listing.key, entry)]
        for start in range(0, len(names), _PAGE):
            await self._take_leaves(listing.key, names[start : start + _PAGE])
        for skipped in listing.skipped:
            if skipped.key not in NOT_OURS:
                self.problems.add(
                    Obstacle.ALTERED, skipped.key, f"it is there and can not be served ({skipped.reason})"
                )

    def _is_ours(self, folder: str, entry: Entry) -> bool:
        """Whether an entry is no content of a leaf."""
        key = folder + entry.name
        if entry.name.endswith("/") or not self._target.is_flat:
            return entry.name.endswith("/")
        return key in OURS or (bool(self._target.sides(key)) and key.endswith(SIDE))

    async def _take_folder(self, listing: Listing) -> None:
        (node,) = await self._index.read_nodes([listing.key])
        if node is None:
            self.problems.add(Obstacle.ALTERED, listing.key, "there is such a folder at the target, and none here")
            return
        self._folders += 1
        facts = listing.facts
        if not facts.mtime_ns:  # a storage without times of folders
            facts = msgspec.structs.replace(facts, mtime_ns=node.mtime_ns)
        await self._index.relocate([], [Relocation(node.uuid, facts)])

    async def _take_leaves(self, folder: str, entries: Sequence[Entry]) -> None:
        nodes = await find_leaves(self._target, self._index, [folder + entry.name for entry in entries])
        copies = await self._journal.find([node.uuid for node in nodes if node is not None])
        known = {copy.uuid: copy for copy in copies if copy is not None}
        places: list[Relocation] = []
        for entry, node in zip(entries, nodes, strict=True):
            copy = None if node is None else known.get(node.uuid)
            if node is None or copy is None or copy.target != folder + entry.name:
                self.problems.add(Obstacle.ALTERED, folder + entry.name, "it is at the target and was not copied")
            elif not is_unchanged(copy.target_facts, entry.facts):
                self.problems.add(Obstacle.ALTERED, node.path, "its copy was changed")
            else:
                places.append(self._relocate(node, copy))
        self._leaves += len(places)
        await self._index.relocate(places, [])
        self._meter.add(len(places))

    def _relocate(self, node: Node, copy: Copy) -> Relocation:
        facts = copy.target_facts
        if self._target.is_flat:
            facts = msgspec.structs.replace(node.facts, ino=0, dev=0, mode=0)
        return Relocation(node.uuid, facts, node.effective_etag, blob_at(self._target, node))

    async def _find_lost(self) -> None:
        """Name the leaves whose copies are not there."""
        async for page in self._journal.pages():
            found = await self._target.objects.stat_entries(self._target.bucket, [copy.target for copy in page])
            for copy, entry in zip(page, found, strict=True):
                if not isinstance(entry, Entry):
                    self.problems.add(Obstacle.ALTERED, copy.source, f"its copy {copy.target} is not there")
        if not self.problems.total:
            self.problems.add(Obstacle.ALTERED, "", "the target has not as many files as the index; go on once more")
