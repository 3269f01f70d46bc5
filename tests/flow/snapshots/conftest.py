"""One datasource of a whole application in process, over a clock that is moved by hand."""

import secrets
import time
from contextlib import asynccontextmanager

import boto3
import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.paths import ROOT
from cellsmono.kernel.clock import ManualClock


async def _one(data):
    yield data


class Site:
    """A folder, a data folder, and what is done with them."""

    def __init__(self, root) -> None:
        self.root = root
        self.folder = root / "trees" / "docs"
        self.data = root / "data"
        self.config = root / "config.toml"
        self.clock = ManualClock(time.time())
        self.settings = {}
        self.folder.mkdir(parents=True)
        self.data.mkdir()

    @property
    def index_path(self):
        return self.data / "datasources" / "docs" / "index.db"

    @property
    def snapshots(self):
        return self.root / "trees" / ".cellsmono" / "docs" / "snapshots"

    @asynccontextmanager
    async def open(self, *, configured=True, **more):
        settings = (
            {"name": "docs", "folder": str(self.folder), "watch": "off", "hash_content": False} | self.settings | more
        )
        lines = [
            "[[datasource]]",
            *(f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for k, v in settings.items() if v != ""),
        ]
        self.config.write_text("\n".join(lines if configured else []))
        flags = {"server.data_dir": (str(self.data), "--data-dir")}
        loaded = load_config(flags, config_file=str(self.config), environ={"HOME": str(self.root)})
        async with open_core(loaded, follow=False, clock=self.clock) as core:
            yield core

    async def put(self, core, path, data=b"data", **meta):
        store = core.datasources.triple("docs").store
        return await store.put_node(path, _one(data), PlainDigest(), WriteOptions(meta=NodeMeta(**meta)))

    async def seed(self, core):
        """A small tree of every kind."""
        await self.put(core, "a/b/one.txt", b"one", user={"author": "me"}, content_type="text/x")
        await self.put(core, "a/two.txt", b"two!")
        await self.put(core, "top.txt", b"top")
        (self.folder / "found").mkdir()
        (self.folder / "found" / "by-scan").write_text("seen")
        await core.installation.resync("docs")


class FarSite(Site):
    """The same over a prefix of a bucket on an S3 server."""

    def __init__(self, root, endpoint) -> None:
        super().__init__(root)
        self.bucket, self.prefix = f"far-{secrets.token_hex(6)}", "base/docs/"
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="access",
            aws_secret_access_key="hush-hush",
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket=self.bucket)
        self.settings = self.place(endpoint=endpoint)

    def place(self, **more):
        """Settings of a datasource that lies there."""
        return {
            "storage": "s3",
            "bucket": self.bucket,
            "prefix": self.prefix,
            "access_key": "access",
            "secret_key": "hush-hush",
            "folder": "",
        } | more

    def list_keys(self, prefix=""):
        """Every object below the prefix, the hidden ones, too."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        return [entry["Key"].removeprefix(self.prefix) for page in pages for entry in page.get("Contents", [])]

    def read_object(self, key):
        return self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read()

    def write_object(self, key, body):
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=body)

    def remove_object(self, key):
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    async def seed(self, core):
        """A small tree, a part of it made behind our back."""
        await self.put(core, "a/b/one.txt", b"one", user={"author": "me"}, content_type="text/x")
        await self.put(core, "a/two.txt", b"two!")
        await self.put(core, "top.txt", b"top")
        self.write_object("found/by-scan", b"seen")
        await core.installation.resync("docs")


async def read_tree(index):
    """Everything that users see of a tree: every node but for what the storage alone decides about."""
    found = {}
    folders = [ROOT]
    while folders:
        folder = folders.pop()
        for node in await index.list_children(folder, limit=10_000):
            time = 0 if node.is_folder else node.mtime_ns
            found[node.path] = (node.uuid, node.size, time, node.etag, node.content_hash, node.kind, node.meta)
            if node.is_folder:
                folders.append(node.path)
    return found


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
def far(tmp_path, moto_server):
    made = FarSite(tmp_path / "far", moto_server)
    yield made
    made.client.close()


@pytest.fixture(scope="session")
def tree_of():
    return read_tree
