"""What was deleted a moment ago, so that the other half of a rename that comes late finds its UUID again. Pure."""

from collections import OrderedDict

from cellsmono.interfaces.node import Facts, Node

GRACE_SECONDS = 60.0
CAPACITY = 20_000

_Key = tuple[int, int, int, int]


class Tombstones:
    """Recently deleted leaves by (dev, inode, size, mtime). Folders need none: their marker carries the UUID."""

    def __init__(self, grace: float = GRACE_SECONDS, capacity: int = CAPACITY) -> None:
        self._grace = grace
        self._capacity = capacity
        self._nodes: OrderedDict[_Key, tuple[float, Node]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, node: Node, now: float) -> None:
        """Remember a leaf that was deleted; the oldest one is forgotten when there are too many."""
        if node.is_folder or not node.facts.ino:
            return
        key = _key(node.facts)
        self._nodes[key] = (now, node)
        self._nodes.move_to_end(key)
        self._trim(now)

    def has(self, facts: Facts, now: float) -> bool:
        """Whether ``take`` would find something."""
        if not self._nodes:
            return False
        self._trim(now)
        return _key(facts) in self._nodes

    def take(self, facts: Facts, now: float) -> Node | None:
        """The deleted leaf that had exactly these facts, if it is not too long ago; it is forgotten then."""
        if not self._nodes:
            return None
        self._trim(now)
        found = self._nodes.pop(_key(facts), None)
        return found[1] if found else None

    def _trim(self, now: float) -> None:
        while self._nodes:
            at, _ = next(iter(self._nodes.values()))
            if at > now - self._grace and len(self._nodes) <= self._capacity:
                return
            self._nodes.popitem(last=False)


def _key(facts: Facts) -> _Key:
    return (facts.dev, facts.ino, facts.size, facts.mtime_ns)
