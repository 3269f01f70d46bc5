"""What goes wrong in the middle switches nothing, loses nothing, and can be gone on with or given up."""

import os

import pytest

from cellsmono.datasource.migration import copying
from cellsmono.datasource.objects import mass_copying
from cellsmono.interfaces.datasource import Format
from cellsmono.interfaces.migration import MigrationAction, MigrationPhase, Obstacle
from cellsmono.kernel.errors import Conflict, QuotaExceeded

FLAT, STRUCTURED = Format.FLAT, Format.STRUCTURED


@pytest.fixture(params=[(STRUCTURED, FLAT), (FLAT, STRUCTURED)], ids="-".join)
def formats(request):
    return request.param


async def test_a_copy_with_other_bytes_switches_nothing(make_site, formats, monkeypatch):
    site = make_site(formats[0])
    async with site.open() as app:
        await app.seed()
        before = await app.tree()
        write = mass_copying.write_all
        monkeypatch.setattr(mass_copying, "write_all", lambda to, data, at: write(to, bytes(len(data)), at))
        report = await app.migrate(format_=formats[1], target=site.target)
        assert {problem.obstacle for problem in report.problems} == {Obstacle.DIFFERS}
        assert report.phase is not MigrationPhase.SWITCHED
        assert app.store.config.format is formats[0]
        await app.check_well()
        monkeypatch.undo()
        assert (await app.migrate(format_=formats[1], target=site.target)).phase is MigrationPhase.SWITCHED
        assert await app.tree() == before


async def test_a_full_disk_stops_it_and_it_goes_on(make_site, formats, monkeypatch):
    site = make_site(formats[0])
    async with site.open() as app:
        await app.seed()
        before, write, written = await app.tree(), mass_copying.write_all, []

        def fill(to, data, at):
            written.append(at)
            if len(written) > 4:
                raise OSError(28, "No space left on device")
            write(to, data, at)

        monkeypatch.setattr(mass_copying, "write_all", fill)
        with pytest.raises(QuotaExceeded):
            await app.migrate(format_=formats[1], target=site.target)
        assert await app.tree() == before
        await app.check_well()
        monkeypatch.undo()
        again = {} if app.core.datasources.migration("docs").read() else {"format_": formats[1], "target": site.target}
        assert (await app.migrate(**again)).phase is MigrationPhase.SWITCHED
        assert await app.tree() == before


async def test_what_was_begun_can_be_given_up(make_site, formats, monkeypatch):
    site = make_site(formats[0])
    async with site.open() as app:
        await app.seed()
        before = await app.tree()

        async def fail(*args):
            raise QuotaExceeded("full", reason="disk_full")

        monkeypatch.setattr(app.core.installation.migrations, "_switch", fail)
        with pytest.raises(QuotaExceeded):
            await app.migrate(format_=formats[1], target=site.target)
        monkeypatch.undo()
        with pytest.raises(Conflict):
            await app.migrate(format_=formats[1], target=site.root / "elsewhere")
        report = await app.migrate(MigrationAction.ABORT)
        assert (report.removed, report.left) == (9, ())
        assert not site.target.exists()
        assert await app.tree() == before
        await app.check_well()


async def test_writes_between_two_runs_are_carried_over(make_site, formats, monkeypatch):
    site = make_site(formats[0])
    async with site.open() as app:
        await app.seed()

        async def fail(*args):
            raise QuotaExceeded("full", reason="disk_full")

        monkeypatch.setattr(app.core.installation.migrations, "_switch", fail)
        with pytest.raises(QuotaExceeded):
            await app.migrate(format_=formats[1], target=site.target)
        monkeypatch.undo()
        await app.put("replaced", b"newer still")
        await app.put("new/leaf", b"new")
        await app.store.delete_node("zero")
        await app.store.move_node("a/", "moved/")
        before = await app.tree()
        assert (await app.migrate()).problems == ()
        assert await app.tree() == before
        await app.check_well()


async def test_a_blob_that_is_missing_is_told_first(make_site):
    site = make_site(FLAT)
    async with site.open() as app:
        node = await app.put("gone", b"gone")
        os.unlink(site.source / app.store.blobs.key_of(node))
        for action in (MigrationAction.PLAN, MigrationAction.RUN):
            report = await app.migrate(action, STRUCTURED, site.target)
            assert [(p.obstacle, p.path) for p in report.problems] == [(Obstacle.MISSING, "gone")]
        assert app.store.config.format is FLAT


async def test_a_file_that_vanishes_meanwhile_is_no_longer_there(make_site, monkeypatch):
    site = make_site()
    async with site.open() as app:
        await app.seed()
        copy = copying.copy_files

        def remove_first(*args):
            (site.source / "zero").unlink(missing_ok=True)
            return copy(*args)

        monkeypatch.setattr(copying, "copy_files", remove_first)
        report = await app.migrate(format_=FLAT, target=site.target)
        assert (report.phase, report.files) == (MigrationPhase.SWITCHED, 8)
        assert await app.triple.index.verify() == []
        await app.check_well()
