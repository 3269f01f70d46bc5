"""Snapshots are where their datasource is: they go along, and what is in the old place goes with --finish alone."""

import pytest

from cellsmono.interfaces.datasource import Format
from cellsmono.interfaces.migration import MigrationAction, MigrationPhase
from cellsmono.interfaces.node import NodeMeta
from cellsmono.kernel.errors import Conflict, Corrupt, NotFound, QuotaExceeded

FLAT, STRUCTURED = Format.FLAT, Format.STRUCTURED


async def names(app):
    found = await app.operations.list_snapshots("docs")
    assert all(not each.problem for each in found)
    return [each.name for each in found]


def old_place(site):
    """Where the snapshots of the source lie."""
    folder = site.root / ".cellsmono" / "source" / "snapshots"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture(params=["folder to folder", "folder to bucket", "bucket to folder"])
def way(request, make_site, far_bucket):
    """Makes a site of a format, and what to ask a migration for that keeps it."""

    def make(format_):
        if request.param == "bucket to folder":
            site = make_site(format_, **far_bucket, prefix="base")
            return site, {"format_": format_, "target": site.target}
        site = make_site(format_)
        if request.param == "folder to folder":
            return site, {"format_": format_, "target": site.target}
        site.far = True
        values = {name: value for name, value in far_bucket.items() if name != "bucket"}
        return site, {"format_": format_, "target": f"s3://{far_bucket['bucket']}/base", **values}

    return make


@pytest.mark.parametrize("format_", [FLAT, STRUCTURED])
async def test_they_can_be_loaded_in_the_new_place(way, format_):
    site, wanted = way(format_)
    async with site.open() as app:
        node = await app.put("a/file", b"data", user={"v": "old"})
        await app.operations.dump_snapshot("docs", "good.db")
        await app.operations.dump_snapshot("docs", "second.db")
        await app.store.update_meta("a/file", lambda meta: NodeMeta(user={"v": "new"}))
        assert (await app.migrate(MigrationAction.PLAN, **wanted)).snapshots == 2
        assert (await app.migrate(**wanted)).snapshots == 2
        assert await names(app) == ["good.db", "second.db"]
        await app.migrate(MigrationAction.FINISH)
        assert await names(app) == ["good.db", "second.db"]
        assert old_place(site) == []
        report = await app.operations.load_snapshot("docs", "good.db")
        assert (report.absent_total, report.differences is None) == (0, format_ is FLAT)
        found = await app.triple.index.read_node("a/file")
        assert (found.uuid, found.meta.user) == (node.uuid, {"v": "old"})
        assert await app.read("a/file") == b"data"


async def test_one_of_another_format_is_kept_and_not_loaded(make_site):
    site = make_site(FLAT)
    async with site.open() as app:
        await app.put("k")
        await app.operations.dump_snapshot("docs", "good.db")
        await app.migrate(format_=STRUCTURED, target=site.target)
        assert await names(app) == ["good.db"]
        with pytest.raises(Conflict) as caught:
            await app.operations.load_snapshot("docs", "good.db")
        assert caught.value.reason == "format"


async def test_the_old_ones_stay_until_it_is_finished(make_site):
    site = make_site(FLAT)
    async with site.open() as app:
        await app.put("k")
        await app.operations.dump_snapshot("docs", "good.db")
        await app.migrate(format_=FLAT, target=site.target)
        await app.operations.delete_snapshot("docs", "good.db")
        assert old_place(site) == ["good.db"]
        (site.root / ".cellsmono" / "source" / "snapshots" / "mine.db").write_text("somebody's")
        await app.migrate(MigrationAction.FINISH)
        assert old_place(site) == ["mine.db"]


async def test_those_of_an_earlier_datasource_there_are_not_replaced(make_site):
    site = make_site(FLAT)
    earlier = site.root / ".cellsmono" / "target" / "snapshots"
    earlier.mkdir(parents=True)
    (earlier / "good.db").write_text("of another one")
    async with site.open() as app:
        await app.put("k")
        await app.operations.dump_snapshot("docs", "good.db")
        await app.migrate(format_=FLAT, target=site.target)
        assert (earlier / "good.db").read_text() == "of another one"
        found = {each.name: each.problem for each in await app.operations.list_snapshots("docs")}
        assert (list(found), found["good-2.db"]) == (["good-2.db", "good.db"], "")


async def test_a_migration_that_is_given_up_takes_its_copies_back(make_site, monkeypatch):
    site = make_site(FLAT)
    async with site.open() as app:
        await app.put("k")
        await app.operations.dump_snapshot("docs", "good.db")

        async def fail(*args):
            raise QuotaExceeded("full", reason="disk_full")

        monkeypatch.setattr(app.core.datasources, "switch", fail)
        with pytest.raises(QuotaExceeded):
            await app.migrate(format_=FLAT, target=site.target)
        there = site.root / ".cellsmono" / "target" / "snapshots"
        assert [path.name for path in there.iterdir()] == ["good.db"]
        monkeypatch.undo()
        await app.migrate(MigrationAction.ABORT)
        assert not there.exists()
        assert not site.target.exists()
        assert await names(app) == ["good.db"]


async def test_a_copy_with_other_bytes_switches_nothing(make_site, monkeypatch):
    site = make_site(FLAT)
    async with site.open() as app:
        await app.put("k")
        await app.operations.dump_snapshot("docs", "good.db")
        place = type(app.triple.objects.snapshots("docs"))
        put = place.put

        async def spoil(self, name, body):
            async def other():
                async for data in body:
                    yield bytes(len(data))

            return await put(self, name, other())

        monkeypatch.setattr(place, "put", spoil)
        with pytest.raises(Corrupt):
            await app.migrate(format_=FLAT, target=site.target)
        assert app.store.config.folder == str(site.source)
        monkeypatch.undo()
        assert (await app.migrate()).phase is MigrationPhase.SWITCHED
        assert await names(app) == ["good.db"]


async def test_move_takes_them_away(make_site):
    site = make_site(FLAT)
    async with site.open() as app:
        await app.put("k")
        await app.operations.dump_snapshot("docs", "good.db")
        await app.migrate(format_=FLAT, target=site.target, move=True)
        assert (await names(app), old_place(site)) == (["good.db"], [])
        with pytest.raises(NotFound):
            await app.operations.delete_snapshot("docs", "other.db")
