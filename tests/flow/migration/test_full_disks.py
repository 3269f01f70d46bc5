"""A disk that is full in any phase: a clear error, the datasource as it was, and the same command goes on later."""

import os
import subprocess

import pytest

from cellsmono.interfaces.datasource import Format
from cellsmono.interfaces.migration import MigrationAction, MigrationPhase, Obstacle
from cellsmono.kernel.errors import QuotaExceeded, Unavailable

FLAT, STRUCTURED = Format.FLAT, Format.STRUCTURED
KIB = 1024


@pytest.fixture
def mount(tmp_path):
    """``mount(folder, size)``: that folder is a disk of its own from now on."""
    mounted = []

    def make(folder, size):
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"a tmpfs can not be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in reversed(mounted):
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def fill(folder, leave=0):
    space = os.statvfs(folder)
    with open(folder / "filler", "wb") as filler:
        filler.write(bytes(max(0, space.f_bavail * space.f_frsize - leave)))


@pytest.fixture(params=[(STRUCTURED, FLAT), (FLAT, STRUCTURED)], ids="-".join)
def formats(request):
    return request.param


async def goes_on(app, before, wanted):
    """The datasource is as it was; once there is room the migration comes to its end."""
    assert await app.tree() == before
    await app.check_well()
    state = app.core.datasources.migration("docs").read()
    report = await app.migrate(**({} if state else wanted))
    assert (report.phase, report.problems) == (MigrationPhase.SWITCHED, ())
    assert await app.tree() == before
    assert (await app.migrate(MigrationAction.FINISH)).left == ()
    await app.check_well()


async def test_what_does_not_fit_is_told_first(make_site, mount, formats):
    site = make_site(formats[0])
    target = mount(site.root / "small", "2m") / "target"
    async with site.open() as app:
        await app.seed()
        before = await app.tree()
        wanted = {"format_": formats[1], "target": target}
        for action in (MigrationAction.PLAN, MigrationAction.RUN):
            report = await app.migrate(action, **wanted)
            assert [problem.obstacle for problem in report.problems] == [Obstacle.SPACE]
            assert (report.phase, report.done_files) == (None, 0), "nothing was begun"
        assert report.free <= 2 * KIB * KIB
        subprocess.run(["mount", "-o", "remount,size=20m", str(target.parent)], check=True)
        await goes_on(app, before, wanted)


async def test_the_target_is_full_while_it_is_copied(make_site, mount, formats):
    """Somebody else takes the room that there was at first."""
    site = make_site(formats[0])
    target = mount(site.root / "small", 8_000_000) / "target"
    async with site.open() as app:
        await app.seed()
        before = await app.tree()
        wanted = {"format_": formats[1], "target": target}

        def take_room(progress):
            if progress.phase == "copying" and not (target.parent / "filler").exists():
                fill(target.parent, leave=200 * KIB)

        with pytest.raises(QuotaExceeded) as caught:
            await app.migrate(**wanted, progress=take_room)
        assert "full" in caught.value.message
        (target.parent / "filler").unlink()
        await goes_on(app, before, wanted)


@pytest.mark.parametrize("phase", ["looking", "copying", "checking"])
async def test_the_disk_of_the_index_is_full(make_site, mount, formats, phase):
    """The journal, the new index and the switch are written there."""
    site = make_site(formats[0])
    mount(site.data, 30_000_000)
    async with site.open() as app:
        await app.seed()
        before = await app.tree()
        wanted = {"format_": formats[1], "target": site.target}

        def take_room(progress):
            if progress.phase == phase and not (site.data / "filler").exists():
                fill(site.data)

        with pytest.raises((QuotaExceeded, Unavailable)) as caught:
            await app.migrate(**wanted, progress=take_room)
        assert "full" in caught.value.message.lower(), caught.value
        (site.data / "filler").unlink()
    async with site.open() as app:
        await goes_on(app, before, wanted)
