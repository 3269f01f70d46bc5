"""A synchronizer over memory: storage, index and clock are all in the test's hand."""

import pytest

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.index.memory import MemoryIndex
from cellsmono.datasource.objects.memory import MemoryStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.sync import ResyncOptions, ResyncReport
from cellsmono.kernel.clock import ManualClock

BUCKET = "files"


class Rig:
    """One datasource in memory; ``events`` collects what was published."""

    def __init__(self, **config: object) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(clock=self.clock, buckets=[BUCKET])
        self.events: list[NodeEvent] = []
        self.claims = Claims()
        self.config = DatasourceConfig(name=BUCKET, folder="/memory/files", **config)  # type: ignore[arg-type]
        self.index = self.new_index()
        self.sync = self.new_sync()

    def new_index(self) -> MemoryIndex:
        return MemoryIndex(datasource=BUCKET, clock=self.clock, publish=self.events.extend)

    def new_sync(self) -> Synchronizer:
        return Synchronizer(self.config, self.store, self.index, self.claims, clock=self.clock)

    def write(self, *keys: str, data: bytes = b"data") -> None:
        for key in keys:
            self.store.write_behind(BUCKET, key, data)
            self.clock.advance(0.001)

    def move(self, source: str, target: str) -> None:
        self.store.move_behind(BUCKET, source, target)

    def copy(self, source: str, target: str) -> None:
        self.store.copy_behind(BUCKET, source, target)

    def remove(self, *keys: str) -> None:
        for key in keys:
            self.store.remove_behind(BUCKET, key)

    async def resync(self, path: str = "", **options: bool) -> ResyncReport:
        """Let the storage come to rest, then compare."""
        self.clock.advance(10)
        return await self.sync.resync(path, ResyncOptions(**options))

    async def uuids(self) -> dict[str, str]:
        """UUID of every node but the root, by path."""
        found = {}
        folders = [""]
        while folders:
            for node in await self.index.list_children(folders.pop(), limit=100_000):
                found[node.path] = node.uuid
                if node.is_folder:
                    folders.append(node.path)
        return found

    async def paths(self) -> list[str]:
        return sorted(await self.uuids())

    def told(self) -> list[tuple[str, str, str]]:
        """Kind, source and path of every event since the last call."""
        found = [(str(event.kind), event.source, event.path) for event in self.events]
        self.events.clear()
        return found


@pytest.fixture
def make_rig() -> type[Rig]:
    return Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()
