"""The service of versions: policies applied, versions brought back, and what the configuration asks for."""

import time
from contextlib import asynccontextmanager

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.data.versions import prune as prune_module
from cellsmono.data.versions.service import VersionsService
from cellsmono.interfaces.datasource import DatasourceConfig, Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.locks import LockRule, ObjectLock
from cellsmono.interfaces.version import Versioning
from cellsmono.interfaces.version_policy import DeletedStrategy
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import Conflict, Invalid, NotFound
from cellsmono.kernel.service import ServiceState


async def one_chunk(data):
    yield data


class Site:
    """A data folder, and a datasource with a policy over a clock that is moved by hand."""

    def __init__(self, root) -> None:
        self.root, self.clock = root, ManualClock(time.time())
        (root / "data").mkdir()

    @asynccontextmanager
    async def open(self):
        environ = {"CELLSMONO_DATA_DIR": str(self.root / "data"), "HOME": str(self.root)}
        async with open_core(load_config(environ=environ), follow=False, clock=self.clock) as core:
            yield core

    async def add(self, core, name="docs", format_=Format.FLAT, **policy):
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        settings = {"watch": "off", "hash_content": False, "format": format_} | policy
        await core.installation.add_datasource(DatasourceConfig(name=name, folder=str(folder), **settings))
        store = core.datasources.triple(name).store
        if hasattr(store, "_clock"):
            store._clock = self.clock
        return store

    async def put(self, store, path, *bodies):
        for body in bodies:
            await store.put_node(path, one_chunk(body), PlainDigest(), WriteOptions())
            self.clock.jump(60)


async def sizes(store, key=""):
    page = await store.index.list_versions(prefix=key)
    return [None if each.node is None else each.node.size for each in page.entries]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


async def test_the_configuration_turns_versioning_on_once(site):
    async with site.open() as core:
        store = await site.add(core, versions=True)
        assert store.versioning is Versioning.ENABLED
        await store.set_versioning(Versioning.SUSPENDED)
        service = VersionsService(core.installation, site.clock)
        while await service.step():
            pass
        assert store.versioning is Versioning.SUSPENDED, "somebody decided otherwise"
        assert service.status().state is ServiceState.READY
        with pytest.raises(Conflict, match="ds add versions"):
            await site.add(core, "plain", Format.STRUCTURED, versions=True)
        assert [info.config.name for info in await core.installation.list_datasources()] == ["docs"]


@pytest.mark.parametrize("format_", [Format.FLAT, Format.STRUCTURED])
async def test_a_prune_removes_what_the_policy_does_not_keep(site, format_, monkeypatch):
    monkeypatch.setattr(prune_module, "PAGE", 2)
    async with site.open() as core:
        await site.add(core, "versions", Format.INTERNAL)
        policy = {"version_periods": "5m=1", "version_deleted": DeletedStrategy.KEEP_LAST}
        store = await site.add(core, "docs", format_, versions=True, **policy)
        await site.put(store, "x", *(b"x" * n for n in range(1, 9)))
        await site.put(store, "y", b"1", b"22")
        await store.delete_node("y")
        planned = await core.installation.prune_versions("docs", dry_run=True)
        assert (planned.removed, planned.removed_bytes, planned.dry_run) == (5, 11, True)
        assert [(each.path, each.size) for each in planned.pruned] == [*(("x", n) for n in (4, 3, 2, 1)), ("y", 1)]
        assert await sizes(store, "x") == list(range(8, 0, -1))
        seen = []
        report = await core.installation.prune_versions("docs", progress=seen.append)
        assert report.removed == planned.removed
        assert seen[-1].removed == report.removed
        again = await core.installation.prune_versions("docs")
        assert again.removed == 0
        assert await store.index.verify() == []
        assert (await core.datasources.triple("versions").index.stats()).files == (
            0 if format_ is Format.FLAT else (await store.index.stats()).versions - 1
        )


async def test_the_oldest_of_the_datasource_go_when_there_are_too_many_bytes(site):
    async with site.open() as core:
        store = await site.add(core, versions=True, version_max_total=25)
        for turn in range(4):
            for key in ("a", "b", "c"):
                await site.put(store, key, b"%d" % turn * 5)
        planned = await core.installation.prune_versions("docs", dry_run=True)
        report = await core.installation.prune_versions("docs")
        assert (planned.removed, report.removed, report.removed_bytes) == (4, 4, 20)
        assert (await store.index.stats()).version_bytes == 25
        assert [await sizes(store, key) for key in ("a", "b", "c")] == [[5, 5], [5, 5, 5], [5, 5, 5]]


@pytest.mark.parametrize("is_service", [False, True])
async def test_what_is_locked_while_a_prune_runs_is_kept_and_did_not_fail(site, monkeypatch, is_service):
    async with site.open() as core:
        store = await site.add(core, versions=True, version_periods="0s=0")
        await store.set_object_lock(LockRule())
        await site.put(store, "x", b"1", b"22", b"333")
        delete = store.delete_version

        async def delete_late(path, version, **options):
            if (await store.read_version(path, version)).node.size == 1:
                await store.update_lock(path, version, lambda _: ObjectLock(hold="ON"))
            return await delete(path, version, **options)

        monkeypatch.setattr(store, "delete_version", delete_late)
        if is_service:
            service = VersionsService(core.installation, site.clock)
            while await service.step():
                pass
            assert service.status().state is ServiceState.READY
            assert "1 removed in the last run, 1 kept by locks" in service.status().detail
        else:
            report = await core.installation.prune_versions("docs")
            assert (report.removed, report.kept, report.failed) == (1, 1, 0)
        assert await sizes(store) == [3, 1]


async def test_the_service_prunes_by_itself_and_goes_on_after_a_broken_one(site, monkeypatch):
    async with site.open() as core:
        bad = await site.add(core, "bad", versions=True, version_periods="0s=0")
        store = await site.add(core, versions=True, version_periods="0s=0")
        for each in (bad, store):
            await site.put(each, "x", b"1", b"22")

        async def refuse(*arguments, **options):
            raise NotFound("gone", reason="root")

        monkeypatch.setattr(bad.index, "list_versions", refuse)
        service = VersionsService(core.installation, site.clock)
        while await service.step():
            pass
        assert await sizes(store) == [2]
        status = service.status()
        assert status.state is ServiceState.DEGRADED
        assert "2 datasources keep versions, 1 removed in the last run; bad: gone" in status.detail


@pytest.mark.parametrize("format_", [Format.FLAT, Format.STRUCTURED])
async def test_restoring_makes_an_older_version_the_newest(site, format_):
    async with site.open() as core:
        await site.add(core, "versions", Format.INTERNAL)
        store = await site.add(core, "docs", format_, versions=True)
        await site.put(store, "x", b"1", b"22", b"333")
        operations = core.installation
        first = (await store.index.read_versions("x"))[-1]
        assert (await operations.restore_version("docs", "x", first.id)).size == 1
        assert await sizes(store) == [1, 3, 2, 1]
        await store.delete_node("x")
        assert (await operations.restore_version("docs", "x")).size == 1
        assert await sizes(store) == [1, None, 1, 3, 2, 1]
        current, marker, *_ = await store.index.read_versions("x")
        assert (await operations.restore_version("docs", "x", current.id)).version == current.id, "it is shown already"
        with pytest.raises(Invalid):
            await operations.restore_version("docs", "x", marker.id)
        for path, version in (("x", "0" * 32), ("none", None)):
            with pytest.raises(NotFound) as error:
                await operations.restore_version("docs", path, version)
            assert error.value.reason == "version"
        page = await operations.list_versions("docs", "x", limit=4)
        assert len(page.entries) == 4
        rest = await operations.list_versions("docs", "x", page.next_key, page.next_version)
        assert len(rest.entries) == 2
