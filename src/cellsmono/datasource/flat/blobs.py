"""The blobs of one flat datasource: making, opening and dropping them, and knowing which are being changed."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Protocol

import msgspec

from cellsmono.datasource.flat.layout import (
    KEYS,
    NOT_OURS,
    OURS,
    RECORD,
    FlatRecord,
    Layout,
    blob_key,
    choose_layout,
    key_of_leaf,
    new_seal,
    once,
    parse_key,
    read_record,
    write_record,
)
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.node import Facts, Node, NodeAttributes, is_sealed, new_uuid
from cellsmono.interfaces.objects import (
    FolderScanner,
    Holder,
    Listing,
    ObjectReader,
    ObjectStore,
    Staged,
    Target,
)
from cellsmono.interfaces.patch import Patch, PutFolder
from cellsmono.interfaces.sealing import Sealing
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Conflict, Forbidden, NotFound, Unavailable
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.tasks import create_task
from cellsmono.kernel.worker import wait_for_event

log = get_logger("flat")

DROPPED_TOGETHER = 256
GATHER_SECONDS = 0.25
"""How long dropped blobs wait for others: each removal flushes folders, and nobody waits for it."""
_READ_BYTES = 1024 * 1024
SIDE = ".json"
"""What the name of a side record ends with, where the storage keeps no attributes."""


class FlatObjects(ObjectStore, FolderScanner, Protocol):
    """What a flat datasource needs of its object service. One that is a ``Holder`` keeps other processes away, too."""


class Blob(msgspec.Struct, frozen=True):
    """One blob as the storage lists it. ``uuid`` is empty for an object that is none."""

    key: str
    uuid: str
    blob: int
    facts: Facts


class Blobs:
    """The blobs of a bucket that this process holds. Make it with ``open``."""

    def __init__(self, objects: FlatObjects, bucket: str, record: FlatRecord, root: Facts, clock: Clock) -> None:
        self.bucket = bucket
        self.objects = objects
        self._record = record
        self._root = root
        self._clock = clock
        self._has_attributes = objects.capabilities(bucket).attributes
        self.can_rename = objects.capabilities(bucket).rename_prefix
        """Whether a blob gets another name at no cost, whatever its size."""
        self.seals = False
        """Whether new content is sealed that nobody asked to be: the setting of the datasource."""
        self._last = 0
        self._changing: set[str] = set()
        self._dropped: dict[str, None] = {}  # in the order in which they were dropped
        self._renewing: dict[str, bool] = {}  # and whether it was dropped meanwhile
        self._dropper: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.checking = asyncio.Lock()
        """Held by whoever compares all blobs with the index: two of them would bring the same ones back twice."""

    @classmethod
    async def open(
        cls, objects: FlatObjects, bucket: str, index: NodeIndex, clock: Clock, *, seals: bool = False
    ) -> "Blobs":
        """Hold a bucket that is a flat store, or make an empty one a flat store. ``seals``: new content is sealed.

        Raises Locked when another process holds it, Conflict for a folder with other files in it (reason ``foreign``)
        or the blobs of another datasource (reason ``other_store``), Unavailable (reason ``offline``) when the folder is
        missing or an empty one stands in its place, and what ``Sealing.open_keys`` raises.
        """
        root = (await objects.stat(bucket, "")).facts
        is_writable = objects.capabilities(bucket).writable
        if isinstance(objects, Holder):
            await objects.hold_bucket(bucket)
        node, stats = await index.read_node(""), await index.stats()
        record = await read_record(objects, bucket)
        if record is None:
            await _check_empty(objects, bucket)
            if stats.files or stats.versions:
                raise _offline(bucket)
            if not is_writable:
                raise Forbidden(
                    f"'{bucket}' is read-only by its configuration and no flat store yet: there is nothing to serve.",
                    reason="read_only",
                )
            record = FlatRecord(1, choose_layout(objects, bucket), node.uuid)
            await write_record(objects, bucket, record)
        elif record.id != node.uuid:
            if stats.files or stats.folders or stats.versions:
                raise Conflict(
                    f"The folder of '{bucket}' holds the blobs of another datasource than the index of '{bucket}' is "
                    "about. Check the folder; or add it under another name, with an empty index.",
                    reason="other_store",
                )
            await index.apply(Patch((PutFolder("", uuid=record.id),)))
        if isinstance(objects, Sealing):
            await objects.open_keys(bucket, record.id, make=seals and is_writable)
        elif seals:
            raise TypeError(f"{objects.name} can not seal")
        blobs = cls(objects, bucket, record, root, clock)
        blobs.seals = seals
        return blobs

    async def close(self) -> None:
        """Finish dropping, and let go of the bucket."""
        await self.settle()

    @property
    def loss(self) -> str:
        """Why the bucket is not held safely by this process, and what to do; empty while it is."""
        return self.objects.describe_loss(self.bucket) if isinstance(self.objects, Holder) else ""

    async def check_root(self) -> None:
        """Raise Unavailable when the folder is not there, or another one stands in its place.

        Also when another process may hold the bucket, and Forbidden when it is read-only. Of a bucket of another server
        nothing else is asked: it is held by an object in it.
        """
        if not self.objects.capabilities(self.bucket).writable:
            raise Forbidden(f"The datasource '{self.bucket}' is read-only by its configuration.", reason="read_only")
        if loss := self.loss:
            raise Unavailable(loss, reason="hold_lost")
        facts = (await self.objects.stat(self.bucket, "")).facts
        if (facts.dev, facts.ino) != (self._root.dev, self._root.ino):
            await self.check_record()
            self._root = facts

    async def check_record(self) -> None:
        """Raise Unavailable (reason ``offline``) when the record is not there, or that of another datasource."""
        record = await read_record(self.objects, self.bucket)
        if record is None or record.id != self._record.id:
            raise _offline(self.bucket)

    # --- names

    def key(self, uuid: str, blob: int) -> str:
        """The object key of a blob."""
        return blob_key(self._record.layout, uuid, blob)

    def parse(self, key: str) -> tuple[str, int]:
        """UUID and number of the blob at a key that ``key`` made. Raises ValueError."""
        found = parse_key(self._record.layout, key)
        if found is None:
            raise ValueError(key)
        return found

    def key_of(self, node: Node) -> str:
        """The object key of a leaf's content."""
        return key_of_leaf(self._record.layout, node)

    def next_blob(self, node: Node) -> int:
        """A number for new content of a node that no blob in use has: the time in milliseconds, or more.

        A clock that was set back could lead to the number of a blob that is just being removed.
        """
        least = 0 if is_sealed(node.blob) else node.blob + 1
        self._last = max(self._clock.time_ns() // 1_000_000, self._last + 1, least)
        while self.key(node.uuid, self._last) in self._dropped:
            self._last += 1
        return self._last

    def new_seal(self, *, asked: bool = False) -> int:
        """A number for new content that is to be sealed, 0 when it is not: ``asked`` says that somebody wants it so."""
        return new_seal() if asked or self.seals else 0

    # --- bytes

    async def commit(self, staged: Staged, key: str, mtime_ns: int | None, kept: NodeAttributes) -> Facts:
        """Make staged bytes a blob; what is kept beside it tells its name without the index.

        Whatever goes wrong (also a cancellation), nobody knows of the blob yet and it is dropped.
        """

        def describe(facts: Facts) -> NodeAttributes:
            return msgspec.structs.replace(kept, size=facts.size, mtime_ns=facts.mtime_ns)

        try:
            if self._has_attributes:
                made = await self.objects.commit(staged, key, mtime_ns=mtime_ns, attributes=describe)
            else:
                side = msgspec.structs.replace(kept, size=staged.size, mtime_ns=mtime_ns or 0)
                if isinstance(self.objects, Sealing):
                    side = await self.objects.cover(key, side)
                await self._write(key + SIDE, msgspec.json.encode(side))
                made = await self.objects.commit(staged, key, mtime_ns=mtime_ns)
        except BaseException:
            self.drop(key)
            raise
        facts = made.info.facts
        return Facts(facts.size, facts.mtime_ns if mtime_ns is None else mtime_ns)

    async def _write(self, key: str, data: bytes) -> None:
        await self.objects.commit(await self.objects.stage(self.bucket, once(data)), key)

    async def rename(self, key: str, right: str) -> None:
        """Give a blob that nobody knows yet another name. Both names are dropped when it fails."""
        try:
            await self.objects.move(self.bucket, key, right)
            if not self._has_attributes:
                await self.objects.move(self.bucket, key + SIDE, right + SIDE)
        except BaseException:
            self.drop(key, right)
            raise

    async def open_blob(self, node: Node) -> ObjectReader:
        """Open a leaf's content. Raises NotFound."""
        return await self.objects.open(self.bucket, self.key_of(node))

    async def stage_copy(self, node: Node, *, seals: bool = False) -> Staged:
        """Stage a copy of a leaf's content. Raises NotFound.

        A sealed copy goes through here, to be sealed under a number of its own: that of the source may be in use beside
        the node that the copy becomes the content of.
        """
        seal = self.new_seal(asked=seals or is_sealed(node.blob))
        if not seal:
            return (await self.objects.stage_copy(self.bucket, self.bucket, self.key_of(node)))[0]
        reader = await self.open_blob(node)
        try:
            target = Target(self.key(new_uuid(), seal), node.meta, node.mtime_ns)
            return await self.objects.stage(self.bucket, _read_all(reader), (), node.size, target)
        finally:
            reader.close()

    async def stage_twin(self, node: Node) -> Staged:
        """Stage a copy of a leaf's content as it lies there, for a blob with a UUID that no node had before.

        So it needs no key, not even that of a client. Raises NotFound.
        """
        return (await self.objects.stage_copy(self.bucket, self.bucket, self.key_of(node)))[0]

    async def find_size(self, key: str) -> int | None:
        """Bytes of a blob, None when there is none."""
        try:
            return (await self.objects.stat(self.bucket, key)).facts.size
        except NotFound:
            return None

    async def read_attributes(self, key: str) -> NodeAttributes | None:
        """What is kept beside a blob."""
        if self._has_attributes:
            return (await self.objects.read_attributes(self.bucket, [key]))[0]
        try:
            reader = await self.objects.open(self.bucket, key + SIDE)
        except NotFound:
            return None
        try:
            kept = msgspec.json.decode(await reader.read(0, reader.info.facts.size), type=NodeAttributes)
            return await self.objects.uncover(key, kept) if isinstance(self.objects, Sealing) else kept
        except msgspec.DecodeError:
            return None
        finally:
            reader.close()

    # --- changes under way

    @contextmanager
    def changing(self, *keys: str) -> Iterator[None]:
        """These blobs are being made or replaced: what the index says of them is about to change."""
        self._changing.update(keys)
        try:
            yield
        finally:
            self._changing.difference_update(keys)

    @contextmanager
    def renewing(self, key: str) -> Iterator[None]:
        """This blob is being replaced by the same content: whoever drops it meanwhile means the new one as well."""
        self._renewing[key] = False
        try:
            yield
        finally:
            if self._renewing.pop(key):
                self.drop(key)

    def drop(self, *keys: str) -> None:
        """Remove blobs that nothing refers to any more, soon and together with others.

        What can not be removed now is found by the next look for blobs without a node.
        """
        self._dropped.update(dict.fromkeys(keys))
        self._renewing.update(dict.fromkeys(self._renewing.keys() & set(keys), True))
        if keys and self._dropper is None:
            self._dropper = create_task(self._remove_dropped(), f"data.blobs.{self.bucket}:drop")

    async def settle(self) -> None:
        """Wait until everything that was dropped is gone."""
        self._hurry.set()
        while self._dropper is not None:
            await asyncio.wait([self._dropper])
        self._hurry.clear()

    async def _remove_dropped(self) -> None:
        try:
            while self._dropped:
                if len(self._dropped) < DROPPED_TOGETHER:
                    await wait_for_event(self._hurry, GATHER_SECONDS)
                keys = list(islice(self._dropped, DROPPED_TOGETHER))
                await self._remove(keys)
                for key in keys:
                    del self._dropped[key]
        finally:
            self._dropper = None

    async def _remove(self, keys: Sequence[str]) -> None:
        sides = [] if self._has_attributes else [key + SIDE for key in keys]
        try:
            results = await self.objects.delete_many(self.bucket, [*keys, *sides])
        except CellsError as error:
            log.warning("blobs stay until the next look", datasource=self.bucket, blobs=len(keys), error=error.message)
            return
        for result in results:
            if isinstance(result, Exception):
                log.warning("a blob stays until the next look", datasource=self.bucket, error=str(result))

    def busy(self) -> frozenset[str]:
        """Keys of the blobs that are being made, replaced or removed at this moment."""
        return frozenset(self._changing.union(self._dropped))

    # --- listing

    async def list_folders(self) -> list[str]:
        """The folders that hold blobs."""
        listing = await self._scan("")
        inner = [entry.name for entry in listing.entries or () if entry.name.endswith("/")]
        return ["", *sorted(set(inner) - NOT_OURS)] if self._record.layout is Layout.SHARDED else [""]

    async def list_blobs(self, folder: str) -> list[Blob]:
        """Every object in one of the folders, the record and side records left out. Raises Unavailable."""
        found = []
        for entry in (await self._scan(folder)).entries or ():
            key = folder + entry.name
            if key in OURS or key.endswith("/"):
                continue
            if key.endswith(SIDE) and parse_key(self._record.layout, key.removesuffix(SIDE)) is not None:
                continue
            uuid, blob = parse_key(self._record.layout, key) or ("", 0)
            found.append(Blob(key, uuid, blob, entry.facts))
        return found

    async def _scan(self, folder: str) -> Listing:
        (listing,) = await self.objects.scan(self.bucket, [(folder, b"")])
        if not listing.complete and not (listing.missing and folder):
            raise Unavailable(
                f"The folder '{folder}' of '{self.bucket}' can not be listed; check the disk.", reason="io"
            )
        return listing

    async def dismantle(self) -> None:
        """Take away the record and the empty folders. Raises Conflict (reason ``blobs``) while there are blobs."""
        await self.settle()
        folders = await self.list_folders()
        for folder in folders:
            if await self.list_blobs(folder):
                raise Conflict(
                    f"'{self.bucket}' has no keys, but content that belongs to none. `cellsmono ds check "
                    f"{self.bucket} --repair` brings it back below lost+found/.",
                    reason="blobs",
                )
        for folder in folders[1:]:
            await self.objects.remove_folder(self.bucket, folder)
        for key in (KEYS, RECORD):
            await self.objects.delete(self.bucket, key)


async def _read_all(reader: ObjectReader) -> AsyncIterator[bytes]:
    offset = 0
    while data := await reader.read(offset, _READ_BYTES):
        yield data
        offset += len(data)


async def _check_empty(objects: FlatObjects, bucket: str) -> None:
    (listing,) = await objects.scan(bucket, [("", b"")])
    if listing.missing:
        raise _offline(bucket)
    names = {entry.name for entry in listing.entries or ()} - NOT_OURS
    others = [skipped.key for skipped in listing.skipped if skipped.key not in NOT_OURS]
    if names or others or not listing.complete:
        raise Conflict(
            f"The folder of '{bucket}' holds files and is no flat store of cellsmono. A flat datasource keeps files as "
            "blobs without names, in a folder of its own that is empty at first. Serve these files with "
            'format = "structured", or choose an empty folder.',
            reason="foreign",
        )


def _offline(bucket: str) -> Unavailable:
    return Unavailable(
        f"The folder of '{bucket}' is not the flat store that the index of '{bucket}' is about: it holds no "
        f"'{RECORD}' of that one. Is its disk mounted?",
        reason="offline",
    )
