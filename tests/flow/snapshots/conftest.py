"""One datasource of a whole application in process, over a clock that is moved by hand."""

import time
from contextlib import asynccontextmanager

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.data.router.digest import PlainDigest
from cellsmono.interfaces.datasource import WriteOptions
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
            *(f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for k, v in settings.items()),
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


@pytest.fixture(scope="session")
def tree_of():
    return read_tree
