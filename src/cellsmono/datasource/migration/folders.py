"""Folders of a structured target: made with the UUIDs and times that they have in the index."""

from collections.abc import Sequence

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.planning import list_folders
from cellsmono.datasource.migration.side import Side, list_all
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.mass_copying import set_folder_time
from cellsmono.interfaces.node import Node
from cellsmono.kernel.errors import Unavailable

_PAGE = 500


async def make_folders(target: Side, index: SqliteIndex) -> None:
    """Make every folder, and write markers where the target has them. May be repeated, which changes nothing."""
    async for folders in list_folders(index):
        for start in range(0, len(folders), _PAGE):
            await _make(target, folders[start : start + _PAGE])


async def remove_outdated_folders(target: Side, index: SqliteIndex) -> None:
    """Remove empty folders of an earlier run that are in the index no longer."""
    outdated: list[str] = []
    async for listings in list_all(target):
        keys = [listing.key for listing in listings]
        known = await index.read_nodes(keys)
        outdated += [key for key, node in zip(keys, known, strict=True) if node is None]
    for key in sorted(outdated, key=lambda key: -key.count("/")):
        await target.objects.remove_folder(target.bucket, key)


async def _make(target: Side, folders: Sequence[Node]) -> None:
    for folder in folders:
        if folder.path:
            await target.objects.make_folder(target.bucket, folder.path)
    if not target.uses_markers:
        return
    written = await target.objects.write_markers(target.bucket, [(folder.path, folder.uuid) for folder in folders])
    for folder, times in zip(folders, written, strict=True):
        if times is None:
            raise Unavailable(
                f"The marker of {folder.path or '/'!r} can not be written at the target; check its permissions, then "
                "go on.",
                path=folder.path,
            )


async def set_folder_times(target: Side, index: SqliteIndex) -> None:
    """Give folders their times of modification, where they have any. Once nothing is put into them any more."""
    objects = target.objects
    if target.is_flat or not isinstance(objects, LocalStore):
        return
    bucket = objects.bucket(target.bucket)

    def set_times(folders: Sequence[Node]) -> None:
        for folder in folders:
            set_folder_time(bucket, folder.path, folder.mtime_ns)

    async for folders in list_folders(index):
        await objects.workers.run(set_times, folders)
