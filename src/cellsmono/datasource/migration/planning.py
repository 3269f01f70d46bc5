"""What a migration would have to copy, and what stands in its way: found before anything is copied."""

import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from cellsmono.datasource.flat.layout import Layout, parse_key
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.contents import (
    PAGE,
    carries_versions,
    describe_content,
    describe_missing,
    is_copy_of,
    keys_of,
    list_leaves,
    list_noncurrent,
    uses_keeper,
)
from cellsmono.datasource.migration.journal import Journal
from cellsmono.datasource.migration.problems import Problems
from cellsmono.datasource.migration.progress import Meter
from cellsmono.datasource.migration.side import Side, list_all
from cellsmono.datasource.versions.keeper import Keeper
from cellsmono.datasource.versions.kept import Kept
from cellsmono.interfaces.datasource import Format, Storage
from cellsmono.interfaces.migration import MigrationState, Obstacle
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.objects import Entry
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.errors import CellsError, Conflict


async def find_problems(
    source: Side, target: Side, index: SqliteIndex, journal: Journal | None, meter: Meter
) -> Problems:
    """Look at every folder and leaf without touching its content. ``journal`` knows what was copied before."""
    problems = Problems()
    if not target.is_flat:
        async for folders in list_folders(index):
            await _judge_folders(target, index, folders, problems)
    looks = source.is_flat and not (source.config.storage is Storage.S3 and await _has_all_blobs(source, index))
    async for leaves in list_leaves(index):
        if not target.is_flat:
            for leaf in leaves:
                _check_key(target, leaf.path, problems)
        if looks:
            await _find_blobs(source, await _without_copy(source, target, leaves, journal), problems)
        meter.add(len(leaves))
    if carries_versions(source, target):
        await _judge_versions(source, target, index, journal, problems, looks=looks)
    return problems


async def _judge_versions(
    source: Side, target: Side, index: SqliteIndex, journal: Journal | None, problems: Problems, *, looks: bool
) -> None:
    kept = uses_keeper(source, target)
    async for versions in list_noncurrent(index):
        if not target.is_flat:
            for path in {version.path for version in versions}:
                _check_key(target, path, problems)
        if source.kept is not None:
            missing = await _without_copy(source, target, versions, journal, kept=kept)
            await _find_kept(source, source.kept, missing, problems)
        elif looks:
            await _find_blobs(source, await _without_copy(source, target, versions, journal, kept=kept), problems)


async def _find_kept(source: Side, kept: Kept, versions: Sequence[Node], problems: Problems) -> None:
    keys = [kept.key(version.uuid, version.blob) for version in versions]
    for version, key, found in zip(versions, keys, await kept.find(keys) if keys else (), strict=True):
        if found is None:
            problems.add(Obstacle.MISSING, version.path, describe_missing(source, key))
        elif found.size != version.size:
            problems.add(
                Obstacle.SIZE,
                version.path,
                f"{describe_content(source, key)} has {found.size} bytes, not {version.size}",
            )


async def list_folders(index: SqliteIndex) -> AsyncGenerator[list[Node], None]:
    """All folders in pages, the root first; the others in no order that means anything."""
    after = ""
    while True:
        states = await index.list_folder_states(after=after)
        nodes = await index.read_nodes([state.path for state in states])
        yield [node for node in nodes if node is not None]
        if not states or not (after := states[-1].path):
            return


async def _judge_folders(target: Side, index: SqliteIndex, folders: Sequence[Node], problems: Problems) -> None:
    inner = [folder for folder in folders if folder.path]
    for folder in inner:
        _check_key(target, folder.path, problems)
    beside = await index.read_nodes([folder.path[:-1] for folder in inner])
    for folder, leaf in zip(inner, beside, strict=True):
        if leaf is not None and not leaf.is_folder:
            problems.add(Obstacle.BESIDE, leaf.path, f"there is a folder {folder.path!r}, too")


def _check_key(target: Side, path: str, problems: Problems) -> None:
    try:
        target.objects.check_key(target.bucket, path)
    except CellsError as error:
        problems.add(Obstacle.KEY, path, error.message)


async def _without_copy(
    source: Side, target: Side, nodes: Sequence[Node], journal: Journal | None, *, kept: bool = False
) -> list[Node]:
    if journal is None:
        return list(nodes)
    copies = await journal.find([(node.uuid, keys_of(source, target, node, kept=kept)[0]) for node in nodes])
    return [
        node
        for node, copy in zip(nodes, copies, strict=True)
        if copy is None or copy.kept is not kept or not is_copy_of(source, target, node, copy)
    ]


async def _find_blobs(source: Side, leaves: Sequence[Node], problems: Problems) -> None:
    keys = [source.key(leaf, leaf.blob) for leaf in leaves]
    found = await source.objects.stat_entries(source.bucket, keys)
    for leaf, key, entry in zip(leaves, keys, found, strict=True):
        if not isinstance(entry, Entry) or entry.name.endswith("/"):
            problems.add(Obstacle.MISSING, leaf.path, describe_missing(source, key))
        elif entry.facts.size != leaf.size:
            detail = f"{describe_content(source, key)} has {entry.facts.size} bytes, not {leaf.size}"
            problems.add(Obstacle.SIZE, leaf.path, detail)


async def _has_all_blobs(source: Side, index: SqliteIndex) -> bool:
    """Whether a listing of all blobs has every leaf's and version's: a thousand cost what a look at one does."""
    found = 0
    async for listings in list_all(source):
        for listing in listings:
            entries = [entry for entry in listing.entries or () if not entry.name.endswith("/")]
            for start in range(0, len(entries), PAGE):
                part = entries[start : start + PAGE]
                named = [parse_key(source.layout or Layout.PLAIN, listing.key + entry.name) for entry in part]
                owners = await index.find_blobs([each or ("", 0) for each in named])
                found += sum(
                    owner is not None and entry.facts.size == owner.size
                    for owner, entry in zip(owners, part, strict=True)
                )
    return found == (await index.stats()).files + await index.count_contents()


async def find_room(target: Side) -> int | None:
    """Free bytes at the target, None where nobody can tell."""
    if not await target.objects.has_bucket(target.bucket):
        return _room_above(Path(target.config.folder))
    free, total = await target.objects.used_space(target.bucket)
    return free if total else None


def _room_above(folder: Path) -> int | None:
    """Free bytes where a folder that is missing would be made."""
    there = next((each for each in folder.parents if each.is_dir()), None)
    if there is None:
        return None
    space = os.statvfs(there)
    return space.f_bavail * space.f_frsize


async def count_needed(target: Side, index: SqliteIndex, journal: Journal | None) -> int:
    """How many bytes are still to be copied to the target; versions of a structured one are kept elsewhere."""
    stats = await index.stats()
    done = 0 if journal is None else (await journal.total(with_kept=target.is_flat))[1]
    return stats.bytes + (stats.version_bytes if target.is_flat else 0) - done


def check_room(problems: Problems, free: int | None, needed: int) -> None:
    """Note when so many bytes do not fit."""
    if free is not None and free < needed:
        problems.add(Obstacle.SPACE, "", f"{needed} bytes are to be copied, and {free} are free")


async def refuse_versions(state: MigrationState, index: SqliteIndex, keeper: Keeper) -> None:
    """Raise Conflict for a datasource whose versions or locks the target could not keep.

    Reasons: ``object_lock``; ``versioning`` when the internal datasource ``versions`` is needed and is not there.
    """
    name, stats = state.source.name, await index.stats()
    becomes_structured = state.target.format is Format.STRUCTURED
    if becomes_structured and stats.object_lock is not None:
        raise Conflict(
            f"{name!r} has object lock, and a structured datasource can not lock: whoever has the folder changes its "
            "files. Migrate it to another flat place (--to flat).",
            reason="object_lock",
            path=name,
        )
    if becomes_structured is not (state.source.format is Format.STRUCTURED) and (
        stats.versions or (becomes_structured and stats.versioning is not Versioning.OFF)
    ):
        keeper.check()
