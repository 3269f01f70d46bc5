"""Snapshots by the clock: when one is due, what retention removes, and what it leaves alone."""

import asyncio

import pytest

from cellsmono.app.snapshots import SnapshotService
from cellsmono.interfaces.snapshots import SnapshotOrigin
from cellsmono.kernel.errors import Invalid
from cellsmono.kernel.service import ServiceState

HOUR = 3600


async def names(core, origin=SnapshotOrigin.SCHEDULE):
    return [info.name for info in await core.installation.list_snapshots("docs") if info.header.origin is origin]


async def test_a_structured_datasource_has_no_schedule_of_its_own(site):
    async with site.open() as core:
        await site.seed(core)
        await core.installation.snapshots.dump_due()
        assert await core.installation.list_snapshots("docs") == []


async def test_one_is_taken_when_its_time_has_come_and_something_happened(site):
    async with site.open(snapshot_hours=24.0) as core:
        due = core.installation.snapshots.dump_due
        await site.seed(core)
        await due()
        assert len(await names(core)) == 1
        site.clock.advance(23 * HOUR)
        await site.put(core, "new")
        await due()
        assert len(await names(core)) == 1, "not yet"
        site.clock.advance(HOUR)
        await due()
        assert len(await names(core)) == 2
        site.clock.advance(200 * HOUR)
        await due()
        assert len(await names(core)) == 2, "nothing happened since"


async def test_a_restart_does_not_begin_anew(site):
    async with site.open(snapshot_hours=24.0) as core:
        await site.seed(core)
        await core.installation.snapshots.dump_due()
    site.clock.advance(HOUR)
    async with site.open(snapshot_hours=24.0) as core:
        await site.put(core, "new")
        await core.installation.snapshots.dump_due()
        assert len(await names(core)) == 1


async def test_a_clock_that_was_set_back_does_not_stop_it(site):
    async with site.open(snapshot_hours=24.0) as core:
        await site.seed(core)
        await core.installation.snapshots.dump_due()
        site.clock.jump(-1000 * HOUR)
        await site.put(core, "new")
        await core.installation.snapshots.dump_due()
        assert len(await names(core)) == 2


async def test_retention_removes_what_the_schedule_made_and_nothing_else(site):
    async with site.open(snapshot_hours=24.0, snapshot_keep_days=3.0) as core:
        await site.seed(core)
        await core.installation.dump_snapshot("docs", "scheduled-by-me.db")
        await core.installation.load_snapshot("docs", "scheduled-by-me.db")
        (site.snapshots / "scheduled-damaged.db").write_bytes(b"x")
        for day in range(10):
            await site.put(core, f"day-{day}")
            await core.installation.snapshots.dump_due()
            site.clock.advance(24 * HOUR)
        (site.snapshots / "scheduled-damaged.db").unlink()
        assert len(await names(core)) == 4
        assert await names(core, SnapshotOrigin.MANUAL) == ["scheduled-by-me.db"]
        assert len(await names(core, SnapshotOrigin.SAFETY)) == 1
        site.clock.advance(1000 * HOUR)
        await core.installation.snapshots.dump_due()
        assert len(await names(core)) == 1, "the newest stays however old it is"


async def test_a_failure_is_shown_and_forgotten_when_it_is_over(site):
    async with site.open(snapshot_hours=24.0) as core:
        service = SnapshotService(core.installation.snapshots, site.clock)
        await site.seed(core)
        site.folder.rename(site.root / "away")
        await core.installation.snapshots.dump_due()
        assert service.status().state is ServiceState.DEGRADED
        assert service.status().detail.startswith("docs: ")
        (site.root / "away").rename(site.folder)
        await core.installation.snapshots.dump_due()
        assert service.status().state is ServiceState.READY
        assert len(await names(core)) == 1


@pytest.mark.parametrize("hours", ["-2", "-0.5"])
async def test_a_period_that_makes_no_sense_is_refused(site, hours):
    with pytest.raises(Invalid, match="snapshot_hours"):
        async with site.open(snapshot_hours=float(hours)):
            pass


async def test_the_service_dumps_by_itself(site):
    async with site.open(snapshot_hours=24.0) as core:
        await site.seed(core)
        service = SnapshotService(core.installation.snapshots, site.clock)
        async with service.lifespan():
            await asyncio.sleep(0)  # the worker begins; leaving lets its step finish
        assert len(await names(core)) == 1
