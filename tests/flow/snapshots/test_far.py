"""Snapshots of a datasource that lies in a bucket of an S3 server: they lie there, too, and nothing else is needed."""

import secrets
import shutil

import pytest

from cellsmono.app.config_sources import read_datasource
from cellsmono.datasource.objects.s3 import copying, staging
from cellsmono.interfaces.events import EventKind
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.patch import Patch, PutLeaf
from cellsmono.interfaces.snapshots import LoadOptions, SnapshotOrigin
from cellsmono.kernel.errors import Conflict, Corrupt, Forbidden, NotFound, Unavailable

HOUR = 3600
PLACE = ".cellsmono/snapshots/"


def index_of(core):
    return core.datasources.triple("docs").index


def config_of(far, name="docs", **more):
    return read_datasource(far.settings | {"name": name, "watch": "off"} | more, "test", far.root)


async def test_a_dump_lies_in_the_bucket_and_no_tree_shows_it(far, tree_of):
    async with far.open() as core:
        await far.seed(core)
        before = await tree_of(index_of(core))
        info = await core.installation.dump_snapshot("docs", "snapshot.db")
        assert (info.header.files, info.header.bytes) == (4, 14)
        assert await core.installation.list_snapshots("docs") == [info]
        assert far.list_keys(".cellsmono/") == [f"{PLACE}snapshot.db"]
        await core.installation.check("docs", repair=True)
        assert await tree_of(index_of(core)) == before
        await core.installation.delete_snapshot("docs", "snapshot.db")
        assert far.list_keys(".cellsmono/") == []
        with pytest.raises(NotFound):
            await core.installation.delete_snapshot("docs", "snapshot.db")


async def test_a_load_brings_the_tree_back_and_keeps_the_old_one(far, tree_of):
    async with far.open() as core:
        await far.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
        store = core.datasources.triple("docs").store
        await store.update_meta("top.txt", lambda meta: type(meta)(user={"changed": "later"}))
        last = (await index_of(core).stats()).last_sequence
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert (report.absent_total, report.differences.changed) == (0, 0)
        assert await tree_of(index_of(core)) == before
        assert await index_of(core).verify() == []
        assert (await index_of(core).changes(last)).events[0].kind is EventKind.RELOAD
        infos = {info.name: info for info in await core.installation.list_snapshots("docs")}
        assert infos[report.safety].header.origin is SnapshotOrigin.SAFETY
        await core.installation.load_snapshot("docs", report.safety)
        assert (await index_of(core).read_node("top.txt")).meta.user == {"changed": "later"}
        await far.put(core, "after")


async def test_leaves_without_objects_are_left_out_and_told_of(far):
    async with far.open() as core:
        await far.seed(core)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        far.remove_object("a/b/one.txt")
        far.write_object("top.txt", b"longer than before")
        uuid = (await index_of(core).read_node("top.txt")).uuid
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert report.absent == ("a/b/one.txt",)
        node = await index_of(core).read_node("top.txt")
        assert (node.uuid, node.size, node.content_hash) == (uuid, 18, "")


async def test_a_lost_data_folder_costs_nothing(far, tree_of):
    async with far.open() as core:
        await far.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
    shutil.rmtree(far.data)
    far.data.mkdir()
    async with far.open(configured=False) as core:
        info = await core.installation.add_datasource(config_of(far), "snapshot.db")
        assert info.stats.files == 4
        await core.installation.resync("docs")
        assert await tree_of(index_of(core)) == before


async def test_files_are_recognised_in_a_copy_of_the_bucket_that_has_other_etags(far, monkeypatch):
    """As after a copy in parts: size and the time that is kept with the object tell."""
    async with far.open() as core:
        await far.seed(core)
        before = await index_of(core).read_node("a/two.txt")
        await core.installation.dump_snapshot("docs", "snapshot.db")
        monkeypatch.setattr(copying, "MOST_AT_ONCE", 0)
        await core.datasources.objects("docs").move("docs", "a/two.txt", "aside")
        await core.datasources.objects("docs").move("docs", "aside", "a/two.txt")
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        after = await index_of(core).read_node("a/two.txt")
        assert report.adopted == 1
        assert after.facts.ino != before.facts.ino
        assert (after.uuid, after.content_hash, after.meta) == (before.uuid, before.content_hash, before.meta)


async def test_a_damaged_index_is_put_aside(far, tree_of):
    async with far.open() as core:
        await far.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
    far.index_path.write_bytes(b"rubbish " * 4000)
    async with far.open() as core:
        assert core.datasources.failure("docs")
        assert (await core.installation.load_snapshot("docs", "snapshot.db")).kept
        assert await tree_of(index_of(core)) == before
        assert core.datasources.failure("docs") == ""


async def test_altered_and_foreign_ones_are_refused_and_nothing_is_changed(far, tree_of):
    async with far.open() as core:
        await far.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "good.db")
    data = far.read_object(f"{PLACE}good.db")
    far.write_object(f"{PLACE}cut.db", data[:-7])
    far.write_object(f"{PLACE}odd.db", b"x" + data[1:])
    async with far.open() as core:
        for name in ("cut.db", "odd.db"):
            with pytest.raises(Corrupt, match=name):
                await core.installation.load_snapshot("docs", name)
        infos = await core.installation.list_snapshots("docs")
        assert {info.name: bool(info.problem) for info in infos} == {"cut.db": True, "good.db": False, "odd.db": True}
        assert await tree_of(index_of(core)) == before
    async with far.open(prefix="base/other") as core:  # another tree under the same name: none of the files is there
        far.client.put_object(Bucket=far.bucket, Key=f"base/other/{PLACE}good.db", Body=data)
        await far.put(core, "its own")
        with pytest.raises(Unavailable, match="bucket and prefix"):
            await core.installation.load_snapshot("docs", "good.db", LoadOptions(force_foreign=True))


async def test_a_long_dump_goes_in_parts_with_little_memory(far, tree_of, monkeypatch):
    monkeypatch.setattr(staging, "PART_BYTES", 5 << 20)
    monkeypatch.setattr("cellsmono.datasource.snapshots.format.LEVEL", 0)
    async with far.open() as core:
        await far.seed(core)
        for name in ("a/two.txt", "top.txt"):
            node = await index_of(core).read_node(name)
            wide = NodeMeta(user={"wide": secrets.token_hex(2 << 20)})
            await index_of(core).apply(Patch((PutLeaf(name, node.facts, meta=wide, touched=True),), "test"))
        before = await tree_of(index_of(core))
        info = await core.installation.dump_snapshot("docs", "snapshot.db")
        assert info.size > 6 << 20
        head = far.client.head_object(Bucket=far.bucket, Key=f"{far.prefix}{PLACE}snapshot.db")
        assert head["ETag"].endswith('-2"')
        await core.installation.load_snapshot("docs", "snapshot.db")
        assert await tree_of(index_of(core)) == before


async def test_the_schedule_and_its_retention(far):
    async with far.open(snapshot_hours=24.0, snapshot_keep_days=3.0) as core:
        await far.seed(core)
        for day in range(6):
            await far.put(core, f"day-{day}")
            await core.installation.snapshots.dump_due()
            far.clock.advance(24 * HOUR)
        assert len(far.list_keys(PLACE)) == 4
        assert core.installation.snapshots.failures == {}


async def test_a_bucket_with_snapshots_is_not_removed_and_goes_on(far):
    async with far.open(configured=False) as core:
        await core.installation.add_datasource(config_of(far))
        await core.installation.dump_snapshot("docs", "snapshot.db")
        with pytest.raises(Conflict, match="ds snapshot docs"):
            await core.installation.delete("docs")
        await far.put(core, "x")
        await core.installation.remove_datasource("docs")
        assert far.list_keys(PLACE) == [f"{PLACE}snapshot.db"], "a removal keeps them"
        await core.installation.add_datasource(config_of(far), "snapshot.db")
        await core.installation.remove_datasource("docs", with_snapshots=True)
        assert far.list_keys(PLACE) == []
        assert "x" in far.list_keys()


async def test_a_read_only_bucket_has_none_and_says_so(far, tree_of):
    async with far.open() as core:
        await far.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
    async with far.open(read_only=True, snapshot_hours=1.0) as core:
        for refused in (
            core.installation.dump_snapshot("docs", "more.db"),
            core.installation.delete_snapshot("docs", "snapshot.db"),
            core.installation.load_snapshot("docs", "snapshot.db"),
        ):
            with pytest.raises(Forbidden, match="read-only"):
                await refused
        assert await tree_of(index_of(core)) == before
        await core.installation.snapshots.dump_due()
        assert core.installation.snapshots.failures == {}
