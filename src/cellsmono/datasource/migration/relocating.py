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
from cellsmono.datasource.migration.copying import is_unchanged
from cellsmono.datasource.migration.journal import Copy, Journal
from cellsmono.datasource.migration.problems import Problems
from cellsmono.datasource.migration.progress import Meter
from cellsmono.datasource.migration.side import Side, blob_at, find_leaves, list_all
from cellsmono.interfaces.migration import Obstacle
from cellsmono.interfaces.node import Facts
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
        await self._index.relocator.forget_storage()
        async for listings in list_all(self._target):
            await self._take_listings(listings)
        stats = await self._index.stats()
        if self.problems.total:
            return
        if self._leaves != stats.files:
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
        copies = iter(await self._journal.find([node.uuid for node in nodes if node is not None]))
        places: list[Relocation] = []
        for (key, facts), node in zip(found, nodes, strict=True):
            copy = None if node is None else next(copies)
            if node is not None and copy is not None and self._is_copy(copy, key, facts):
                places.append(Relocation(node.uuid, copy.target_facts, node.effective_etag))
        self._leaves += len(places)
        await self._index.relocator.relocate(places, [])

    async def _take_blobs(self, found: Sequence[tuple[str, Facts]]) -> None:
        """Compare only: what the index says of a leaf does not depend on its blob, but for the number of a seal."""
        layout = self._target.layout or Layout.PLAIN
        parsed = [parse_key(layout, key) for key, _ in found]
        uuids = ["" if each is None else each[0] for each in parsed]
        blobs = await self._index.relocator.read_blobs([uuid for uuid in uuids if uuid])
        copies = await self._journal.find(uuids)
        numbers = {uuid: blob_at(self._target, uuid, blob) for uuid, blob in blobs.items()}
        for (key, facts), each, copy in zip(found, parsed, copies, strict=True):
            is_current = each is not None and numbers.get(each[0]) == each[1]
            self._leaves += self._is_copy(copy if is_current else None, key, facts)
        changed = [(uuid, number) for uuid, number in numbers.items() if number != blobs[uuid]]
        if changed:
            await self._index.relocator.renumber(changed)

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
            found = await self._target.objects.stat_entries(self._target.bucket, [copy.target for copy in page])
            for copy, entry in zip(page, found, strict=True):
                if not isinstance(entry, Entry):
                    self.problems.add(Obstacle.ALTERED, copy.source, f"its copy {copy.target} is not there")
        if not self.problems.total:
            self.problems.add(Obstacle.ALTERED, "", "the target has not as many files as the index; go on once more")
