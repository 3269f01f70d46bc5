"""Dumping and loading in the whole application: what comes back, what is refused, and what subscribers hear."""

import os
import shutil
import sqlite3
from contextlib import closing

import msgspec
import pytest

from cellsmono.datasource.index.sqlite import APPLICATION_ID
from cellsmono.datasource.snapshots.format import SnapshotDecoder, SnapshotEncoder
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.events import EventKind
from cellsmono.interfaces.snapshots import LoadOptions, SnapshotOrigin
from cellsmono.interfaces.topics import INDEX_CHANGES
from cellsmono.kernel.errors import CellsError, Conflict, Corrupt, Invalid, NotFound, Unavailable
from cellsmono.store.migrations import apply_step, load_migrations


def index_of(core):
    return core.datasources.triple("docs").index


async def test_a_dump_is_listed_with_what_it_holds(site):
    async with site.open() as core:
        await site.seed(core)
        info = await core.installation.dump_snapshot("docs", "snapshot.db")
        assert (info.header.files, info.header.bytes, info.header.datasource) == (4, 14, "docs")
        assert info.header.root == (await index_of(core).read_node("")).uuid
        assert info.header.created == site.clock.time()
        assert await core.installation.list_snapshots("docs") == [info]
        assert (site.snapshots / "snapshot.db").stat().st_mode & 0o777 == 0o600
        assert [path.name for path in site.index_path.parent.iterdir() if ".d" in path.name[8:]] == []
        await core.installation.delete_snapshot("docs", "snapshot.db")
        assert await core.installation.list_snapshots("docs") == []
        with pytest.raises(NotFound):
            await core.installation.delete_snapshot("docs", "snapshot.db")


async def test_a_load_brings_the_tree_back_and_keeps_the_old_one(site, tree_of):
    async with site.open() as core:
        await site.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
        store = core.datasources.triple("docs").store
        await store.update_meta("top.txt", lambda meta: type(meta)(user={"changed": "later"}))
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert await tree_of(index_of(core)) == before
        assert report.absent_total == 0
        assert report.differences.changed == 0
        assert await index_of(core).verify() == []
        infos = {info.name: info for info in await core.installation.list_snapshots("docs")}
        assert infos[report.safety].header.origin is SnapshotOrigin.SAFETY
        await core.installation.load_snapshot("docs", report.safety)
        assert (await index_of(core).read_node("top.txt")).meta.user == {"changed": "later"}


async def test_the_numbers_of_events_go_on_and_everybody_is_told_to_read_again(site):
    async with site.open() as core:
        await site.seed(core)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        for number in range(5):
            await site.put(core, f"later-{number}")
        last = (await index_of(core).stats()).last_sequence
        heard = core.bus.subscribe(INDEX_CHANGES, "test")
        await core.installation.load_snapshot("docs", "snapshot.db")
        first = await anext(aiter(heard))
        assert (first.seq, first.kind, first.path) == (last + 1, EventKind.RELOAD, "")
        page = await index_of(core).changes(last)
        assert not page.missed
        assert page.events[0].kind is EventKind.RELOAD
        assert [event.seq for event in page.events] == list(range(last + 1, page.last + 1))
        assert (await index_of(core).changes(0)).missed
        assert (await index_of(core).read_node("later-3")).size == 4, "what came since is found on the disk"


async def test_leaves_without_bytes_are_left_out_and_told_of(site, tree_of):
    async with site.open() as core:
        await site.seed(core)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        before = await tree_of(index_of(core))
        os.unlink(site.folder / "top.txt")
        shutil.rmtree(site.folder / "a" / "b")
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert report.absent == ("a/b/one.txt", "top.txt")
        assert report.absent_total == 2
        gone = {"a/b/", "a/b/one.txt", "top.txt"}
        assert await tree_of(index_of(core)) == {path: row for path, row in before.items() if path not in gone}
        assert await index_of(core).verify() == []


async def test_identities_survive_a_lost_index_and_a_copy_of_the_folder(site, tree_of):
    """No inode is what it was, and no extended attribute came along: path, size and time tell."""
    async with site.open() as core:
        await site.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
    shutil.copytree(site.folder, site.root / "copy")
    for path in (site.root / "copy").rglob("*"):
        if path.is_file():
            for name in os.listxattr(path):
                os.removexattr(path, name)
    shutil.rmtree(site.folder)
    (site.root / "copy").rename(site.folder)
    shutil.rmtree(site.index_path.parent)
    async with site.open() as core:
        await core.installation.resync("docs")
        assert await tree_of(index_of(core)) != before
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert report.adopted == 4
        after = await tree_of(index_of(core))
        assert {p: row for p, row in after.items() if not p.endswith("/")} == {
            p: row for p, row in before.items() if not p.endswith("/")
        }
        assert {p: row[0] for p, row in after.items()} == {p: row[0] for p, row in before.items()}
        checked = await core.installation.check("docs")
        assert (checked.violations, checked.differences.changed) == ((), 0)


async def test_a_file_that_changed_since_is_seen_to_have_changed(site):
    async with site.open() as core:
        await site.seed(core)
        uuid = (await index_of(core).read_node("top.txt")).uuid
        await core.installation.dump_snapshot("docs", "snapshot.db")
        (site.folder / "top.txt").write_text("longer than before")
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        node = await index_of(core).read_node("top.txt")
        assert (node.uuid, node.size, node.content_hash) == (uuid, 18, "")
        assert report.differences.updated == 1


async def test_an_index_that_is_damaged_is_put_aside(site, tree_of):
    async with site.open() as core:
        await site.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
    site.index_path.write_bytes(b"rubbish " * 4000)
    async with site.open() as core:
        assert "can not be used" in core.datasources.failure("docs")
        assert len(await core.installation.list_snapshots("docs")) == 1
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert report.safety == ""
        assert (site.root / report.kept).read_bytes().startswith(b"rubbish")
        assert await tree_of(index_of(core)) == before
        assert core.datasources.failure("docs") == ""


async def test_a_page_that_is_damaged_does_not_hold_a_load_up(site, tree_of):
    async with site.open() as core:
        await site.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
    with site.index_path.open("r+b") as file:
        file.seek(4096 * 8)
        file.write(b"\xff" * 4096)
    async with site.open() as core:
        with pytest.raises(Corrupt):
            await core.installation.dump_snapshot("docs", "other.db")
        report = await core.installation.load_snapshot("docs", "snapshot.db")
        assert report.kept
        assert await tree_of(index_of(core)) == before


# --- refusals


async def test_altered_files_are_refused_and_listed_as_such(site, tree_of):
    async with site.open() as core:
        await site.seed(core)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        before = await tree_of(index_of(core))
        data = (site.snapshots / "snapshot.db").read_bytes()
        for number, bad in enumerate(
            (b"", data[:-1], data[: len(data) // 2], data[:-40] + b"x" + data[-39:], data + b"x")
        ):
            (site.snapshots / f"bad-{number}").write_bytes(bad)
            with pytest.raises(Corrupt, match="bad-"):
                await core.installation.load_snapshot("docs", f"bad-{number}")
        infos = {info.name: info for info in await core.installation.list_snapshots("docs")}
        assert [name for name, info in infos.items() if info.problem] == [f"bad-{number}" for number in range(5)]
        assert infos["snapshot.db"].problem == ""
        assert not [name for name in infos if name.startswith("before")], "nothing was begun"
        assert await tree_of(index_of(core)) == before
        with pytest.raises(NotFound):
            await core.installation.load_snapshot("docs", "missing.db")
        with pytest.raises(Invalid):
            await core.installation.load_snapshot("docs", "../snapshot.db")


def rewrite(site, name, change=lambda body: body, **fields):
    """A valid snapshot that says something else."""
    decoder = SnapshotDecoder("x")
    body = b"".join(decoder.decode((site.snapshots / "snapshot.db").read_bytes()))
    body = change(body)
    encoder = SnapshotEncoder(msgspec.structs.replace(decoder.finish(), **{"database_bytes": len(body), **fields}))
    (site.snapshots / name).write_bytes(encoder.encode(body) + encoder.finish())


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({"schema": 99}, Invalid, "schema"),
        ({"version": 99}, Invalid, "version"),
        ({"format": "flat"}, Conflict, "format"),
        ({"datasource": "other", "root": "0" * 36}, Conflict, "foreign"),
    ],
)
async def test_what_does_not_fit_is_refused(site, tree_of, fields, kind, reason):
    async with site.open() as core:
        await site.seed(core)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        rewrite(site, "odd.db", **fields)
        before = await tree_of(index_of(core))
        with pytest.raises(kind) as caught:
            await core.installation.load_snapshot("docs", "odd.db")
        assert caught.value.reason == reason
        assert await tree_of(index_of(core)) == before
        assert not list(site.index_path.parent.glob("*.loading*"))


def make_old(path, new):
    """The same tree in the tables of the first schema."""
    migrations = load_migrations("cellsmono.datasource.index", APPLICATION_ID)
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        apply_step(old, migrations, 0)
        old.execute("ATTACH ? AS new", (str(new),))
        for table in ("index_folder", "index_node", "index_change"):
            names = ", ".join(row[1] for row in old.execute(f"PRAGMA main.table_info({table})"))
            old.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
    return path.read_bytes()


async def test_an_older_schema_is_migrated(site, tree_of):
    async with site.open() as core:
        await site.seed(core)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        before = await tree_of(index_of(core))

        def age(body):
            (site.root / "new.db").write_bytes(body)
            return make_old(site.root / "old.db", site.root / "new.db")

        rewrite(site, "old.db", age, schema=1)
        await core.installation.load_snapshot("docs", "old.db")
        assert await tree_of(index_of(core)) == before
        assert sorted(path.name for path in site.index_path.parent.iterdir() if "backup" in path.name) == []


async def test_a_foreign_one_is_loaded_when_it_is_meant(site):
    async with site.open() as core:
        await site.seed(core)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        rewrite(site, "foreign.db", datasource="other", root="0" * 36)
        await core.installation.load_snapshot("docs", "foreign.db", LoadOptions(force_foreign=True))
        assert (await index_of(core).read_node("a/two.txt")).size == 4


async def test_rubbish_under_a_valid_sum_is_refused(site, tree_of):
    async with site.open() as core:
        await site.seed(core)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        before = await tree_of(index_of(core))
        rewrite(site, "odd.db", lambda body: b"no database " * 1000)
        rewrite(site, "torn.db", lambda body: body[: len(body) // 2])
        for name in ("odd.db", "torn.db"):
            with pytest.raises(CellsError):
                await core.installation.load_snapshot("docs", name)
        assert await tree_of(index_of(core)) == before
        assert not list(site.index_path.parent.glob("*.loading*"))


async def test_an_empty_mount_point_is_not_taken_for_lost_files(site, tree_of):
    async with site.open() as core:
        await site.seed(core)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        before = await tree_of(index_of(core))
        site.folder.rename(site.root / "elsewhere")
        with pytest.raises(Unavailable):
            await core.installation.load_snapshot("docs", "snapshot.db")
        site.folder.mkdir()
        with pytest.raises(Unavailable, match="mounted"):
            await core.installation.load_snapshot("docs", "snapshot.db")
        assert await tree_of(index_of(core)) == before


# --- a new datasource


async def test_a_new_datasource_begins_with_a_snapshot(site, tree_of):
    async with site.open() as core:
        await site.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
    shutil.rmtree(site.data)
    site.data.mkdir()
    async with site.open(configured=False) as core:
        info = await core.installation.add_datasource(
            DatasourceConfig(name="again", folder=str(site.folder), watch="off"), str(site.snapshots / "snapshot.db")
        )
        assert info.stats.files == 4
        await core.installation.resync("again")
        assert await tree_of(core.datasources.triple("again").index) == before


async def test_a_basename_names_one_that_was_kept(site, tree_of):
    config = DatasourceConfig(name="docs", folder=str(site.folder), watch="off", hash_content=False)
    async with site.open(configured=False) as core:
        await core.installation.add_datasource(config)
        await site.seed(core)
        before = await tree_of(index_of(core))
        await core.installation.dump_snapshot("docs", "snapshot.db")
        await core.installation.remove_datasource("docs")
        assert (site.snapshots / "snapshot.db").exists(), "a removal keeps them"
        await core.installation.add_datasource(config, "snapshot.db")
        assert await tree_of(index_of(core)) == before
        await core.installation.remove_datasource("docs", with_snapshots=True)
        assert not site.snapshots.exists()


async def test_a_snapshot_that_can_not_be_used_adds_nothing(site):
    config = DatasourceConfig(name="docs", folder=str(site.folder))
    rubbish = site.root / "rubbish"
    rubbish.write_bytes(b"x" * 1000)
    async with site.open(configured=False) as core:
        for name, kind in ((str(rubbish), Corrupt), ("/not/there", NotFound), ("missing.db", NotFound)):
            with pytest.raises(kind):
                await core.installation.add_datasource(config, name)
            assert core.datasources.configs() == []
            assert not site.index_path.exists()
        await core.installation.add_datasource(config)
