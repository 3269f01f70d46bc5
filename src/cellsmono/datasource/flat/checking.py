"""Compares the blobs of a flat datasource with its index, while it is being used.

Two places can not be read in one moment, so a blob counts as belonging to no node only when the index does not name it
*and* nobody was changing it *and* it is still there afterwards: in this order each change that goes on meanwhile is
seen by one of the three. See ``_is_orphan``.
"""

import asyncio
import enum
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import xxhash

from cellsmono.datasource.flat.blobs import Blob
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.interfaces.node import Node, NodeAttributes
from cellsmono.interfaces.operations import BlobFinding, BlobProblem, BlobReport
from cellsmono.interfaces.sync import Progress
from cellsmono.interfaces.version import VersionPage
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import AlreadyExists, CellsError, Invalid, TooLarge
from cellsmono.kernel.log import get_logger

log = get_logger("flat")

LOST_FOLDER = "lost+found/"
GRACE_SECONDS = 3600.0
"""Younger blobs are left alone: a safety margin beyond what is known to be under way."""

SHOWN = 1000
_CHUNK = 500

Note = Callable[[Progress], None]


class Repair(enum.Enum):
    """What a check does about what it finds.

    SUPERSEDED removes blobs that a newer one of the same node replaced, or whose node was deleted; ALL also gives a
    name below ``lost+found/`` to other blobs that belong to no node. Nothing else is ever changed.
    """

    NOTHING = enum.auto()
    SUPERSEDED = enum.auto()
    ALL = enum.auto()


async def check_blobs(
    store: FlatStore,
    clock: Clock,
    *,
    repair: Repair = Repair.NOTHING,
    grace_seconds: float = GRACE_SECONDS,
    note: Note | None = None,
) -> BlobReport:
    """Compare all blobs with all leaves; one runs at a time. Raises Unavailable when the storage can not be listed."""
    async with store.blobs.checking:
        await store.blobs.settle()
        check = _Check(store, clock, repair, grace_seconds, note)
        await check.run()
        await store.blobs.settle()
        return check.report


class _Check:
    def __init__(self, store: FlatStore, clock: Clock, repair: Repair, grace_seconds: float, note: Note | None) -> None:
        self.report = BlobReport()
        self._store = store
        self._blobs = store.blobs
        self._index = store.index
        self._clock = clock
        self._repair = repair
        self._oldest_ns = clock.time_ns() - round(grace_seconds * 1e9)
        self._note = note
        self._begun = clock.monotonic()
        self._matched = array("Q")

    async def run(self) -> None:
        folders = await self._blobs.list_folders()
        for number, folder in enumerate(folders, start=1):
            found = await self._blobs.list_blobs(folder)
            for start in range(0, len(found), _CHUNK):
                await self._look_at(found[start : start + _CHUNK])
                await asyncio.sleep(0)
            self._tell(number, len(folders), folder)
        stats = await self._index.stats()
        if self._repair is not Repair.SUPERSEDED and len(self._matched) < stats.files + stats.versions:
            await self._find_missing()
        self.report.seconds = self._clock.monotonic() - self._begun

    def _tell(self, folders: int, total: int, path: str) -> None:
        if self._note is not None:
            seconds = self._clock.monotonic() - self._begun
            rate = self.report.blobs / seconds if seconds else 0.0
            self._note(Progress(folders, total, self.report.blobs, rate, None, path))

    # --- blobs without a node

    async def _look_at(self, found: Sequence[Blob]) -> None:
        """Judge blobs that were just listed."""
        busy, orphans = self._blobs.busy(), []
        owners = await self._index.find_blobs([(blob.uuid, blob.blob) for blob in found])
        for blob, owner in zip(found, owners, strict=True):
            if not blob.uuid:
                self._add(BlobProblem.FOREIGN, blob.key, blob.facts.size)
                continue
            self.report.blobs += 1
            self.report.bytes += blob.facts.size
            if owner is not None:
                self._matched.append(_hash_name(blob.key))
                if owner.size != blob.facts.size and blob.key not in busy:
                    self._add(BlobProblem.SIZE, blob.key, blob.facts.size, owner.path)
            elif blob.key not in busy and await self._is_orphan(blob):
                orphans.append(blob)
        deleted = await self._index.find_deleted([blob.uuid for blob in orphans])
        for blob in orphans:
            if blob.uuid in deleted:
                self._remove(BlobProblem.DELETED, blob)
            elif self._repair is not Repair.SUPERSEDED:
                await self._handle_lost(blob)

    async def _is_orphan(self, blob: Blob) -> bool:
        """Whether no node has a blob's UUID, or one whose own blob is missing; what was replaced is dealt with here.

        The blob of a version of some key is no orphan.

        The index did not name the blob when it was asked, and nobody was changing it before that. Who makes a blob is
        busy with it until the index names it, so that can not be under way. Who drops one is busy with it from before
        the index forgets it until it is gone: so what is not busy now and there after that stays.
        """
        if blob.key in self._blobs.busy():
            return False
        if blob.facts.mtime_ns > self._oldest_ns:
            self.report.young += 1
            return False
        if await self._blobs.find_size(blob.key) is None:
            return False
        if (await self._index.find_blobs([(blob.uuid, blob.blob)]))[0] is not None:  # named by the index after all
            self._matched.append(_hash_name(blob.key))
            return False
        (node,) = await self._index.find_nodes([blob.uuid])
        if node is None or node.is_folder or not await self._is_whole(node):
            return True
        self._remove(BlobProblem.SUPERSEDED, blob, node.path)
        return False

    def _remove(self, problem: BlobProblem, blob: Blob, path: str = "") -> None:
        self._add(problem, blob.key, blob.facts.size, path)
        if self._repair is not Repair.NOTHING:
            self._blobs.drop(blob.key)
            self.report.removed += 1

    async def _is_whole(self, node: Node) -> bool:
        return await self._blobs.find_size(self._blobs.key_of(node)) == node.size

    async def _handle_lost(self, blob: Blob) -> None:
        kept = await self._blobs.read_attributes(blob.key)
        name = kept.path if kept is not None and kept.path else blob.uuid
        self._add(BlobProblem.LOST, blob.key, blob.facts.size, name)
        if self._repair is not Repair.ALL:
            return
        try:
            path = await self._attach(blob, name, kept)
        except CellsError as error:
            log.warning("a lost blob could not be brought back", key=blob.key, error=error.message)
            return
        log.info("a lost blob was brought back", key=blob.key, path=path)
        self.report.attached += 1

    async def _attach(self, blob: Blob, name: str, kept: NodeAttributes | None) -> str:
        """Give a blob a name below lost+found; the name that it got."""
        if kept is None or kept.size != blob.facts.size:
            kept = NodeAttributes(blob.facts.size, blob.facts.mtime_ns)
        blob = msgspec.structs.replace(blob, facts=kept.complete(blob.facts))
        etag = kept.etag or await self._hash(blob)
        # A name may be taken, too long with the folder before it, or none at all; a blob's own name is none of these.
        for candidate in (name, f"{name} ({blob.uuid})", blob.uuid):
            with suppress(AlreadyExists, TooLarge, Invalid):
                await self._store.attach_blob(LOST_FOLDER + candidate, blob, etag, kept.meta)
                return LOST_FOLDER + candidate
        path = f"{LOST_FOLDER}{blob.uuid}.{blob.blob:x}"
        await self._store.attach_blob(path, blob, etag, kept.meta)
        return path

    async def _hash(self, blob: Blob) -> str:
        hashed = await self._blobs.objects.hash_object(self._blobs.bucket, blob.key)
        return "" if hashed is None else hashed[1]

    # --- nodes without a blob

    async def _find_missing(self) -> None:
        """Ask for the blob of each leaf and version whose blob was not listed. Only when there are such."""
        page, listed = VersionPage((), "", ""), frozenset(self._matched)
        while True:
            page = await self._index.list_versions(after=page.next_key, after_version=page.next_version)
            for version in page.entries:
                node = None if isinstance(version, str) else version.node
                if node is None or node.is_folder:
                    continue
                key = self._blobs.key_of(node)
                if _hash_name(key) not in listed and not await self._is_there(node):
                    self._add(BlobProblem.MISSING, key, node.size, node.path)
            if not page.next_key:
                return

    async def _is_there(self, node: Node) -> bool:
        if await self._blobs.find_size(self._blobs.key_of(node)) is not None:
            return True
        (owner,) = await self._index.find_blobs([(node.uuid, node.blob)])
        return owner is None  # deleted or replaced since the page was read

    def _add(self, problem: BlobProblem, key: str, size: int, path: str = "") -> None:
        self.report.counts[problem] = self.report.counts.get(problem, 0) + 1
        if len(self.report.findings) < SHOWN:
            self.report.findings.append(BlobFinding(problem, key, size, path))


def _hash_name(key: str) -> int:
    """Eight bytes in the place of a blob's name: a check remembers one for every blob."""
    return xxhash.xxh3_64_intdigest(key.encode())
