"""Snapshots of a flat datasource, whose index alone knows the tree."""

import shutil

import pytest

from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.locks import LockRule
from cellsmono.interfaces.snapshots import LoadOptions, SnapshotOrigin
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.errors import CellsError, Conflict, Corrupt, Unavailable


@pytest.fixture
def flat(site):
    """The site, with a flat datasource."""
    site.settings = {"format": "flat"}
    return site


def index_of(core):
    return core.datasources.triple("docs").index


async def seed(site, core):
    for path, data in {"a/b/one": b"one", "a//b": b"odd", "a": b"beside its folder", "z" * 900: b"long"}.items():
        await site.put(core, path, data, user={"of": path[:9]})


async def read(core, path):
    opened = await core.datasources.triple("docs").store.open_node(path)
    try:
        return await opened.reader.read(0, 1000)
    finally:
        opened.reader.close()


async def test_a_load_brings_the_tree_back_with_its_bytes(flat, tree_of):
    async with flat.open() as core:
        await seed(flat, core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
        store = core.datasources.triple("docs").store
        await store.move_node("a/b/", "moved/b/")
        await flat.put(core, "later", b"later")
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert (report.absent_total, report.differences) == (0, None)
        assert await tree_of(index_of(core)) == before
        assert await read(core, "a/b/one") == b"one"
        assert await read(core, "a//b") == b"odd"
        await core.installation.load_snapshot("docs", report.safety)
        assert await read(core, "moved/b/one") == b"one"
        assert await read(core, "later") == b"later", "nothing that was acknowledged is lost"


async def test_leaves_without_blobs_go_with_the_folders_that_they_implied(flat, tree_of):
    async with flat.open() as core:
        await seed(flat, core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
        await core.datasources.triple("docs").store.delete_node("a/b/one")
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert report.absent == ("a/b/one",)
        assert set(before) - set(await tree_of(index_of(core))) == {"a/b/one", "a/b/"}
        assert await index_of(core).verify() == []


async def test_a_lost_data_folder_costs_nothing(flat, tree_of):
    async with flat.open() as core:
        await seed(flat, core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
    shutil.rmtree(flat.data)
    flat.data.mkdir()
    async with flat.open(configured=False) as core:
        config = DatasourceConfig(name="docs", folder=str(flat.folder), format="flat")
        await core.installation.add_datasource(config, "snapshot.db")
        assert await tree_of(index_of(core)) == before
        assert await read(core, "z" * 900) == b"long"
        assert (await core.installation.check("docs")).violations == ()


async def test_an_index_that_was_lost_is_loaded_into_the_empty_one(flat, tree_of):
    async with flat.open() as core:
        await seed(flat, core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
    shutil.rmtree(flat.index_path.parent)
    async with flat.open() as core:
        assert await tree_of(index_of(core)) == {}
        await core.installation.load_snapshot("docs", "snapshot.db")
        assert await tree_of(index_of(core)) == before


async def test_a_damaged_index_says_what_to_do_and_that_helps(flat, tree_of):
    async with flat.open() as core:
        await seed(flat, core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
    flat.index_path.write_bytes(b"rubbish " * 4000)
    async with flat.open() as core:
        assert "ds snapshot docs --operation list" in core.datasources.failure("docs")
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert report.kept
        assert await tree_of(index_of(core)) == before
        assert await read(core, "a/b/one") == b"one"


async def test_locks_that_can_not_be_compared_must_be_given_up_on_purpose(flat):
    async with flat.open() as core:
        await seed(flat, core)
        store = core.datasources.triple("docs").store
        await store.set_versioning(Versioning.ENABLED)
        await store.set_object_lock(LockRule())
        await core.installation.dump_snapshot("docs", "snapshot.db")
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert not report.locks_unknown, "they were compared"
    damaged = b"rubbish " * 4000
    flat.index_path.write_bytes(damaged)
    async with flat.open() as core:
        with pytest.raises(Conflict, match="--accept-lost-locks") as error:
            await core.installation.load_snapshot("docs", "snapshot.db")
        assert error.value.reason == "locked"
        assert flat.index_path.read_bytes() == damaged
        report = await core.installation.load_snapshot("docs", "snapshot.db", LoadOptions(accept_lost_locks=True))
        assert (report.locks_unknown, bool(report.kept)) == (True, True)
        assert index_of(core).object_lock == LockRule()
        assert core.datasources.failure("docs") == ""


async def test_an_index_that_proves_unreadable_when_it_is_saved_keeps_its_locks(flat, monkeypatch):
    async with flat.open() as core:
        await seed(flat, core)
        store = core.datasources.triple("docs").store
        await store.set_versioning(Versioning.ENABLED)
        await store.set_object_lock(LockRule())
        await core.installation.dump_snapshot("docs", "snapshot.db")

        async def fail(*args):
            raise Corrupt("a page is damaged")

        monkeypatch.setattr(core.installation.snapshots, "_save_old", fail)
        with pytest.raises(Conflict, match="--accept-lost-locks"):
            await core.installation.load_snapshot("docs", "snapshot.db")
        assert core.datasources.failure("docs") == ""
        assert index_of(core).object_lock == LockRule()
        assert await read(core, "a/b/one") == b"one"


async def test_it_is_dumped_every_day_unless_told_otherwise(flat):
    async with flat.open() as core:
        await seed(flat, core)
        await core.installation.snapshots.dump_due()
        (info,) = await core.installation.list_snapshots("docs")
        assert info.header.origin is SnapshotOrigin.SCHEDULE
    async with flat.open(snapshot_hours=0.0) as core:
        flat.clock.advance(10**7)
        await flat.put(core, "more")
        await core.installation.snapshots.dump_due()
        assert len(await core.installation.list_snapshots("docs")) == 1


async def test_another_store_is_refused(flat, tree_of):
    async with flat.open() as core:
        await seed(flat, core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
        (flat.folder / "cellsmono-flat.json").rename(flat.root / "aside")
        with pytest.raises(Unavailable, match="mounted"):
            await core.installation.load_snapshot("docs", "snapshot.db", LoadOptions(force_foreign=True))
        (flat.root / "aside").rename(flat.folder / "cellsmono-flat.json")
        assert await tree_of(index_of(core)) == before
    kept = flat.root / "kept.db"
    kept.write_bytes((flat.snapshots / "snapshot.db").read_bytes())
    for format_ in ("flat", "structured"):
        other = flat.root / f"other-{format_}"
        other.mkdir()
        async with flat.open(configured=False) as core:
            config = DatasourceConfig(name=f"other-{format_}", folder=str(other), format=format_)
            with pytest.raises((Conflict, CellsError)):
                await core.installation.add_datasource(config, str(kept))
            assert core.datasources.configs() == []


async def list_versions(core):
    """Key, whether it shows, and content (None: a delete marker) of every version."""
    store, found = core.datasources.triple("docs").store, []
    for version in (await store.index.list_versions()).entries:
        body = None
        if version.node is not None:
            opened = await store.open_version(version.key, version.id)
            body = await opened.reader.read(0, 1000)
            opened.reader.close()
        found.append((version.key, version.is_latest, body))
    return found


async def test_versions_come_back_and_those_without_content_are_named(flat):
    async with flat.open() as core:
        store = core.datasources.triple("docs").store
        await store.set_versioning(Versioning.ENABLED)
        await flat.put(core, "x", b"1")
        lost = await flat.put(core, "x", b"2")
        await flat.put(core, "x", b"3")
        await flat.put(core, "gone", b"4")
        await store.delete_node("gone")
        before = await list_versions(core)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        assert (await core.installation.load_snapshot("docs", "snapshot.db")).absent_total == 0
        assert await list_versions(core) == before
        store = core.datasources.triple("docs").store
        assert store.versioning is Versioning.ENABLED
        await store.delete_version("x", lost.version)
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert report.absent == (f"x (version {lost.version})",)
        assert await list_versions(core) == [row for row in before if row[2] != b"2"]
        assert (await core.installation.check("docs")).is_fine


async def test_a_store_that_holds_versions_alone_is_not_empty(flat):
    async with flat.open() as core:
        store = core.datasources.triple("docs").store
        await store.set_versioning(Versioning.ENABLED)
        kept = await flat.put(core, "x", b"1")
        await store.delete_node("x")
        info = await core.installation.read_datasource("docs")
        assert (info.stats.files, info.stats.versions, info.stats.version_bytes) == (0, 2, 1)
        with pytest.raises(Conflict) as error:
            await core.installation.delete("docs")
        assert error.value.reason == "not_empty"
    async with flat.open() as core:
        assert await list_versions(core) == [("x", True, None), ("x", False, b"1")]
        store = core.datasources.triple("docs").store
        assert (await store.read_version("x", kept.version)).node.size == 1
