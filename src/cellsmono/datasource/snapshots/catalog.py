"""The snapshots that there are: reading, checking, and choosing among them."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

from cellsmono.datasource.snapshots.format import SnapshotDecoder
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.interfaces.snapshots import SnapshotHeader, SnapshotInfo, SnapshotOrigin, SnapshotPlace
from cellsmono.kernel.errors import CellsError

DAY = 86_400.0
HOUR = 3_600.0
BY_FORMAT = -1.0
"""The value of ``snapshot_hours`` that leaves the choice to the format."""

_HOURS = {Format.STRUCTURED: 0.0}
_OTHER_HOURS = 24.0
"""Where the index alone knows the tree, it is saved every day unless somebody says otherwise."""


async def check_snapshot(pieces: AsyncGenerator[bytes, None], name: str) -> SnapshotHeader:
    """Read a whole snapshot and check it. Raises Corrupt, Invalid for a newer format."""
    decoder = SnapshotDecoder(name, unpack=False)
    async with aclosing(pieces):
        async for data in pieces:
            await asyncio.to_thread(decoder.decode, data)
    return decoder.finish()


async def read_header(place: SnapshotPlace, name: str) -> SnapshotHeader | None:
    """What a snapshot says about itself, without checking the rest; None when even that can not be read."""
    decoder = SnapshotDecoder(name, unpack=False)
    try:
        async with aclosing(place.open(name)) as pieces:
            async for data in pieces:
                decoder.decode(data)
                if decoder.header is not None:
                    break
    except CellsError:
        return None
    return decoder.header


async def list_snapshots(place: SnapshotPlace) -> list[SnapshotInfo]:
    """All snapshots by name, each one read and checked as a whole."""
    found = []
    for file in await place.list_files():
        try:
            header = await check_snapshot(place.open(file.name), file.name)
        except CellsError as error:
            found.append(SnapshotInfo(file.name, file.size, problem=error.message))
        else:
            found.append(SnapshotInfo(file.name, file.size, header))
    return found


async def list_scheduled(place: SnapshotPlace) -> dict[str, SnapshotHeader]:
    """Those that the schedule made, by name. They are not checked."""
    names = [file.name for file in await place.list_files()]
    headers = {name: await read_header(place, name) for name in names}
    return {name: each for name, each in headers.items() if each and each.origin is SnapshotOrigin.SCHEDULE}


def hours_between(config: DatasourceConfig) -> float:
    """How often a datasource is dumped by the schedule, in hours; 0: never, as where nothing may be written."""
    if config.read_only:
        return 0.0
    if config.snapshot_hours != BY_FORMAT:
        return config.snapshot_hours
    return _HOURS.get(config.format, _OTHER_HOURS)


def is_due(scheduled: Iterable[SnapshotHeader], now: float, hours: float, sequence: int) -> bool:
    """Whether the schedule has to dump: the last one is old enough, and something has happened since.

    A clock that was set back does not hold it up: what lies in the future counts as old.
    """
    newest = max(scheduled, key=lambda header: header.created, default=None)
    if newest is None:
        return True
    return newest.sequence != sequence and not 0 <= now - newest.created < hours * HOUR


def choose_expired(scheduled: dict[str, SnapshotHeader], now: float, keep_days: float) -> list[str]:
    """Names that retention removes: older than that, but never the newest one."""
    ordered = sorted(scheduled, key=lambda name: scheduled[name].created)
    return [name for name in ordered[:-1] if now - scheduled[name].created > keep_days * DAY]
