"""What every part of a datasource's synchronizer works with: the triple, the clock, and what is remembered."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.sync.guard import DeletionGuard
from cellsmono.datasource.sync.relists import Relists
from cellsmono.datasource.sync.tombstones import Tombstones
from cellsmono.interfaces.datasource import DatasourceConfig, Markers
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.objects import Entry, FolderScanner, ObjectStore, Skipped
from cellsmono.interfaces.patch import Operation, Patch
from cellsmono.kernel.clock import Clock

Origin = Literal["watch", "resync"]

MOST_LISTED = 1000
"""Skipped entries and dry-run lines that a report holds at most."""

LOOK_BATCH = 500
"""Keys that are looked at in one hop to a thread."""


class SyncStore(ObjectStore, FolderScanner, Protocol):
    """An object store whose folders can be looked at."""


class Tally:
    """Counts what one round of looking found."""

    def __init__(self) -> None:
        self.folders = 0
        self.entries = 0
        self.created = 0
        self.updated = 0
        self.moved = 0
        self.deleted = 0
        self.skipped: dict[str, Skipped] = {}
        self.skipped_total = 0
        self.changes: list[str] = []
        self.held = ""

    @property
    def changed(self) -> int:
        """Rows that were changed in any way."""
        return self.created + self.updated + self.moved + self.deleted

    def skip(self, skipped: Iterable[Skipped]) -> None:
        """Note entries that are not served."""
        for each in skipped:
            if each.key in self.skipped:
                continue
            self.skipped_total += 1
            if len(self.skipped) < MOST_LISTED:
                self.skipped[each.key] = each

    def line(self, mark: str, path: str) -> None:
        """Note one line of a dry run."""
        if len(self.changes) < MOST_LISTED:
            self.changes.append(f"{mark} {path}")


class SyncContext:
    """The triple of one datasource as its synchronizer sees it, and what it remembers between two rounds."""

    def __init__(
        self, config: DatasourceConfig, objects: SyncStore, index: NodeIndex, claims: Claims, clock: Clock
    ) -> None:
        self.config = config
        self.bucket = config.name
        self.objects = objects
        self.index = index
        self.claims = claims
        self.clock = clock
        self.tombstones = Tombstones()
        self.relists = Relists()
        self.guard = DeletionGuard(config.max_delete_share, config.max_delete_nodes)
        self.unmarkable: set[str] = set()
        self._has_attributes: bool | None = None
        self.skipped: Counter[str] = Counter()

    @property
    def uses_markers(self) -> bool:
        """Whether folder UUIDs are kept on the storage."""
        return self.config.markers is Markers.FILE

    @property
    def has_attributes(self) -> bool:
        """Whether the storage mirrors metadata beside its objects; asked once, it takes a look at the disk."""
        if self._has_attributes is None:
            self._has_attributes = self.objects.capabilities(self.bucket).attributes
        return self._has_attributes

    @property
    def has_full_times(self) -> bool:
        """Whether the comparison of folders by their times misses nothing."""
        return self.objects.capabilities(self.bucket).full_times

    async def settle_index(self) -> None:
        """Wait until every patch submitted so far is committed, so that a read sees it.

        Whoever held a claim may have released it before the commit: a read right after could miss that patch.
        """
        await self.index.apply(Patch(()))

    async def apply(self, operations: Sequence[Operation], origin: Origin) -> tuple[NodeEvent, ...]:
        """Apply operations as one patch."""
        if not operations:
            return ()
        return await self.index.apply(Patch(tuple(operations), origin=origin))

    async def look(self, keys: Sequence[str]) -> list[Entry | Skipped | None]:
        """What stands at these keys now."""
        found: list[Entry | Skipped | None] = []
        for start in range(0, len(keys), LOOK_BATCH):
            found += await self.objects.stat_entries(self.bucket, keys[start : start + LOOK_BATCH])
        return found

    async def read_rows(self, paths: Sequence[str]) -> list[Node | None]:
        """The nodes at these paths."""
        return await self.index.read_nodes(paths) if paths else []

    async def count_nodes(self) -> int:
        """Nodes in the index, without the root."""
        stats = await self.index.stats()
        return stats.folders + stats.files

    async def mark_folders(self, markers: Sequence[tuple[str, str]]) -> list[tuple[int, int] | None]:
        """Write the markers of these (folder, UUID); the folder's (mtime_ns, ctime_ns) then.

        None where that is not possible: the UUID is kept in the index alone.
        """
        times = await self.objects.write_markers(self.bucket, markers)
        for (folder, _), now in zip(markers, times, strict=True):
            if now is not None:
                self.unmarkable.discard(folder)
            elif len(self.unmarkable) < MOST_LISTED:
                self.unmarkable.add(folder)
        return times


def is_file_entry(entry: Entry | Skipped | None) -> bool:
    """Whether a look found a file."""
    return isinstance(entry, Entry) and bool(entry.name) and not entry.name.endswith("/")


def is_folder_entry(entry: Entry | Skipped | None) -> bool:
    """Whether a look found a folder."""
    return isinstance(entry, Entry) and (not entry.name or entry.name.endswith("/"))
