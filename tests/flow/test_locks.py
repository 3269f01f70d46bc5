"""Locked versions in a whole application: over restarts, snapshots, migrations and removals."""

from contextlib import asynccontextmanager

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import DatasourceConfig, Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.locks import LockRule, ObjectLock
from cellsmono.interfaces.migration import MigrationAction, MigrationOptions
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import Conflict, Forbidden, NotFound

NAME = "vault"
NOW = 1_900_000_000
DAY = 86_400
RULE = LockRule("COMPLIANCE", days=10)


async def chunks(data):
    yield data


class Site:
    """A data folder under a clock that stands still."""

    def __init__(self, root):
        self.root = root
        self.clock = ManualClock(NOW)
        for name in ("data", "blobs"):
            (root / name).mkdir()

    @asynccontextmanager
    async def open(self):
        flags = {"server.data_dir": (str(self.root / "data"), "--data-dir")}
        async with open_core(load_config(flags, environ={"HOME": str(self.root)}), clock=self.clock) as core:
            if core.datasources.find(NAME) is None:
                await core.installation.add_datasource(self.config)
                await store_of(core).set_versioning(Versioning.ENABLED)
            yield core

    @property
    def config(self):
        return DatasourceConfig(name=NAME, folder=str(self.root / "blobs"), format="flat", durability="relaxed")


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def store_of(core):
    return core.datasources.triple(NAME).store


async def put(core, path, data=b"x", lock=None):
    options = WriteOptions(meta=NodeMeta(lock=lock))
    return await store_of(core).put_node(path, chunks(data), PlainDigest(), options)


async def is_refused(core, node):
    try:
        await store_of(core).delete_version(node.path, node.version, bypass=True)
    except Forbidden as error:
        return error.reason == "locked"
    return False


async def test_locks_survive_a_restart(site):
    async with site.open() as core:
        await store_of(core).set_object_lock(RULE)
        node = await put(core, "x")
        await put(core, "x", b"newer")
    site.clock.jump(10 * DAY - 1)
    async with site.open() as core:
        assert (await core.installation.read_datasource(NAME)).stats.object_lock == RULE
        assert await is_refused(core, node)
        with pytest.raises(Conflict):
            await store_of(core).set_versioning(Versioning.SUSPENDED)
        site.clock.jump(1)
        assert not await is_refused(core, node)


async def test_no_snapshot_loses_what_is_locked(site):
    async with site.open() as core:
        operations = core.installation
        await operations.dump_snapshot(NAME, "unlocked.db")
        await store_of(core).set_object_lock(LockRule())
        free = await put(core, "free")
        held = await put(core, "held", lock=ObjectLock(hold="ON"))
        await operations.dump_snapshot(NAME, "locked.db")
        await put(core, "later")
        await store_of(core).update_lock("free", None, lambda _: ObjectLock("GOVERNANCE", NOW + DAY))
        for basename in ("unlocked.db", "locked.db"):
            with pytest.raises(Conflict) as error:
                await operations.load_snapshot(NAME, basename)
            assert error.value.reason == "locked"
            assert (await store_of(core).read_node("later")).size == 1, "nothing was changed"
        site.clock.jump(DAY)
        await operations.load_snapshot(NAME, "locked.db")
        with pytest.raises(NotFound):
            await store_of(core).read_node("later")
        assert await is_refused(core, held)
        assert (await store_of(core).read_node("free")).version == free.version
        await store_of(core).update_lock("held", None, lambda _: ObjectLock())
        await operations.load_snapshot(NAME, "unlocked.db")
        stats = (await operations.read_datasource(NAME)).stats
        assert (stats.files, stats.object_lock, stats.versioning) == (0, LockRule(), Versioning.ENABLED)


@pytest.mark.parametrize("move", [False, True])
async def test_a_migration_takes_locks_along(site, tmp_path, move):
    async with site.open() as core:
        await store_of(core).set_object_lock(LockRule("GOVERNANCE", years=1))
        node = await put(core, "a/x", lock=ObjectLock("COMPLIANCE", NOW + DAY))
        with pytest.raises(Conflict):
            await core.installation.migrate(
                NAME, MigrationOptions(MigrationAction.RUN, Format.STRUCTURED, str(tmp_path / "files"))
            )
        options = MigrationOptions(MigrationAction.RUN, Format.FLAT, str(tmp_path / "elsewhere"), move=move)
        await core.installation.migrate(NAME, options)
        if not move:
            await core.installation.migrate(NAME, MigrationOptions(MigrationAction.FINISH))
        assert store_of(core).config.folder == str(tmp_path / "elsewhere")
        assert await is_refused(core, node)
        assert (await put(core, "new")).meta.lock.mode == "GOVERNANCE"
        site.clock.jump(DAY)
        assert not await is_refused(core, node)


async def test_a_datasource_is_not_removed_while_it_holds_locked_versions(site):
    async with site.open() as core:
        await store_of(core).set_object_lock(LockRule())
        operations = core.installation
        governed = await put(core, "governed", lock=ObjectLock("GOVERNANCE", NOW + DAY))
        held = await put(core, "held", lock=ObjectLock("GOVERNANCE", NOW + DAY, "ON"))
        await store_of(core).remove_node("held")
        for bypass in (False, True):
            with pytest.raises(Conflict) as error:
                await operations.remove_datasource(NAME, bypass=bypass)
            assert error.value.reason == "locked"
        await store_of(core).update_lock("held", held.version, lambda _: ObjectLock())
        with pytest.raises(Conflict, match="--bypass-governance"):
            await operations.remove_datasource(NAME)
        await operations.remove_datasource(NAME, bypass=True)
        assert core.datasources.find(NAME) is None
        await operations.add_datasource(site.config)
        found = await store_of(core).read_version("governed", governed.version)
        assert found.node.meta.lock == governed.meta.lock, "it comes back as it was"
        site.clock.jump(DAY)
        await operations.remove_datasource(NAME)
