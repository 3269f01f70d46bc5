"""An index in plain dictionaries: the same contract as the stored one, for tests and for trees of a passing nature."""

import asyncio
import uuid as uuidlib
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from msgspec.structs import replace

from cellsmono.datasource.index import keys, rules
from cellsmono.interfaces.events import ChangePage, EventKind, NodeEvent
from cellsmono.interfaces.index import FolderState, IndexStats, KeyPage, Unhashed, Usage
from cellsmono.interfaces.node import Facts, FolderKind, Node, new_uuid
from cellsmono.interfaces.patch import (
    DeleteNode,
    FolderScanned,
    MoveNode,
    Operation,
    Patch,
    PruneFolders,
    PutFolder,
    PutLeaf,
    PutLeaves,
    SetHash,
    SetMeta,
)
from cellsmono.interfaces.paths import ancestors_of, is_folder, name_of, parent_of, rebase
from cellsmono.kernel.clock import Clock, SystemClock

Publish = Callable[[tuple[NodeEvent, ...]], None]


def ignore_events(events: tuple[NodeEvent, ...]) -> None:
    """Publish to nobody."""


class MemoryIndex:
    """A ``NodeIndex`` that forgets everything when it goes. Nodes by path, names of children in sorted lists."""

    def __init__(
        self,
        *,
        datasource: str = "memory",
        clock: Clock | None = None,
        publish: Publish = ignore_events,
        kept_events: int = rules.KEPT_EVENTS,
    ) -> None:
        self._datasource = datasource
        self._clock = clock or SystemClock()
        self._publish = publish
        self._log: deque[NodeEvent] = deque(maxlen=kept_events)
        self._sequence = 0
        self._nodes: dict[str, Node] = {}
        self._children: dict[str, list[str]] = {}
        self._paths: dict[str, str] = {}
        self._states: dict[str, FolderState] = {}
        self._keys: list[str] | None = None
        self._undo: list[tuple[str, Node | None, FolderState | None]] = []
        self._events: list[NodeEvent] = []
        self._owed: str | None = None
        self._store("", Node("", new_uuid(), Facts(0, self._clock.time_ns())))

    async def close(self) -> None:
        """Nothing to release; here because every index can be closed."""

    # --- reading -----------------------------------------------------------------------------------------------------

    async def read_node(self, path: str) -> Node:
        """See ``NodeIndex.read_node``."""
        node = self._nodes.get(path)
        if node is None:
            raise rules.missing_node(path)
        return node

    def recall_node(self, path: str) -> Node | None:
        """See ``NodeIndex.recall_node``."""
        return self._nodes.get(path)

    async def read_nodes(self, paths: Sequence[str]) -> list[Node | None]:
        """See ``NodeIndex.read_nodes``."""
        return [self._nodes.get(path) for path in paths]

    async def find_node(self, uuid: str) -> Node | None:
        """See ``NodeIndex.find_node``."""
        try:
            path = self._paths.get(str(uuidlib.UUID(uuid)))
        except ValueError:
            return None
        return None if path is None else self._nodes[path]

    async def find_nodes(self, uuids: Sequence[str]) -> list[Node | None]:
        """See ``NodeIndex.find_nodes``."""
        return [await self.find_node(uuid) for uuid in uuids]

    async def find_paths(self, uuids: Sequence[str]) -> dict[str, str]:
        """See ``NodeIndex.find_paths``."""
        nodes = await self.find_nodes(uuids)
        return {uuid: node.path for uuid, node in zip(uuids, nodes, strict=True) if node is not None}

    async def find_inode(self, dev: int, ino: int) -> list[Node]:
        """See ``NodeIndex.find_inode``."""
        return [node for node in self._nodes.values() if node.facts.ino == ino and node.facts.dev == dev]

    async def find_inodes(self, pairs: Sequence[tuple[int, int]]) -> list[list[Node]]:
        """See ``NodeIndex.find_inodes``. Looks at every node, once."""
        found: dict[tuple[int, int], list[Node]] = {pair: [] for pair in pairs}
        for node in self._nodes.values():
            same = found.get((node.facts.dev, node.facts.ino))
            if same is not None:
                same.append(node)
        return [found[pair] for pair in pairs]

    async def list_children(self, path: str, after: str = "", limit: int = 1000) -> list[Node]:
        """See ``NodeIndex.list_children``."""
        names = self._children.get(path)
        if names is None:
            raise rules.missing_node(path)
        start = bisect_right(names, after)
        return [self._nodes[path + name] for name in names[start : start + limit]]

    async def list_keys(self, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> KeyPage:
        """See ``NodeIndex.list_keys``."""
        if self._keys is None:
            self._keys = sorted(path for path, node in self._nodes.items() if self._is_key(path, node))
        found: list[Node | str] = []
        last = ""
        start = keys.first_candidate(prefix, delimiter, after) if limit > 0 else None
        while start is not None:
            at = bisect_left(self._keys, start)
            if at == len(self._keys) or not self._keys[at].startswith(prefix):
                break
            if len(found) == limit:
                return KeyPage(tuple(found), last)
            key = self._keys[at]
            rolled = keys.common_prefix(key, prefix, delimiter)
            found.append(rolled or self._nodes[key])
            last = rolled or key
            start = keys.end_of_prefix(rolled) if rolled else keys.just_after(key)
        return KeyPage(tuple(found))

    def _is_key(self, path: str, node: Node) -> bool:
        if not is_folder(path):
            return True
        if not path:
            return False
        return node.kind is FolderKind.MARKER or (node.kind is FolderKind.FOUND and not self._children[path])

    async def usage(self, path: str) -> Usage:
        """See ``NodeIndex.usage``."""
        if path not in self._children:
            raise rules.missing_node(path)
        below = [node for node in self._nodes.values() if node.path.startswith(path) and node.path != path]
        folders = sum(node.is_folder for node in below)
        return Usage(folders, len(below) - folders, sum(node.size for node in below))

    async def read_folder_states(self, paths: Sequence[str]) -> list[FolderState | None]:
        """See ``NodeIndex.read_folder_states``."""
        return [self._states.get(path) for path in paths]

    async def list_folder_states(self, path: str = "", after: str = "", limit: int = 5000) -> list[FolderState]:
        """See ``NodeIndex.list_folder_states``."""
        # The path that pages on may be the root, so "nothing yet" can not be told from it by its text alone: the root
        # is the first of its own listing, and only a page with room for nothing else would end with it.
        found = sorted(state.path for state in self._states.values() if state.path.startswith(path))
        if after:
            found = [each for each in found if each > after]
        return [self._states[each] for each in found[:limit]]

    async def list_unhashed(self, after: str = "", limit: int = 500, path: str = "") -> list[Node]:
        """See ``NodeIndex.list_unhashed``."""
        return [self._nodes[each] for each in sorted(self._find_unhashed(path)) if each > after][:limit]

    async def count_unhashed(self, path: str = "") -> Unhashed:
        """See ``NodeIndex.count_unhashed``."""
        found = self._find_unhashed(path)
        return Unhashed(len(found), sum(self._nodes[each].size for each in found))

    def _find_unhashed(self, path: str) -> list[str]:
        nodes = self._nodes.items() if path in self._nodes else ()
        return [each for each, node in nodes if each.startswith(path) and not node.is_folder and not node.is_hashed]

    async def changes(self, since: int = 0, limit: int = 1000) -> ChangePage:
        """See ``NodeIndex.changes``."""
        first = self._sequence - len(self._log) + 1
        missed = since + 1 < first or since > self._sequence
        start = max(0, since + 1 - first)
        events = tuple(self._with_node(event) for event in islice(self._log, start, start + limit))
        return ChangePage(events, events[-1].seq if events else self._sequence, missed)

    def _with_node(self, event: NodeEvent) -> NodeEvent:
        path = self._paths.get(event.uuid)
        is_gone = event.kind is EventKind.DELETE or path is None
        return replace(event, node=None if is_gone or path is None else self._nodes[path])

    async def find_deleted(self, uuids: Sequence[str]) -> set[str]:
        """See ``NodeIndex.find_deleted``."""
        return {event.uuid for event in self._log if event.kind is EventKind.DELETE}.intersection(uuids)

    async def stats(self) -> IndexStats:
        """See ``NodeIndex.stats``."""
        total = await self.usage("")
        return IndexStats(total.folders, total.files, total.bytes, self._sequence, 0)

    async def verify(self) -> list[str]:
        """See ``NodeIndex.verify``."""
        wrong = []
        for path, node in self._nodes.items():
            if node.path != path:
                wrong.append(f"The node at {path!r} believes to be at {node.path!r}.")
            if self._paths.get(node.uuid) != path:
                wrong.append(f"The UUID {node.uuid} of {path!r} leads elsewhere.")
            if path and name_of(path) not in self._children.get(parent_of(path), []):
                wrong.append(f"{path!r} is not among the children of its parent.")
        if sum(map(len, self._children.values())) != len(self._nodes) - 1 or len(self._paths) != len(self._nodes):
            wrong.append("Children or UUIDs are listed that are not there.")
        wrong += [f"The children of {path!r} are out of order." for path, c in self._children.items() if c != sorted(c)]
        return wrong

    # --- changing ----------------------------------------------------------------------------------------------------

    async def apply(self, patch: Patch) -> tuple[NodeEvent, ...]:
        """See ``NodeIndex.apply``."""
        return self._apply(patch)

    def submit(self, patch: Patch) -> Awaitable[tuple[NodeEvent, ...]]:
        """See ``NodeIndex.submit``."""
        future: asyncio.Future[tuple[NodeEvent, ...]] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(self._apply(patch))
        except Exception as error:
            future.set_exception(error)
        return future

    def _apply(self, patch: Patch) -> tuple[NodeEvent, ...]:
        self._undo, self._events = [], []
        sequence = self._sequence
        try:
            for operation in patch.operations:
                self._apply_operation(operation)
            if patch.bulk:
                is_changed, self._sequence, self._events = bool(self._events), sequence, []
                self._end_bulk(patch, is_changed=is_changed)
        except BaseException:
            self._sequence = sequence
            for path, node, state in reversed(self._undo):
                self._store(path, node, state)
            raise
        events = tuple(self._events)
        self._log.extend(events)
        if events:
            self._publish(events)
        return events

    def _end_bulk(self, patch: Patch, *, is_changed: bool) -> None:
        """Publish the one event of a bulk, or note that it is owed. Nothing after this can fail."""
        if self._owed is None and not is_changed:
            return
        path = rules.path_of_bulk(patch, self._owed, is_changed=is_changed)
        if patch.more:
            self._owed = path
            return
        self._owed = None
        self._note(EventKind.RELOAD, self._nodes.get(path) or self._nodes[""], path=path)

    def _apply_operation(self, operation: Operation) -> None:
        match operation:
            case PutLeaf(path):
                rules.check_path(path, folder=False)
                self._take(rules.put_leaf(self._nodes.get(path), operation))
            case PutLeaves(path):
                rules.check_leaves(operation)
                for name, facts in zip(operation.names, operation.facts, strict=True):
                    self._take(rules.put_leaf(self._nodes.get(path + name), PutLeaf(path + name, facts)))
            case PutFolder(path):
                rules.check_path(path, folder=True)
                self._take(rules.put_folder(self._nodes.get(path), operation, self._clock.time_ns()))
            case SetMeta(path):
                self._take(rules.set_meta(self._nodes.get(path), operation), is_listed=False)
            case SetHash(path):
                self._take(rules.set_hash(self._nodes.get(path), operation), is_listed=False)
            case FolderScanned(path):
                if path not in self._children:
                    raise rules.missing_node(path)
                state = FolderState(path, operation.mtime_ns, operation.ctime_ns, operation.fingerprint)
                self._change(path, self._nodes[path], state)
            case MoveNode():
                self._move(operation)
            case DeleteNode(path):
                self._delete(path)
            case PruneFolders(path):
                self._prune(path)

    def _take(self, change: rules.Change, *, is_listed: bool = True) -> None:
        """Store one changed node; ``is_listed`` says that a listing of its folder would show the change."""
        if change is None:
            return
        node, event = change
        holder = self._paths.get(node.uuid)
        if holder is not None and holder != node.path:
            raise rules.taken_uuid(node.path, node.uuid)
        self._make_parents(node.path)
        self._change(node.path, node, self._states.get(node.path))
        if is_listed:
            self._clear_fingerprint(node.path)
        if event is not None:
            self._note(event, node)

    def _make_parents(self, path: str) -> None:
        for folder in ancestors_of(path):
            if folder not in self._nodes:
                self._take((rules.implied_folder(folder, self._clock.time_ns()), EventKind.CREATE))

    def _move(self, operation: MoveNode) -> None:
        rules.check_move(operation)
        source, path = operation.source, operation.path
        old = self._nodes.get(source)
        if old is None:
            raise rules.missing_node(source)
        node = rules.moved_node(old, operation)
        if source == path:
            self._take(None if node == old else (node, None))
            return
        if is_folder(path) and path in self._nodes:
            raise rules.taken_path(path)
        self._make_parents(path)
        inner = self._below(source) if is_folder(source) else []
        nodes = [(each, self._nodes[each], self._states.get(each)) for each in [source, *inner]]
        for each in reversed([source, *inner]):
            self._change(each, None, None)
        if path in self._nodes:
            self._change(path, None, None)
        for each, held, state in nodes:
            place = rebase(each, source, path)
            moved = node if each == source else replace(held, path=place)
            self._change(place, moved, None if state is None else replace(state, path=place))
        self._clear_fingerprint(source)
        self._clear_fingerprint(path)
        self._note(EventKind.UPDATE_PATH, node, source=source)

    def _delete(self, path: str) -> None:
        rules.check_delete(path)
        node = self._nodes.get(path)
        if node is None:
            return
        for each in reversed([path, *self._below(path)] if is_folder(path) else [path]):
            self._change(each, None, None)
        self._clear_fingerprint(path)
        self._note(EventKind.DELETE, node, is_gone=True)

    def _prune(self, path: str) -> None:
        for folder in reversed(ancestors_of(path)):
            node = self._nodes.get(folder)
            if node is not None and (node.kind is not FolderKind.IMPLICIT or self._children[folder]):
                return
            self._delete(folder)

    def _below(self, folder: str) -> list[str]:
        """Every path below a folder, parents first."""
        found = []
        for name in self._children[folder]:
            found.append(folder + name)
            if is_folder(name):
                found += self._below(folder + name)
        return found

    def _clear_fingerprint(self, child: str) -> None:
        folder = parent_of(child)
        state = self._states.get(folder)
        if child and state is not None and state.fingerprint:
            self._change(folder, self._nodes[folder], replace(state, fingerprint=b""))

    def _note(
        self, kind: EventKind, node: Node, *, source: str = "", is_gone: bool = False, path: str | None = None
    ) -> None:
        self._sequence += 1
        place = node.path if path is None else path
        shown = None if is_gone else node
        at_ns = self._clock.time_ns()
        event = NodeEvent(self._sequence, kind, place, node.uuid, at_ns, source, shown, self._datasource)
        self._events.append(event)

    def _change(self, path: str, node: Node | None, state: FolderState | None) -> None:
        self._undo.append((path, self._nodes.get(path), self._states.get(path)))
        self._store(path, node, state)

    def _store(self, path: str, node: Node | None, state: FolderState | None = None) -> None:
        """The only place that changes the dictionaries."""
        self._keys = None
        old = self._nodes.get(path)
        if old is not None and self._paths.get(old.uuid) == path:
            del self._paths[old.uuid]
        siblings = self._children.get(parent_of(path), [])
        if node is None:
            self._nodes.pop(path, None)
            self._children.pop(path, None)
            self._states.pop(path, None)
            if old is not None:
                siblings.remove(name_of(path))
            return
        self._nodes[path] = node
        self._paths[node.uuid] = path
        if is_folder(path):
            self._children.setdefault(path, [])
            self._states[path] = state or FolderState(path, 0, 0, b"")
        if old is None and path:
            insort(siblings, name_of(path))


__all__ = ["MemoryIndex", "Publish", "ignore_events"]
