"""An object service whose blobs are sealed where their names say so.

It stands before the object service of one bucket. Whatever goes through it is plain above and sealed below: bodies are
encrypted before they reach the store (so before any temporary file), sizes are those of the content, hashes are made of
it. What the name of an object does not call sealed passes as it is.
"""

import hashlib
from collections.abc import AsyncIterable, Callable, Sequence
from functools import partial

from msgspec.structs import replace

from cellsmono.datasource.flat.layout import seal_of
from cellsmono.datasource.sealing.below import Below
from cellsmono.datasource.sealing.covering import DAMAGED, bare, cover, find_key, to_plain, uncover
from cellsmono.datasource.sealing.format import (
    HEADER_BYTES,
    WITH_CLIENT_KEY,
    Frames,
    Header,
    Sealer,
    plain_size,
    read_header,
    sealed_size,
)
from cellsmono.datasource.sealing.keys import StoreKeys
from cellsmono.datasource.sealing.parts import SealedParts
from cellsmono.datasource.sealing.reader import LockedReader, SealedReader
from cellsmono.datasource.sealing.streams import Counter, seal_body
from cellsmono.interfaces.node import Facts, NodeAttributes
from cellsmono.interfaces.objects import (
    Committed,
    Entry,
    Hasher,
    Listing,
    ObjectInfo,
    ObjectReader,
    Skipped,
    Staged,
    Target,
)
from cellsmono.interfaces.sealing import KeyVault
from cellsmono.kernel.errors import CellsError, Corrupt, Unavailable

_PIECE = 1024 * 1024


class SealedStore(SealedParts):
    """ObjectStore, FolderScanner, Multipart, Holder and Sealing over one bucket of another store.

    ``is_kept`` is as for ``StoreKeys``.
    """

    def __init__(self, below: Below, bucket: str, vault: KeyVault, *, is_kept: bool = True) -> None:
        super().__init__(below)
        self.keys = StoreKeys(below, bucket, vault, is_kept=is_kept)

    async def open_keys(self, bucket: str, store: str, *, make: bool) -> None:
        """See ``Sealing``."""
        await self.keys.open(store, make=make)

    # reading

    async def stat(self, bucket: str, key: str) -> ObjectInfo:
        """Facts of an object or folder now."""
        return _plain(await self.below.stat(bucket, key))

    async def open(self, bucket: str, key: str) -> ObjectReader:
        """Open an object for reading. Raises Corrupt for a sealed one that was altered, Unavailable without its key."""
        if not seal_of(key):
            return await self.below.open(bucket, key)
        inner, header = await self._open(bucket, key)
        try:
            size = plain_size(inner.info.facts.size)
            if size is None:
                raise Corrupt(f"The sealed blob '{key}' was cut off.", reason="seal", path=key)
            if header.kind == WITH_CLIENT_KEY:
                return LockedReader(inner, header, size, partial(self._make_reader, bucket, key, inner, size))
            return await self._make_reader(bucket, key, inner, size, await self.keys.frames(header, key))
        except BaseException:
            inner.close()
            raise

    async def _open(self, bucket: str, key: str) -> tuple[ObjectReader, Header]:
        inner = await self.below.open(bucket, key)
        try:
            header = read_header(await inner.read(0, HEADER_BYTES), key)
            if header.seal != seal_of(key):
                raise Corrupt(f"The sealed blob '{key}' was put in the place of another.", reason="seal", path=key)
        except BaseException:
            inner.close()
            raise
        return inner, header

    async def _make_reader(self, bucket: str, key: str, inner: ObjectReader, size: int, frames: Frames) -> SealedReader:
        async def reopen() -> tuple[ObjectReader, Frames]:
            again, header = await self._open(bucket, key)
            return again, await self.keys.frames(header, key)

        reader = SealedReader(inner, frames, size, reopen)
        if not size:
            await reader.check()
        return reader

    async def hash_object(self, bucket: str, key: str) -> tuple[Facts, str] | None:
        """MD5 of an object's content and its facts; None when it changed meanwhile or is gone."""
        if not seal_of(key):
            return await self.below.hash_object(bucket, key)
        digest, offset = hashlib.md5(usedforsecurity=False), 0
        reader = await self.open(bucket, key)
        try:
            while data := await reader.read(offset, _PIECE):
                digest.update(data)
                offset += len(data)
        except Unavailable as error:
            if error.reason == "changed":
                return None
            raise
        finally:
            reader.close()
        return reader.info.facts, digest.hexdigest()

    # listing

    async def scan(self, bucket: str, folders: Sequence[tuple[str, bytes]]) -> list[Listing]:
        """List these folders now."""
        listings = await self.below.scan(bucket, folders)
        for listing in listings:
            if listing.entries is not None:
                listing.entries = [_plain_entry(entry) for entry in listing.entries]
        return listings

    async def stat_entries(self, bucket: str, keys: Sequence[str]) -> list[Entry | Skipped | None]:
        """What stands at these keys now."""
        found = await self.below.stat_entries(bucket, keys)
        return [_plain_entry(entry) if isinstance(entry, Entry) else entry for entry in found]

    # writing

    async def stage(
        self,
        bucket: str,
        body: AsyncIterable[bytes],
        hashers: Sequence[Hasher] = (),
        size: int | None = None,
        target: Target | None = None,
    ) -> Staged:
        """Store a body in a temporary place: sealed when the target's key says so."""
        seal = 0 if target is None else seal_of(target.key)
        if target is None or not seal:
            return await self.below.stage(bucket, body, hashers, size, target)
        covered = await self.cover(target.key, NodeAttributes(0, 0, "", target.meta, target.path))
        sealer = await self.keys.sealer(seal, target.client_key)
        target = replace(target, meta=covered.meta, path="", client_key=b"")
        return await self.stage_sealed(bucket, body, hashers, size, seal, sealer, target)

    async def stage_sealed(
        self,
        bucket: str,
        body: AsyncIterable[bytes],
        hashers: Sequence[Hasher],
        size: int | None,
        seal: int,
        sealer: Sealer,
        target: Target | None,
    ) -> Staged:
        """Seal a body under a number and store it in a temporary place."""
        counter = Counter()
        sealed = seal_body(body, sealer, hashers, counter)
        staged = await self.below.stage(bucket, sealed, (), None if size is None else sealed_size(size), target)
        return replace(staged, size=counter.size, seal=seal)

    async def stage_copy(self, bucket: str, source_bucket: str, source: str) -> tuple[Staged, ObjectInfo]:
        """Stage a copy of another object as it is: that of a sealed one is sealed under the same number."""
        staged, info = await self.below.stage_copy(bucket, source_bucket, source)
        seal = seal_of(source)
        if not seal:
            return staged, info
        info = _plain(info)
        if info.facts.size == DAMAGED:
            await self.below.discard(staged)
            raise Corrupt(f"The sealed blob '{source}' was cut off.", reason="seal", path=source)
        return replace(staged, size=info.facts.size, seal=seal), info

    async def commit(
        self,
        staged: Staged,
        key: str,
        *,
        mtime_ns: int | None = None,
        attributes: Callable[[Facts], NodeAttributes] | None = None,
    ) -> Committed:
        """Make staged bytes visible at a key that says whether they are sealed."""
        seal = seal_of(key)
        if staged.seal != seal:
            await self.below.discard(staged)
            raise ValueError(f"the bytes for {key!r} were sealed under another number, or should have been")
        if not seal:
            return await self.below.commit(staged, key, mtime_ns=mtime_ns, attributes=attributes)
        staged = replace(staged, size=sealed_size(staged.size))
        try:
            described = None if attributes is None else await self._covering(key, attributes)
        except BaseException:
            await self.below.discard(staged)
            raise
        made = await self.below.commit(staged, key, mtime_ns=mtime_ns, attributes=described)
        return replace(made, info=_plain(made.info))

    async def _covering(
        self, key: str, attributes: Callable[[Facts], NodeAttributes]
    ) -> Callable[[Facts], NodeAttributes]:
        current = await self.keys.current()
        seal = _bound(key)

        def describe(facts: Facts) -> NodeAttributes:
            return cover(attributes(_plain_facts(key, facts)), *current, seal)

        return describe

    async def move(self, bucket: str, source: str, target: str) -> Committed:
        """Rename an object: the number of a seal stays in its name."""
        if seal_of(source) != seal_of(target):
            raise ValueError(f"{source!r} can not become {target!r}: a seal keeps its number")
        moved = await self.below.move(bucket, source, target)
        return replace(moved, info=_plain(moved.info))

    async def set_mtime(self, bucket: str, key: str, mtime_ns: int) -> ObjectInfo:
        """Change an object's time of modification."""
        return _plain(await self.below.set_mtime(bucket, key, mtime_ns))

    # what is kept beside an object

    async def cover(self, key: str, attributes: NodeAttributes) -> NodeAttributes:
        """See ``Sealing``."""
        return cover(attributes, *await self.keys.current(), _bound(key)) if seal_of(key) else attributes

    async def uncover(self, key: str, attributes: NodeAttributes) -> NodeAttributes:
        """See ``Sealing``."""
        known = find_key(attributes) if seal_of(key) else None
        if known is None:
            return to_plain(attributes) if seal_of(key) else attributes
        try:
            secret = await self.keys.find_secret(known, key)
        except CellsError:
            return bare(attributes)
        return uncover(attributes, secret, _bound(key))

    async def set_attributes(self, bucket: str, key: str, attributes: NodeAttributes) -> None:
        """Mirror attributes beside an existing object."""
        await self.below.set_attributes(bucket, key, await self.cover(key, attributes))

    async def read_attributes(self, bucket: str, keys: Sequence[str]) -> list[NodeAttributes | None]:
        """What is mirrored beside these objects."""
        found = await self.below.read_attributes(bucket, keys)
        return [None if each is None else await self.uncover(key, each) for key, each in zip(keys, found, strict=True)]


def _bound(key: str) -> bytes:
    return seal_of(key).to_bytes(8, "big")


def _plain_facts(key: str, facts: Facts) -> Facts:
    if not seal_of(key):
        return facts
    size = plain_size(facts.size)
    return replace(facts, size=DAMAGED if size is None else size)


def _plain(info: ObjectInfo) -> ObjectInfo:
    return ObjectInfo(info.key, _plain_facts(info.key, info.facts)) if seal_of(info.key) else info


def _plain_entry(entry: Entry) -> Entry:
    return Entry(entry.name, _plain_facts(entry.name, entry.facts)) if seal_of(entry.name) else entry
