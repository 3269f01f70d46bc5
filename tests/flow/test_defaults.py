"""The default datasources: made once, internal ones hidden, names respected, nothing new in an older installation."""

import sqlite3
from contextlib import closing

import pytest

from cellsmono.app.defaults import DEFAULTS
from cellsmono.app.settings import APPLICATION_ID, FILE_NAME
from cellsmono.interfaces.datasource import DatasourceConfig, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import AlreadyExists, Invalid, NotFound
from cellsmono.kernel.service import ServiceState
from cellsmono.store.migrations import Migrations, load_migrations, migrate

OWNER = Actor("owner")
SHOWN = ["cellsdata", "personal", "pydiods1"]
INTERNAL = ["thumbnails", "versions"]


@pytest.fixture
def start(open_it):
    """A server with the default datasources switched on."""
    return lambda *sources, defaults=True: open_it(*sources, server=True, defaults=defaults)


async def list_roots(server):
    return [root.name for root in await server.core.router.list_roots(OWNER)]


async def one_chunk(data):
    yield data


async def put(server, root, key):
    return await server.core.router.put_node(OWNER, root, key, one_chunk(b"data"), PlainDigest(), WriteOptions())


async def test_the_first_start_makes_them_on_one_object_service_in_the_bucket_root(start, tmp_path):
    async with start() as server:
        infos = await server.operations.list_datasources()
        assert {info.config.name: info.config.format for info in infos} == DEFAULTS
        assert {info.state for info in infos} == {ServiceState.READY}
        assert {info.config.folder for info in infos} == {str(tmp_path / "data/buckets" / name) for name in DEFAULTS}
        assert {info.objects_serves for info in infos} == {tuple(sorted(DEFAULTS))}
        node = await put(server, "pydiods1", "a//b")
    async with start() as server:
        assert len(await server.operations.list_datasources()) == len(DEFAULTS)
        assert await server.core.router.read_node(OWNER, "pydiods1", "a//b") == node


async def test_internal_ones_do_not_exist_for_clients(start):
    async with start() as server:
        router = server.core.router
        assert await list_roots(server) == SHOWN
        for name in INTERNAL:
            with pytest.raises(NotFound) as caught:
                await router.read_root(OWNER, name)
            assert caught.value.reason == "root"
            with pytest.raises(NotFound):
                await put(server, name, "x")
            with pytest.raises(NotFound):
                await router.delete_root(OWNER, name)
            with pytest.raises(AlreadyExists) as taken:
                await router.create_root(OWNER, name)
            assert taken.value.reason == "reserved"
            store = server.core.datasources.triple(name).store
            assert (await store.put_node("x", one_chunk(b"data"), PlainDigest())).size == 4


async def test_one_that_was_removed_does_not_come_back_and_its_name_is_free(start, tmp_path):
    async with start() as server:
        await server.operations.remove_datasource("personal")
        await server.operations.remove_datasource("versions")
    async with start() as server:
        names = [info.config.name for info in await server.operations.list_datasources()]
        assert names == ["cellsdata", "pydiods1", "thumbnails"]
        (tmp_path / "mine").mkdir()
        await server.operations.add_datasource(DatasourceConfig(name="versions", folder=str(tmp_path / "mine")))
        assert await list_roots(server) == ["cellsdata", "pydiods1", "versions"]
    async with start() as server:
        assert await list_roots(server) == ["cellsdata", "pydiods1", "versions"]


async def test_the_switch_makes_none_until_it_is_turned(start):
    async with start(defaults=False) as server:
        assert await server.operations.list_datasources() == []
    async with start() as server:
        assert await list_roots(server) == SHOWN
    async with start(defaults=False) as server:
        assert await list_roots(server) == SHOWN, "what was made is served"


async def test_commands_make_none(open_it):
    async with open_it(defaults=True, follow=False) as core:
        assert await core.installation.list_datasources() == []


async def test_a_folder_of_that_name_is_served_in_its_place(start, make_source):
    async with start(make_source("personal")) as server:
        info = await server.operations.read_datasource("personal")
        assert (info.config.format, info.origin) == ("structured", "config")
        assert await list_roots(server) == SHOWN
    async with start() as server:
        assert await list_roots(server) == ["cellsdata", "pydiods1"], "it was settled, and not made later"


@pytest.mark.parametrize("name", INTERNAL)
async def test_a_folder_with_an_internal_name_is_refused_with_two_ways_out(start, make_source, name, tmp_path):
    with pytest.raises(Invalid) as caught:
        async with start(make_source(name)):
            pass
    for part in (repr(name), str(tmp_path / "trees" / name), f"my-{name}=", "server.default_datasources = false"):
        assert part in caught.value.message
    async with start(make_source(name), defaults=False) as server:
        assert await list_roots(server) == [name]


async def test_before_the_first_start_commands_refuse_it_too(open_it, make_source):
    async with open_it(defaults=True, follow=False) as core:
        with pytest.raises(Invalid, match="kept for an internal datasource"):
            await core.installation.add_datasource(DatasourceConfig(**make_source("versions")))


async def test_a_folder_that_takes_the_name_of_one_that_was_made_is_refused(start, open_it, make_source, tmp_path):
    async with start() as server:
        await put(server, "personal", "x")
    with pytest.raises(Invalid) as caught:
        async with start(make_source("personal")):
            pass
    assert str(tmp_path / "data/buckets/personal") in caught.value.message
    assert "cellsmono ds remove personal" in caught.value.message
    async with open_it(defaults=True, follow=False) as core:
        await core.installation.remove_datasource("personal")
    async with start(make_source("personal")) as server:
        assert (await server.operations.read_datasource("personal")).state is ServiceState.READY


async def test_one_that_can_not_be_made_is_tried_again(start, tmp_path):
    stray = tmp_path / "data/buckets/cellsdata/stray"
    stray.parent.mkdir(parents=True)
    stray.write_text("of somebody")
    async with start() as server:
        assert await list_roots(server) == ["personal", "pydiods1"]
    assert stray.read_text() == "of somebody"
    stray.unlink()
    async with start() as server:
        assert await list_roots(server) == SHOWN


async def test_a_start_that_was_killed_between_making_and_noting_goes_on(start, tmp_path):
    async with start() as server:
        await put(server, "personal", "x")
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME)) as connection, connection:
        connection.execute("DELETE FROM setting_default")
    async with start() as server:
        assert len(await server.operations.list_datasources()) == len(DEFAULTS)
        assert (await server.core.router.read_node(OWNER, "personal", "x")).size == 4
        await server.operations.remove_datasource("cellsdata")
    async with start() as server:
        assert await list_roots(server) == ["personal", "pydiods1"]


async def test_an_older_installation_gets_none(start, make_source, tmp_path):
    path = tmp_path / "data" / FILE_NAME
    path.parent.mkdir()
    now = load_migrations("cellsmono.app", APPLICATION_ID)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, Migrations(APPLICATION_ID, now.steps[:3]), "settings")
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    async with start(make_source("versions")) as server:
        assert await list_roots(server) == ["versions"], "its names are not reserved after the fact, either"
        assert server.core.settings.list_settled() == DEFAULTS.keys()
    async with start() as server:
        assert await server.operations.list_datasources() == []
