"""Removing one side of a migration: exactly what was copied, as long as it is what was copied, and then what is empty.

Whatever else lies there is left alone and named.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from cellsmono.datasource.flat.layout import KEYS, NOT_OURS, OURS, RECORD, parse_key
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.contents import find_owners, remove_objects
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
    """Remove the objects that were copied, and then the folders that hold nothing. May be repeated.

    All that ``versions`` keeps of the source goes: what is not named by a version now never will be.
    """
    removal = Removal()
    if source.kept is not None:
        removal.removed += await source.kept.forget()
    if not await source.objects.has_bucket(source.bucket):
        return removal  # somebody removed the whole place
    async for page in journal.pages():
        copies = [copy for copy in page if source.kept is None or not copy.kept]
        changed = await remove_objects(source, [(copy.source, copy.source_facts) for copy in copies])
        removal.removed += len(copies) - len(changed)
        meter.add(len(page))
    await _remove_rest(source, removal)
    return removal


async def remove_target(target: Side, index: SqliteIndex, journal: Journal, meter: Meter) -> Removal:
    """Remove the copies of a migration that is given up. May be repeated.

    A kill may have left some that are in no journal: they are known by the leaf that they are, or begin to be, a copy
    of.
    """
    removal = Removal()
    if target.kept is not None:
        removal.removed += await target.kept.forget()
    async for page in journal.pages():
        copies = [copy for copy in page if target.kept is None or not copy.kept]
        changed = await remove_objects(target, [(copy.target, copy.target_facts) for copy in copies])
        removal.removed += len(copies) - len(changed)
        meter.add(len(page))
    async for listings in list_all(target):
        for listing in listings:
            keys = [listing.key + entry.name for entry in listing.entries or () if not entry.name.endswith("/")]
            ours = await _find_copies(target, index, keys)
            for outcome in await target.objects.delete_many(target.bucket, with_sides(target, ours)):
                if isinstance(outcome, Exception):
                    raise outcome
            removal.removed += len(ours)
    await _remove_rest(target, removal)
    return removal


async def _find_copies(target: Side, index: SqliteIndex, keys: Sequence[str]) -> list[str]:
    """Which keys are those of a leaf, or of a version, whichever of their blobs it is."""
    leaves = await find_leaves(target, index, keys)
    parsed = [None if target.layout is None else parse_key(target.layout, key) for key in keys]
    kept = await index.find_kept([each[0] for each in parsed if each is not None])
    return [
        key
        for key, leaf, each in zip(keys, leaves, parsed, strict=True)
        if leaf is not None or (each is not None and each[0] in kept)
    ]


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
    """How many leaves and versions that were not changed since the switch have lost the bytes that were copied."""
    lost = 0
    async for page in journal.pages():
        owners = await find_owners(target, index, page, is_switched=True, takes_either=target.is_flat)
        wanted = [
            copy
            for copy, node in zip(page, owners, strict=True)
            if node is not None and (copy.kept or target.key(node, node.blob) == copy.target)
        ]
        lost += await _count_changed(target, wanted)
        meter.add(len(page))
    return lost


async def _count_changed(target: Side, copies: Sequence[Copy]) -> int:
    kept = [copy.target for copy in copies if copy.kept and target.kept is not None]
    objects = [copy.target for copy in copies if not copy.kept or target.kept is None]
    try:
        found = await target.objects.stat_entries(target.bucket, objects)
        others = await target.kept.find(kept) if target.kept is not None and kept else []
    except CellsError:
        return len(copies)
    is_gone = (not isinstance(entry, Entry) or entry.name.endswith("/") for entry in found)
    return sum(is_gone) + sum(node is None for node in others)
