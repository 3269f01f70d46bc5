"""A random storage, edited by its owner and by us, with a watcher that loses, repeats and reorders what it tells.

After every quiescence the index equals the storage, its invariants hold, every folder's marker carries its UUID, the
published events replayed over the old tree give the new one, and comparing once more changes nothing.
"""

import asyncio
import contextlib
import importlib.util
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.datasource.sync.aggregator import Hint
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.paths import rebase
from cellsmono.interfaces.sync import ResyncOptions
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import NotFound


def _load(name: str) -> Any:
    """A module beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


servers, sites = _load("servers"), _load("sites")
BUCKET = sites.BUCKET
# Prefix siblings, equal names at several depths, names that differ by a trailing character only.
NAMES = st.sampled_from(["a", "ab", "a-", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.sampled_from([b"", b"x", b"same", b"else"])
PICKS = st.integers(0, 999)
"""Chooses one of the entries that there are: a name at random hardly ever hits one."""

PAUSES = st.sampled_from([0.0, 0.0, 0.001, 0.5, 3.0])

Row = tuple[str, int, int, int]
"""UUID, and of a file its size, mtime and inode."""


class SyncMachine(RuleBasedStateMachine):
    make_site: Callable[..., Any] = sites.MemorySite

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.events: list[NodeEvent] = []
        self.site = self.make_site(self.clock, self.events)
        self.run(self.site.open())
        self.store, self.index = self.site.store, self.site.index
        self.claims = Claims()
        self.pending: list[str] = []
        self.replayed: dict[str, str] = {}
        self.is_edited = False
        self.restart()
        self.run(self.sync.resync())

    @initialize(keys=st.lists(PATHS, max_size=10))
    def begin_with_files(self, keys: list[str]) -> None:
        for key in keys:
            if self._can_place(key) and self._kind(key) == "none":
                self.site.write(key, key.encode())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.run(self.site.close())
            self.loop.close()

    # --- what others do

    def _change(self, pause: float, *keys: str) -> None:
        self.clock.advance(pause)
        self.pending += keys

    def _choose(self, pick: int) -> str:
        """One of the entries that there are; a name that is nowhere when there are none."""
        keys = sorted(self.run(self._read_storage()))
        return keys[pick % len(keys)].rstrip("/") if keys else "nowhere"

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
            self.site.write(key, data)
            self._change(pause, key)

    @rule(key_pick=PICKS, data=CONTENTS, pause=PAUSES)
    def edit_in_place(self, key_pick: int, data: bytes, pause: float) -> None:
        key = self._choose(key_pick)
        if self._kind(key) == "file":
            self.clock.advance(0.001)
            self.site.edit(key, data)
            self.is_edited = self.site.edits_in_place
            self._change(pause, key)

    @rule(pick=PICKS, data=CONTENTS, pause=PAUSES)
    def replace(self, pick: int, data: bytes, pause: float) -> None:
        if self._kind(key := self._choose(pick)) == "file":
            self.site.write(key, data)
            self._change(pause, key)

    @rule(pick=PICKS, name=NAMES, data=CONTENTS, pause=PAUSES)
    def change_type(self, pick: int, name: str, data: bytes, pause: float) -> None:
        """A folder takes the place of a file, or a file that of a folder."""
        key = self._choose(pick)
        kind = self._kind(key)
        if kind == "none":
            return
        self.site.remove(key)
        self.site.write(key if kind == "folder" else f"{key}/{name}", data)
        self._change(pause, key)

    @rule(key_pick=PICKS, pause=PAUSES)
    def remove(self, key_pick: int, pause: float) -> None:
        key = self._choose(key_pick)
        if self._kind(key) != "none":
            self.site.remove(key)
            self._change(pause, key)

    @rule(key=PATHS, pause=PAUSES)
    def make_folder(self, key: str, pause: float) -> None:
        if self._can_place(key) and self._kind(key) == "none":
            self.site.make_folder(key)
            self._change(pause, key)

    @rule(source_pick=PICKS, goal=PATHS, pause=PAUSES)
    def move(self, source_pick: int, goal: str, pause: float) -> None:
        source = self._choose(source_pick)
        if self._can_transfer(source, goal):
            self.site.move(source, goal)
            self._change(pause, source, goal)

    @rule(source_pick=PICKS, goal=PATHS, pause=PAUSES)
    def copy(self, source_pick: int, goal: str, pause: float) -> None:
        source = self._choose(source_pick)
        if self._can_transfer(source, goal):
            self.site.copy(source, goal)
            self._change(pause, goal)

    @rule(source_pick=PICKS, goal=PATHS, by_hint=st.booleans())
    def move_at_rest(self, source_pick: int, goal: str, by_hint: bool) -> None:
        """One move of something known, from rest to rest: one event if nothing had to be made for it, no UUID lost."""
        source = self._choose(source_pick)
        if not self._can_transfer(source, goal) or self._kind(goal) != "none":
            return
        if self._kind(source) == "file" and not self.site.has_inodes:
            return
        self.settle()
        suffix = "/" if self._kind(source) == "folder" else ""
        before = self.run(self._read_index())
        self.site.move(source, goal)
        if by_hint:
            self.sync.hint([Hint(source, True), Hint(goal, True)])
            self.run(self.sync.settle())
        else:
            self.clock.advance(5)
            assert self.run(self.sync.resync()).changed == len(self.events)
        after = self.run(self._read_index())
        for path, row in before.items():
            inside = path == source + suffix or _is_inside(path, source + suffix)
            assert after[rebase(path, source, goal) if inside else path] == row
        kinds = [str(event.kind) for event in self.events]
        assert kinds == ["create"] * (len(after) - len(before)) + ["update_path"]

    @rule(source_pick=PICKS, goal=PATHS)
    def move_in_two_halves(self, source_pick: int, goal: str) -> None:
        """The halves of a rename come far apart: for a while the file is gone, then it is the same node again."""
        source = self._choose(source_pick)
        if not self.site.has_inodes:
            return
        if self._kind(source) != "file" or not self._can_transfer(source, goal) or self._kind(goal) != "none":
            return
        self.settle()
        (row,) = self.run(self.index.read_nodes([source]))
        self.site.move(source, goal)
        for key in (source, goal):
            self.sync.hint([Hint(key, True)])
            self.run(self.sync.settle())
            self.clock.advance(20)
        (moved,) = self.run(self.index.read_nodes([goal]))
        assert moved is not None
        assert moved.uuid == row.uuid

    @rule(key_pick=PICKS)
    def remove_at_rest(self, key_pick: int) -> None:
        """A deletion that is told is carried over without any comparison of the rest."""
        key = self._choose(key_pick)
        if self._kind(key) == "none":
            return
        self.settle()
        self.site.remove(key)
        self.sync.hint([Hint(key)])
        self.run(self.sync.settle())
        assert self.run(self._read_index()) == self.run(self._read_storage())

    @rule(pick=PICKS)
    def clear_at_rest(self, pick: int) -> None:
        """Everything in one folder vanishes at once."""
        parent = self._choose(pick).rpartition("/")[0]
        self.settle()
        for key in [path.rstrip("/") for path in self.run(self._read_storage())]:
            if key.rpartition("/")[0] == parent and self._kind(key) != "none":
                self.site.remove(key)
        self.clock.advance(5)
        self.run(self.sync.resync())
        assert self.run(self._read_index()) == self.run(self._read_storage())

    @rule(pick=PICKS)
    def shut_at_rest(self, pick: int) -> None:
        """A folder that can not be read: nothing is concluded from that."""
        key = self._choose(pick)
        if self._kind(key) != "folder" or not self.site.can_be_shut:
            return
        self.settle()
        before = self.run(self._read_index())
        self.clock.advance(5)
        if self._kind(f"{key}/fresh") != "folder":
            self.site.write(f"{key}/fresh", b"")
        self.site.store.set_readable(BUCKET, key + "/", False)
        for full in (False, True):
            self.run(self.sync.resync("", ResyncOptions(full=full)))
            assert self.run(self._read_index()) == before
        self.site.store.set_readable(BUCKET, key + "/", True)

    @rule(key=PATHS, data=CONTENTS)
    def write_at_rest(self, key: str, data: bytes) -> None:
        """So is new content, whatever folders it needs; a file that was there keeps its UUID."""
        if not self._can_place(key) or self._kind(key) == "folder":
            return
        self.settle()
        (before,) = self.run(self.index.read_nodes([key]))
        self.clock.advance(1)
        self.site.write(key, data)
        self.sync.hint([Hint(key)])
        self.run(self.sync.settle())
        assert self.run(self._read_index()) == self.run(self._read_storage())
        (after,) = self.run(self.index.read_nodes([key]))
        assert before is None or after.uuid == before.uuid

    @rule(source_pick=PICKS, goal=PATHS)
    def copy_at_rest(self, source_pick: int, goal: str) -> None:
        """A copy takes no UUID away from what it was copied from."""
        source = self._choose(source_pick)
        if not self._can_transfer(source, goal) or self._kind(goal) != "none":
            return
        self.settle()
        before = self.run(self._read_index())
        self.site.copy(source, goal)
        self.sync.hint([Hint(goal, True)])
        self.run(self.sync.settle())
        after = self.run(self._read_index())
        assert {path: row for path, row in after.items() if path in before} == before
        assert len({row[0] for row in after.values()}) == len(after)

    @rule(pick=PICKS, other_pick=PICKS, told=st.lists(PICKS, max_size=3))
    def swap_at_rest(self, pick: int, other_pick: int, told: list[int]) -> None:
        """Two folders change places: they move with all that is below, and nothing else happens, whatever is told."""
        folders = sorted(path for path in self.run(self._read_storage()) if path.endswith("/"))
        one = folders[pick % len(folders)] if folders else ""
        apart = [path for path in folders if not _is_inside(path, one) and not _is_inside(one, path)]
        if not apart:
            return
        other = apart[other_pick % len(apart)]
        self.settle()
        before = {path: row[0] for path, row in self.run(self._read_index()).items()}
        self.swap(one.rstrip("/"), other.rstrip("/"), 5.0)
        expected = {}
        for path, uuid in before.items():
            source, goal = (one, other) if _is_inside(path, one) else (other, one)
            expected[rebase(path, source, goal) if _is_inside(path, source) else path] = uuid
        touched = sorted(path.rstrip("/") for path in {*before, *expected} if path.startswith((one, other)))
        if self.site.has_inodes:
            self.sync.hint(Hint(touched[pick % len(touched)], True) for pick in told)
            self.run(self.sync.settle())
        self.run(self.sync.resync())
        assert {path: row[0] for path, row in self.run(self._read_index()).items()} == expected
        assert {event.kind for event in self.events} == {EventKind.UPDATE_PATH}

    @rule(one=NAMES, other=NAMES, pause=PAUSES)
    def swap(self, one: str, other: str, pause: float) -> None:
        if one != other and "none" not in (self._kind(one), self._kind(other)):
            self.site.move(one, "aside")
            self.site.move(other, one)
            self.site.move("aside", other)
            self._change(pause, one, other)

    def _can_transfer(self, source: str, target: str) -> bool:
        if source == target or target.startswith(source + "/") or source.startswith(target + "/"):
            return False
        if self._kind(source) == "none" or not self._can_place(target):
            return False
        return self._kind(target) == "none" or (self._kind(source) == self._kind(target) == "file")

    @rule(key_pick=PICKS, marker=st.sampled_from(["", "01890000-0000-7000-8000-000000000000"]))
    def spoil_marker(self, key_pick: int, marker: str) -> None:
        key = self._choose(key_pick)
        if self._kind(key) == "folder":
            self.clock.advance(0.001)
            self.run(self.store.write_markers(BUCKET, [(key + "/", marker)]))
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
        count = len(self.events)
        report = self.run(self.sync.resync())
        told = [event for event in self.events[count:] if not event.path.endswith("/")]
        assert report.updated == sum(event.kind in (EventKind.UPDATE_CONTENT, EventKind.UPDATE_META) for event in told)
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

    async def _read_index(self) -> dict[str, Row]:
        found = {}
        folders = [""]
        while folders:
            for node in await self.index.list_children(folders.pop(), limit=10_000):
                found[node.path] = (node.uuid, *((0, 0, 0) if node.is_folder else self.site.seen(node.facts)))
                if node.is_folder:
                    folders.append(node.path)
        return found

    async def _read_storage(self) -> dict[str, Row]:
        """What is to be in the index: a folder's UUID by its marker, a file's by whatever the index says."""
        found: dict[str, Row] = {}
        folders = [""]
        while folders:
            (listing,) = await self.store.scan(BUCKET, [(folders.pop(), b"")])
            for entry in listing.entries or ():
                path = listing.key + entry.name
                if path.endswith("/"):
                    found[path] = (await self.store.read_marker(BUCKET, path), 0, 0, 0)
                    folders.append(path)
                else:
                    (row,) = await self.index.read_nodes([path])
                    found[path] = (row.uuid if row else "missing", *self.site.seen(entry.facts))
        return found

    @invariant()
    def index_is_sound(self) -> None:
        assert self.run(self.index.verify()) == []


def _is_inside(path: str, folder: str) -> bool:
    return folder.endswith("/") and path.startswith(folder)


@pytest.fixture
def open_site(request):
    """What makes a site of a kind: memory, a folder of the disk with an index in SQLite, or a bucket elsewhere."""

    def find(kind: str) -> Callable[..., Any]:
        match kind:
            case "memory":
                return sites.MemorySite
            case "disk":
                return sites.DiskSite
            case "s3":
                return partial(sites.S3Site, make_server=servers.MemoryServer)
        url = request.getfixturevalue("moto_server")
        return partial(sites.S3Site, make_server=partial(servers.MotoServer, url=url))

    return find


@pytest.fixture
def run_machine(open_site):
    """Run the machine over a site of a kind."""

    def run(kind: str = "memory", **options: Any) -> None:
        machine = type("Machine", (SyncMachine,), {"make_site": staticmethod(open_site(kind))})
        quiet = {"deadline": None, "suppress_health_check": list(HealthCheck)}
        run_state_machine_as_test(machine, settings=settings(**quiet, **options))

    return run
