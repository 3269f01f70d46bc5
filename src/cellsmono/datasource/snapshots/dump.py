"""Dumping: one consistent copy of the index while it is in use, packed while it goes to its place."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.snapshots.format import VERSION, SnapshotEncoder
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.snapshots import (
    SnapshotHeader,
    SnapshotInfo,
    SnapshotOrigin,
    SnapshotPlace,
    SnapshotProgress,
    check_basename,
)
from cellsmono.kernel.clock import Clock

PIECE = 1024 * 1024
DUMPING = ".dumping"
"""What is added to the name of the index for the copy that is being packed."""

Note = Callable[[SnapshotProgress], None]


def ignore_progress(progress: SnapshotProgress) -> None:
    """A ``Note`` for nobody."""


async def dump_index(
    index: SqliteIndex,
    index_path: Path,
    place: SnapshotPlace,
    name: str,
    config: DatasourceConfig,
    *,
    origin: SnapshotOrigin,
    clock: Clock,
    note: Note = ignore_progress,
) -> SnapshotInfo:
    """Dump the index of this moment under a basename; durable when this returns.

    Needs room for one copy of the database beside it, for as long as it takes. Raises Corrupt for an index that is
    damaged (the snapshot of before stays), Invalid for a name that is none, QuotaExceeded, Unavailable.
    """
    check_basename(name)
    loop = asyncio.get_running_loop()
    scratch = index_path.with_name(index_path.name + DUMPING)

    def report(done: int, total: int) -> None:
        loop.call_soon_threadsafe(note, SnapshotProgress("copying", done, total))

    try:
        created = clock.time()
        summary = await index.back_up(scratch, report)
        header = SnapshotHeader(
            version=VERSION,
            schema=summary.schema,
            datasource=config.name,
            format=config.format,
            root=summary.root,
            folders=summary.usage.folders,
            files=summary.usage.files,
            bytes=summary.usage.bytes,
            sequence=summary.last_sequence,
            created=created,
            origin=origin,
            database_bytes=os.stat(scratch).st_size,
        )
        async with aclosing(_pack(scratch, header, note)) as packed:
            size = await place.put(name, packed)
    finally:
        scratch.unlink(missing_ok=True)
    return SnapshotInfo(name, size, header)


async def _pack(scratch: Path, header: SnapshotHeader, note: Note) -> AsyncGenerator[bytes, None]:
    encoder = SnapshotEncoder(header)
    file = await asyncio.to_thread(scratch.open, "rb")
    try:
        done = 0
        while True:
            count, packed = await asyncio.to_thread(_pack_piece, file, encoder)
            if packed:
                yield packed
            if not count:
                return
            done += count
            note(SnapshotProgress("packing", done, header.database_bytes))
    finally:
        file.close()


def _pack_piece(file: BinaryIO, encoder: SnapshotEncoder) -> tuple[int, bytes]:
    data = file.read(PIECE)
    return len(data), encoder.encode(data) if data else encoder.finish()
