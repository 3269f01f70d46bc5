"""The whole application over buckets of other servers: which service serves which one, and what is said of faults."""

import hashlib
import secrets
import subprocess
import sys
from contextlib import asynccontextmanager

import boto3
import msgspec
import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.hashes import RehashOptions
from cellsmono.interfaces.node import BLOCK_BYTES
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import CellsError, Forbidden, NotFound, Unavailable
from cellsmono.kernel.service import ServiceState
from cellsmono.kernel.text import HIDDEN

OWNER = Actor("owner")


async def one_chunk(data):
    yield data


async def put(router, root, key, data=b"data"):
    return await router.put_node(OWNER, root, key, one_chunk(data), PlainDigest(), WriteOptions())


@pytest.fixture
def open_it(tmp_path):
    @asynccontextmanager
    async def start(*sources, follow=False, data="data"):
        lines = []
        for source in sources:
            lines.append("[[datasource]]")
            lines += [f"{key} = {value!r}".replace("True", "true") for key, value in source.items()]
        file = tmp_path / "config.toml"
        file.write_text("\n".join(lines))
        place = tmp_path / data
        place.mkdir(exist_ok=True)
        flags = {"server.data_dir": (str(place), "--data-dir")}
        loaded = load_config(flags, config_file=str(file), environ={"HOME": str(tmp_path)})
        async with open_core(loaded, follow=follow) as core:
            yield core

    return start


@pytest.fixture
def bucket(own_server):
    name = f"far-{secrets.token_hex(6)}"
    client = boto3.client(
        "s3",
        endpoint_url=own_server.url,
        aws_access_key_id=own_server.access_key,
        aws_secret_access_key=own_server.secret_key,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=name)
    client.close()
    return name


@pytest.fixture
def make_source(own_server, bucket):
    def make(name, **more):
        return {
            "name": name,
            "storage": "s3",
            "endpoint": own_server.url,
            "bucket": bucket,
            "prefix": name,
            "access_key": own_server.access_key,
            "secret_key": own_server.secret_key,
        } | more

    return make


async def test_buckets_of_one_endpoint_and_key_pair_share_a_service(open_it, make_source, moto_server, tmp_path):
    (tmp_path / "local").mkdir()
    elsewhere = {"endpoint": moto_server, "access_key": "other", "secret_key": "other-secret"}
    sources = [make_source("one"), make_source("two"), make_source("three", **elsewhere)]
    sources.append({"name": "four", "folder": str(tmp_path / "local")})
    async with open_it(*sources) as core:
        infos = {info.config.name: info for info in await core.installation.list_datasources()}
        assert {name: info.objects for name, info in infos.items()} == {
            "one": "data.objects.gateway1",
            "two": "data.objects.gateway1",
            "three": "data.objects.gateway2",
            "four": "data.objects.local1",
        }
        rows = {row.name: row.serves for row in await core.installation.list_services()}
        assert rows["data.objects.gateway1"] == infos["one"].objects_serves == ("one", "two")
        assert "secret" not in str(await core.installation.list_services())
        assert b"secret-" not in msgspec.json.encode(list(infos.values()))
        assert infos["one"].config.secret_key == HIDDEN
        await put(core.router, "one", "x", b"mine")
        assert (await core.router.read_node(OWNER, "one", "x")).size == 4
        with pytest.raises(NotFound):
            await core.router.read_node(OWNER, "two", "x")


async def test_a_read_only_bucket_is_followed_and_never_written(open_it, make_source):
    async with open_it(make_source("one")) as core:
        await put(core.router, "one", "x", b"mine")
    async with open_it(make_source("two", prefix="one", read_only=True)) as core:
        await core.installation.resync("two")
        assert (await core.router.read_node(OWNER, "two", "x")).size == 4
        with pytest.raises(Forbidden):
            await put(core.router, "two", "y")
        with pytest.raises(Forbidden):
            await core.router.delete_node(OWNER, "two", "x")
        assert (await core.router.read_node(OWNER, "two", "x")).size == 4


async def test_content_in_a_bucket_is_hashed_and_verified(open_it, make_source, bucket, own_server):
    body = b"x" * (BLOCK_BYTES + 1)
    async with open_it(make_source("one")) as core:
        await put(core.router, "one", "large", body)
        await put(core.router, "one", "small", b"hello")
        report = await core.installation.rehash("one")
        assert (report.files, report.hashed, report.counts) == (1, 1, {})
        node = await core.router.read_node(OWNER, "one", "large")
        blocks = hashlib.md5(body[:BLOCK_BYTES]).digest() + hashlib.md5(b"x").digest()
        assert node.cells_hash == hashlib.md5(blocks).hexdigest()
        report = await core.installation.rehash("one", "", RehashOptions(verify=True))
        assert (report.verified, report.counts) == (2, {})
        info = await core.installation.read_datasource("one")
        assert info.unhashed.files == 0


async def test_adding_tells_what_is_wrong_and_keeps_nothing(open_it, make_source, tmp_path):
    async with open_it() as core:
        for values, said in [
            ({"secret_key": "not the right one"}, "secret"),
            ({"access_key": "NOBODY"}, "access key"),
            ({"bucket": "no-such-bucket"}, "no bucket"),
        ]:
            config = load_source(make_source("one", **values))
            with pytest.raises(CellsError, match=said) as caught:
                await core.installation.add_datasource(config)
            assert config.secret_key not in str(caught.value)
            assert await core.installation.list_datasources() == []
            assert not [*tmp_path.rglob("index.db")], "a check of versions would not judge what seems to be somebody's"
        added = await core.installation.add_datasource(load_source(make_source("one")))
        assert added.config.secret_key == HIDDEN
        await put(core.router, "one", "x")
    async with open_it() as core:
        assert (await core.router.read_node(OWNER, "one", "x")).size == 4
        await core.installation.remove_datasource("one")


def load_source(table):
    from pathlib import Path

    from cellsmono.app.config_sources import read_datasource

    return read_datasource(table, "test", Path("/"))


async def test_a_server_that_can_not_be_reached_keeps_its_datasource_offline(open_it, make_source, monkeypatch):
    monkeypatch.setattr("cellsmono.datasource.objects.s3.patience.ATTEMPTS", 1)
    async with open_it(make_source("one", endpoint="http://127.0.0.1:9")) as core:
        with pytest.raises(Unavailable, match="endpoint"):
            await core.installation.resync("one")
        info = await core.installation.read_datasource("one")
        assert info.state is ServiceState.DEGRADED or info.sync is not None
        with pytest.raises(Unavailable):
            await put(core.router, "one", "x")


def test_servers_without_buckets_do_not_import_what_asks_them():
    code = (
        "import sys, cellsmono.app.assembly, cellsmono.cli.main; "
        "sys.exit(bool({'aiobotocore', 'botocore'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("format_", ["flat", "internal"])
async def test_blobs_in_a_bucket_survive_restarts_take_every_key_and_belong_to_one_server(
    open_it, make_source, format_
):
    source = make_source("one", format=format_)
    async with open_it(source) as core:
        store = core.datasources.triple("one").store
        for data in (b"old", b"new"):
            node = await store.put_node("a//b/../c", one_chunk(data), PlainDigest())
        await store.put_node("a", one_chunk(b"beside"), PlainDigest())
        await store.move_node("a//", "b//")
        async with open_it(source, data="second") as other:
            assert "held by another process" in (await other.installation.read_datasource("one")).error
        assert (await core.installation.check("one")).is_fine
    async with open_it(source) as core:
        store = core.datasources.triple("one").store
        moved = await store.read_node("b//b/../c")
        assert (moved.uuid, moved.size) == (node.uuid, 3)
        opened = await store.open_node("b//b/../c")
        assert await opened.reader.read(0, 10) == b"new"
        opened.reader.close()
        info = await core.installation.read_datasource("one")
        assert (info.state, info.sync) == (ServiceState.READY, None)
