"""Between rows of the index and nodes: the packing of columns, and how a path leads to a row."""

import uuid as uuidlib
from collections.abc import Callable, Sequence
from sqlite3 import Cursor
from typing import Any

import msgspec

from cellsmono.interfaces.node import NO_META, Facts, FolderKind, Node, NodeMeta
from cellsmono.interfaces.paths import name_of, parent_of

Execute = Callable[..., Cursor]
Row = Sequence[Any]

ROOT_ID = 1
ABOVE_ROOT = 0
FOUND = FolderKind.FOUND
KINDS = tuple(FolderKind)
KNOWN_FOLDERS = 20_000
"""Paths of folders whose ids a connection remembers at most."""

COLUMNS = (
    "n.name, n.folder, n.uuid, n.size, n.mtime_ns, n.ino, n.dev, n.mode, n.etag, n.hash, n.meta,"
    " f.kind, f.folders, f.files, n.blob, n.block_hash, n.version"
)
NODES = "index_node n LEFT JOIN index_folder f ON f.id = n.folder"
SELECT_NODE = f"SELECT {COLUMNS} FROM {NODES} WHERE n.parent = ? AND n.name = ?"  # noqa: S608 - constants
SELECT_CHILD_FOLDER = "SELECT folder FROM index_node WHERE parent = ? AND name = ?"
SELECT_ABOVE = "SELECT parent, name FROM index_folder WHERE id = ?"

LARGEST = 2**63
MD5_BYTES = 16
MD5_DIGITS = 32
UUID_BYTES = 16
UUID_DIGITS = 36
"""Characters of a UUID in its usual form."""

encode_meta = msgspec.msgpack.Encoder().encode
decode_meta = msgspec.msgpack.Decoder(NodeMeta).decode


def pack_int(value: int) -> int | bytes:
    """A number as SQLite can hold it: inodes are unsigned, and file times may lie beyond the year 2262."""
    return value if -LARGEST <= value < LARGEST else b"%d" % value


def pack_uuid(uuid: str) -> bytes:
    """The 16 bytes of a UUID in its usual form."""
    return bytes.fromhex(uuid.replace("-", ""))


def unpack_uuid(raw: bytes | bytearray) -> str:
    """The usual form of a UUID; three times as fast as ``uuid.UUID``, and a page has a thousand."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_uuid(text: str) -> bytes | None:
    """The 16 bytes of any text that is a UUID, None for others."""
    if len(text) == UUID_DIGITS and text[8] == text[13] == text[18] == text[23] == "-":
        try:
            raw = bytes.fromhex(text.replace("-", ""))  # the usual form, several times as fast as the next line
        except ValueError:
            return None
        if len(raw) == UUID_BYTES:
            return raw
    try:
        return uuidlib.UUID(text).bytes
    except ValueError:
        return None


def pack_digest(text: str) -> bytes | str | None:
    """An MD5 in lower-case hex as its bytes, anything else as it is, nothing as NULL."""
    if not text:
        return None
    if len(text) == MD5_DIGITS:
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            return text
        if len(raw) == MD5_BYTES and raw.hex() == text:
            return raw
    return text


def unpack_digest(stored: bytes | str | None) -> str:
    """What ``pack_digest`` packed."""
    if stored is None:
        return ""
    return stored if isinstance(stored, str) else stored.hex()


def pack_hash(content_hash: str, etag: str) -> bytes | str | int | None:
    """A content hash; 0 (which takes no room) when it is the ETag, as it is after every plain upload."""
    return 0 if content_hash and content_hash == etag else pack_digest(content_hash)


def pack_meta(meta: NodeMeta) -> bytes | None:
    """Metadata, NULL when there is none."""
    return None if meta == NO_META else encode_meta(meta)


def pack_facts(facts: Facts) -> tuple[int | bytes, int | bytes, int | bytes, int | bytes, int]:
    """The columns size, mtime_ns, ino, dev, mode."""
    return (
        pack_int(facts.size),
        pack_int(facts.mtime_ns),
        pack_int(facts.ino),
        pack_int(facts.dev),
        facts.mode,
    )


def unpack_node(path: str, row: Row) -> Node:
    """The node at ``path`` from a row of ``COLUMNS``. Called for every row of every page: keep it cheap."""
    _, folder, raw, size, mtime_ns, ino, dev, mode, etag, hashed, meta, kind, _, _, blob, blocks, version = row
    text = raw.hex()
    if mtime_ns.__class__ is not int or ino.__class__ is not int:
        mtime_ns, ino = int(mtime_ns), int(ino)
    if dev.__class__ is not int or size.__class__ is not int:
        dev, size = int(dev), int(size)
    shown = "" if etag is None else etag.hex() if etag.__class__ is bytes else etag
    return Node(
        path,
        f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}",
        Facts(size, mtime_ns, ino, dev, mode),
        shown,
        "" if hashed is None else shown if hashed == 0 else unpack_digest(hashed),
        FOUND if folder is None else KINDS[kind],
        NO_META if meta is None else decode_meta(meta),
        0 if blob is None else blob,
        "" if blocks is None else unpack_digest(blocks),
        "" if version is None else version.hex(),
    )


def find_folder(execute: Execute, known: dict[str, int], path: str) -> int | None:
    """The id of a folder, None when there is none; ``known`` holds ids of paths and gets the new ones."""
    found = known.get(path) if path else ROOT_ID
    if found is not None:
        return found
    missing = []
    at = path
    while at and (found := known.get(at)) is None:
        missing.append(at)
        at = parent_of(at)
    if found is None:
        found = ROOT_ID
    if len(known) + len(missing) > KNOWN_FOLDERS:
        known.clear()
    for each in reversed(missing):
        row = execute(SELECT_CHILD_FOLDER, (found, name_of(each))).fetchone()
        if row is None:
            return None
        found = known[each] = row[0]
    return found


def find_row(execute: Execute, known: dict[str, int], path: str) -> Row | None:
    """The row of ``COLUMNS`` of the node at ``path``."""
    if not path:
        return execute(SELECT_NODE, (ABOVE_ROOT, "")).fetchone()  # type: ignore[no-any-return]
    folder = find_folder(execute, known, parent_of(path))
    if folder is None:
        return None
    return execute(SELECT_NODE, (folder, name_of(path))).fetchone()  # type: ignore[no-any-return]


def path_of_folder(execute: Execute, paths: dict[int, str], folder: int) -> str:
    """The path of a folder by its id; ``paths`` is a dictionary to remember them in, for one snapshot."""
    climbed: list[tuple[int, str]] = []
    at = folder
    while at not in (ROOT_ID, ABOVE_ROOT) and at not in paths:
        parent, name = execute(SELECT_ABOVE, (at,)).fetchone()
        climbed.append((at, name))
        at = parent
    path = paths.get(at, "")
    for each, name in reversed(climbed):
        path = paths[each] = path + name
    return path
