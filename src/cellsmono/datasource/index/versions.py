"""Noncurrent versions: their rows, and pages in which they stand with the nodes that are current."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from cellsmono.datasource.index.keys import common_prefix, end_of_prefix, first_candidate
from cellsmono.datasource.index.rows import (
    Execute,
    Row,
    decode_meta,
    pack_digest,
    pack_hash,
    pack_int,
    pack_meta,
    pack_uuid,
    unpack_digest,
    unpack_uuid,
)
from cellsmono.interfaces.node import NO_META, Facts, Node
from cellsmono.interfaces.version import Version, VersionPage, marker_of, sequence_of

VERSION_COLUMNS: Final = "key, seq, id, since_ns, uuid, blob, size, mtime_ns, etag, hash, block_hash, meta"
_SELECT: Final = f"SELECT {VERSION_COLUMNS} FROM index_version"  # noqa: S608 - constants, as below
SELECT_VERSION = f"{_SELECT} WHERE key = ? AND seq = ?"
SELECT_BY_ID = f"{_SELECT} WHERE key = ? AND id = ?"
SELECT_OF_KEY = f"{_SELECT} WHERE key = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
SELECT_FROM = f"{_SELECT} WHERE key >= ? AND key < ? ORDER BY key, seq DESC LIMIT ?"
SELECT_BY_BLOB = f"{_SELECT} WHERE uuid = ? AND ifnull(blob, 0) = ?"
SELECT_NEWEST = "SELECT max(seq) FROM index_version WHERE key = ?"

NO_END: Final = b""
"""Greater than every key, because SQLite orders each BLOB after all TEXT."""
ABOVE_ALL: Final = 2**63 - 1


def pack_version_id(version: str) -> bytes:
    """An id as 16 bytes; none for the null version."""
    return bytes.fromhex(version)


def pack_version(version: Version) -> Row:
    """The row of ``VERSION_COLUMNS``."""
    head = (version.key, version.sequence, pack_version_id(version.id), version.since_ns)
    node = version.node
    if node is None:
        return *head, None, None, 0, pack_int(version.mtime_ns), None, None, None, None
    content = (pack_uuid(node.uuid), node.blob or None, pack_int(node.size), pack_int(node.mtime_ns))
    digests = (pack_digest(node.etag), pack_hash(node.content_hash, node.etag), pack_digest(node.block_hash))
    return *head, *content, *digests, pack_meta(node.meta)


def unpack_version(row: Row) -> Version:
    """The version of a row of ``VERSION_COLUMNS``."""
    key, sequence, raw, since_ns, uuid, blob, size, mtime_ns, etag, hashed, blocks, meta = row
    identity, mtime_ns = raw.hex(), int(mtime_ns)
    if uuid is None:
        return Version(key, identity, None, mtime_ns, sequence, since_ns=since_ns)
    shown = unpack_digest(etag)
    node = Node(
        key,
        unpack_uuid(uuid),
        Facts(int(size), mtime_ns),
        shown,
        shown if hashed == 0 else unpack_digest(hashed),
        meta=NO_META if meta is None else decode_meta(meta),
        blob=blob or 0,
        block_hash=unpack_digest(blocks),
        version=identity,
    )
    return Version(key, identity, node, mtime_ns, sequence, since_ns=since_ns)


def current_version(node: Node, newest: int | None) -> Version:
    """The version that a node is; ``newest`` is the sequence number of the newest other version of its key."""
    sequence = max(sequence_of(node.version), 0 if newest is None else newest + 1)
    return Version(node.path, node.version, node, node.mtime_ns, sequence, is_latest=True)


def find_stored(execute: Execute, key: str, version: str) -> Version | None:
    """The noncurrent version or delete marker with this id."""
    raw = pack_version_id(version)
    # Nearly always an id tells its own sequence number, and the row is one step away.
    row = execute(SELECT_VERSION, (key, sequence_of(version))).fetchone() if version else None
    if row is None or row[2] != raw:
        row = execute(SELECT_BY_ID, (key, raw)).fetchone()
    return None if row is None else unpack_version(row)


def find_newest(execute: Execute, key: str) -> int | None:
    """The sequence number of the newest noncurrent version or delete marker of a key."""
    newest: int | None = execute(SELECT_NEWEST, (key,)).fetchone()[0]
    return newest


def list_of_key(execute: Execute, key: str, below: int, limit: int) -> list[Version]:
    """Noncurrent versions and delete markers of a key whose sequence number is less than ``below``."""
    return [unpack_version(row) for row in execute(SELECT_OF_KEY, (key, below, limit))]


def list_stored(
    execute: Execute, prefix: str, delimiter: str, after: str, limit: int, ahead: set[tuple[str, str]]
) -> list[Version | str]:
    """Noncurrent versions and delete markers, and common prefixes, of keys greater than ``after``.

    What is rolled up into a common prefix is not read; ``ahead`` is left out.
    """
    found: list[Version | str] = []
    end = end_of_prefix(prefix)
    at = first_candidate(prefix, delimiter, after)
    while at is not None and len(found) < limit:
        begin, at = at, None
        rows = execute(SELECT_FROM, (begin, NO_END if end is None else end, limit - len(found) + len(ahead)))
        for row in rows:
            if len(found) == limit:
                break
            rolled = common_prefix(row[0], prefix, delimiter)
            if rolled or (row[0], row[2].hex()) not in ahead:
                found.append(rolled or unpack_version(row))
            if rolled:
                at = first_candidate(prefix, delimiter, rolled)
                break
        rows.close()
    return found


def is_inside(key: str, prefix: str, delimiter: str) -> bool:
    """Whether a listing shows the versions of this key one by one."""
    return key.startswith(prefix) and not common_prefix(key, prefix, delimiter)


def merge_page(
    nodes: Sequence[Node | str], stored: Sequence[Version | str], older: Sequence[Version], limit: int
) -> VersionPage:
    """A page of at most ``limit`` out of what is current and what is not.

    ``older`` are versions of the key at which the page begins, which come first. The others are in the order of keys
    and prefixes; each list holds more than ``limit`` entries unless it is complete.
    """
    found: list[Version | str] = list(older[: limit + 1])
    at = 0
    for entry in nodes:
        if len(found) > limit:
            break
        name = entry if isinstance(entry, str) else entry.path
        at = _take_until(found, stored, at, name)
        if isinstance(entry, str):
            found.append(entry)
            at += at < len(stored) and stored[at] == entry
            continue
        newest = stored[at] if at < len(stored) else None
        is_same = isinstance(newest, Version) and newest.key == name
        found.append(current_version(entry, newest.sequence if is_same and isinstance(newest, Version) else None))
        while at < len(stored) and _name_of(stored[at]) == name:
            found.append(stored[at])
            at += 1
    _take_until(found, stored, at, None)
    if len(found) <= limit or limit <= 0:
        return VersionPage(tuple(found[: max(limit, 0)]))
    page = found[:limit]
    last = page[-1]
    if isinstance(last, str):
        return VersionPage(tuple(page), last)
    return VersionPage(tuple(page), last.key, marker_of(last))


def _take_until(found: list[Version | str], stored: Sequence[Version | str], at: int, name: str | None) -> int:
    """Take over what comes before a name: keys that show nothing, whose newest version is a delete marker."""
    while at < len(stored) and (name is None or _name_of(stored[at]) < name):
        entry = stored[at]
        is_first = not at or _name_of(stored[at - 1]) != _name_of(entry)
        found.append(replace(entry, is_latest=True) if isinstance(entry, Version) and is_first else entry)
        at += 1
    return at


def list_ahead(nodes: Sequence[Node | str]) -> set[tuple[str, str]]:
    """Key and id of what is not shown although it is stored: content that a key still shows, kept ahead of a change."""
    return {(node.path, node.version) for node in nodes if not isinstance(node, str)}


def _name_of(entry: Version | str) -> str:
    return entry if isinstance(entry, str) else entry.key


def list_older(node: Node | None, newest: int | None, stored: Sequence[Version], below: int) -> list[Version]:
    """The versions of one key whose sequence number is less than ``below``.

    ``node`` is what the key shows, ``newest`` the sequence number of the newest other version, ``stored`` those of them
    that are less than ``below``, newest first.
    """
    older = [each for each in stored if node is None or each.id != node.version]
    if node is not None:
        current = current_version(node, newest)
        return [current, *older] if current.sequence < below else older
    if older and older[0].sequence == newest:
        older[0] = replace(older[0], is_latest=True)
    return older


def find_below(version: str, node: Node | None, newest: int | None, stored: Version | None) -> int:
    """Below which sequence number the versions are older than the one that a page ended with, which may be gone.

    ``stored`` is the noncurrent version with that id, if there is one.
    """
    if stored is not None:
        return stored.sequence
    if node is not None and node.version == version:
        return current_version(node, newest).sequence
    return sequence_of(version)
