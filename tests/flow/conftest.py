import importlib.util
import secrets
from contextlib import asynccontextmanager
from pathlib import Path

import boto3
import pytest

from cellsmono.app.assembly import open_core, open_server
from cellsmono.app.config_sources import load_config
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.s3 import patience
from cellsmono.datasource.structured import StructuredStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.interfaces.datasource import DatasourceConfig, Watch

_spec = importlib.util.spec_from_file_location("s3_proxy", Path(__file__).parent / "faults" / "s3_proxy.py")
_s3_proxy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_s3_proxy)


@pytest.fixture
def folder(tmp_path):
    """The folder of the datasource."""
    made = tmp_path / "parent" / "docs"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def events():
    """Every event that the index published, in order."""
    return []


@pytest.fixture
def open_over(tmp_path, events):
    """Open a structured triple over an object service, and close both. Its synchronizer works only when called."""

    @asynccontextmanager
    async def open_it(config, objects, name="index.db"):
        index = await SqliteIndex.open(
            tmp_path / name, datasource="docs", durability=config.durability, publish=events.extend
        )
        claims = Claims()
        sync = Synchronizer(config, objects, index, claims)
        try:
            yield StructuredStore(config, objects, objects, index, sync, claims)
        finally:
            await index.close()
            await objects.close()

    return open_it


@pytest.fixture
def open_nodes(open_over, folder):
    """Open the triple over ``folder``."""

    @asynccontextmanager
    async def open_it(**changes):
        settings = {"name": "docs", "folder": str(folder), "watch": Watch.OFF, "durability": "relaxed"} | changes
        config = DatasourceConfig(**settings)
        objects = LocalStore("data.objects.local1", folder.parent)
        objects.add_bucket("docs", "docs", durability=config.durability)
        async with open_over(config, objects) as store:
            yield store

    return open_it


@pytest.fixture
async def nodes(open_nodes):
    """A structured datasource over an empty folder."""
    async with open_nodes() as store:
        yield store


@pytest.fixture
def work_files(folder):
    """Names of files in the work folders, wherever they are."""

    def find() -> list[str]:
        places = (folder.parent / ".cellsmono", folder / ".cellsmono")
        return [path.name for place in places if place.is_dir() for path in Path(place).rglob("*") if path.is_file()]

    return find


@pytest.fixture
def open_it(tmp_path):
    """Start a core (or a server) over the data folder of this test."""

    @asynccontextmanager
    async def start(*sources, server=False, follow=True, data=tmp_path / "data", s3=(), defaults=False):
        lines = [
            "[server]",
            'listen = "127.0.0.1:0"',
            f"default_datasources = {str(defaults).lower()}",
            "[s3]",
            'listen = "127.0.0.1:0"',
            *s3,
        ]
        for source in sources:
            lines.append("[[datasource]]")
            lines += [
                f"{key} = {value!r}".replace("True", "true").replace("False", "false") for key, value in source.items()
            ]
        file = tmp_path / "config.toml"
        file.write_text("\n".join(lines))
        data.mkdir(exist_ok=True)
        flags = {"server.data_dir": (str(data), "--data-dir")}
        loaded = load_config(flags, config_file=str(file), environ={"HOME": str(tmp_path)})
        if server:
            async with open_server(loaded) as running:
                yield running
        else:
            async with open_core(loaded, follow=follow) as core:
                yield core

    return start


@pytest.fixture
def make_source(tmp_path):
    def make(name, folder=None, **more):
        place = tmp_path / (folder or f"trees/{name}")
        place.mkdir(parents=True, exist_ok=True)
        return {"name": name, "folder": str(place)} | more

    return make


@pytest.fixture
async def proxy(moto_server, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.001)
    async with _s3_proxy.FaultyProxy(moto_server).running() as made:
        yield made


@pytest.fixture
def behind(moto_server):
    """The bucket as other programs see it."""
    client = boto3.client(
        "s3", endpoint_url=moto_server, aws_access_key_id="a", aws_secret_access_key="b" * 20, region_name="us-east-1"
    )
    client.name = f"behind-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=client.name)
    yield client
    client.close()
