"""Copying one object between two object services, through the process with bounded memory, or inside one server."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable

import msgspec
import xxhash

from cellsmono.datasource.flat.layout import once
from cellsmono.datasource.migration.contents import is_expected
from cellsmono.datasource.migration.side import Side
from cellsmono.datasource.objects.mass_copying import Changed, Damaged, FileCopied, Outcome
from cellsmono.datasource.objects.s3.facts import make_facts
from cellsmono.datasource.versions.kept import Kept
from cellsmono.interfaces.node import BY_CONTENT, Facts, Node, NodeAttributes
from cellsmono.interfaces.objects import Hasher, ObjectInfo, ObjectReader, Staged, Target
from cellsmono.interfaces.sealing import Sealing
from cellsmono.kernel.errors import Corrupt, Invalid, NotFound, Unavailable

_PIECE_BYTES = 1024 * 1024


async def copy_object(source: Side, target: Side, node: Node, source_key: str, target_key: str) -> Outcome:
    """Copy one leaf's content and compare the copy. Raises what keeps the target from being written, Unavailable."""
    try:
        reader = await source.objects.open(source.bucket, source_key)
    except NotFound:
        return Changed(None)
    except (Corrupt, Invalid) as error:  # sealed content that was altered, or that its client alone can read
        return Damaged(f"it can not be read: {error.message}")
    try:
        if not is_expected(source, node, reader.info.facts):
            return Changed(reader.info.facts)
        return await _copy(reader, target, node, target_key)
    finally:
        reader.close()


async def copy_inside(source: Side, target: Side, shared: str, node: Node, source_key: str, target_key: str) -> Outcome:
    """As ``copy_object``, by a server that has both: no byte goes through this process, where its ETags tell enough.

    ``shared`` is the bucket of the source in the target's object service.
    """
    try:
        staged, info = await target.objects.stage_copy(target.bucket, shared, source_key)
    except NotFound:
        return Changed(None)
    if not is_expected(source, node, info.facts):
        await target.objects.discard(staged)
        return Changed(info.facts)
    try:
        facts = await _commit(target, staged, target_key, node)
    except Unavailable as error:
        if error.reason != "changing":
            raise
        return Changed(info.facts)
    fault = await _compare_inside(source, target, node, info, target_key, facts)
    if fault is None:
        return FileCopied(info.facts, facts)
    await target.objects.delete_many(target.bucket, [target_key])
    return fault


async def _compare_inside(
    source: Side, target: Side, node: Node, info: ObjectInfo, key: str, facts: Facts
) -> Damaged | None:
    if node.content_hash:
        if _is_made_of(facts, node.content_hash):
            return None
    elif facts.size == info.facts.size and facts.ino == info.facts.ino:
        return None
    # ETags of uploads in parts, and of servers that encrypt, tell nothing.
    found = await _read_hashes(target, key)
    if node.content_hash:
        if found is not None and (found.size, found.md5) == (node.size, node.content_hash):
            return None
        return Damaged(f"its MD5 is {'' if found is None else found.md5}, recorded was {node.content_hash}")
    if found is not None and found == await _read_hashes(source, info.key):
        return None
    return Damaged("its copy has other bytes; check the storage of the target")


async def copy_kept(source: Side, target: Side, node: Node, source_key: str, target_key: str) -> Outcome:
    """As ``copy_object`` for a noncurrent version that comes from the datasource ``versions``, or goes there."""
    try:
        if source.kept is None:
            reader = await source.objects.open(source.bucket, source_key)
        else:
            reader = await source.kept.open(source_key)
    except NotFound:
        return Changed(None)
    except (Corrupt, Invalid) as error:
        return Damaged(f"it can not be read: {error.message}")
    try:
        if reader.info.facts.size != node.size:
            return Changed(reader.info.facts)
        if target.kept is None:
            return await _copy(reader, target, node, target_key)
        return await _keep(reader, target.kept, node, target_key)
    finally:
        reader.close()


async def _keep(reader: ObjectReader, kept: Kept, node: Node, key: str) -> Outcome:
    failures: list[Corrupt | Invalid] = []
    quick = xxhash.xxh3_128()
    try:
        made = await kept.put(key, _hashing(_pieces(reader, failures), quick), node)
    except (Corrupt, Invalid) as error:
        if error not in failures:
            raise
        return Damaged(f"it can not be read: {error.message}")
    fault = _judge(node, made.size, made.etag)
    if fault is None:
        found = await _hash(await kept.open(key))
        if found is not None and (found.size, found.quick) == (node.size, quick.digest()):
            return FileCopied(reader.info.facts, Facts(made.size, made.mtime_ns))
        fault = Damaged("its copy has other bytes; check the storage of the internal datasource 'versions'")
    await kept.remove([key])
    return fault


async def _hashing(pieces: AsyncIterator[bytes], quick: "xxhash.xxh3_128") -> AsyncIterator[bytes]:
    async for data in pieces:
        quick.update(data)
        yield data


def attributes_of(target: Side, node: Node) -> NodeAttributes:
    """What is mirrored beside the copy.

    An ETag that was made up of facts is kept in the index alone: it is worth no block on the disk for each file.
    """
    meta = node.meta.unlocked  # a lock stands in the index alone
    return NodeAttributes(node.size, node.mtime_ns, node.etag, meta, node.path if target.is_flat else "")


async def _copy(reader: ObjectReader, target: Side, node: Node, key: str) -> Outcome:
    md5, quick = hashlib.md5(usedforsecurity=False), xxhash.xxh3_128()
    path = node.path if target.is_flat else ""
    # The target was empty, and the index has no folder where a file is.
    wanted = Target(key, node.meta, node.mtime_ns, is_free=True, path=path)
    failures: list[Corrupt | Invalid] = []
    try:
        staged = await target.objects.stage(target.bucket, _pieces(reader, failures), [md5, quick], node.size, wanted)
    except (Corrupt, Invalid) as error:
        if error not in failures:
            raise
        return Damaged(f"it can not be read: {error.message}")
    fault = _judge(node, staged.size, md5.hexdigest())
    if fault is not None:
        await target.objects.discard(staged)
        return fault
    facts = await _commit(target, staged, key, node)
    if _is_made_of(facts, md5.hexdigest()):
        return FileCopied(reader.info.facts, facts)
    found = await _read_hashes(target, key)
    if found is not None and (found.size, found.quick) == (facts.size, quick.digest()):
        return FileCopied(reader.info.facts, facts)
    await target.objects.delete_many(target.bucket, [key, *target.sides(key)])
    return Damaged("its copy has other bytes; check the storage of the target")


async def _commit(target: Side, staged: Staged, key: str, node: Node) -> Facts:
    """Make staged bytes the copy of a leaf's content; its facts."""
    kept = attributes_of(target, node)

    def describe(facts: Facts) -> NodeAttributes:
        return msgspec.structs.replace(kept, size=facts.size, mtime_ns=facts.mtime_ns)

    for side in target.sides(key):
        if isinstance(target.objects, Sealing):
            kept = await target.objects.cover(key, kept)
        beside = await target.objects.stage(target.bucket, once(msgspec.json.encode(kept)))
        await target.objects.commit(beside, side)
    return (await target.objects.commit(staged, key, mtime_ns=node.mtime_ns, attributes=describe)).info.facts


def _judge(node: Node, size: int, md5: str) -> Outcome | None:
    if size != node.size:
        return Changed(None)
    if node.content_hash and md5 != node.content_hash:
        return Damaged(f"its MD5 is {md5}, recorded was {node.content_hash}")
    return None


async def _pieces(reader: ObjectReader, failures: list[Corrupt | Invalid]) -> AsyncIterator[bytes]:
    offset = 0
    try:
        while data := await reader.read(offset, _PIECE_BYTES):
            yield data
            offset += len(data)
    except (Corrupt, Invalid) as error:  # the latter: sealed content that only its client can read
        failures.append(error)
        raise


def _is_made_of(facts: Facts, md5: str) -> bool:
    """Whether the server has bytes of this MD5, by the ETag that it made of them."""
    return facts.dev == BY_CONTENT and facts.ino == make_facts(facts.size, md5, 0).ino


class _Hashes(msgspec.Struct, frozen=True):
    """What the bytes of an object are."""

    size: int
    md5: str
    quick: bytes


async def _read_hashes(side: Side, key: str) -> _Hashes | None:
    """Read an object back; None when that is not possible any more."""
    try:
        reader = await side.objects.open(side.bucket, key)
    except (NotFound, Corrupt):
        return None
    return await _hash(reader)


async def _hash(reader: ObjectReader) -> _Hashes | None:
    """Read everything, and close it; None when that is not possible any more."""
    md5, quick, offset = hashlib.md5(usedforsecurity=False), xxhash.xxh3_128(), 0
    try:
        while data := await reader.read(offset, _PIECE_BYTES):
            await asyncio.to_thread(_update, (md5, quick), data)
            offset += len(data)
    except Corrupt:
        return None
    finally:
        reader.close()
    return _Hashes(offset, md5.hexdigest(), quick.digest())


def _update(hashers: Iterable[Hasher], data: bytes) -> None:
    for hasher in hashers:
        hasher.update(data)
