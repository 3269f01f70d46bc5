"""The synchronizer over a real folder, a real index and the real watcher."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cellsmono.app.control_client import ControlClient
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.datasource.sync.watcher import Watcher
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.operations import DatasourceInfo
from cellsmono.interfaces.sync import SyncState

NAME = "files"
PATIENCE = 20.0


class Site:
    """A served folder. ``events`` is everything that the index published; ``changed`` wakes with each of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[NodeEvent] = []
        self.changed = asyncio.Event()
        self.index: SqliteIndex
        self.store: LocalStore
        self.sync: Synchronizer

    def publish(self, events: tuple[NodeEvent, ...]) -> None:
        self.events += events
        self.changed.set()

    async def rows(self) -> dict[str, tuple[str, int]]:
        """UUID and size of every node but the root."""
        found = {}
        folders = [""]
        while folders:
            for node in await self.index.list_children(folders.pop(), limit=1_000_000):
                found[node.path] = (node.uuid, node.size)
                if node.is_folder:
                    folders.append(node.path)
        return found

    def disk(self) -> dict[str, int]:
        """Size of everything on the disk that is to be served."""
        found = {}
        for at, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if name != ".cellsmono" and not os.path.islink(f"{at}/{name}")]
            found |= {self.key(f"{at}/{name}") + "/": 0 for name in folders}
            served = (f"{at}/{name}" for name in files if name != ".pydio")
            found |= {self.key(path): os.stat(path).st_size for path in served if not os.path.islink(path)}
        return found

    def key(self, path: str) -> str:
        """The key of what stands at an absolute path."""
        return self.store.key_of(NAME, os.fsencode(path)) or ""

    async def is_equal(self) -> bool:
        return {path: size for path, (_, size) in (await self.rows()).items()} == self.disk()

    async def wait_for(self, *paths: str, patience: float = PATIENCE) -> None:
        """Wait, woken by events, until the index has all these nodes."""
        async with asyncio.timeout(patience):
            while True:
                self.changed.clear()
                if all(await self.index.read_nodes(paths)):
                    return
                await self.changed.wait()

    async def converge(self, condition: Callable[[], bool] = lambda: True) -> None:
        """Wait, woken by events, until the index equals the disk."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self.changed.clear()
                if await self.is_equal() and condition():
                    return
                await self.changed.wait()

    def told(self) -> list[tuple[str, str, str]]:
        found = [(str(event.kind), event.source, event.path) for event in self.events]
        self.events.clear()
        return found


@asynccontextmanager
async def open_site(tmp_path: Path, watcher: Watcher | None = None, **config: object) -> AsyncIterator[Site]:
    root = tmp_path / "parent" / NAME
    root.mkdir(parents=True, exist_ok=True)
    site = Site(root)
    settings = DatasourceConfig(name=NAME, folder=str(root), durability="relaxed", **config)  # type: ignore[arg-type]
    site.store = LocalStore("data.objects.local1", root.parent)
    site.store.add_bucket(NAME, NAME, durability=settings.durability, markers=settings.markers)
    site.index = await SqliteIndex.open(
        tmp_path / "index.db", datasource=NAME, durability="relaxed", publish=site.publish
    )
    site.sync = Synchronizer(settings, site.store, site.index, Claims(), watcher=watcher)
    try:
        async with site.sync.lifespan():
            yield site
    finally:
        await site.index.close()
        await site.store.close()


@asynccontextmanager
async def open_watched(tmp_path: Path, **config: object) -> AsyncIterator[Site]:
    """A site that is watched and reconciled."""
    async with open_site(tmp_path, **{"reconcile_seconds": 3600.0, "hash_content": False, **config}) as site:
        await site.sync.wait_until_followed()
        assert site.sync.status().state is SyncState.WATCHING
        await site.converge()
        site.told()
        yield site


@pytest.fixture
def root(tmp_path):
    """The folder of the datasource."""
    made = tmp_path / "parent" / NAME
    made.mkdir(parents=True)
    return made


@pytest.fixture
def open_any(tmp_path):
    """Open a site that may be in any state."""
    return lambda **config: open_site(tmp_path, **config)


@pytest.fixture
def open_followed(tmp_path):
    """Open a site that is watched, with a first comparison done."""
    return lambda **config: open_watched(tmp_path, **config)


class Served:
    """A folder that a real server process serves."""

    def __init__(self, start: Callable[..., Any], root: Path, data: Path, **options: Any) -> None:
        self.root = root
        self.server = start(data, f"{NAME}={root}", **options)
        self._client = ControlClient(data)

    async def show(self) -> DatasourceInfo:
        """What ``ds show`` says."""
        return await self._client.read_datasource(NAME)

    async def wait(self, condition: Callable[[DatasourceInfo], bool], patience: float = 60.0) -> float:
        """Ask until the condition holds; returns how many seconds that took."""
        began = time.monotonic()
        while True:
            info = await self.show()
            spent = time.monotonic() - began
            if condition(info):
                return spent
            assert spent < patience, f"after {spent:.1f} s still {info.stats} {info.sync}"
            await asyncio.sleep(0.05)

    async def wait_until_followed(self) -> None:
        """Wait until the watcher is at work and the comparison after its start is done."""
        await self.wait(lambda info: info.sync.watcher == "inotify" and info.sync.state == "watching")
        count = (await self.show()).sync.last_reconciled
        await self.wait(lambda info: info.sync.last_reconciled > 0 and info.sync.pending == 0 and count > 0)


@pytest.fixture
def serve_folder(root, tmp_path, start_server):
    """Start ``cellsmono serve`` over ``root``."""
    return lambda **options: Served(start_server, root, tmp_path / "data", **options)
