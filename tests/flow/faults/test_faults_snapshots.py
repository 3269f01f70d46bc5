"""A disk that is full in any phase of a dump or load costs that dump or load, and nothing else."""

import os

import pytest

from cellsmono.kernel.errors import CellsError, QuotaExceeded

FILES = 3000


def fill(disk, leave):
    """Use up the disk but for so many bytes."""
    space = os.statvfs(disk)
    with open(disk / "filler", "wb") as filler:
        filler.write(bytes(max(0, space.f_bavail * space.f_frsize - leave)))


async def begin(app, bucket):
    """Many files, their index, and a snapshot of it."""
    for number in range(FILES):
        (app.folder / f"file-{number:05}").touch()
    await app.sync.resync()
    await app.core.installation.dump_snapshot(bucket, "good.db")


async def check_well(app, bucket):
    """What was there is there and can be loaded."""
    assert await app.keys() == [f"file-{number:05}" for number in range(FILES)]
    assert app.store.alarm.reason == ""
    assert app.temporaries() == []
    folder = app.core.datasources.index_path(bucket).parent
    assert not [path for path in folder.iterdir() if ".dumping" in path.name or ".loading" in path.name]
    (info,) = await app.core.installation.list_snapshots(bucket)
    assert (info.name, info.problem) == ("good.db", "")
    await app.put("after")


@pytest.mark.parametrize("leave", [0, 20_000])
async def test_no_room_where_snapshots_lie(open_app, mount_small, bucket, leave):
    disk = mount_small("24m")
    async with open_app(folder=disk / "docs", markers="none") as app:
        await begin(app, bucket)
        fill(disk, leave)
        for name in ("good.db", "more.db"):
            with pytest.raises(QuotaExceeded):
                await app.core.installation.dump_snapshot(bucket, name)
        with pytest.raises(QuotaExceeded):  # its safety dump finds no room
            await app.core.installation.load_snapshot(bucket, "good.db")
        os.unlink(disk / "filler")
        await check_well(app, bucket)


@pytest.mark.parametrize("leave", [0, 100_000, 900_000, 1_300_000])
async def test_no_room_beside_the_index(open_app, mount_small, bucket, leave):
    disk = mount_small("24m")
    # Nothing else is to write there between the look at the room and its use: no hashes in the background.
    async with open_app(data=disk / "data", markers="none", hash_content=False) as app:
        await begin(app, bucket)
        size = app.core.datasources.index_path(bucket).stat().st_size
        fill(disk, leave)
        if leave < size:
            with pytest.raises(QuotaExceeded):
                await app.core.installation.dump_snapshot(bucket, "more.db")
            with pytest.raises(CellsError):
                await app.core.installation.load_snapshot(bucket, "good.db")
        os.unlink(disk / "filler")
        await check_well(app, bucket)
