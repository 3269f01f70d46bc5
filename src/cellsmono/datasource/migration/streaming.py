"""Copying one object between two object services, through the process, with bounded memory."""

import hashlib
from collections.abc import AsyncIterator

import msgspec
import xxhash

from cellsmono.datasource.flat.layout import once
from cellsmono.datasource.migration.side import Side
from cellsmono.datasource.objects.mass_copying import Changed, Damaged, FileCopied, Outcome
from cellsmono.datasource.objects.s3.facts import make_facts
from cellsmono.interfaces.node import BY_CONTENT, Facts, Node, NodeAttributes
from cellsmono.interfaces.objects import ObjectReader, Target
from cellsmono.interfaces.sealing import Sealing
from cellsmono.kernel.errors import CellsError, Corrupt, Invalid, NotFound

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


def is_expected(source: Side, node: Node, facts: Facts) -> bool:
    """Whether an object of the source is the content that the index means."""
    return facts.size == node.size if source.is_flat else node.facts.is_same_content(facts)


def attributes_of(target: Side, node: Node) -> NodeAttributes:
    """What is mirrored beside the copy.

    An ETag that was made up of facts is kept in the index alone: it is worth no block on the disk for each file.
    """
    return NodeAttributes(node.size, node.mtime_ns, node.etag, node.meta, node.path if target.is_flat else "")


async def _copy(reader: ObjectReader, target: Side, node: Node, key: str) -> Outcome:
    md5, quick = hashlib.md5(usedforsecurity=False), xxhash.xxh3_128()
    wanted = Target(key, node.meta, node.mtime_ns)
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
    kept = attributes_of(target, node)

    def describe(facts: Facts) -> NodeAttributes:
        return msgspec.structs.replace(kept, size=facts.size, mtime_ns=facts.mtime_ns)

    for side in target.sides(key):
        if isinstance(target.objects, Sealing):
            kept = await target.objects.cover(key, kept)
        beside = await target.objects.stage(target.bucket, once(msgspec.json.encode(kept)))
        await target.objects.commit(beside, side)
    committed = await target.objects.commit(staged, key, mtime_ns=node.mtime_ns, attributes=describe)
    facts = committed.info.facts
    if await _is_equal(target, key, facts, md5.hexdigest(), quick.digest()):
        return FileCopied(reader.info.facts, facts)
    await target.objects.delete_many(target.bucket, [key, *target.sides(key)])
    return Damaged("its copy has other bytes; check the storage of the target")


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


async def _is_equal(target: Side, key: str, facts: Facts, md5: str, quick: bytes) -> bool:
    """Whether the copy has these bytes: by the ETag that the server made of them, where that is an MD5, or by reading.

    ETags of uploads in parts, and of servers that encrypt, are none.
    """
    if facts.dev == BY_CONTENT and facts.ino == make_facts(facts.size, md5, 0).ino:
        return True
    found, offset = xxhash.xxh3_128(), 0
    reader = await target.objects.open(target.bucket, key)
    try:
        while data := await reader.read(offset, _PIECE_BYTES):
            found.update(data)
            offset += len(data)
    except CellsError as error:
        if isinstance(error, Corrupt):
            return False
        raise
    finally:
        reader.close()
    return offset == facts.size and found.digest() == quick
