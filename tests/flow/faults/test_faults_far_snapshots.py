"""The S3 server fails in each phase of a dump and of a load: that costs the dump or load, and nothing else."""

import asyncio
import importlib.util
import secrets
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import NodeMeta
from cellsmono.kernel.errors import CellsError

NAME = "docs"

_spec = importlib.util.spec_from_file_location("s3_proxy", Path(__file__).with_name("s3_proxy.py"))
s3_proxy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(s3_proxy)


async def body(data):
    yield data


class Site:
    """A datasource in a bucket behind the proxy, with a snapshot that is older than its index."""

    def __init__(self, core, proxy):
        self.core, self.proxy = core, proxy

    @property
    def index(self):
        return self.core.datasources.triple(NAME).index

    async def dump(self):
        await self.core.installation.dump_snapshot(NAME, "good.db")

    async def load(self):
        await self.core.installation.load_snapshot(NAME, "good.db")

    async def begin(self):
        store = self.core.datasources.triple(NAME).store
        await store.put_node("a/file", body(b"data"), PlainDigest(), WriteOptions(meta=NodeMeta(user={"v": "old"})))
        await self.core.installation.resync(NAME)
        await self.dump()
        await store.update_meta("a/file", lambda meta: NodeMeta(user={"v": "new"}))

    async def version(self):
        return (await self.index.read_node("a/file")).meta.user["v"]


@pytest.fixture
async def site(moto_server, tmp_path, monkeypatch):
    monkeypatch.setattr("cellsmono.datasource.objects.s3.patience.ATTEMPTS", 1)
    async with s3_proxy.FaultyProxy(moto_server).running() as proxy, open_site(tmp_path, proxy) as made:
        await made.begin()
        yield made
        proxy.plan.clear()
        proxy.always = None


@asynccontextmanager
async def open_site(root, proxy):
    from cellsmono.datasource.objects.s3.endpoint import Endpoint
    from cellsmono.datasource.objects.s3.store import S3Store

    bucket = f"faults-{secrets.token_hex(6)}"
    maker = S3Store("maker", Endpoint(proxy.url, "us-east-1", "access", "hush-hush"))
    await maker.create_bucket(bucket)
    await maker.close()
    lines = {"name": NAME, "storage": "s3", "endpoint": proxy.url, "bucket": bucket, "watch": "off"}
    lines |= {"access_key": "access", "secret_key": "hush-hush"}
    config = root / "config.toml"
    config.write_text("\n".join(["[[datasource]]", *(f"{name} = {value!r}" for name, value in lines.items())]))
    (root / "data").mkdir()
    flags = {"server.data_dir": (str(root / "data"), "--data-dir")}
    loaded = load_config(flags, config_file=str(config), environ={"HOME": str(root)})
    async with open_core(loaded, follow=False) as core:
        yield Site(core, proxy)


@pytest.mark.parametrize("fault", [(503, "SlowDown"), (507, "XMinioStorageFull"), (403, "AccessDenied"), "reset"])
@pytest.mark.parametrize("operation", ["dump", "load"])
async def test_a_fault_at_each_request_of_a_dump_and_of_a_load(site, operation, fault):
    """One request after the other fails, and all that come after it; then the server is well again."""
    work = getattr(site, operation)
    for passed in range(100):
        site.proxy.plan.extend([None] * passed)
        site.proxy.always = fault
        site.proxy.seen.clear()
        (error,) = await asyncio.gather(work(), return_exceptions=True)
        if error is not None:
            assert isinstance(error, CellsError)
            assert len(error.message) > 30
        is_done = len(site.proxy.seen) <= passed
        site.proxy.plan.clear()
        site.proxy.always = None
        await check_well(site)
        if is_done:
            break
    assert passed >= {"dump": 1, "load": 4}[operation], "the faults were not seen"


async def check_well(site):
    """The index is the old one or the loaded one, whole, and open; every snapshot can be used."""
    if site.core.datasources.failure(NAME):  # it was closed for the switch and could not ask the server
        await site.load()
    assert await site.version() in ("old", "new")
    assert await site.index.verify() == []
    infos = await site.core.installation.list_snapshots(NAME)
    assert "good.db" in [info.name for info in infos]
    assert [info.problem for info in infos if info.problem] == []
    folder = site.core.datasources.index_path(NAME).parent
    assert not [path for path in folder.iterdir() if ".dumping" in path.name or ".loading" in path.name]
