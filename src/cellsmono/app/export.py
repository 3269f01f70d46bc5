"""Exporting without a server: where the snapshot and the blobs are, and nothing else."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path

import msgspec

from cellsmono.app.config_sources import LoadedConfig
from cellsmono.app.settings import FILE_NAME, Settings
from cellsmono.app.snapshots import read_file
from cellsmono.data.keys.vault import BundleVault
from cellsmono.datasource.flat.layout import key_of_leaf, read_record
from cellsmono.datasource.hosting import Objects, open_alone
from cellsmono.datasource.sealing.store import SealedStore
from cellsmono.datasource.snapshots.catalog import list_snapshots
from cellsmono.datasource.snapshots.export import Blobs, export_snapshot
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.encryption import KeyBundle
from cellsmono.interfaces.sealing import KeyVault
from cellsmono.interfaces.snapshots import ExportReport, SnapshotPlace, SnapshotProgress
from cellsmono.kernel.clock import SystemClock
from cellsmono.kernel.errors import Invalid, NotFound

NO_KEYS = BundleVault(KeyBundle([], []), "an export of keys (`ds export --keys FILE`)")
"""For blobs that are not sealed."""
Note = Callable[[SnapshotProgress], None]


async def export_datasource(
    config: DatasourceConfig,
    snapshot: str,
    target: Path,
    note: Note,
    keys: KeyVault = NO_KEYS,
    *,
    versions: bool = False,
) -> ExportReport:
    """Export the blobs that lie where a configuration says, with the keys of those that are sealed; nothing is changed.

    ``snapshot`` is the path of a file (with a ``/`` in it), or the basename of one that lies with the blobs; empty
    takes the newest of those that is whole. ``versions``: noncurrent ones are written, too. Raises NotFound,
    Unavailable, Invalid for a place that is no flat store and for a target inside it, and what
    ``Sealing.open_keys`` and ``export_snapshot`` raise.
    """
    if config.folder:
        await asyncio.to_thread(_refuse_inside, target, Path(config.folder))
    async with open_alone("export", msgspec.structs.replace(config, read_only=True)) as objects:
        blobs = await _find_blobs(objects, config, keys)
        pieces, name = await _find_snapshot(objects.snapshots(config.name), snapshot, config)
        return await export_snapshot(pieces, name, blobs, target, note, versions=versions)


def _refuse_inside(target: Path, folder: Path) -> None:
    """Plain files among the blobs would be nobody's there. Links are followed, so that no other way leads in."""
    if target.resolve().is_relative_to(folder.resolve()):
        raise Invalid(f"{target} lies inside {folder}, where the blobs are; export into a folder elsewhere.")


async def find_stored(loaded: LoadedConfig, name: str) -> DatasourceConfig:
    """A datasource that was added at run time, with its secret. For whoever holds the lock of the data folder.

    Raises NotFound.
    """
    if (loaded.data_dir / FILE_NAME).exists():
        settings = await Settings.open(loaded.data_dir, SystemClock())
        try:
            for config in settings.list_datasources():
                if config.name == name:
                    return config
        finally:
            await settings.close()
    raise NotFound(
        f"There is no datasource {name!r} in {loaded.data_dir}. Without its configuration, say where its blobs are: "
        "--blobs FOLDER, or --blobs s3://BUCKET/PREFIX.",
        path=name,
    )


async def _find_blobs(objects: Objects, config: DatasourceConfig, keys: KeyVault) -> Blobs:
    record = await read_record(objects, config.name)
    if record is None:
        raise Invalid(
            f"{config.place} is no flat store (it holds no cellsmono-flat.json). Files of structured datasources bear "
            "their own names already.",
            reason="format",
        )
    sealed = SealedStore(objects, config.name, keys, is_kept=False)
    await sealed.open_keys(config.name, record.id, make=False)
    return Blobs(sealed, config.name, partial(key_of_leaf, record.layout))


async def _find_snapshot(
    place: SnapshotPlace, snapshot: str, config: DatasourceConfig
) -> tuple[AsyncGenerator[bytes, None], str]:
    """The bytes of a snapshot, and its name."""
    if "/" in snapshot:
        return read_file(Path(snapshot)), snapshot
    name = snapshot or await _find_newest(place, config)
    return place.open(name), name


async def _find_newest(place: SnapshotPlace, config: DatasourceConfig) -> str:
    found = {info.name: info.header.created for info in await list_snapshots(place) if info.header is not None}
    if not found:
        raise NotFound(f"With {config.place} lies no snapshot that can be used; give a file: --snapshot FILE")
    return max(found, key=lambda basename: found[basename])
