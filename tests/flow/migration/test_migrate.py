"""After a migration everything is as it was, for whoever does not look where the bytes are."""

import asyncio
import os

import boto3
import msgspec
import pytest

from cellsmono.datasource.migration import copying, streaming
from cellsmono.datasource.objects.s3 import copying as copying_s3
from cellsmono.datasource.objects.s3 import store
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.interfaces.datasource import Format, Storage
from cellsmono.interfaces.migration import MigrationAction, MigrationPhase, Obstacle
from cellsmono.kernel.errors import CellsError, Conflict, Invalid, Unavailable

FLAT, STRUCTURED = Format.FLAT, Format.STRUCTURED


async def seen(app):
    return await app.tree(), await app.list_keys()


@pytest.mark.parametrize(
    ("source", "target"), [(STRUCTURED, FLAT), (FLAT, STRUCTURED), (STRUCTURED, STRUCTURED), (FLAT, FLAT)]
)
async def test_nothing_changes_but_the_place(make_site, source, target):
    site = make_site(source)
    async with site.open() as app:
        await app.seed()
        before, events = await seen(app), await app.changes()
        report = await app.migrate(format_=target, target=site.target)
        assert (report.phase, report.problems_total) == (MigrationPhase.SWITCHED, 0)
        assert report.done_files == report.files == 9
        assert app.store.config.folder == str(site.target)
        assert await seen(app) == before
        await app.check_well()
        assert await app.changes() <= events + 5, "nothing but what the last check wrote"
    async with site.open() as app:
        assert await seen(app) == before
        finished = await app.migrate(MigrationAction.FINISH)
        assert finished.removed == 9
        assert finished.left == ()
        assert not site.source.exists()
        assert await seen(app) == before
    async with site.open() as app:
        assert (app.store.config.format, app.store.config.folder) == (target, str(site.target))
        assert await seen(app) == before
        await app.check_well()


@pytest.mark.parametrize(("source", "target"), [(STRUCTURED, FLAT), (FLAT, STRUCTURED)])
async def test_processes_that_copy_change_nothing(make_site, monkeypatch, source, target):
    monkeypatch.setattr(copying, "MANY_FILES", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(copying, "copy_files", None)
    site = make_site(source)
    async with site.open() as app:
        await app.seed()
        before = await seen(app)
        report = await app.migrate(format_=target, target=site.target)
        assert (report.phase, report.problems_total) == (MigrationPhase.SWITCHED, 0)
        assert await seen(app) == before
        assert (await app.migrate(MigrationAction.FINISH)).left == ()
        await app.check_well()


async def test_the_first_comparison_after_the_switch_finds_nothing(make_site):
    site = make_site(FLAT)
    async with site.open() as app:
        await app.seed()
        events = await app.changes()
        await app.migrate(format_=STRUCTURED, target=site.target)
        await app.store.sync.wait_until_followed()
        report = await app.operations.resync("docs")
        assert report.changed == 0
        assert await app.changes() == events


async def test_a_file_that_was_never_hashed_keeps_its_etag(make_site):
    site = make_site()
    async with site.open() as app:
        (site.source / "found").write_bytes(b"by scan")
        await app.operations.resync("docs")
        before = await seen(app)
        assert (await app.triple.index.read_node("found")).etag == ""
        await app.migrate(format_=FLAT, target=site.target)
        assert await seen(app) == before


async def test_a_dry_run_changes_nothing_and_tells_what_there_is(make_site):
    site = make_site()
    async with site.open() as app:
        await app.seed()
        report = await app.migrate(MigrationAction.PLAN, FLAT, site.target)
        assert (report.files, report.folders, report.phase) == (9, 6, None)
        assert report.bytes == sum(each[1] for each in (await app.tree()).values())
        assert report.free > report.bytes
        assert not site.target.exists()
        await app.check_well()


@pytest.mark.parametrize("action", [MigrationAction.PLAN, MigrationAction.RUN])
async def test_it_tells_what_is_not_served_and_the_room_that_is_left(make_site, action):
    site = make_site()
    async with site.open() as app:
        await app.put("k")
        os.symlink("k", site.source / "link")
        os.mkfifo(site.source / "pipe")
        await app.operations.resync("docs")
        report = await app.migrate(action, FLAT, site.target)
        space = os.statvfs(site.root)
        assert report.skipped == 2
        assert 0 < report.free <= space.f_blocks * space.f_frsize
    async with site.open() as app:
        if action is MigrationAction.RUN:
            finished = await app.migrate(MigrationAction.FINISH)
            assert (sorted(finished.left), finished.free) == (["link", "pipe"], None)


@pytest.mark.parametrize("action", [MigrationAction.PLAN, MigrationAction.RUN])
async def test_keys_that_no_folder_can_hold_are_told_before_anything_is_copied(make_site, action):
    site = make_site(FLAT)
    async with site.open() as app:
        for key in ("foo", "foo/bar", "a//b", "n" * 256, "x/../y", ".pydio", "fine"):
            await app.put(key)
        report = await app.migrate(action, STRUCTURED, site.target)
        found = {(problem.obstacle, problem.path) for problem in report.problems}
        assert {path for obstacle, path in found if obstacle is Obstacle.BESIDE} == {"foo"}
        keys = {path for obstacle, path in found if obstacle is Obstacle.KEY}
        assert keys == {"a//b", "a//", "n" * 256, "x/../y", "x/../", ".pydio"}
        assert not site.target.exists() or not any(site.target.iterdir())
        assert app.core.datasources.migration("docs").read() is None, "there is nothing to give up"
        await app.check_well()


async def test_targets_that_can_not_be(make_site):
    site = make_site()
    async with site.open() as app:
        await app.put("k")
        inside, around = site.source / "inside", site.root
        for target, reason in ((site.source, "in_place"), (inside, "nested"), (around, "nested")):
            for format_ in (FLAT, STRUCTURED):
                with pytest.raises(Conflict) as caught:
                    await app.migrate(format_=format_, target=target)
                assert caught.value.reason == reason
        site.target.mkdir()
        (site.target / "mine").write_text("precious")
        for action in (MigrationAction.PLAN, MigrationAction.RUN):
            with pytest.raises(Conflict) as caught:
                await app.migrate(action, FLAT, site.target)
            assert caught.value.reason == "not_empty"
        assert (site.target / "mine").read_text() == "precious"
        with pytest.raises(Invalid):
            await app.migrate()
        for action in (MigrationAction.FINISH, MigrationAction.ABORT):
            with pytest.raises(Invalid):
                await app.migrate(action)
        await app.check_well()


async def test_a_name_is_a_folder_beside_the_present_one(make_site):
    site = make_site()
    async with site.open() as app:
        await app.put("k")
        report = await app.migrate(format_=FLAT, target="blobs")
        assert report.target == str(site.root / "blobs")


async def test_a_configured_datasource_is_where_it_was_migrated_to(make_site):
    site = make_site()
    old = f'[[datasource]]\nname = "docs"\nfolder = "{site.source}"\nwatch = "off"\n'
    site.configured = old
    async with site.open() as app:
        await app.put("k", b"here")
        await app.migrate(format_=FLAT, target=site.target)
        await app.migrate(MigrationAction.FINISH)
    async with site.open() as app:
        assert app.store.config.format is FLAT
        assert await app.read("k") == b"here"
    site.configured = old.replace(str(site.source), str(site.target)) + 'format = "flat"\n'
    async with site.open() as app:
        assert await app.read("k") == b"here"
        assert [info.error for info in await app.operations.list_datasources()] == [""]


async def test_writes_are_refused_while_it_runs_and_reads_go_on(make_site):
    site = make_site()
    async with site.open() as app:
        await app.seed()
        told = []

        def look(progress):
            names = {row.name for row in app.core.registry.list_rows()}
            told.append((progress.phase, "data.sync.docs" in names, app.store.alarm.reason))

        await app.migrate(format_=STRUCTURED, target=site.target, progress=look)
        assert {phase for phase, _, _ in told} == {"looking", "copying", "checking"}
        assert not any(is_synced for _, is_synced, _ in told)
        assert all("read-only while it is migrated" in reason for _, _, reason in told)
        assert "data.sync.docs" in {row.name for row in app.core.registry.list_rows()}


async def test_it_is_refused_while_the_synchronizer_waits_for_somebody(make_site):
    site = make_site()
    async with site.open() as app:
        await app.put("k")
        app.store.sync._held_reason = "2,000 deletions"
        with pytest.raises(Conflict) as caught:
            await app.migrate(format_=FLAT, target=site.target)
        assert caught.value.reason == "sync"


async def test_move_leaves_nothing_behind(make_site):
    site = make_site()
    async with site.open() as app:
        await app.seed()
        before = await seen(app)
        report = await app.migrate(format_=FLAT, target=site.target, move=True)
        assert (report.phase, report.left) == (None, ())
        assert not site.source.exists()
        assert await seen(app) == before
        await app.check_well()


async def test_nothing_is_served_while_it_moves(make_site):
    site = make_site()
    async with site.open() as app:
        await app.put("k")
        failures = []

        def look(progress):
            try:
                app.core.datasources.find("docs")
            except Unavailable as error:
                failures.append((progress.phase, error.reason))

        await app.migrate(format_=FLAT, target=site.target, move=True, progress=look)
        assert ("copying", "migration") in failures


async def test_what_others_put_into_the_old_place_is_left_alone(make_site):
    site = make_site()
    async with site.open() as app:
        await app.put("d/changed", b"before")
        await app.put("d/same", b"same")
        os.symlink("same", site.source / "d" / "link")
        await app.migrate(format_=FLAT, target=site.target)
        (site.source / "d" / "changed").write_bytes(b"somebody's work")
        (site.source / "added").write_bytes(b"more of it")
        report = await app.migrate(MigrationAction.FINISH)
        assert sorted(report.left) == ["added", "d/changed", "d/link"]
        assert (site.source / "d" / "changed").read_bytes() == b"somebody's work"
        assert not (site.source / "d" / "same").exists()


async def test_finish_removes_nothing_once_the_target_lost_something(make_site):
    site = make_site()
    async with site.open() as app:
        await app.put("k", b"precious")
        await app.migrate(format_=STRUCTURED, target=site.target)
        os.unlink(site.target / "k")
        with pytest.raises(Conflict) as caught:
            await app.migrate(MigrationAction.FINISH)
        assert caught.value.reason == "altered"
        assert (site.source / "k").read_bytes() == b"precious"


async def test_changes_after_the_switch_do_not_keep_it_from_being_finished(make_site):
    site = make_site()
    async with site.open() as app:
        await app.put("replaced", b"old")
        await app.put("deleted", b"old")
        await app.put("moved", b"stays")
        await app.migrate(format_=FLAT, target=site.target)
        await app.put("replaced", b"new")
        await app.store.delete_node("deleted")
        await app.store.move_node("moved", "elsewhere")
        report = await app.migrate(MigrationAction.FINISH)
        assert (report.removed, report.left) == (3, ())
        assert await app.read("replaced") == b"new"
        assert await app.read("elsewhere") == b"stays"


async def test_an_upload_in_parts_that_was_under_way_is_aborted(make_site):
    site = make_site()
    async with site.open() as app:
        upload = await app.store.create_upload("k", b"")
        await app.migrate(format_=FLAT, target=site.target)
        assert await app.store.list_uploads("", "", "", 10) == []
        with pytest.raises(CellsError):
            await app.store.read_upload(upload.upload_id)


FORMATS = [(STRUCTURED, FLAT), (FLAT, STRUCTURED), (STRUCTURED, STRUCTURED), (FLAT, FLAT)]


def keys_behind(bucket):
    """Every object of the other server's bucket, but what hides in it."""
    client = boto3.client(
        "s3", endpoint_url=bucket["endpoint"], aws_access_key_id="a", aws_secret_access_key="b" * 20,
        region_name="us-east-1",
    )  # fmt: skip
    found = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket["bucket"]).get("Contents", ())]
    client.close()
    return [key for key in found if ".cellsmono/" not in key]


@pytest.mark.parametrize(("source", "target"), FORMATS)
async def test_from_a_bucket_of_another_server_to_a_folder(make_site, far_bucket, source, target):
    site = make_site(source, **far_bucket, prefix="base")
    async with site.open() as app:
        await app.seed()
        before = await seen(app)
        report = await app.migrate(format_=target, target=site.target)
        assert report.problems == ()
        assert await seen(app) == before
        assert app.store.config.storage is Storage.LOCAL
        assert app.store.config.secret_key == ""
        finished = await app.migrate(MigrationAction.FINISH)
        assert (finished.removed, finished.left) == (9, ())
        assert keys_behind(far_bucket) == []
        await app.check_well()


@pytest.mark.parametrize(("source", "target"), FORMATS)
async def test_from_a_folder_to_a_bucket_of_another_server(make_site, far_bucket, source, target):
    site = make_site(source)
    site.far = True
    async with site.open() as app:
        await app.seed()
        before = await seen(app)
        values = {name: value for name, value in far_bucket.items() if name != "bucket"}
        place = f"s3://{far_bucket['bucket']}/base"
        report = await app.migrate(format_=target, target=place, **values)
        assert report.problems == ()
        assert await seen(app) == before
        if target is STRUCTURED:
            assert (await app.operations.resync("docs")).changed == 0
        await app.check_well()
        assert (await app.migrate(MigrationAction.FINISH)).left == ()
        assert not site.source.exists()
    async with site.open() as app:
        assert await seen(app) == before


@pytest.mark.parametrize("is_near", [True, False], ids=["inside", "through"])
@pytest.mark.parametrize(("source", "target"), FORMATS)
async def test_from_a_bucket_to_another_one(make_site, far_bucket, proxy, monkeypatch, source, target, is_near):
    """On one server nothing is read; from server to server everything passes through."""
    site = make_site(source, **far_bucket, prefix="base")
    opened = []
    async with site.open() as app:
        await app.seed()
        before = await seen(app)
        opening = S3Store.open
        monkeypatch.setattr(S3Store, "open", lambda *args: opened.append(args[2]) or opening(*args))
        values = {} if is_near else {"endpoint": proxy.url, "access_key": "access", "secret_key": "secretsecret"}
        report = await app.migrate(format_=target, target=f"s3://{far_bucket['bucket']}/elsewhere", **values)
        assert report.problems == ()
        read = [key for key in opened if not key.endswith(".json")]
        assert len(read) == (0 if is_near else 9)
        assert app.store.config.endpoint == (far_bucket["endpoint"] if is_near else proxy.url)
        assert await seen(app) == before
        await app.check_well()
        finished = await app.migrate(MigrationAction.FINISH)
        assert (finished.removed, finished.left) == (9, ())
        assert all(key.startswith("elsewhere/") for key in keys_behind(far_bucket))
    async with site.open() as app:
        assert await seen(app) == before
        await app.check_well()


async def test_what_a_server_copied_is_read_where_its_etags_tell_nothing(make_site, far_bucket, monkeypatch):
    site = make_site(FLAT, **far_bucket, prefix="base")
    async with site.open() as app:
        await app.seed()
        before = await seen(app)
        monkeypatch.setattr(streaming, "_is_made_of", lambda facts, md5: False)
        report = await app.migrate(format_=FLAT, target=f"s3://{far_bucket['bucket']}/elsewhere")
        assert report.problems == ()
        assert await seen(app) == before


async def test_a_server_that_copies_something_else_is_found_out(make_site, far_bucket, monkeypatch):
    site = make_site(FLAT, **far_bucket, prefix="base")
    async with site.open() as app:
        await app.put("one", b"one")
        other = await app.put("two", b"two")
        unhashed = await app.upload("parts", b"abc")
        copy = store.copy_version

        async def copy_other(connection, version, place, key, options):
            wrong = msgspec.structs.replace(version, key=app.store.blobs.key_of(other))
            return await copy(connection, wrong, place, key, options)

        monkeypatch.setattr(store, "copy_version", copy_other)
        monkeypatch.setattr(copying_s3, "_confirm", lambda *args: asyncio.sleep(0))
        report = await app.migrate(format_=FLAT, target=f"s3://{far_bucket['bucket']}/elsewhere")
        assert {(p.obstacle, p.path) for p in report.problems} == {
            (Obstacle.DIFFERS, "one"), (Obstacle.DIFFERS, unhashed.path)
        }  # fmt: skip
        assert app.store.config.prefix == "base"
        monkeypatch.undo()
        assert (await app.migrate()).problems == ()
        assert await app.read("one") == b"one"


async def test_blobs_that_are_missing_in_a_bucket_are_told_first(make_site, far_bucket):
    site = make_site(FLAT, **far_bucket, prefix="base")
    async with site.open() as app:
        await app.put("fine")
        node = await app.put("gone", b"gone")
        await app.triple.objects.delete("docs", app.store.blobs.key_of(node))
        for action in (MigrationAction.PLAN, MigrationAction.RUN):
            report = await app.migrate(action, FLAT, site.target)
            assert [(p.obstacle, p.path) for p in report.problems] == [(Obstacle.MISSING, "gone")]
