"""The two sides of a migration: an object service of its own for each, and where the leaves lie in it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import msgspec
import xxhash

from cellsmono.datasource.flat.blobs import SIDE
from cellsmono.datasource.flat.layout import (
    NOT_OURS,
    FlatRecord,
    Layout,
    blob_key,
    choose_layout,
    parse_key,
    read_record,
    write_record,
)
from cellsmono.datasource.hosting import Objects, open_alone
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.sealing.keys import read_keys
from cellsmono.datasource.sealing.store import SealedStore
from cellsmono.datasource.versions.kept import Kept
from cellsmono.interfaces.datasource import DatasourceConfig, Durability, Encryption, Format, Markers, Storage
from cellsmono.interfaces.node import SEALED, Node, is_sealed
from cellsmono.interfaces.objects import Holder, Listing
from cellsmono.interfaces.sealing import KeyVault
from cellsmono.kernel.errors import AlreadyExists, Conflict, Unavailable

NAME = "data.migration"
_SCANNED = 64
_SHARED = "the source, where the target is"


class Side(msgspec.Struct, frozen=True):
    """One side. ``layout`` is None where leaves lie at their paths; ``has_attributes``: the storage keeps those.

    ``kept`` is where a structured side has noncurrent versions, None when they are not to be touched.
    """

    config: DatasourceConfig
    objects: Objects
    layout: Layout | None
    has_attributes: bool
    kept: Kept | None = None

    @property
    def bucket(self) -> str:
        """The name of the bucket in the object service."""
        return self.config.name

    @property
    def is_flat(self) -> bool:
        """Whether leaves lie in blobs."""
        return self.layout is not None

    @property
    def seals(self) -> bool:
        """Whether what is written there is sealed."""
        return self.is_flat and self.config.encryption is not Encryption.NONE

    @property
    def uses_markers(self) -> bool:
        """Whether folders have markers with their UUIDs."""
        return not self.is_flat and self.config.markers is Markers.FILE

    def key(self, node: Node, blob: int) -> str:
        """The object key of a leaf's content."""
        return node.path if self.layout is None else blob_key(self.layout, node.uuid, blob)

    def version_key(self, uuid: str, number: int) -> str:
        """Where the content of a noncurrent version lies: an object key, or a path in the internal ``versions``."""
        if self.kept is not None:
            return self.kept.key(uuid, number)
        return blob_key(self.layout or Layout.PLAIN, uuid, number)

    def sides(self, key: str) -> list[str]:
        """Keys of what lies beside a blob, where the storage keeps no attributes."""
        return [key + SIDE] if self.is_flat and not self.has_attributes else []


def blob_at(target: Side, uuid: str, blob: int) -> int:
    """The number that the blob of a leaf has at the target; the source may know no blobs, or seal none, or all.

    The number of a seal that is made there follows from the leaf, so that the next run finds the same.
    """
    if not target.is_flat:
        return 0
    if not target.seals:
        return blob - SEALED if is_sealed(blob) else blob
    if is_sealed(blob):
        return blob
    return SEALED + 1 + xxhash.xxh3_64_intdigest(f"{uuid}.{blob:x}".encode()) % ((1 << 60) - 1)


def local_of(objects: Objects) -> LocalStore | None:
    """The store of local folders that an object service is, or seals in; None for another one."""
    below = objects.below if isinstance(objects, SealedStore) else objects
    return below if isinstance(below, LocalStore) else None


@asynccontextmanager
async def open_source(
    config: DatasourceConfig,
    vault: KeyVault,
    *,
    is_whole: bool = True,
    holds: bool = False,
    kept: Kept | None = None,
) -> AsyncIterator[Side]:
    """The side that is read. Raises Unavailable for a flat store that is not there, unless it need not be whole.

    Also when it holds sealed content whose keys are not at hand. ``holds``: nothing else of this process holds it any
    more, and nobody else may while it is removed. Raises Locked.
    """
    async with _opened(config) as objects:
        if holds and isinstance(objects, Holder) and await objects.has_bucket(config.name):
            await objects.hold_bucket(config.name)
        layout, record = None, None
        if config.format is not Format.STRUCTURED:
            # What need not be whole may be gone altogether: a kill may have come just after its folder was removed.
            is_there = is_whole or await objects.has_bucket(config.name)
            record = await read_record(objects, config.name) if is_there else None
            if record is None and is_whole:
                raise Unavailable(f"{config.place} is no flat store; is its disk mounted?", reason="offline")
            layout = Layout.PLAIN if record is None else record.layout
        used = objects if record is None else await _unsealing(objects, config, record.id, vault)
        has_attributes = objects.capabilities(config.name).attributes
        yield Side(config, used, layout, has_attributes, kept if layout is None else None)


async def _unsealing(objects: Objects, config: DatasourceConfig, store: str, vault: KeyVault) -> Objects:
    """A store whose sealed content is read as what it is; one that has no keys is left as it is, which is quicker."""
    if await read_keys(objects, config.name) is None and not await asyncio.to_thread(vault.recall, store):
        return objects
    sealed = SealedStore(objects, config.name, vault, is_kept=False)
    await sealed.open_keys(config.name, store, make=False)
    return sealed


@asynccontextmanager
async def open_target(
    config: DatasourceConfig, vault: KeyVault, *, make: bool = True, kept: Kept | None = None
) -> AsyncIterator[Side]:
    """The side that is written, held for this process; a folder that is missing is made, unless only to be looked at.

    Raises Locked, Unavailable.
    """
    if config.storage is Storage.LOCAL and make:
        await asyncio.to_thread(lambda: Path(config.folder).mkdir(parents=True, exist_ok=True))
    async with _opened(config) as objects:
        is_there = await objects.has_bucket(config.name)
        if not is_there and (make or config.storage is Storage.S3):
            raise Unavailable(f"There is no bucket for {config.place}. Make it first, or check its name.")
        if is_there and isinstance(objects, Holder):
            await objects.hold_bucket(config.name)
        layout = await _find_layout(objects, config, is_there=is_there)
        is_plain = config.encryption is Encryption.NONE
        used = objects if is_plain else SealedStore(objects, config.name, vault)
        has_attributes = objects.capabilities(config.name).attributes
        yield Side(config, used, layout, has_attributes, kept if layout is None else None)


def share_source(source: Side, target: Side) -> str | None:
    """Let the target's object service know the source's bucket, where the server and key pair are the same.

    Its name there; None when bytes have to go through this process.
    """
    if source.config.storage is not Storage.S3 or target.config.storage is not Storage.S3:
        return None
    # See ``hosting``: what it needs takes most of a second to import.
    from cellsmono.datasource.objects.s3.store import S3Store

    ours, theirs = source.objects, target.objects
    if not (isinstance(ours, S3Store) and isinstance(theirs, S3Store)) or ours.endpoint != theirs.endpoint:
        return None
    place = msgspec.structs.replace(ours.place(source.bucket), name=_SHARED, read_only=True)
    with suppress(AlreadyExists):  # shared before
        theirs.add_bucket(place)
    return place.name


async def _find_layout(objects: Objects, config: DatasourceConfig, *, is_there: bool) -> Layout | None:
    if config.format is Format.STRUCTURED:
        return None
    record = await read_record(objects, config.name) if is_there else None
    return choose_layout(objects, config.name) if record is None else record.layout


async def check_empty(target: Side) -> None:
    """Raise Conflict (reason ``not_empty``) for a target that holds anything."""
    (listing,) = await target.objects.scan(target.bucket, [("", b"")])
    names = {entry.name for entry in listing.entries or ()} - NOT_OURS
    names |= {skipped.key for skipped in listing.skipped} - NOT_OURS
    if names or not listing.complete:
        raise Conflict(
            f"The target {target.config.place} holds something already ({sorted(names)[:3]}); choose an empty place.",
            reason="not_empty",
        )


async def claim_target(target: Side, root: str) -> None:
    """Note in a flat target that it is the store of this root, and give it a key if it is to be sealed."""
    if target.layout is not None and await read_record(target.objects, target.bucket) is None:
        await write_record(target.objects, target.bucket, FlatRecord(1, target.layout, root))
    if isinstance(target.objects, SealedStore):
        await target.objects.open_keys(target.bucket, root, make=True)


async def list_all(side: Side) -> AsyncGenerator[list[Listing], None]:
    """Every folder of a side with its entries, but those that went meanwhile: prefixes go with their last object.

    Raises Unavailable for one that can not be listed.
    """
    pending = [""]
    while pending:
        batch, pending = pending[-_SCANNED:], pending[:-_SCANNED]
        found = await side.objects.scan(side.bucket, [(folder, b"") for folder in batch])
        listings = [listing for listing in found if not (listing.missing and listing.key)]
        for listing in listings:
            if not listing.complete:
                raise Unavailable(f"{listing.key or '/'!r} of {side.config.place} can not be listed.", reason="io")
            inner = [listing.key + entry.name for entry in listing.entries or () if entry.name.endswith("/")]
            pending += [key for key in inner if key not in NOT_OURS]
        yield listings


async def find_leaves(side: Side, index: SqliteIndex, keys: Sequence[str]) -> list[Node | None]:
    """The leaves whose content lies at these keys of a side, whichever of their blobs it is."""
    if side.layout is None:
        found = await index.read_nodes(keys)
    else:
        parsed = [parse_key(side.layout, key) for key in keys]
        found = await index.find_nodes(["" if each is None else each[0] for each in parsed])
    return [None if node is None or node.is_folder else node for node in found]


def with_sides(side: Side, keys: Iterable[str]) -> list[str]:
    """Keys, and what lies beside them."""
    return [each for key in keys for each in (key, *side.sides(key))]


def _opened(config: DatasourceConfig) -> AbstractAsyncContextManager[Objects]:
    # One flush for many files, see ``copying``.
    return open_alone(NAME, msgspec.structs.replace(config, durability=Durability.RELAXED))
