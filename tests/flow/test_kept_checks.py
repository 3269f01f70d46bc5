"""Content of versions that nobody names is found and removed; what a version names, or is about to, never is."""

import asyncio
import shutil
import time

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import DatasourceConfig, Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.migration import MigrationAction, MigrationOptions
from cellsmono.interfaces.operations import BlobProblem
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import Unavailable

HOUR = 3600.0


class Site:
    """Two structured datasources, one for versions, and a clock that is set: what is made is long ago by it."""

    def __init__(self, root) -> None:
        self.root = root
        for name in ("docs", "other", "kept", "data"):
            (root / name).mkdir()
        self.clock = ManualClock(time.time() + 10 * HOUR)

    def open(self):
        environ = {"CELLSMONO_DATA_DIR": str(self.root / "data"), "HOME": str(self.root)}
        return open_core(load_config(environ=environ), follow=False, clock=self.clock)

    async def add(self, core, name, folder="", format_=Format.STRUCTURED):
        config = DatasourceConfig(
            name=name, folder=str(self.root / (folder or name)), format=format_, watch="off", hash_content=False
        )
        await core.installation.add_datasource(config)
        return core.datasources.triple(name).store

    async def begin(self, core):
        """Two versions of a key in each of both."""
        await self.add(core, "versions", "kept", Format.INTERNAL)
        for name in ("docs", "other"):
            store = await self.add(core, name)
            await store.set_versioning(Versioning.ENABLED)
            for number in range(3):
                await put(store, "x", b"%s %d" % (name.encode(), number))
        return core.datasources.triple("docs").store


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


async def one(data):
    yield data


async def put(store, path, data):
    return await store.put_node(path, one(data), PlainDigest(), WriteOptions())


async def read(store, path, version):
    opened = await store.open_version(path, version)
    try:
        return await opened.reader.read(0, 100)
    finally:
        opened.reader.close()


async def kept(core):
    return {node.path for node in (await core.datasources.triple("versions").index.list_keys()).entries}


async def leave_behind(store, monkeypatch):
    """What a crash between the copy and the row leaves."""

    async def crash(*args, **kwargs):
        raise Unavailable("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_submit", crash)
        with pytest.raises(Unavailable):
            await put(store, "x", b"never came")


@pytest.mark.parametrize("name", ["docs", "versions"])
async def test_what_a_crash_left_is_found_and_removed(site, monkeypatch, name):
    async with site.open() as core:
        store = await site.begin(core)
        before = await kept(core)
        assert (await core.installation.check(name)).is_fine
        await leave_behind(store, monkeypatch)
        (left,) = await kept(core) - before
        for repair in (False, True):
            report = await core.installation.check(name, repair)
            assert [(each.problem, each.key) for each in report.kept.findings] == [(BlobProblem.LEFTOVER, left)]
            assert (report.is_fine, report.kept.removed) == (repair, int(repair))
        assert await kept(core) == before
        assert (await core.installation.check(name)).is_fine
        assert [await read(store, "x", each.id) for each in await store.index.read_versions("x")] == [
            b"docs 2", b"docs 1", b"docs 0",
        ]  # fmt: skip


async def test_what_is_recent_stays(site, monkeypatch):
    site.clock = ManualClock(time.time())
    async with site.open() as core:
        store = await site.begin(core)
        await leave_behind(store, monkeypatch)
        before = await kept(core)
        report = await core.installation.check("docs", True)
        assert (report.is_fine, report.kept.young, report.kept.removed) == (True, 1, 0)
        assert await kept(core) == before


@pytest.mark.parametrize("name", ["docs", "versions"])
async def test_content_whose_row_is_about_to_come_is_not_taken_away(site, monkeypatch, name):
    async with site.open() as core:
        store = await site.begin(core)
        before = await kept(core)
        submit, reached, go_on = store._submit, asyncio.Event(), asyncio.Event()

        async def wait(*operations):
            reached.set()
            await go_on.wait()
            return await submit(*operations)

        with monkeypatch.context() as patch:
            patch.setattr(store, "_submit", wait)
            writing = asyncio.ensure_future(put(store, "x", b"docs 3"))
            await reached.wait()
            assert len(await kept(core) - before) == 1
            report = await core.installation.check(name, repair=True)
            assert (report.kept.removed, report.kept.findings) == (0, [])
            go_on.set()
            await writing
        (_, newest, *_) = await store.index.read_versions("x")
        assert await read(store, "x", newest.id) == b"docs 2"
        assert (await core.installation.check(name)).is_fine


async def test_a_caller_that_goes_away_leaves_its_row_behind_not_its_content_alone(site, monkeypatch):
    async with site.open() as core:
        store = await site.begin(core)
        submit, reached, go_on = store._submit, asyncio.Event(), asyncio.Event()

        async def wait(*operations):
            reached.set()
            await go_on.wait()
            return await submit(*operations)

        monkeypatch.setattr(store, "_submit", wait)
        writing = asyncio.ensure_future(put(store, "x", b"docs 3"))
        await reached.wait()
        writing.cancel()
        assert (await core.installation.check("docs", repair=True)).kept.removed == 0
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await writing
        monkeypatch.undo()
        assert (await core.installation.check("docs")).is_fine
        assert store.keeper.busy() == frozenset()


async def test_what_a_removed_datasource_left_is_told_and_removed_when_asked(site):
    async with site.open() as core:
        await site.begin(core)
        before = await kept(core)
        await core.installation.remove_datasource("docs")
        assert await kept(core) == before, "a snapshot may know them, when the folder is added again"
        report = await core.installation.check("versions")
        assert (report.is_fine, report.kept.count(BlobProblem.LEFTOVER), report.kept.blobs) == (False, 2, 4)
        report = await core.installation.check("versions", repair=True)
        assert (report.is_fine, report.kept.removed) == (True, 2)
        other = core.datasources.triple("other").store
        assert [await read(other, "x", each.id) for each in await other.index.read_versions("x")] == [
            b"other 2", b"other 1", b"other 0",
        ]  # fmt: skip
        assert (await core.installation.check("other")).is_fine
        assert (await core.installation.check("versions")).is_fine


async def test_as_long_as_a_datasource_is_not_open_nobodys_content_stays(site):
    async with site.open() as core:
        await site.begin(core)
        await core.installation.remove_datasource("docs")
        before = await kept(core)
    index = site.root / "data" / "datasources" / "other" / "index.db"
    shutil.copy(index, site.root / "saved.db")
    index.write_bytes(b"no index " * 1000)
    async with site.open() as core:
        assert core.datasources.failure("other")
        report = await core.installation.check("versions", repair=True)
        assert (report.kept.unsure, report.kept.removed, report.kept.findings) == (4, 0, [])
        assert await kept(core) == before


@pytest.mark.parametrize("name", ["docs", "versions"])
async def test_what_a_migration_has_there_stays(site, monkeypatch, name):
    async with site.open() as core:
        store = await site.begin(core)
        before = await kept(core)
        await core.installation.migrate("docs", MigrationOptions(format=Format.FLAT, target=str(site.root / "new")))
        report = await core.installation.check(name, repair=True)
        assert report.is_fine
        assert await kept(core) == before, "until it is finished"
        await core.installation.migrate("docs", MigrationOptions(MigrationAction.FINISH))
        assert len(await kept(core)) == 2
        store = core.datasources.triple("docs").store
        assert [await read(store, "x", each.id) for each in await store.index.read_versions("x")] == [
            b"docs 2", b"docs 1", b"docs 0",
        ]  # fmt: skip


async def test_versions_whose_content_is_missing_are_named(site):
    async with site.open() as core:
        store = await site.begin(core)
        (_, lost, _) = await store.index.read_versions("x")
        (path,) = [each for each in await kept(core) if each.endswith(f"{lost.node.uuid}/{lost.node.blob:x}")]
        await core.datasources.triple("versions").store.delete_node(path)
        for repair in (False, True):
            report = await core.installation.check("docs", repair)
            assert not report.is_fine
            assert [(each.problem, each.key, each.path) for each in report.kept.findings] == [
                (BlobProblem.MISSING, path, f"x (version {lost.id})")
            ]
        assert len(await store.index.read_versions("x")) == 3, "its row stays"
        await core.installation.remove_datasource("versions")
        assert (await core.installation.check("docs")).kept.count(BlobProblem.MISSING) == 2


async def test_where_nothing_is_kept_nothing_is_told(site):
    async with site.open() as core:
        store = await site.add(core, "docs")
        await put(store, "x", b"1")
        report = await core.installation.check("docs")
        assert (report.is_fine, report.kept) == (True, None)
