"""What a migration would have to copy, and what stands in its way: found before anything is copied."""

import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.copying import PAGE, is_copy_of, list_leaves
from cellsmono.datasource.migration.journal import Journal
from cellsmono.datasource.migration.problems import Problems
from cellsmono.datasource.migration.progress import Meter
from cellsmono.datasource.migration.side import Side, find_leaves, list_all
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
    return problems


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


async def _without_copy(source: Side, target: Side, leaves: Sequence[Node], journal: Journal | None) -> list[Node]:
    if journal is None:
        return list(leaves)
    copies = await journal.find([leaf.uuid for leaf in leaves])
    return [
        leaf
        for leaf, copy in zip(leaves, copies, strict=True)
        if copy is None or not is_copy_of(source, target, leaf, copy)
    ]


async def _find_blobs(source: Side, leaves: Sequence[Node], problems: Problems) -> None:
    keys = [source.key(leaf, leaf.blob) for leaf in leaves]
    found = await source.objects.stat_entries(source.bucket, keys)
    for leaf, key, entry in zip(leaves, keys, found, strict=True):
        if not isinstance(entry, Entry) or entry.name.endswith("/"):
            problems.add(Obstacle.MISSING, leaf.path, f"its blob {key} is not there")
        elif entry.facts.size != leaf.size:
            problems.add(Obstacle.SIZE, leaf.path, f"its blob {key} has {entry.facts.size} bytes, not {leaf.size}")


async def _has_all_blobs(source: Side, index: SqliteIndex) -> bool:
    """Whether a listing of all blobs has every leaf's: a thousand of them cost what a look at one does."""
    found = 0
    async for listings in list_all(source):
        for listing in listings:
            entries = [entry for entry in listing.entries or () if not entry.name.endswith("/")]
            for start in range(0, len(entries), PAGE):
                part = entries[start : start + PAGE]
                keys = [listing.key + entry.name for entry in part]
                nodes = await find_leaves(source, index, keys)
                found += sum(
                    node is not None and source.key(node, node.blob) == key and entry.facts.size == node.size
                    for node, key, entry in zip(nodes, keys, part, strict=True)
                )
    return found == (await index.stats()).files


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


def check_room(problems: Problems, free: int | None, needed: int) -> None:
    """Note when so many bytes do not fit."""
    if free is not None and free < needed:
        problems.add(Obstacle.SPACE, "", f"{needed} bytes are to be copied, and {free} are free")


async def refuse_versions(state: MigrationState, index: SqliteIndex) -> None:
    """Raise Conflict (reason ``versions``) for a datasource whose versions would stay behind."""
    name, stats = state.source.name, await index.stats()
    if stats.versions:
        raise Conflict(
            f"{name!r} has {stats.versions} noncurrent versions and delete markers, and a migration carries none. "
            "Delete them first.",
            reason="versions",
            path=name,
        )
    if stats.versioning is not Versioning.OFF and state.target.format == Format.STRUCTURED:
        raise Conflict(
            f"{name!r} has versioning, which a structured datasource can not keep.", reason="versions", path=name
        )
