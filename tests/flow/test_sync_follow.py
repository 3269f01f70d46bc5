"""The synchronizer over a real folder, a real index and the real watcher: edits behind its back."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.events import NodeEvent
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
            folders[:] = [name for name in folders if name != ".cellsmono"]
            base = os.path.relpath(at, self.root)
            prefix = "" if base == "." else base + "/"
            found |= {prefix + name + "/": 0 for name in folders}
            found |= {prefix + name: os.stat(f"{at}/{name}").st_size for name in files if name != ".pydio"}
        return found

    async def is_equal(self) -> bool:
        return {path: size for path, (_, size) in (await self.rows()).items()} == self.disk()

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
async def open_site(tmp_path: Path, **config: object) -> AsyncIterator[Site]:
    root = tmp_path / "parent" / NAME
    root.mkdir(parents=True, exist_ok=True)
    site = Site(root)
    settings = DatasourceConfig(name=NAME, folder=str(root), durability="relaxed", **config)  # type: ignore[arg-type]
    site.store = LocalStore("data.objects.local1", root.parent)
    site.store.add_bucket(NAME, NAME, durability=settings.durability, markers=settings.markers)
    site.index = await SqliteIndex.open(
        tmp_path / "index.db", datasource=NAME, durability="relaxed", publish=site.publish
    )
    site.sync = Synchronizer(settings, site.store, site.index, Claims())
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


async def test_what_is_there_is_imported_and_followed(tmp_path):
    root = tmp_path / "parent" / NAME
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "x").write_bytes(b"12345")
    async with open_watched(tmp_path) as site:
        (root / "a" / "new").write_bytes(b"1")
        await site.converge()
        assert site.told() == [("create", "", "a/new")]


async def test_a_change_in_place_is_one_update(tmp_path):
    root = tmp_path / "parent" / NAME
    root.mkdir(parents=True)
    (root / "x").write_bytes(b"12345")
    async with open_watched(tmp_path) as site:
        with (root / "x").open("ab") as file:
            file.write(b"678")
        await site.converge()
        assert site.told() == [("update_content", "", "x")]


async def test_a_folder_moved_in_out_and_about(tmp_path):
    async with open_watched(tmp_path) as site:
        outside = tmp_path / "outside"
        (outside / "deep" / "er").mkdir(parents=True)
        for number in range(50):
            (outside / "deep" / "er" / f"f{number}").write_bytes(b"x")
        outside.rename(site.root / "in")
        await site.converge()
        before = await site.rows()
        site.told()
        (site.root / "in").rename(site.root / "about")
        await site.converge()
        after = await site.rows()
        assert site.told() == [("update_path", "in/", "about/")]
        assert {p.replace("about/", "in/", 1): uuid for p, uuid in after.items()} == before
        (site.root / "about" / "deep").rename(tmp_path / "out")
        await site.converge()
        assert site.told() == [("delete", "", "about/deep/")]


async def test_w4_quick_chains_of_folders_are_all_found(tmp_path):
    async with open_watched(tmp_path) as site:
        for number in range(150):
            (site.root / f"q{number}" / "r" / "s").mkdir(parents=True)
            (site.root / f"q{number}" / "r" / "s" / "file").write_bytes(b"x")
        await site.converge()
        assert len(await site.rows()) == 600


async def test_w2_a_name_that_is_not_utf8_restarts_the_watcher(tmp_path):
    async with open_watched(tmp_path) as site:
        with open(os.fsencode(site.root) + b"/bad\xff", "wb") as file:
            file.write(b"x")
        (site.root / "beside").write_bytes(b"x")
        async with asyncio.timeout(PATIENCE):
            while len(await site.rows()) < 2:
                site.changed.clear()
                if len(await site.rows()) < 2:
                    await site.changed.wait()
        await site.sync.wait_until_followed()
        (site.root / "later").write_bytes(b"x")
        async with asyncio.timeout(PATIENCE):
            while "later" not in await site.rows():
                site.changed.clear()
                if "later" not in await site.rows():
                    await site.changed.wait()


@pytest.mark.parametrize("temporary", [".x.swp", "x~tmp", "x.part"])
async def test_w8_atomic_saves_keep_the_uuid_and_are_one_update(tmp_path, temporary):
    root = tmp_path / "parent" / NAME
    root.mkdir(parents=True)
    (root / "x").write_bytes(b"old")
    async with open_watched(tmp_path) as site:
        before = await site.rows()
        (root / temporary).write_bytes(b"new content")
        os.replace(root / temporary, root / "x")
        await site.converge()
        assert site.told() == [("update_content", "", "x")]
        assert (await site.rows())["x"][0] == before["x"][0]


async def test_w5_the_root_vanishes_and_comes_back(tmp_path):
    root = tmp_path / "parent" / NAME
    (root / "a").mkdir(parents=True)
    (root / "a" / "x").write_bytes(b"1")
    async with open_watched(tmp_path, reconcile_seconds=0.2) as site:
        before = await site.rows()
        aside = tmp_path / "aside"
        root.rename(aside)
        async with asyncio.timeout(PATIENCE):
            await site.sync.wait_for_state(SyncState.OFFLINE)
        assert await site.rows() == before
        aside.rename(root)
        (root / "a" / "y").write_bytes(b"2")
        await site.converge()
        assert {path: uuid for path, (uuid, _) in (await site.rows()).items() if path in before} == {
            path: uuid for path, (uuid, _) in before.items()
        }


async def test_an_empty_stranger_in_place_of_the_root_deletes_nothing(tmp_path):
    root = tmp_path / "parent" / NAME
    (root / "a").mkdir(parents=True)
    (root / "a" / "x").write_bytes(b"1")
    async with open_watched(tmp_path, reconcile_seconds=0.2) as site:
        before = await site.rows()
        root.rename(tmp_path / "aside")
        root.mkdir()
        async with asyncio.timeout(PATIENCE):
            await site.sync.wait_for_state(SyncState.HELD)
        assert await site.rows() == before
        assert "--accept-deletes" in site.sync.status().detail
        shutil.rmtree(root)
        (tmp_path / "aside").rename(root)
        async with asyncio.timeout(PATIENCE):
            await site.sync.wait_for_state(SyncState.WATCHING)
        assert await site.rows() == before
