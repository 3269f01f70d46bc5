"""Removing one side of a migration: exactly what was copied, as long as it is what was copied, and then what is empty.

Whatever else lies there is left alone and named.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from cellsmono.datasource.flat.layout import KEYS, NOT_OURS, OURS, RECORD
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.copying import remove_objects
from cellsmono.datasource.migration.journal import Copy, Journal
from cellsmono.datasource.migration.problems import LISTED
from cellsmono.datasource.migration.progress import Meter
from cellsmono.datasource.migration.side import Side, find_leaves, list_all, with_sides
from cellsmono.interfaces.datasource import Storage
from cellsmono.interfaces.objects import Entry
from cellsmono.kernel.errors import CellsError, Conflict


class Removal:
    """What was removed, and what was left: counted in full, listed in part."""

    def __init__(self) -> None:
        self.removed = 0
        self.left_total = 0
        self.left: list[str] = []

    def leave(self, keys: Iterable[str]) -> None:
        """These stay."""
        for key in keys:
            self.left_total += 1
            if len(self.left) < LISTED:
                self.left.append(key)


async def remove_source(source: Side, journal: Journal, meter: Meter) -> Removal:
    """Remove the objects that were copied, and then the folders that hold nothing. May be repeated."""
    removal = Removal()
    if not await source.objects.has_bucket(source.bucket):
        return removal  # somebody removed the whole place
    async for page in journal.pages():
        changed = await remove_objects(source, [(copy.source, copy.source_facts) for copy in page])
        removal.removed += len(page) - len(changed)
        meter.add(len(page))
    await _remove_rest(source, removal)
    return removal


async def remove_target(target: Side, index: SqliteIndex, journal: Journal, meter: Meter) -> Removal:
    """Remove the copies of a migration that is given up. May be repeated.

    A kill may have left some that are in no journal: they are known by the leaf that they are, or begin to be, a copy
    of.
    """
    removal = Removal()
    async for page in journal.pages():
        removal.removed += len(page) - len(await remove_objects(target, [(c.target, c.target_facts) for c in page]))
        meter.add(len(page))
    async for listings in list_all(target):
        for listing in listings:
            keys = [listing.key + entry.name for entry in listing.entries or () if not entry.name.endswith("/")]
            known = await find_leaves(target, index, keys)
            ours = [key for key, node in zip(keys, known, strict=True) if node is not None]
            for outcome in await target.objects.delete_many(target.bucket, with_sides(target, ours)):
                if isinstance(outcome, Exception):
                    raise outcome
            removal.removed += len(ours)
    await _remove_rest(target, removal)
    return removal


async def _remove_rest(side: Side, removal: Removal) -> None:
    """Remove empty folders, and the place itself once nothing is in it; name what is."""
    folders: list[str] = []
    left: list[str] = []
    async for listings in list_all(side):
        for listing in listings:
            folders.append(listing.key)
            files = [listing.key + entry.name for entry in listing.entries or () if not entry.name.endswith("/")]
            left += [key for key in files if not (side.is_flat and key in OURS)]
            left += [skipped.key for skipped in listing.skipped if skipped.key not in NOT_OURS]
    removal.leave(left)
    for folder in sorted(folders, key=lambda key: -key.count("/")):
        if folder:
            await side.objects.remove_folder(side.bucket, folder)
    if left:
        return
    if side.is_flat:
        for key in (KEYS, RECORD):
            await side.objects.delete(side.bucket, key)
    if side.config.storage is Storage.LOCAL or side.config.prefix.strip("/"):
        # A bucket of a server, and with it its settings, is for whoever made it to remove.
        with suppress(Conflict):
            await side.objects.remove_bucket(side.bucket)


async def count_lost(target: Side, index: SqliteIndex, journal: Journal, meter: Meter) -> int:
    """How many leaves that were not changed since the switch have no longer the bytes that were copied."""
    lost = 0
    async for page in journal.pages():
        nodes = await index.find_nodes([copy.uuid for copy in page])
        wanted = [
            copy
            for copy, node in zip(page, nodes, strict=True)
            if node is not None and target.key(node, node.blob) == copy.target
        ]
        lost += await _count_changed(target, wanted)
        meter.add(len(page))
    return lost


async def _count_changed(target: Side, copies: Sequence[Copy]) -> int:
    try:
        found = await target.objects.stat_entries(target.bucket, [copy.target for copy in copies])
    except CellsError:
        return len(copies)
    is_gone = (not isinstance(entry, Entry) or entry.name.endswith("/") for entry in found)
    return sum(is_gone)
