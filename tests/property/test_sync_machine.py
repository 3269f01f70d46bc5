"""A random storage, edited by its owner and by us, with a watcher that loses, repeats and reorders what it tells.

After every quiescence the index equals the storage, its invariants hold, every folder's marker carries its UUID, the
published events replayed over the old tree give the new one, and comparing once more changes nothing.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.index.memory import MemoryIndex
from cellsmono.datasource.objects.memory import MemoryStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.datasource.sync.aggregator import Hint
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.paths import rebase
from cellsmono.interfaces.sync import ResyncOptions
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import NotFound

BUCKET = "files"
# Prefix siblings, equal names at several depths, names that differ by a trailing character only.
NAMES = st.sampled_from(["a", "ab", "a-", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.sampled_from([b"", b"x", b"same", b"other"])
PAUSES = st.sampled_from([0.0, 0.0, 0.001, 0.5, 3.0])


class SyncMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.store = MemoryStore(clock=self.clock, buckets=[BUCKET])
        self.events: list[NodeEvent] = []
        self.index = MemoryIndex(datasource=BUCKET, clock=self.clock, publish=self.events.extend)
        self.claims = Claims()
        self.pending: list[str] = []
        self.replayed: dict[str, str] = {}
        self.is_edited = False
        self.restart()
        self.run(self.sync.resync())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.loop.close()

    # --- what others do

    def _change(self, pause: float, *keys: str) -> None:
        self.clock.advance(pause)
        self.pending += keys

    def _kind(self, key: str) -> str:
        (entry,) = self.run(self.store.stat_entries(BUCKET, [key]))
        if entry is None:
            return "none"
        return "folder" if entry.name.endswith("/") else "file"

    def _can_place(self, key: str) -> bool:
        """Whether no file stands where a folder is needed."""
        parts = key.split("/")
        return all(self._kind("/".join(parts[:n])) != "file" for n in range(1, len(parts)))

    @rule(key=PATHS, data=CONTENTS, pause=PAUSES)
    def write(self, key: str, data: bytes, pause: float) -> None:
        if self._can_place(key) and self._kind(key) != "folder":
            self.store.write_behind(BUCKET, key, data)
            self._change(pause, key)

    @rule(key=PATHS, data=CONTENTS, pause=PAUSES)
    def edit_in_place(self, key: str, data: bytes, pause: float) -> None:
        if self._kind(key) == "file":
            self.clock.advance(0.001)
            self.store.edit_behind(BUCKET, key, data)
            self.is_edited = True
            self._change(pause, key)

    @rule(key=PATHS, pause=PAUSES)
    def remove(self, key: str, pause: float) -> None:
        if self._kind(key) != "none":
            self.store.remove_behind(BUCKET, key)
            self._change(pause, key)

    @rule(key=PATHS, pause=PAUSES)
    def make_folder(self, key: str, pause: float) -> None:
        if self._can_place(key) and self._kind(key) == "none":
            self.store.make_folder_behind(BUCKET, key)
            self._change(pause, key)

    @rule(source=PATHS, goal=PATHS, pause=PAUSES)
    def move(self, source: str, goal: str, pause: float) -> None:
        if self._can_transfer(source, goal):
            self.store.move_behind(BUCKET, source, goal)
            self._change(pause, source, goal)

    @rule(source=PATHS, goal=PATHS, pause=PAUSES)
    def copy(self, source: str, goal: str, pause: float) -> None:
        if self._can_transfer(source, goal):
            self.store.copy_behind(BUCKET, source, goal)
            self._change(pause, goal)

    @rule(source=PATHS, goal=PATHS, by_hint=st.booleans())
    def move_at_rest(self, source: str, goal: str, by_hint: bool) -> None:
        """One move of something known, from rest to rest: one event if nothing had to be made for it, no UUID lost."""
        if not self._can_transfer(source, goal) or self._kind(goal) != "none":
            return
        self.settle()
        suffix = "/" if self._kind(source) == "folder" else ""
        before = self.run(self._read_index())
        self.store.move_behind(BUCKET, source, goal)
        if by_hint:
            self.sync.hint([Hint(source, True), Hint(goal, True)])
            self.run(self.sync.settle())
        else:
            self.clock.advance(5)
            self.run(self.sync.resync())
        after = self.run(self._read_index())
        for path, (uuid, size) in before.items():
            inside = path == source + suffix or _is_inside(path, source + suffix)
            assert after[rebase(path, source, goal) if inside else path] == (uuid, size)
        kinds = [str(event.kind) for event in self.events]
        assert kinds == ["create"] * (len(after) - len(before)) + ["update_path"]

    @rule(one=NAMES, other=NAMES)
    def swap_at_rest(self, one: str, other: str) -> None:
        """Two folders change places: their UUIDs, and those of all below, go with them."""
        if one == other or (self._kind(one), self._kind(other)) != ("folder", "folder"):
            return
        self.settle()
        before = {path: row[0] for path, row in self.run(self._read_index()).items()}
        self.swap(one, other, 5.0)
        self.run(self.sync.resync())
        after = {path: row[0] for path, row in self.run(self._read_index()).items()}
        swapped = {one: other, other: one}
        assert after == {
            "/".join([swapped.get(path.split("/")[0], path.split("/")[0]), *path.split("/")[1:]]): uuid
            for path, uuid in before.items()
        }

    @rule(one=NAMES, other=NAMES, pause=PAUSES)
    def swap(self, one: str, other: str, pause: float) -> None:
        if one != other and "none" not in (self._kind(one), self._kind(other)):
            self.store.move_behind(BUCKET, one, "aside")
            self.store.move_behind(BUCKET, other, one)
            self.store.move_behind(BUCKET, "aside", other)
            self._change(pause, one, other)

    def _can_transfer(self, source: str, target: str) -> bool:
        if source == target or target.startswith(source + "/") or source.startswith(target + "/"):
            return False
        if self._kind(source) == "none" or not self._can_place(target):
            return False
        return self._kind(target) == "none" or (self._kind(source) == self._kind(target) == "file")

    @rule(key=PATHS, marker=st.sampled_from(["", "01890000-0000-7000-8000-000000000000"]))
    def spoil_marker(self, key: str, marker: str) -> None:
        if self._kind(key) == "folder":
            self.clock.advance(0.001)
            self.run(self.store.write_marker(BUCKET, key + "/", marker))
            self.pending.append(key)

    # --- the watcher

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Some hints come, in any order, some twice, some never."""
        if self.pending:
            told = data.draw(st.lists(st.sampled_from(sorted(set(self.pending))), max_size=6))
            self.sync.hint(Hint(key, True) for key in told)
            self.pending = [key for key in self.pending if key not in told]
            self.run(self.sync.settle())

    @rule()
    def deliver_all(self) -> None:
        self.sync.hint(Hint(key, True) for key in self.pending)
        self.pending.clear()
        self.run(self.sync.settle())

    @rule()
    def lose(self) -> None:
        self.pending.clear()

    @rule(key=PATHS)
    def ingest(self, key: str) -> None:
        self.run(self.sync.ingest([key]))

    @rule(key=PATHS)
    def resync_subtree(self, key: str) -> None:
        with contextlib.suppress(NotFound):
            self.run(self.sync.resync(key))

    @rule()
    def restart(self) -> None:
        config = DatasourceConfig(name=BUCKET, folder="/memory", hash_content=False)
        self.sync = Synchronizer(config, self.store, self.index, self.claims, clock=self.clock)

    # --- what must hold

    @rule()
    def settle(self) -> None:
        self.run(self.sync.settle())
        self.clock.advance(5)
        self.run(self.sync.resync())
        if self.is_edited:
            # What was rewritten in place and not told does not show in any folder's times.
            self.run(self.sync.resync("", ResyncOptions(full=True)))
            self.is_edited = False
        assert self.run(self._read_index()) == self.run(self._read_storage())
        self.clock.advance(5)
        self.run(self.sync.resync("", ResyncOptions(full=True)))
        count = len(self.events)
        for full in (False, True):
            assert self.run(self.sync.resync("", ResyncOptions(full=full))).changed == 0
        assert len(self.events) == count
        self._check_replay()

    def _check_replay(self) -> None:
        for event in self.events:
            self._replay(event)
        self.events.clear()
        rows = {path: row[0] for path, row in self.run(self._read_index()).items() if path}
        assert self.replayed == rows

    def _replay(self, event: NodeEvent) -> None:
        tree = self.replayed
        match event.kind:
            case EventKind.RELOAD:
                self.replayed = {path: row[0] for path, row in self.run(self._read_index()).items() if path}
            case EventKind.CREATE:
                tree[event.path] = event.uuid
            case EventKind.DELETE:
                for path in [path for path in tree if path == event.path or _is_inside(path, event.path)]:
                    del tree[path]
            case EventKind.UPDATE_PATH:
                moved = {p: tree.pop(p) for p in list(tree) if p == event.source or _is_inside(p, event.source)}
                tree |= {rebase(path, event.source, event.path): uuid for path, uuid in moved.items()}
            case EventKind.UPDATE_META:
                if event.path:
                    tree[event.path] = event.uuid

    async def _read_index(self) -> dict[str, tuple[str, int]]:
        found = {}
        folders = [""]
        while folders:
            for node in await self.index.list_children(folders.pop(), limit=10_000):
                found[node.path] = (node.uuid, node.size)
                if node.is_folder:
                    folders.append(node.path)
        return found

    async def _read_storage(self) -> dict[str, tuple[str, int]]:
        """What is to be in the index: a folder's UUID by its marker, a file's by whatever the index says."""
        found: dict[str, tuple[str, int]] = {}
        folders = [""]
        while folders:
            (listing,) = await self.store.scan(BUCKET, [(folders.pop(), b"")])
            for entry in listing.entries or ():
                path = listing.key + entry.name
                if path.endswith("/"):
                    found[path] = (await self.store.read_marker(BUCKET, path), 0)
                    folders.append(path)
                else:
                    (row,) = await self.index.read_nodes([path])
                    found[path] = (row.uuid if row else "missing", entry.facts.size)
        return found

    @invariant()
    def index_is_sound(self) -> None:
        assert self.run(self.index.verify()) == []


def _is_inside(path: str, folder: str) -> bool:
    return folder.endswith("/") and path.startswith(folder)


def test_index_follows_a_random_storage():
    run_state_machine_as_test(
        SyncMachine,
        settings=settings(
            max_examples=120, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
