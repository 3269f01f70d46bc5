"""The storages that the machine of ``conftest.py`` edits behind the synchronizer's back, each with an index of it."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellsmono.datasource.index.memory import MemoryIndex
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.memory import MemoryStore
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.node import Facts
from cellsmono.kernel.clock import ManualClock

BUCKET = "files"


class Site:
    """What the machine knows of every kind.

    ``has_inodes``: a file is the same one after a move. ``edits_in_place``: there are changes of which no folder's
    times tell. ``can_be_shut``: a folder can be made unreadable.
    """

    has_inodes = True
    edits_in_place = True
    can_be_shut = False

    def seen(self, facts: Facts) -> tuple[int, int, int]:
        """Size, time and inode of a file, as far as they must be equal in index and storage."""
        return facts.size, facts.mtime_ns, facts.ino


class MemorySite(Site):
    """A storage and an index in memory."""

    can_be_shut = True

    def __init__(self, clock: ManualClock, events: list[NodeEvent]) -> None:
        self.store = MemoryStore(clock=clock, buckets=[BUCKET])
        self.index = MemoryIndex(datasource=BUCKET, clock=clock, publish=events.extend)

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    def write(self, key: str, data: bytes) -> None:
        self.store.write_behind(BUCKET, key, data)

    def edit(self, key: str, data: bytes) -> None:
        self.store.edit_behind(BUCKET, key, data)

    def remove(self, key: str) -> None:
        self.store.remove_behind(BUCKET, key)

    def make_folder(self, key: str) -> None:
        self.store.make_folder_behind(BUCKET, key)

    def move(self, source: str, target: str) -> None:
        self.store.move_behind(BUCKET, source, target)

    def copy(self, source: str, target: str) -> None:
        self.store.copy_behind(BUCKET, source, target)


class DiskSite(Site):
    """A folder on the disk, and an index in SQLite."""

    def __init__(self, clock: ManualClock, events: list[NodeEvent]) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="cellsmono-machine-")
        self._root = Path(self._place.name) / "parent" / BUCKET
        self._root.mkdir(parents=True)
        self._events = events

    async def open(self) -> None:
        self.store = LocalStore("data.objects.local1", self._root.parent)
        self.store.add_bucket(BUCKET, BUCKET, durability="relaxed")
        self.index = await SqliteIndex.open(
            Path(self._place.name) / "index.db", datasource=BUCKET, durability="relaxed", publish=self._events.extend
        )

    async def close(self) -> None:
        await self.index.close()
        await self.store.close()
        self._place.cleanup()

    def _at(self, key: str) -> Path:
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, key: str, data: bytes) -> None:
        aside = Path(self._place.name) / "aside"
        aside.write_bytes(data)
        os.replace(aside, self._at(key))

    def edit(self, key: str, data: bytes) -> None:
        self._at(key).write_bytes(data)

    def remove(self, key: str) -> None:
        path = self._at(key)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def make_folder(self, key: str) -> None:
        self._at(key).mkdir()

    def move(self, source: str, target: str) -> None:
        os.replace(self._at(source), self._at(target))

    def copy(self, source: str, target: str) -> None:
        old, new = self._at(source), self._at(target)
        if old.is_dir():
            shutil.copytree(old, new)
        else:
            aside = Path(self._place.name) / "aside"
            shutil.copy2(old, aside)
            os.replace(aside, new)


class S3Site(Site):
    """A prefix of a bucket of one of the servers of ``servers.py``."""

    has_inodes = False
    edits_in_place = False
    prefix = "base/"

    def __init__(self, clock: ManualClock, events: list[NodeEvent], make_server: Callable[..., Any]) -> None:
        self.index = MemoryIndex(datasource=BUCKET, clock=clock, publish=events.extend)
        self._server = make_server(clock)

    async def open(self) -> None:
        self.store = self._server.open()
        self.store.add_bucket(Place(BUCKET, self._server.bucket, self.prefix))

    async def close(self) -> None:
        await self.store.close()
        self._server.close()

    def seen(self, facts: Facts) -> tuple[int, int, int]:
        """Without the time, which does not matter where content is told by its ETag."""
        return facts.size, 0, facts.ino

    def write(self, key: str, data: bytes) -> None:
        self._server.put(self.prefix + key, data)

    def edit(self, key: str, data: bytes) -> None:
        self.write(key, data)

    def remove(self, key: str) -> None:
        self._server.delete(self._find(key))

    def make_folder(self, key: str) -> None:
        self.write(key + "/", b"")

    def copy(self, source: str, target: str) -> None:
        skip = len(self.prefix + source)
        for key in self._find(source):
            self._server.copy(key, self.prefix + target + key[skip:])

    def move(self, source: str, target: str) -> None:
        self.copy(source, target)
        self.remove(source)

    def _find(self, key: str) -> list[str]:
        """The objects that a file or a folder is made of."""
        return self._server.list(self.prefix + key + "/") or [self.prefix + key]
