"""Noncurrent versions go along with a migration: every one can be read, restored and deleted at the new place."""

import os

import pytest
from msgspec.structs import replace

from cellsmono.datasource.migration import copying
from cellsmono.interfaces.datasource import DatasourceConfig, Encryption, Format
from cellsmono.interfaces.locks import LockRule
from cellsmono.interfaces.migration import MigrationAction, MigrationPhase, Obstacle
from cellsmono.interfaces.node import is_sealed
from cellsmono.interfaces.version import Version, Versioning
from cellsmono.kernel.errors import Conflict, NotFound, Unavailable

FLAT, STRUCTURED = Format.FLAT, Format.STRUCTURED
CONTENTS = 7
"""Noncurrent versions with content that ``seed`` leaves."""
WAYS = [(STRUCTURED, FLAT), (FLAT, STRUCTURED), (STRUCTURED, STRUCTURED), (FLAT, FLAT)]


async def add_keeper(app):
    folder = app.site.root / "kept"
    folder.mkdir(exist_ok=True)
    await app.operations.add_datasource(
        DatasourceConfig(name="versions", folder=str(folder), format=Format.INTERNAL, hash_content=False)
    )


def keeper_of(app):
    return app.core.datasources.triple("versions").store


async def kept(app):
    """What the internal datasource holds: paths and content."""
    store, found = keeper_of(app), {}
    for node in (await store.index.list_keys(limit=1000)).entries:
        opened = await store.open_node(node.path)
        found[node.path] = await opened.reader.read(0, 1 << 20)
        opened.reader.close()
    return found


async def seed(app):
    """Keys with a null version below, several versions, delete markers; one whose node went elsewhere."""
    await app.put("before", b"null version", user={"n": "0"})
    await app.store.set_versioning(Versioning.ENABLED)
    for number in range(1, 4):
        await app.put("before", b"version %d" % number, user={"n": str(number)})
    await app.put("gone/deep", b"only a version")
    await app.put("gone/deep", b"another one!", content_type="text/x")
    await app.store.delete_node("gone/deep")
    await app.put("moved", b"first of moved")
    await app.put("moved", b"second of moved")
    await app.store.move_node("moved", "there")
    await app.put("plain", b"no versions")
    await app.put("empty", b"")
    await app.put("empty", b"x")


async def history(app):
    """All versions as clients see them, with their content."""
    found = []
    for entry in (await app.store.index.list_versions(limit=1000)).entries:
        if entry.key.endswith("/"):
            continue
        content, told = None, None
        if entry.node is not None:
            opened = await app.store.open_version(entry.key, entry.id)
            content = await opened.reader.read(0, 1 << 20)
            opened.reader.close()
            told = (entry.node.uuid, entry.node.meta, entry.node.effective_etag)
        found.append((entry.key, entry.id, entry.is_latest, entry.mtime_ns, entry.since_ns, content, told))
    return found


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize(("source", "target"), WAYS)
async def test_every_version_is_there_and_the_old_place_is_empty(make_site, source, target, move):
    site = make_site(source)
    async with site.open() as app:
        await add_keeper(app)
        await seed(app)
        before = await history(app)
        contents = sum(1 for *_, is_latest, _m, _s, content, _t in before if content is not None and not is_latest)
        assert contents == CONTENTS
        report = await app.migrate(format_=target, target=site.target, move=move)
        assert report.problems == ()
        assert report.phase is (None if move else MigrationPhase.SWITCHED)
        carried = 0 if source is target is STRUCTURED else contents
        assert (report.versions, report.done_files) == (carried, report.files + carried)
        assert await history(app) == before
    async with site.open() as app:
        assert await history(app) == before
        if not move:
            finished = await app.migrate(MigrationAction.FINISH)
            assert (finished.left, finished.removed) == ((), finished.files + carried)
        assert not site.source.exists()
        assert len(await kept(app)) == (contents if target is STRUCTURED else 0)
        assert await history(app) == before
        assert await app.triple.index.verify() == []
        await app.check_well()


@pytest.mark.parametrize(("source", "target"), WAYS)
async def test_versions_are_of_use_at_the_new_place(make_site, source, target):
    site = make_site(source)
    async with site.open() as app:
        await add_keeper(app)
        await seed(app)
        await app.migrate(format_=target, target=site.target)
        await app.migrate(MigrationAction.FINISH)
        page = (await app.store.index.list_versions("before")).entries
        await app.put("before", b"written at the new place")
        assert (await app.store.read_version("before", page[0].id)).is_latest is False
        for version in [
            (await app.store.read_version("before", (await app.store.read_node("before")).version)),
            *page[:2],
        ]:
            await app.store.delete_version("before", version.id)
        assert await app.read("before") == b"version 1"
        marker = (await app.store.index.list_versions("gone/")).entries[0]
        assert marker.node is None
        await app.store.delete_version("gone/deep", marker.id)
        assert await app.read("gone/deep") == b"another one!"
        assert (await app.store.read_node("gone/deep")).meta.content_type == "text/x"
        await app.store.delete_version("before", "")
        with pytest.raises(NotFound):
            await app.store.open_version("before", "")
        await app.check_well()


@pytest.mark.parametrize(("source", "target"), [(STRUCTURED, FLAT), (FLAT, STRUCTURED)])
async def test_there_and_back_again(make_site, source, target):
    site = make_site(source)
    async with site.open() as app:
        await add_keeper(app)
        await seed(app)
        before = await history(app)
        for format_, place in ((target, site.target), (source, site.root / "third")):
            assert (await app.migrate(format_=format_, target=place)).problems == ()
            await app.migrate(MigrationAction.FINISH)
        assert await history(app) == before
        await app.check_well()


@pytest.mark.parametrize(
    ("encryption", "changed", "target"),
    [("none", "aes256", FLAT), ("aes256", "none", FLAT), ("aes256", "aes256", FLAT), ("aes256", "none", STRUCTURED)],
)
async def test_versions_are_sealed_as_the_target_is_set(make_site, encryption, changed, target):
    site = make_site(FLAT)
    site.config = replace(site.config, encryption=Encryption(encryption))
    async with site.open() as app:
        await add_keeper(app)
        await seed(app)
        before = await history(app)
        assert (await app.migrate(format_=target, target=site.target, encryption=changed)).problems == ()
        assert await history(app) == before
        nodes = [entry.node for entry in (await app.store.index.list_versions(limit=1000)).entries if entry.node]
        assert {is_sealed(node.blob) for node in nodes} == {changed == "aes256"}
        await app.migrate(MigrationAction.FINISH)
        assert await history(app) == before
        await app.check_well()


async def test_processes_that_copy_take_versions_along(make_site, monkeypatch):
    monkeypatch.setattr(copying, "MANY_FILES", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    site = make_site(FLAT)
    async with site.open() as app:
        await seed(app)
        before = await history(app)
        assert (await app.migrate(format_=FLAT, target=site.target)).problems == ()
        assert await history(app) == before


async def test_versions_go_to_a_bucket_and_back(make_site, far_bucket):
    site = make_site(FLAT)
    async with site.open() as app:
        await seed(app)
        before = await history(app)
        values = {name: value for name, value in far_bucket.items() if name != "bucket"}
        assert (await app.migrate(format_=FLAT, target=f"s3://{far_bucket['bucket']}/x", **values)).problems == ()
        assert await history(app) == before
        await app.migrate(MigrationAction.FINISH)
        assert (await app.migrate(format_=FLAT, target=site.target)).problems == ()
        assert (await app.migrate(MigrationAction.FINISH)).left == ()
        assert await history(app) == before
        await app.check_well()


async def test_without_a_keeper_nothing_becomes_structured(make_site):
    site = make_site(FLAT)
    async with site.open() as app:
        await seed(app)
        before = await history(app)
        for action in (MigrationAction.PLAN, MigrationAction.RUN):
            with pytest.raises(Conflict, match="cellsmono ds add versions=") as error:
                await app.migrate(action, STRUCTURED, site.target)
            assert error.value.reason == "versioning"
        assert await history(app) == before
        await app.check_well()


async def test_what_is_locked_does_not_become_structured(make_site):
    site = make_site(FLAT)
    async with site.open() as app:
        await add_keeper(app)
        await seed(app)
        await app.store.set_object_lock(LockRule())
        before = await history(app)
        for action in (MigrationAction.PLAN, MigrationAction.RUN):
            with pytest.raises(Conflict, match="--to flat") as error:
                await app.migrate(action, STRUCTURED, site.target)
            assert error.value.reason == "object_lock"
        assert (await app.migrate(format_=FLAT, target=site.target)).problems == ()
        assert app.store.index.object_lock == LockRule()
        assert await history(app) == before


async def test_a_version_whose_key_no_folder_can_hold_is_told_first(make_site):
    site = make_site(FLAT)
    async with site.open() as app:
        await add_keeper(app)
        await app.store.set_versioning(Versioning.ENABLED)
        await app.put("a//b")
        await app.store.delete_node("a//b")
        report = await app.migrate(format_=STRUCTURED, target=site.target)
        assert [(each.obstacle, each.path) for each in report.problems] == [(Obstacle.KEY, "a//b")]
        assert await kept(app) == {}


@pytest.mark.parametrize("source", [FLAT, STRUCTURED])
async def test_content_of_a_version_that_is_missing_is_told_first(make_site, source):
    site = make_site(source)
    async with site.open() as app:
        await add_keeper(app)
        await seed(app)
        version = next(
            entry for entry in (await app.store.index.list_versions("before")).entries
            if isinstance(entry, Version) and not entry.is_latest
        )  # fmt: skip
        if source is FLAT:
            (site.source / app.store.blobs.key_of(version.node)).unlink()
        else:
            (lost,) = [path for path, content in (await kept(app)).items() if content == b"version 2"]
            await keeper_of(app).delete_node(lost)
        report = await app.migrate(format_=FLAT, target=site.target)
        assert [(each.obstacle, each.path) for each in report.problems] == [(Obstacle.MISSING, "before")]
        assert report.phase is not MigrationPhase.SWITCHED


@pytest.mark.parametrize(("source", "target"), [(STRUCTURED, FLAT), (FLAT, STRUCTURED), (FLAT, FLAT)])
async def test_giving_up_takes_the_copies_of_versions_away(make_site, monkeypatch, source, target):
    site = make_site(source)
    async with site.open() as app:
        await add_keeper(app)
        await seed(app)
        before, held = await history(app), await kept(app)

        async def fail(*args):
            raise Unavailable("just before the switch")

        monkeypatch.setattr("cellsmono.app.migration.carry_snapshots", fail)
        with pytest.raises(Unavailable):
            await app.migrate(format_=target, target=site.target)
        if target is STRUCTURED:
            assert len(await kept(app)) == CONTENTS
        report = await app.migrate(MigrationAction.ABORT)
        assert report.left == ()
        assert await kept(app) == held
        assert await history(app) == before
        await app.check_well()


@pytest.mark.parametrize(("source", "target"), [(STRUCTURED, FLAT), (FLAT, STRUCTURED), (FLAT, FLAT)])
async def test_what_becomes_of_versions_between_two_runs_is_carried_over(make_site, monkeypatch, source, target):
    site = make_site(source)
    async with site.open() as app:
        await add_keeper(app)
        await seed(app)

        async def fail(*args):
            raise Unavailable("just before the switch")

        with monkeypatch.context() as patch:
            patch.setattr("cellsmono.app.migration.carry_snapshots", fail)
            with pytest.raises(Unavailable):
                await app.migrate(format_=target, target=site.target)
        await app.put("plain", b"what was current is a version now")
        await app.store.delete_version("before", "")
        newest = (await app.store.index.list_versions("before")).entries[0]
        await app.store.delete_version("before", newest.id)  # a version is current again
        await app.store.delete_node("there")
        before = await history(app)
        report = await app.migrate()
        assert (report.phase, report.problems) == (MigrationPhase.SWITCHED, ())
        assert await history(app) == before
        assert (await app.migrate(MigrationAction.FINISH)).left == ()
        assert await history(app) == before
        await app.check_well()


@pytest.mark.parametrize(("source", "target"), [(STRUCTURED, FLAT), (FLAT, STRUCTURED), (FLAT, FLAT)])
async def test_finish_removes_nothing_once_a_version_is_lost(make_site, source, target):
    site = make_site(source)
    async with site.open() as app:
        await add_keeper(app)
        await seed(app)
        await app.migrate(format_=target, target=site.target)
        version = (await app.store.index.list_versions("before")).entries[1]
        if target is STRUCTURED:
            (lost,) = [path for path, content in (await kept(app)).items() if content == b"version 2"]
            await keeper_of(app).delete_node(lost)
        else:
            (site.target / app.store.blobs.key_of(version.node)).unlink()
        with pytest.raises(Conflict, match="1 file"):
            await app.migrate(MigrationAction.FINISH)
        if source is STRUCTURED:
            assert len(await kept(app)) == CONTENTS


async def test_content_kept_ahead_of_a_change_that_never_came_is_no_version_in_blobs(make_site, monkeypatch):
    site = make_site(STRUCTURED)
    async with site.open() as app:
        await add_keeper(app)
        await seed(app)
        before = await history(app)

        async def fail(*args, **kwargs):
            raise Unavailable("cut off")

        with monkeypatch.context() as patch:
            patch.setattr(app.triple.objects, "commit", fail)
            with pytest.raises(Unavailable):
                await app.put("plain", b"never came")
        assert await history(app) == before
        assert (await app.migrate(format_=FLAT, target=site.target)).problems == ()
        assert await history(app) == before
        assert await app.triple.index.verify() == []
        await app.put("plain", b"came")
        assert len((await app.store.index.list_versions("plain")).entries) == 2
        await app.migrate(MigrationAction.FINISH)
        assert await kept(app) == {}
        assert await app.triple.index.verify() == []
