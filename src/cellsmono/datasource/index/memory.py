"""An index in plain dictionaries: the same contract as the stored one, for tests and for trees of a passing nature."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from cellsmono.datasource.index import rules
from cellsmono.datasource.index.memory_tree import MemoryTree
from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.index import FolderState
from cellsmono.interfaces.node import Facts, FolderKind, Node, new_uuid
from cellsmono.interfaces.patch import (
    DeleteNode,
    DropVersion,
    FolderScanned,
    KeepVersion,
    MoveNode,
    Operation,
    Patch,
    PromoteVersion,
    PruneFolders,
    PutFolder,
    PutLeaf,
    PutLeaves,
    SetHash,
    SetMeta,
    SetVersionMeta,
)
from cellsmono.interfaces.paths import ancestors_of, is_folder, parent_of, rebase
from cellsmono.kernel.clock import Clock, SystemClock

Publish = Callable[[tuple[NodeEvent, ...]], None]


def ignore_events(events: tuple[NodeEvent, ...]) -> None:
    """Publish to nobody."""


class MemoryIndex(MemoryTree):
    """A ``NodeIndex`` that forgets everything when it goes. Nodes by path, names of children in sorted lists."""

    def __init__(
        self,
        *,
        datasource: str = "memory",
        clock: Clock | None = None,
        publish: Publish = ignore_events,
        kept_events: int = rules.KEPT_EVENTS,
    ) -> None:
        super().__init__(datasource, kept_events)
        self._clock = clock or SystemClock()
        self._publish = publish
        self._undo: list[tuple[str, Node | None, FolderState | None]] = []
        self._events: list[NodeEvent] = []
        self._owed: str | None = None
        self._store("", Node("", new_uuid(), Facts(0, self._clock.time_ns())))

    async def close(self) -> None:
        """Nothing to release; here because every index can be closed."""

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
        self._versions.begin()
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
            self._versions.undo()
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
                self._put_leaf(operation)
            case PutLeaves(path):
                rules.check_leaves(operation)
                for name, facts in zip(operation.names, operation.facts, strict=True):
                    self._put_leaf(PutLeaf(path + name, facts))
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
            case DeleteNode():
                self._delete(operation)
            case PruneFolders(path):
                self._prune(path)
            case KeepVersion():
                self._keep_version(operation)
            case DropVersion(path):
                self._versions.drop(path, operation.version)
            case PromoteVersion():
                self._promote(operation)
            case SetVersionMeta(path):
                self._versions.set_meta(path, operation.version, operation.meta)

    def _put_leaf(self, operation: PutLeaf) -> None:
        path, now_ns = operation.path, self._clock.time_ns()
        old = self._nodes.get(path)
        change = rules.put_leaf(old, operation)
        if change is not None and self._versions.is_on and rules.brings_content(old, change[0], operation):
            change = self._versions.take_turns(old, change[0], operation, now_ns), change[1]
        self._take(change)

    def _keep_version(self, operation: KeepVersion) -> None:
        node = self._nodes.get(operation.path)
        if node is not None and not node.is_folder:
            self._versions.drop(node.path, node.version)
            self._versions.keep(replace(node, blob=operation.blob), self._clock.time_ns())

    def _promote(self, operation: PromoteVersion) -> None:
        path = operation.path
        rules.check_path(path, folder=False)
        node = rules.promoted_node(self._versions.take(path, operation.version), operation)
        old = self._nodes.get(path)
        if old is not None and old.uuid == node.uuid:
            self._take((node, EventKind.UPDATE_CONTENT))
            return
        if old is not None:
            self._change(path, None, None)
            self._note(EventKind.DELETE, old, is_gone=True)
        self._take((node, EventKind.CREATE))

    def _take(self, change: rules.Change, *, is_listed: bool = True) -> None:
        """Store one changed node; ``is_listed`` says that a listing of its folder would show the change."""
        if change is None:
            return
        node, event = change
        holder = self._paths.get(node.uuid)
        if holder is not None and holder != node.path:
            raise rules.taken_uuid(node.path, node.uuid)
        self._make_parents(node.path)
        old = self._nodes.get(node.path)
        self._change(node.path, node, self._states.get(node.path))
        is_other = old is None or rules.is_other(old, node)
        if is_listed and node.path:
            self._forget_scan(parent_of(node.path), is_other=is_other)
        if node.is_folder and is_other:
            self._forget_scan(node.path)
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
        now_ns = self._clock.time_ns()
        if path in self._nodes:
            if operation.keeps:
                self._versions.keep(self._nodes[path], now_ns)
            self._change(path, None, None)
        if self._versions.is_on and (is_folder(path) or not node.version):
            self._versions.free_null(path, now_ns)
        for each, held, state in nodes:
            place = rebase(each, source, path)
            moved = node if each == source else replace(held, path=place)
            self._change(place, moved, None if state is None else replace(state, path=place))
        self._forget_scan(parent_of(source))
        self._forget_scan(parent_of(path))
        if node.is_folder and rules.is_other(old, node):
            self._forget_scan(path)
        if self._versions.is_on:
            self._versions.cover(source, now_ns)
            self._versions.note_superseded(path, now_ns)
        self._note(EventKind.UPDATE_PATH, node, source=source)

    def _delete(self, operation: DeleteNode) -> None:
        path, now_ns = operation.path, self._clock.time_ns()
        rules.check_delete(path)
        node = self._nodes.get(path)
        if node is not None:
            if operation.keeps and not node.is_folder:
                self._versions.keep(node, now_ns)
            self._remove(node)
        if operation.marker is not None:
            self._versions.put_marker(path, operation.marker, now_ns)
        elif node is not None and self._versions.is_on:
            self._versions.cover(path, now_ns)

    def _remove(self, node: Node) -> None:
        path = node.path
        for each in reversed([path, *self._below(path)] if is_folder(path) else [path]):
            self._change(each, None, None)
        self._forget_scan(parent_of(path))
        self._note(EventKind.DELETE, node, is_gone=True)

    def _prune(self, path: str) -> None:
        for folder in reversed(ancestors_of(path)):
            node = self._nodes.get(folder)
            if node is not None and (node.kind is not FolderKind.IMPLICIT or self._children[folder]):
                return
            self._delete(DeleteNode(folder))

    def _below(self, folder: str) -> list[str]:
        """Every path below a folder, parents first."""
        found = []
        for name in self._children[folder]:
            found.append(folder + name)
            if is_folder(name):
                found += self._below(folder + name)
        return found

    def _forget_scan(self, folder: str, *, is_other: bool = True) -> None:
        state = self._states.get(folder)
        if state is not None:
            ctime_ns = 0 if is_other else state.ctime_ns
            self._change(folder, self._nodes[folder], replace(state, ctime_ns=ctime_ns, fingerprint=b""))

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


__all__ = ["MemoryIndex", "Publish", "ignore_events"]
