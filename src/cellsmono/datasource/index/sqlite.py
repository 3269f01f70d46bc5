"""The stored index: the tree of one datasource in one SQLite file."""

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Literal, Self, TypeVar

import msgspec

from cellsmono.datasource.index import reading, rules, version_reading
from cellsmono.datasource.index.cache import NodeCache
from cellsmono.datasource.index.labels import HIGHEST, LOWEST
from cellsmono.datasource.index.log import SELECT_LAST, find_deleted, read_changes, restart_log
from cellsmono.datasource.index.memory import Publish, ignore_events
from cellsmono.datasource.index.relocating import Relocator
from cellsmono.datasource.index.rows import ABOVE_ROOT, ROOT_ID, parse_uuid
from cellsmono.datasource.index.stored_versions import StoredVersions
from cellsmono.datasource.index.verify import verify_tree
from cellsmono.interfaces.events import ChangePage, NodeEvent
from cellsmono.interfaces.index import FolderState, IndexStats, KeyPage, Unhashed, Usage
from cellsmono.interfaces.node import Node, new_uuid
from cellsmono.interfaces.patch import (
    DeleteNode,
    MoveNode,
    Patch,
    PromoteVersion,
    PruneFolders,
    PutFolder,
    PutLeaf,
    PutLeaves,
)
from cellsmono.interfaces.paths import ancestors_of, is_folder, name_of, parent_of
from cellsmono.kernel.clock import Clock, SystemClock
from cellsmono.kernel.errors import Corrupt
from cellsmono.store.backup import Report
from cellsmono.store.database import Database, Reader, Tx
from cellsmono.store.migrations import Migrations, load_migrations

T = TypeVar("T")

APPLICATION_ID = 0x43656C31
FROM_FOLDER = (
    "But for versions, which a snapshot has, an index holds nothing that is not on the disk: stop, delete {path} (with "
    "its -wal and -shm), and start again; it is rebuilt from the folder."
)
"""What to do about an index that is damaged and only follows its storage."""
FROM_BACKUP = (
    "It alone knows the names and folders of this datasource: `cellsmono ds snapshot {name} --operation list` shows "
    "what was saved of it, `--operation load` puts that in its place and keeps {path} aside. Without any, stop, move "
    "{path} (with its -wal and -shm) away, and start again: `cellsmono ds check {name} --repair` then brings the files "
    "back below lost+found/."
)
"""What to do about an index that is damaged and is the only one to know the tree."""
KEPT_IN_CACHE = 64
"""A patch of at most so many changes leaves its new nodes in the cache; a larger one would only sweep it."""
BRIEF_OPERATIONS = 8
"""A patch of at most so many single nodes is written in a moment."""
CURSORS = 256
"""Ends of pages that are remembered, so that paging goes on also when the node at the end went meanwhile."""


class IndexSummary(msgspec.Struct, frozen=True):
    """What a copy of an index holds: its usage, the UUID of its root, its last event, the version of its schema."""

    usage: Usage
    root: str
    last_sequence: int
    schema: int


class SqliteIndex(StoredVersions):
    """A ``NodeIndex`` in a file. Make it with ``open``; it owns the file until ``close``."""

    def __init__(
        self, database: Database, *, datasource: str, clock: Clock, publish: Publish, kept_events: int
    ) -> None:
        super().__init__(database, datasource, clock, kept_events)
        self._datasource = datasource
        self._publish = publish
        self._cache = NodeCache()
        self._folder_cursors: dict[str, int] = {}
        self._leaf_cursors: dict[str, int] = {}

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        datasource: str,
        durability: Literal["fsync", "relaxed"] | str = "fsync",
        clock: Clock | None = None,
        publish: Publish = ignore_events,
        kept_events: int = rules.KEPT_EVENTS,
        remedy: str = FROM_FOLDER,
    ) -> Self:
        """Open or make the index file of a datasource.

        ``publish`` is called on the event loop with the events of each patch after its commit, in commit order.
        Raises Corrupt for a file that is damaged or no index (``remedy`` says what to do then), Invalid for one that a
        newer program wrote, Locked, Unavailable.
        """
        clock = clock or SystemClock()
        migrations = _load_migrations()
        level: Literal["fsync", "relaxed"] = "relaxed" if durability == "relaxed" else "fsync"
        database: Database | None = None
        try:
            database = await Database.open(path, migrations, durability=level, name=f"index {datasource}")
            await database.write(lambda tx: _ensure_root(tx, clock.time_ns()))
            index = cls(database, datasource=datasource, clock=clock, publish=publish, kept_events=kept_events)
            await index.read_state()
            # The event of a bulk that was cut short, if one is owed.
            await index.apply(Patch((), "repair", bulk=True))
        except Corrupt as error:
            if database is not None:
                await database.close()
            advice = remedy.format(path=path, name=datasource)
            message = f"The index of {datasource} can not be used: {error.message} {advice}"
            raise Corrupt(message, reason="index", path=str(path)) from error
        except BaseException:
            if database is not None:
                await database.close()
            raise
        return index

    async def close(self) -> None:
        """Finish every patch that was taken, and close the file. May be called twice."""
        await self._database.close()

    # --- look-ups ----------------------------------------------------------------------------------------------------

    async def read_node(self, path: str) -> Node:
        """See ``NodeIndex.read_node``. A cached node is returned without giving way to other tasks."""
        node = self._cache.find(path)
        if node is None:
            node = (await self._fetch_nodes([path]))[0]
        if node is None:
            raise rules.missing_node(path)
        return node

    def recall_node(self, path: str) -> Node | None:
        """See ``NodeIndex.recall_node``."""
        return self._cache.find(path)

    async def read_nodes(self, paths: Sequence[str]) -> list[Node | None]:
        """See ``NodeIndex.read_nodes``. All of them are of one moment: one that is not cached means to fetch all."""
        found = [self._cache.find(path) for path in paths]
        return found if None not in found else await self._fetch_nodes(paths)

    async def _fetch_nodes(self, paths: Sequence[str]) -> list[Node | None]:
        begun = self._cache.begin_reading()
        nodes: list[Node | None] = []
        try:
            nodes = await self._database.read(lambda reader: reading.read_nodes(reader, paths))
        finally:
            self._cache.end_reading(begun, [node for node in nodes if node is not None])
        return nodes

    async def find_node(self, uuid: str) -> Node | None:
        """See ``NodeIndex.find_node``."""
        raw = parse_uuid(uuid)
        if raw is None:
            return None
        return await self._database.read(lambda reader: reading.find_by_uuid(reader, raw))

    async def find_nodes(self, uuids: Sequence[str]) -> list[Node | None]:
        """See ``NodeIndex.find_nodes``."""
        raw = [parse_uuid(uuid) for uuid in uuids]
        return await self._database.read(lambda reader: reading.find_by_uuids(reader, raw)) if raw else []

    async def find_paths(self, uuids: Sequence[str]) -> dict[str, str]:
        """See ``NodeIndex.find_paths``."""
        raw = {uuid: packed for uuid in uuids if (packed := parse_uuid(uuid)) is not None}
        paths = await self._database.read(lambda reader: reading.find_paths(reader, list(raw.values())))
        return {uuid: paths[packed] for uuid, packed in raw.items() if packed in paths}

    async def find_inode(self, dev: int, ino: int) -> list[Node]:
        """See ``NodeIndex.find_inode``."""
        return await self._database.read(lambda reader: reading.find_by_inode(reader, dev, ino))

    async def find_inodes(self, pairs: Sequence[tuple[int, int]]) -> list[list[Node]]:
        """See ``NodeIndex.find_inodes``."""
        return await self._database.read(lambda reader: reading.find_by_inodes(reader, pairs)) if pairs else []

    # --- pages -------------------------------------------------------------------------------------------------------

    async def list_children(self, path: str, after: str = "", limit: int = 1000) -> list[Node]:
        """See ``NodeIndex.list_children``."""
        found = None
        if reading.is_text(path):
            rules.check_text(after)
            found = await self._page(lambda reader: reading.list_children(reader, path, after, limit))
        if found is None:
            raise rules.missing_node(path)
        return found

    async def list_keys(self, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> KeyPage:
        """See ``NodeIndex.list_keys``."""
        for text in (prefix, delimiter, after):
            rules.check_text(text)
        return await self._page(lambda reader: reading.list_page(reader, prefix, delimiter, after, limit))

    async def usage(self, path: str) -> Usage:
        """See ``NodeIndex.usage``."""
        found = None
        if reading.is_text(path):
            found = await self._page(lambda reader: reading.read_usage(reader, path))
        if found is None:
            raise rules.missing_node(path)
        return found

    async def read_folder_states(self, paths: Sequence[str]) -> list[FolderState | None]:
        """See ``NodeIndex.read_folder_states``."""
        return await self._database.read(lambda reader: reading.read_states(reader, paths))

    async def list_folder_states(self, path: str = "", after: str = "", limit: int = 5000) -> list[FolderState]:
        """See ``NodeIndex.list_folder_states``."""

        def read(reader: Reader) -> list[tuple[int, FolderState]]:
            last = reading.find_folder_id(reader, after) if after else 0
            return reading.list_states(
                reader, path, self._folder_cursors.get(after, 0) if last is None else last, limit
            )

        found = await self._page(read)
        if found:
            _remember(self._folder_cursors, found[-1][1].path, found[-1][0])
        return [state for _, state in found]

    async def list_unhashed(self, after: str = "", limit: int = 500, path: str = "") -> list[Node]:
        """See ``NodeIndex.list_unhashed``."""

        def read(reader: Reader) -> list[tuple[int, Node]]:
            last = reading.find_position(reader, after) if after else None
            last = last or (self._leaf_cursors.get(after, 0), name_of(after))
            return reading.list_unhashed(reader, path, last, limit)

        found = await self._page(read)
        if found:
            _remember(self._leaf_cursors, found[-1][1].path, found[-1][0])
        return [node for _, node in found]

    async def count_unhashed(self, path: str = "") -> Unhashed:
        """See ``NodeIndex.count_unhashed``."""
        return await self._page(lambda reader: reading.count_unhashed(reader, path))

    async def changes(self, since: int = 0, limit: int = 1000) -> ChangePage:
        """See ``NodeIndex.changes``."""
        return await self._page(lambda reader: read_changes(reader.execute, self._datasource, since, limit))

    async def find_deleted(self, uuids: Sequence[str]) -> set[str]:
        """See ``NodeIndex.find_deleted``."""
        raw = [each for each in map(parse_uuid, uuids) if each is not None]
        return await self._page(lambda reader: find_deleted(reader.execute, raw)) if raw else set()

    async def stats(self) -> IndexStats:
        """See ``NodeIndex.stats``."""

        def read(reader: Reader) -> tuple[Usage, int, tuple[int, int]]:
            last = reader.execute(SELECT_LAST).fetchone()[0] or 0
            return reading.read_usage(reader, "") or Usage(0, 0, 0), last, version_reading.read_counts(reader)

        total, last, versions = await self._page(read)
        size = self._database.file_bytes()
        return IndexStats(
            total.folders, total.files, total.bytes, last, size, *versions, self._versioning, self.object_lock
        )

    async def verify(self) -> list[str]:
        """See ``NodeIndex.verify``."""
        return await self._page(lambda reader: verify_tree(reader.execute))

    # --- as a whole --------------------------------------------------------------------------------------------------

    async def back_up(self, target: Path, report: Report | None = None) -> IndexSummary:
        """Copy the index of this moment into a file, and tell what is in the copy. See ``Database.back_up``."""
        return await self._database.back_up(target, _summarize, report)

    async def restart_log(self, last: int) -> None:
        """Forget all events; the next opening publishes one ``reload`` of everything, numbered after ``last``.

        For an index that is about to take the place of another one. To be called last.
        """
        await self._database.write(lambda tx: restart_log(tx, last))

    @property
    def relocator(self) -> Relocator:
        """Says that nodes lie elsewhere now. Only while nobody else uses this index."""
        return Relocator(self._database)

    # --- changes -----------------------------------------------------------------------------------------------------

    async def apply(self, patch: Patch) -> tuple[NodeEvent, ...]:
        """See ``NodeIndex.apply``. Cancelling the caller does not stop a patch that was taken."""
        return await self.submit(patch)

    def submit(self, patch: Patch) -> Awaitable[tuple[NodeEvent, ...]]:
        """See ``NodeIndex.submit``."""

        def write(tx: Tx) -> tuple[NodeEvent, ...]:
            outcome = self._writer.write(tx, patch)
            keep_new = not patch.bulk and len(outcome.effects) <= KEPT_IN_CACHE

            def tell() -> None:
                self._cache.take_effects(outcome.effects, keep_new=keep_new)
                if outcome.events:
                    self._publish(outcome.events)

            tx.after_commit(tell)
            return outcome.events

        footprint = _footprint(patch)
        future = self._database.submit(write, is_brief=footprint is not None and self._is_brief(patch))
        self._cache.begin_change(footprint)
        future.add_done_callback(lambda _: self._cache.end_change(footprint))
        return asyncio.shield(future)  # a caller that is cancelled must not end the change before it has ended

    def _is_brief(self, patch: Patch) -> bool:
        """Whether a patch is written in a moment: a few single nodes in folders that are there.

        A folder that has to be made may need room in the labels, and moving others aside takes its time.
        """
        if patch.bulk or len(patch.operations) > BRIEF_OPERATIONS:
            return False
        for operation in patch.operations:
            if isinstance(operation, PutLeaves):
                return False
            if isinstance(operation, PutFolder) and not (operation.path and self._writer.knows(operation.path)):
                return False
            if isinstance(operation, PutLeaf | MoveNode | PromoteVersion) and not self._writer.knows(
                parent_of(operation.path)
            ):
                return False
        return True


def _load_migrations() -> Migrations:
    return load_migrations("cellsmono.datasource.index", APPLICATION_ID)


def known_schema() -> int:
    """The version of the tables that this program writes; it reads all older ones."""
    return _load_migrations().version


def _summarize(reader: Reader) -> IndexSummary:
    total = reading.read_usage(reader, "") or Usage(0, 0, 0)
    root = reading.read_nodes(reader, [""])[0]
    last = reader.execute(SELECT_LAST).fetchone()[0] or 0
    schema = reader.execute("PRAGMA user_version").fetchone()[0]
    return IndexSummary(total, "" if root is None else root.uuid, last, schema)


def _footprint(patch: Patch) -> frozenset[str] | None:
    """The paths that a patch touches; None when it is a large one, or moves or deletes a folder."""
    if len(patch.operations) > KEPT_IN_CACHE:
        return None
    paths = []
    for operation in patch.operations:
        paths.append(operation.path)
        if isinstance(operation, PutLeaves):
            if len(operation.names) > KEPT_IN_CACHE:
                return None
            paths += [operation.path + name for name in operation.names]
        if isinstance(operation, PruneFolders):
            paths += ancestors_of(operation.path)
        if isinstance(operation, MoveNode):
            paths.append(operation.source)
        if isinstance(operation, MoveNode | DeleteNode) and is_folder(operation.path):
            return None
    return frozenset(paths)


def _remember(cursors: dict[str, int], path: str, value: int) -> None:
    while len(cursors) >= CURSORS:
        del cursors[next(iter(cursors))]
    cursors[path] = value


def _ensure_root(tx: Tx, now_ns: int) -> None:
    """Make the root of a new index; Corrupt when an old one has lost it."""
    if tx.execute("SELECT 1 FROM index_node WHERE parent = ? AND name = ''", (ABOVE_ROOT,)).fetchone() is not None:
        return
    if tx.execute("SELECT 1 FROM index_folder LIMIT 1").fetchone() is not None:
        raise Corrupt("Its root is missing.", reason="index")
    tx.execute(
        "INSERT INTO index_folder (id, parent, name, lft, rgt) VALUES (?, ?, '', ?, ?)",
        (ROOT_ID, ABOVE_ROOT, LOWEST, HIGHEST),
    )
    tx.execute(
        "INSERT INTO index_node (parent, name, folder, uuid, size, mtime_ns, ino, dev, mode)"
        " VALUES (?, '', ?, ?, 0, ?, 0, 0, 0)",
        (ABOVE_ROOT, ROOT_ID, parse_uuid(new_uuid()), now_ns),
    )
