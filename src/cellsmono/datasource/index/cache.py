"""Nodes kept in memory in front of the database, so that a hot look-up costs no hop to another thread."""

from collections.abc import Iterable

from cellsmono.interfaces.node import Node
from cellsmono.interfaces.paths import is_folder

CACHED_NODES = 20_000
PREFIX_SCAN_LIMIT = 8
"""Folders that may go in one patch before clearing everything is cheaper than looking for what was below each."""


class Reading:
    """What changed while a read was under way: of that, the read may not store what it found."""

    __slots__ = ("changed", "is_upset")

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.is_upset = False


class NodeCache:
    """The most recently used nodes by path. Lives on the event loop.

    It is always the tree after some commit, whole: a read may see a commit a moment before ``take_effects`` tells of
    it, so what it found is not kept while a patch is under way that touches it.

    Two dictionaries stand for "recently" and "before that": when the first is full it takes the place of the second,
    whose nodes go. That is nearly as good as an exact order of use, and a hit costs a look-up and nothing more.
    """

    def __init__(self, capacity: int = CACHED_NODES) -> None:
        self._half = max(1, capacity // 2)
        self._young: dict[str, Node] = {}
        self._old: dict[str, Node] = {}
        self._readings: set[Reading] = set()
        self._busy: dict[str, int] = {}
        self._busy_trees = 0

    def find(self, path: str) -> Node | None:
        """The node if it is here."""
        node = self._young.get(path)
        if node is None:
            node = self._old.get(path)
            if node is not None:
                self._keep(path, node)
        return node

    def begin_reading(self) -> Reading:
        """To be called before a read is sent to the database; end it with ``end_reading``."""
        reading = Reading()
        self._readings.add(reading)
        return reading

    def end_reading(self, reading: Reading, nodes: Iterable[Node]) -> None:
        """Keep what a read found, unless a commit has changed it since the read began."""
        self._readings.discard(reading)
        if reading.is_upset or self._busy_trees:
            return
        for node in nodes:
            if node.path not in reading.changed and node.path not in self._busy:
                self._keep(node.path, node)

    def begin_change(self, footprint: frozenset[str] | None) -> None:
        """A patch is on its way that touches these paths; None: too many to name, or whole subtrees."""
        if footprint is None:
            self._busy_trees += 1
            return
        for path in footprint:
            self._busy[path] = self._busy.get(path, 0) + 1

    def end_change(self, footprint: frozenset[str] | None) -> None:
        """That patch has ended, and ``take_effects`` was called if it was committed."""
        if footprint is None:
            self._busy_trees -= 1
            return
        for path in footprint:
            if self._busy[path] == 1:
                del self._busy[path]
            else:
                self._busy[path] -= 1

    def take_effects(self, effects: list[tuple[str, Node | None]], *, keep_new: bool) -> None:
        """Carry what a commit did: nodes that are here are replaced, new ones are kept if asked for, gone ones go."""
        gone = sum(node is None and is_folder(path) for path, node in effects)
        if gone > PREFIX_SCAN_LIMIT:
            self._young.clear()
            self._old.clear()
        else:
            for path, node in effects:
                self._take_effect(path, node, keep_new=keep_new)
        for reading in self._readings:
            reading.changed.update(path for path, _ in effects)
            reading.is_upset = reading.is_upset or gone > 0

    def _take_effect(self, path: str, node: Node | None, *, keep_new: bool) -> None:
        if node is not None:
            if keep_new or path in self._young or path in self._old:
                self._keep(path, node)
        elif is_folder(path):
            self._drop_below(path)
        else:
            self._young.pop(path, None)
            self._old.pop(path, None)

    def _drop_below(self, folder: str) -> None:
        for nodes in (self._young, self._old):
            for path in [path for path in nodes if path.startswith(folder)]:
                del nodes[path]

    def _keep(self, path: str, node: Node) -> None:
        self._young[path] = node
        self._old.pop(path, None)
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
