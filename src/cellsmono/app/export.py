"""Exporting without a server: where the snapshot and the blobs are, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from cellsmono.app.snapshots import read_file
from cellsmono.datasource.flat.layout import key_of_leaf, read_record
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.snapshots.catalog import list_snapshots
from cellsmono.datasource.snapshots.export import Blobs, export_snapshot
from cellsmono.interfaces.snapshots import ExportReport, SnapshotPlace, SnapshotProgress
from cellsmono.kernel.errors import Invalid, NotFound

Note = Callable[[SnapshotProgress], None]


async def export_datasource(name: str, folder: Path, basename: str, target: Path, note: Note) -> ExportReport:
    """Export from a snapshot that lies with a datasource's folder; an empty basename takes the newest that is whole.

    Raises NotFound, Invalid for a folder that is no flat store, and what ``export_snapshot`` raises.
    """
    async with _opened(name, folder) as objects:
        blobs, place = await _find_blobs(objects, name), objects.snapshots(name)
        chosen = basename or await _find_newest(place, name)
        return await export_snapshot(place.open(chosen), chosen, blobs, target, note)


async def export_file(snapshot: Path, folder: Path, target: Path, note: Note) -> ExportReport:
    """Export from a snapshot that is a file, and a folder of blobs. Raises as ``export_datasource``."""
    async with _opened("export", folder) as objects:
        blobs = await _find_blobs(objects, "export")
        return await export_snapshot(read_file(snapshot), str(snapshot), blobs, target, note)


@asynccontextmanager
async def _opened(name: str, folder: Path) -> AsyncIterator[LocalStore]:
    folder = await asyncio.to_thread(folder.resolve)
    objects = LocalStore("export", folder.parent)
    try:
        objects.add_bucket(name, folder.name)
        yield objects
    finally:
        await objects.close()


async def _find_blobs(objects: LocalStore, name: str) -> Blobs:
    record = await read_record(objects, name)
    if record is None:
        raise Invalid(
            f"{objects.root(name)} is no flat store (it holds no cellsmono-flat.json). Files of structured datasources "
            "are plain files in their folders already.",
            reason="format",
        )
    return Blobs(objects, name, partial(key_of_leaf, record.layout))


async def _find_newest(place: SnapshotPlace, name: str) -> str:
    found = {info.name: info.header.created for info in await list_snapshots(place) if info.header is not None}
    if not found:
        raise NotFound(
            f"There is no snapshot of {name!r} that can be used; give a file: --snapshot FILE --blobs FOLDER"
        )
    return max(found, key=lambda basename: found[basename])
