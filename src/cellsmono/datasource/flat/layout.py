"""How blobs are named, where they lie in their bucket, and the record that says so.

A node's first content is the blob named by the node's UUID. Content that replaces it gets a blob of its own, named by
the UUID, a dot and a number in hexadecimal, so that a name never comes to mean other bytes. A blob that is sealed
(encrypted) always has a number, that of its seal, and its name ends in ``.sealed``.
"""

import enum
import re
import secrets
from collections.abc import AsyncIterator

import msgspec

from cellsmono.interfaces.node import SEALED, Node, is_sealed
from cellsmono.interfaces.objects import ObjectStore
from cellsmono.kernel.errors import Conflict, Corrupt, Forbidden, Invalid, NotFound, TooLarge

RECORD = "cellsmono-flat.json"
"""The object that marks a bucket as a flat store. It is a plain file, for whoever looks into the folder."""

KEYS = "cellsmono-keys.json"
"""The object that holds the data keys of a flat store with sealed blobs, each encrypted with the master key."""

OURS = frozenset({RECORD, KEYS})
"""Objects of a flat store that are no blobs."""

SEALED_END = ".sealed"
"""What the name of a sealed blob ends with."""

NOT_OURS = frozenset({"lost+found/"})
"""What may lie in an empty place: it is the top of a file system."""

VERSION = 1

_ABOUT = (
    "This folder is a flat store of cellsmono: every file in it is the content of one file of the datasource, named by "
    "its UUID. Names and folders are in the index; the extended attribute user.cellsmono.path, or the .json file "
    "beside it, tells the name under which each was written. Do not add, rename or edit anything here."
)
_BLOB = re.compile(
    r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?:\.([1-9a-f][0-9a-f]{0,14})(\.sealed)?)?"
)
_LARGEST_RECORD = 64 * 1024


class Layout(enum.StrEnum):
    """Where blobs lie: all in the bucket itself, or in 256 folders, for file systems that dislike huge ones."""

    PLAIN = "plain"
    SHARDED = "sharded"


class FlatRecord(msgspec.Struct, frozen=True):
    """What the record says. ``id`` is the UUID of the datasource's root, so that no other is taken for this one."""

    version: int
    layout: Layout
    id: str
    about: str = _ABOUT


def choose_layout(objects: ObjectStore, bucket: str) -> Layout:
    """The layout of a flat store that is about to be made."""
    return Layout.SHARDED if objects.capabilities(bucket).folders else Layout.PLAIN


def blob_key(layout: Layout, uuid: str, blob: int) -> str:
    """The object key of a blob.

    The folder is told by the part of a version 7 UUID that goes on every quarter of a second: blobs that are written
    together share a folder and its flush, and all folders fill evenly.
    """
    name = f"{uuid}.{blob:x}" if blob else uuid
    if is_sealed(blob):
        name = f"{uuid}.{blob - SEALED:x}{SEALED_END}"
    return f"{uuid[9:11]}/{name}" if layout is Layout.SHARDED else name


def new_seal() -> int:
    """A number for a blob that is going to be sealed: 60 random bits, which name it beside others of the same node."""
    return SEALED + 1 + secrets.randbelow((1 << 60) - 1)


def seal_of(key: str) -> int:
    """The number of the sealed blob at a key; 0 when its name says that it is plain, or no blob."""
    if not key.endswith(SEALED_END):
        return 0
    match = _BLOB.fullmatch(key.rsplit("/", 1)[-1])
    return 0 if match is None else int(match[2], 16) + SEALED


def key_of_leaf(layout: Layout, node: Node) -> str:
    """The object key of a leaf's content."""
    return blob_key(layout, node.uuid, node.blob)


def parse_key(layout: Layout, key: str) -> tuple[str, int] | None:
    """UUID and number of the blob at a key; None when no blob is named so."""
    match = _BLOB.fullmatch(key.rsplit("/", 1)[-1])
    if match is None:
        return None
    uuid, blob = match[1], int(match[2] or "0", 16) + (SEALED if match[3] else 0)
    return (uuid, blob) if blob_key(layout, uuid, blob) == key else None


async def read_record(objects: ObjectStore, bucket: str) -> FlatRecord | None:
    """The record of a bucket, None when it is no flat store.

    Raises Corrupt for one that can not be read, Invalid for one that a newer program wrote, Unavailable.
    """
    try:
        reader = await objects.open(bucket, RECORD)
    except NotFound:
        return None
    try:
        text = await reader.read(0, _LARGEST_RECORD)
    finally:
        reader.close()
    try:
        record = msgspec.json.decode(text, type=FlatRecord)
    except msgspec.DecodeError as error:
        raise Corrupt(
            f"The record '{RECORD}' of the flat store '{bucket}' can not be read ({error}); put it back from a backup.",
            reason="record",
            path=RECORD,
        ) from error
    if record.version > VERSION:
        raise Invalid(f"The flat store '{bucket}' was made by a newer cellsmono; use that one, or a newer one.")
    return record


async def write_record(objects: ObjectStore, bucket: str, record: FlatRecord) -> None:
    """Make a bucket a flat store."""
    staged = await objects.stage(bucket, once(msgspec.json.format(msgspec.json.encode(record))))
    await objects.commit(staged, RECORD)


async def refuse_flat(objects: ObjectStore, bucket: str) -> None:
    """Raise Conflict (reason ``flat``) for a bucket that is a flat store, which another format would take for files."""
    try:
        reader = await objects.open(bucket, RECORD)
    except (NotFound, Invalid, TooLarge, Forbidden):
        return
    reader.close()
    raise Conflict(
        f"The folder of '{bucket}' is a flat store (it holds '{RECORD}'): its files are blobs without names. Serve it "
        'with format = "flat", or choose another folder.',
        reason="flat",
    )


async def once(data: bytes) -> AsyncIterator[bytes]:
    """A body of these bytes."""
    yield data
