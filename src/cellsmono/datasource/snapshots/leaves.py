"""The leaves of a snapshot against the bytes that are there: which are gone, and which lie in another file now."""

from collections.abc import Callable, Sequence

import msgspec

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.snapshots.dump import Note
from cellsmono.datasource.sync.context import is_file_entry
from cellsmono.datasource.sync.differ import is_absent
from cellsmono.interfaces.node import Facts, Node
from cellsmono.interfaces.objects import Entry, FolderScanner, Skipped
from cellsmono.interfaces.patch import DeleteNode, DropVersion, Operation, Patch, PruneFolders, PutLeaf
from cellsmono.interfaces.snapshots import SnapshotProgress
from cellsmono.interfaces.version import Version, VersionPage

LISTED_ABSENT = 1000
PAGE = 1000


class Compared(msgspec.Struct):
    """What a comparison found; ``absent`` lists at most 1,000 paths."""

    found: int = 0
    adopted: int = 0
    absent_total: int = 0
    absent: list[str] = []

    def add(self, later: "Compared") -> None:
        """Take in what a second look found: what was absent before is not looked at again."""
        self.found = later.found
        self.adopted += later.adopted
        self.absent_total += later.absent_total
        self.absent = sorted([*self.absent, *later.absent])[:LISTED_ABSENT]


class Content:
    """Where the bytes of leaves lie: one object for each, whose key ``key_of`` tells.

    ``prunes``: folders are in the index alone, so those that were only implied go with their last leaf here.
    """

    def __init__(
        self, objects: FolderScanner, bucket: str, *, key_of: Callable[[Node], str], prunes: bool = False
    ) -> None:
        self._objects = objects
        self._bucket = bucket
        self._key_of = key_of
        self.prunes = prunes

    async def look(self, leaves: Sequence[Node]) -> list[Facts | None]:
        """What is there now; None: nothing. What can not be told (not readable) counts as there. Raises Unavailable."""
        entries = await self._objects.stat_entries(self._bucket, [self._key_of(node) for node in leaves])
        return [_facts(node, entry) for node, entry in zip(leaves, entries, strict=True)]


def _facts(node: Node, entry: Entry | Skipped | None) -> Facts | None:
    if isinstance(entry, Skipped):
        return None if is_absent(entry.reason) else node.facts
    return entry.facts if entry is not None and is_file_entry(entry) else None


async def compare_leaves(index: SqliteIndex, content: Content, note: Note) -> Compared:
    """Take leaves and versions out of an index whose bytes are absent; recognise others by size and time.

    A leaf of equal size and modification time is the same content, wherever it was copied: it keeps its UUID, hash and
    metadata. Others keep their rows as they are, so that whoever compares afterwards sees that they were changed.
    """
    compared = Compared()
    total = (await index.stats()).files
    after = ""
    while True:
        page = await index.list_keys(after=after, limit=PAGE)
        leaves = [entry for entry in page.entries if isinstance(entry, Node) and not entry.is_folder]
        operations = _judge(leaves, await content.look(leaves), compared, prunes=content.prunes) if leaves else []
        if operations:
            await index.apply(Patch(tuple(operations), "load", bulk=True, more=True))
        note(SnapshotProgress("comparing", compared.found + compared.absent_total, total, "nodes"))
        after = page.next_after
        if not after:
            break
    if content.prunes:  # otherwise versions lie in another datasource
        await _compare_versions(index, content, compared)
    return compared


async def _compare_versions(index: SqliteIndex, content: Content, compared: Compared) -> None:
    """Take noncurrent versions out of an index whose bytes are absent."""
    page = VersionPage(())
    while (await index.stats()).versions:
        page = await index.list_versions(after=page.next_key, after_version=page.next_version, limit=PAGE)
        kept = [each.node for each in page.entries if isinstance(each, Version) and not each.is_latest and each.node]
        found = await content.look(kept) if kept else []
        absent = [node for node, facts in zip(kept, found, strict=True) if facts is None]
        compared.found += len(kept) - len(absent)
        compared.absent_total += len(absent)
        room = max(0, LISTED_ABSENT - len(compared.absent))
        compared.absent += [f"{node.path} (version {node.version or 'null'})" for node in absent[:room]]
        if absent:
            drops = tuple(DropVersion(node.path, node.version) for node in absent)
            await index.apply(Patch(drops, "load", bulk=True, more=True))
        if not page.next_key:
            return


def _judge(
    leaves: Sequence[Node], found: Sequence[Facts | None], compared: Compared, *, prunes: bool
) -> list[Operation]:
    operations: list[Operation] = []
    for node, facts in zip(leaves, found, strict=True):
        if facts is None:
            compared.absent_total += 1
            if len(compared.absent) < LISTED_ABSENT:
                compared.absent.append(node.path)
            operations.append(DeleteNode(node.path))
            if prunes:
                operations.append(PruneFolders(node.path))
            continue
        compared.found += 1
        is_same = (facts.size, facts.mtime_ns) == (node.facts.size, node.facts.mtime_ns)
        if is_same and facts != node.facts:
            compared.adopted += 1
            operations.append(PutLeaf(node.path, facts, touched=True))
    return operations
