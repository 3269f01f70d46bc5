"""Loading: a snapshot becomes an index again, is checked, compared with the bytes that are there, and put in place.

All this happens in a file beside the index (``index.db.loading``) while the old one still serves; one rename then puts
it in place. Killed at any point, the one or the other is there, and the rest is removed at the next start.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

import msgspec

from cellsmono.datasource.index.sqlite import SqliteIndex, known_schema
from cellsmono.datasource.locking import carry_over
from cellsmono.datasource.objects.failures import explain
from cellsmono.datasource.snapshots.dump import DUMPING, Note, ignore_progress
from cellsmono.datasource.snapshots.format import SnapshotDecoder
from cellsmono.datasource.snapshots.leaves import Compared, Content, compare_leaves
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.snapshots import SnapshotHeader, SnapshotProgress
from cellsmono.kernel.clock import Clock, SystemClock
from cellsmono.kernel.errors import Conflict, Corrupt, Invalid, Unavailable
from cellsmono.store.backup import seal_database
from cellsmono.store.migrations import sync_folder

LOADING = ".loading"


class Expected(msgspec.Struct, frozen=True):
    """What a snapshot must fit. ``root`` is the UUID of the present root, empty when it is not known."""

    config: DatasourceConfig
    root: str = ""
    force_foreign: bool = False

    def check(self, header: SnapshotHeader, name: str) -> None:
        """Raise Conflict (reasons ``format``, ``foreign``) or Invalid (reason ``schema``) for one that does not fit.

        A snapshot is ours when it bears our name, or our root: so it is after a renaming, and after an index was lost.
        """
        config = self.config
        if header.schema > known_schema():
            raise Invalid(
                f"The snapshot {name!r} has schema {header.schema}, this program knows up to {known_schema()}: load it "
                "with the newer cellsmono that wrote it.",
                reason="schema",
            )
        if header.format != config.format:
            raise Conflict(
                f"The snapshot {name!r} is of the format {header.format}, and the datasource {config.name!r} is "
                f"{config.format}: its files lie elsewhere than the snapshot says.",
                reason="format",
            )
        if not self.force_foreign and header.datasource != config.name and header.root != self.root:
            raise Conflict(
                f"The snapshot {name!r} is of another datasource ({header.datasource!r}) than {config.name!r}. If that "
                "is meant, give --force-foreign.",
                reason="foreign",
            )


async def unpack_snapshot(
    pieces: AsyncGenerator[bytes, None],
    name: str,
    index_path: Path,
    check: Callable[[SnapshotHeader, str], None],
    note: Note = ignore_progress,
) -> tuple[SnapshotHeader, Path]:
    """Unpack a snapshot beside the index. Returns what it says about itself, and the file, which is whole and checked.

    Raises Corrupt, Invalid, QuotaExceeded and what ``check`` raises; then no file is left.
    """
    target = index_path.with_name(index_path.name + LOADING)
    remove_leftovers(index_path)
    try:
        return await _unpack(pieces, name, target, check, note), target
    except OSError as error:
        target.unlink(missing_ok=True)
        raise explain(error, str(target), writing=True) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


async def _unpack(
    pieces: AsyncGenerator[bytes, None],
    name: str,
    target: Path,
    check: Callable[[SnapshotHeader, str], None],
    note: Note,
) -> SnapshotHeader:
    decoder = SnapshotDecoder(name)
    is_checked = False
    file = await asyncio.to_thread(_create, target)
    try:
        async with aclosing(pieces) as source:
            async for data in source:
                await asyncio.to_thread(_unpack_piece, decoder, data, file)
                if decoder.header is not None and not is_checked:
                    check(decoder.header, name)
                    is_checked = True
                total = decoder.header.database_bytes if decoder.header else 0
                note(SnapshotProgress("unpacking", file.tell(), total))
        await asyncio.to_thread(file.flush)
        return decoder.finish()
    finally:
        file.close()


def _create(target: Path) -> BinaryIO:
    return open(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _unpack_piece(decoder: SnapshotDecoder, data: bytes, file: BinaryIO) -> None:
    for piece in decoder.decode(data):
        file.write(piece)


async def prepare_index(
    path: Path, name: str, datasource: str, content: Content, note: Note = ignore_progress
) -> Compared:
    """Make an unpacked index ready to take the place of another: migrate it, check it, compare it with the storage.

    Raises Corrupt for an index that contradicts itself, Unavailable when not one of its files is there.
    """
    note(SnapshotProgress("checking", unit="nodes"))
    try:
        index = await SqliteIndex.open(path, datasource=datasource, durability="relaxed")
    except Corrupt as error:
        raise Corrupt(f"The snapshot {name!r} holds no index that can be used.", reason="snapshot") from error
    try:
        violations = await index.verify()
        if violations:
            raise Corrupt(
                f"The snapshot {name!r} contradicts itself and is not loaded: {violations[0]} ({len(violations)} in "
                "all). Take an older one.",
                reason="snapshot",
            )
        compared = await compare_leaves(index, content, note)
        if compared.absent_total and not compared.found:
            raise Unavailable(
                f"Not one of the {compared.absent_total} files of the snapshot {name!r} is in the datasource "
                f"{datasource!r}. Is its disk mounted, are bucket and prefix the right ones? Nothing was changed.",
                reason="offline",
            )
        await index.restart_log(0)
    finally:
        await index.close()
    await asyncio.to_thread(seal_database, path)
    return compared


async def finish_index(
    path: Path,
    datasource: str,
    content: Content,
    compared: Compared,
    last_sequence: int,
    note: Note = ignore_progress,
    old: Path | None = None,
    clock: Clock | None = None,
) -> None:
    """Bring a prepared index to the present, once nobody changes the old one or its storage any more.

    Its events go on after the last number that subscribers may have seen. Where nobody compares afterwards, leaves
    whose bytes went meanwhile are left out, too; ``compared`` gets what is found. What ``old``, an index, has
    locked must be in the new one and stay locked. Raises Conflict (reason ``locked``).
    """
    index = await SqliteIndex.open(path, datasource=datasource, durability="relaxed")
    try:
        if content.prunes:
            compared.add(await compare_leaves(index, content, note))
        if old is not None:
            await _carry_locks(old, index, datasource, clock or SystemClock())
        await index.restart_log(last_sequence)
    finally:
        await index.close()
    await asyncio.to_thread(seal_database, path)


async def has_object_lock(path: Path, datasource: str) -> bool:
    """Whether object lock is on in an index that nobody has open. Raises Corrupt, Invalid."""
    index = await SqliteIndex.open(path, datasource=datasource, durability="relaxed")
    try:
        return index.object_lock is not None
    finally:
        await index.close()


def refuse_lost_locks(name: str) -> Conflict:
    """The error for a snapshot with object lock that is to take the place of an index that can not be read."""
    return Conflict(
        f"The snapshot {name!r} has object lock, and the present index can not be read: nobody can tell which versions "
        "were locked since. They would be missing, or not be locked. Put the index back from a backup, or load the "
        "newest snapshot that there is with --accept-lost-locks.",
        reason="locked",
        path=name,
    )


async def _carry_locks(path: Path, index: SqliteIndex, datasource: str, clock: Clock) -> None:
    old = await SqliteIndex.open(path, datasource=datasource, durability="relaxed")
    try:
        await carry_over(old, index, clock.time_ns())
    finally:
        await old.close()


def put_in_place(loading: Path, index_path: Path) -> None:
    """Let a prepared index take the place of one that nobody has open. All or nothing, durable when this returns."""
    if index_path.exists():
        seal_database(index_path)
    os.replace(loading, index_path)
    sync_folder(index_path.parent)
    remove_leftovers(index_path)


def keep_damaged(index_path: Path, kept: Path) -> None:
    """Keep an index that can not be opened under another name, its WAL with it, before another takes its place."""
    for suffix in ("", "-wal"):
        source = index_path.with_name(index_path.name + suffix)
        if source.exists():
            os.link(source, kept.with_name(kept.name + suffix))
    sync_folder(index_path.parent)
    for suffix in ("-wal", "-shm"):
        index_path.with_name(index_path.name + suffix).unlink(missing_ok=True)


def remove_leftovers(index_path: Path) -> None:
    """Remove what a dump or load that was cut short has left beside an index."""
    for suffix in (DUMPING, LOADING):
        for path in index_path.parent.glob(f"{index_path.name}{suffix}*"):
            path.unlink(missing_ok=True)
