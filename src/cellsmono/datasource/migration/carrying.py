"""The snapshots of a datasource go along with it: they are files on its storage that no tree shows."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress

import xxhash

from cellsmono.datasource.migration.side import Side
from cellsmono.interfaces.migration import CarriedSnapshot
from cellsmono.interfaces.snapshots import SnapshotPlace, StoredFile
from cellsmono.kernel.errors import Corrupt, NotFound

_MOST_TRIES = 1000


async def list_to_carry(source: Side, target: Side, carried: Sequence[CarriedSnapshot]) -> list[CarriedSnapshot]:
    """All snapshots of the source, each with the name that it gets at the target.

    ``carried`` are those of an earlier run, which keep theirs. What lies at the target otherwise is of a datasource
    that was there before, and is not replaced.
    """
    known = {each.name: each.kept_as for each in carried}
    taken = {file.name for file in await target.objects.snapshots(target.bucket).list_files()} - set(known.values())
    found = []
    for file in await source.objects.snapshots(source.bucket).list_files():
        name = known.get(file.name) or _find_name(file.name, taken)
        taken.add(name)
        found.append(CarriedSnapshot(file.name, name, file.size, file.mtime_ns))
    return found


def _find_name(name: str, taken: set[str]) -> str:
    stem, dot, end = name.rpartition(".")
    names = (f"{stem}-{number}{dot}{end}" if stem else f"{name}-{number}" for number in range(2, _MOST_TRIES))
    return name if name not in taken else next(each for each in names if each not in taken)


async def carry_snapshots(source: Side, target: Side, snapshots: Sequence[CarriedSnapshot]) -> None:
    """Copy these and compare each copy; what was copied before is copied again. Raises Corrupt, QuotaExceeded, ..."""
    here, there = source.objects.snapshots(source.bucket), target.objects.snapshots(target.bucket)
    for snapshot in snapshots:
        quick = xxhash.xxh3_128()
        await there.put(snapshot.kept_as, _pass_on(here.open(snapshot.name), quick))
        if await _hash(there, snapshot.kept_as) != quick.digest():
            await there.delete(snapshot.kept_as)
            raise Corrupt(
                f"The copy of the snapshot {snapshot.name!r} at {target.config.place} has other bytes; check the "
                "storage there, then go on.",
                path=snapshot.name,
            )


async def remove_carried(source: Side, snapshots: Sequence[CarriedSnapshot]) -> None:
    """Remove the snapshots that were carried away and are still the same."""
    place = source.objects.snapshots(source.bucket)
    there = {file.name: file for file in await place.list_files()}
    for snapshot in snapshots:
        if there.get(snapshot.name) == StoredFile(snapshot.name, snapshot.size, snapshot.mtime_ns):
            with suppress(NotFound):
                await place.delete(snapshot.name)


async def remove_copies(target: Side, snapshots: Sequence[CarriedSnapshot]) -> None:
    """Remove the copies of snapshots, of a migration that is given up."""
    place = target.objects.snapshots(target.bucket)
    for snapshot in snapshots:
        with suppress(NotFound):
            await place.delete(snapshot.kept_as)


async def _pass_on(pieces: AsyncGenerator[bytes, None], quick: "xxhash.xxh3_128") -> AsyncIterator[bytes]:
    async with aclosing(pieces):
        async for data in pieces:
            await asyncio.to_thread(quick.update, data)
            yield data


async def _hash(place: SnapshotPlace, name: str) -> bytes:
    quick = xxhash.xxh3_128()
    async for _ in _pass_on(place.open(name), quick):
        pass
    return quick.digest()
