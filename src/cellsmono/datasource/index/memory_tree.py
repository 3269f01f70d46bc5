"""What an index in plain dictionaries holds, and the reading of it."""

import uuid as uuidlib
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Sequence
from itertools import islice

from msgspec.structs import replace

from cellsmono.datasource.index import keys, rules
from cellsmono.datasource.index.memory_versions import MemoryVersions
from cellsmono.interfaces.events import ChangePage, EventKind, NodeEvent
from cellsmono.interfaces.index import FolderState, IndexStats, KeyPage, Unhashed, Usage
from cellsmono.interfaces.locks import LockRule
from cellsmono.interfaces.node import FolderKind, Node
from cellsmono.interfaces.paths import is_folder, name_of, parent_of
from cellsmono.interfaces.version import Version, Versioning, VersionPage


class MemoryTree:
    """Nodes by path, names of children in sorted lists."""

    def __init__(self, datasource: str, kept_events: int) -> None:
        self._datasource = datasource
        self._log: deque[NodeEvent] = deque(maxlen=kept_events)
        self._sequence = 0
        self._nodes: dict[str, Node] = {}
        self._children: dict[str, list[str]] = {}
        self._paths: dict[str, str] = {}
        self._states: dict[str, FolderState] = {}
        self._keys: list[str] | None = None
        self._versions = MemoryVersions()
        self._object_lock: LockRule | None = None

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
        versions = (*self._versions.count(), self.versioning, self.object_lock)
        return IndexStats(total.folders, total.files, total.bytes, self._sequence, 0, *versions)

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
        return wrong + self._versions.verify(self._nodes)

    # --- versions ----------------------------------------------------------------------------------------------------

    @property
    def versioning(self) -> Versioning:
        """See ``NodeIndex.versioning``."""
        return self._versions.versioning

    async def set_versioning(self, versioning: Versioning) -> None:
        """See ``NodeIndex.set_versioning``."""
        self._versions.versioning = versioning

    @property
    def object_lock(self) -> LockRule | None:
        """See ``NodeIndex.object_lock``."""
        return self._object_lock

    async def set_object_lock(self, rule: LockRule) -> None:
        """See ``NodeIndex.set_object_lock``."""
        self._object_lock = rule

    async def list_versions(
        self,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str | None = None,
        limit: int = 1000,
    ) -> VersionPage:
        """See ``NodeIndex.list_versions``."""
        nodes = (await self.list_keys(prefix, delimiter, after, max(limit, 0) + 1)).entries
        return self._versions.list_page(nodes, self._nodes.get(after), prefix, delimiter, after, after_version, limit)

    async def find_version(self, path: str, version: str) -> Version | None:
        """See ``NodeIndex.find_version``."""
        return self._versions.find(path, version, self._nodes.get(path))

    async def read_versions(self, path: str, limit: int = 1000) -> list[Version]:
        """See ``NodeIndex.read_versions``."""
        return self._versions.list_of(path, self._nodes.get(path))[: max(limit, 0)]

    async def find_blobs(self, blobs: Sequence[tuple[str, int]]) -> list[Node | None]:
        """See ``NodeIndex.find_blobs``."""
        found = []
        for uuid, blob in blobs:
            node = await self.find_node(uuid)
            is_current = node is not None and not node.is_folder and node.blob == blob
            found.append(node if is_current else self._versions.find_blob(uuid, blob))
        return found

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
