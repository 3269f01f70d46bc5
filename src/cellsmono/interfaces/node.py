"""A node: one file (leaf) or folder (collection) of a datasource, as the index knows it."""

import enum
import hashlib
import os
import stat
import time
import uuid as uuidlib

import msgspec
import xxhash

from cellsmono.interfaces.locks import ObjectLock
from cellsmono.interfaces.paths import is_folder


class FolderKind(enum.IntEnum):
    """Why a folder is there; it decides what S3 shows and when the folder goes.

    FOUND: made on the disk or asked for by name. It stays when it becomes empty, and an empty one is listed by S3 as
    the key ``name/``. IMPLICIT: made because a key below it was written; it goes with its last child, as S3 users
    expect. MARKER: somebody put the object ``name/``; it is a key of its own, also when the folder has children.
    """

    FOUND = 0
    IMPLICIT = 1
    MARKER = 2


class Checksum(msgspec.Struct, frozen=True, omit_defaults=True):
    """An S3 additional checksum.

    ``algorithm`` is CRC32, CRC32C, CRC64NVME, SHA1 or SHA256; ``value`` is base64 as on the wire (with ``-N`` for a
    composite one); ``type`` is FULL_OBJECT or COMPOSITE.
    """

    algorithm: str
    value: str
    type: str = "FULL_OBJECT"


class PartInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of an object that was uploaded in parts: number from 1, size in bytes."""

    number: int
    size: int
    checksum: Checksum | None = None


class NodeMeta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a leaf carries beside its bytes. Everything here is optional.

    ``headers`` holds standard headers by lower-case name (cache-control, content-disposition, content-encoding,
    content-language, expires, x-amz-storage-class, x-amz-website-redirect-location); ``user`` holds user metadata by
    lower-case name without ``x-amz-meta-``. ``acl`` is a canned ACL as in ``interfaces.bucket_settings``, empty for
    ``private``. ``lock`` keeps a version from being deleted (see ``interfaces.locks``); it stands in the index alone.
    """

    content_type: str | None = None
    headers: dict[str, str] = {}
    user: dict[str, str] = {}
    tags: dict[str, str] = {}
    checksum: Checksum | None = None
    parts: tuple[PartInfo, ...] = ()
    acl: str = ""
    lock: ObjectLock | None = None

    @property
    def unlocked(self) -> "NodeMeta":
        """The same without a lock, which belongs to one version and goes with no copy of it."""
        return self if self.lock is None else msgspec.structs.replace(self, lock=None)


NO_META = NodeMeta()


BY_CONTENT = -1
"""As ``Facts.dev``: the storage has no inodes, and ``ino`` was made from what it says about the content (an ETag)."""


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What the storage itself says about an entry, cheap to get by one ``stat``.

    Times are nanoseconds since the epoch, UTC; ``mode`` is ``st_mode``. Two entries at one path with equal ``size``,
    ``mtime_ns`` and ``ino`` are taken to be the same content. With ``dev`` BY_CONTENT the time does not matter: such
    a storage tells the time that a client set, or that of the last write, depending on how it is asked.
    """

    size: int
    mtime_ns: int
    ino: int = 0
    dev: int = 0
    mode: int = 0

    @property
    def is_void(self) -> bool:
        """Whether this tells nothing at all: so it is about folders where the storage has none of its own."""
        return not (self.size or self.mtime_ns or self.ino)

    def is_same_content(self, other: "Facts") -> bool:
        """Whether nothing suggests that the bytes differ."""
        if self.size != other.size or self.ino != other.ino:
            return False
        return self.mtime_ns == other.mtime_ns or self.dev == other.dev == BY_CONTENT

    def tells_news(self, other: "Facts") -> bool:
        """Whether ``other``, seen later at the same path, says anything that is worth storing."""
        return self != other and not (self.dev == other.dev == BY_CONTENT and self.is_same_content(other))


def facts_of(status: os.stat_result) -> Facts:
    """The facts of what ``stat`` described; a folder's size is 0."""
    mode = status.st_mode
    size = 0 if stat.S_ISDIR(mode) else status.st_size
    return Facts(size, status.st_mtime_ns, status.st_ino, status.st_dev, mode)


BLOCK_BYTES = 10 * 1024 * 1024
"""How much content one MD5 of a block hash covers (see ``Node.cells_hash``)."""


SEALED = 1 << 62
"""Blob numbers from here on say that the blob is sealed (encrypted at rest); what is above it is the seal's own number.

That number stands in the sealed bytes as well, so that no blob can be put in the place of another.
"""


def is_sealed(blob: int) -> bool:
    """Whether the blob with this number is sealed."""
    return blob >= SEALED


class Node(msgspec.Struct, frozen=True):
    """One row of the index.

    ``uuid`` stays with the node through moves and renames. ``etag`` is the stored ETag without quotes, empty while it
    is unknown (see ``effective_etag``). ``content_hash`` is the MD5 of the content in hex, empty until it is known.
    ``block_hash`` is that of content above one block, see ``cells_hash``. ``kind`` matters for folders only. Folders
    have the size 0. ``blob`` tells the blobs of one leaf apart where content lies in blobs named by UUID: 0 for the
    first one, which is named by the UUID alone. ``version`` is the id of a leaf's content among the versions of its
    key, empty for the null version (see ``interfaces.version``).
    """

    path: str
    uuid: str
    facts: Facts
    etag: str = ""
    content_hash: str = ""
    kind: FolderKind = FolderKind.FOUND
    meta: NodeMeta = NO_META
    blob: int = 0
    block_hash: str = ""
    version: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether this node is a collection."""
        return is_folder(self.path)

    @property
    def is_sealed(self) -> bool:
        """Whether the content is encrypted on the storage."""
        return is_sealed(self.blob)

    @property
    def size(self) -> int:
        """Bytes of content; 0 for a folder."""
        return self.facts.size

    @property
    def mtime_ns(self) -> int:
        """Time of the last modification, nanoseconds since the epoch, UTC."""
        return self.facts.mtime_ns

    @property
    def effective_etag(self) -> str:
        """The ETag to show, without quotes.

        Content that was never hashed gets 32 hex digits made from its facts and the suffix ``-1``: the form of a
        multipart upload's ETag, which tools do not take for an MD5.
        """
        if self.etag:
            return self.etag
        return derived_etag(self.facts)

    @property
    def cells_hash(self) -> str:
        """The hash of the content that Cells 4 calls ``x-cells-hash``, in hex; empty until it is known.

        It is the MD5 of the MD5s (as bytes) of the consecutive blocks of ``BLOCK_BYTES``. Content of one block or less
        is one block, so that its MD5 alone tells it.
        """
        if self.size > BLOCK_BYTES:
            return self.block_hash
        return hash_one_block(self.content_hash) if self.content_hash else ""

    @property
    def is_hashed(self) -> bool:
        """Whether every hash of the content is known."""
        return bool(self.content_hash) and (self.size <= BLOCK_BYTES or bool(self.block_hash))


def hash_one_block(md5: str) -> str:
    """The block hash of content that is one block or less, from its MD5 in hex."""
    return hashlib.md5(bytes.fromhex(md5), usedforsecurity=False).hexdigest()


EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def derived_etag(facts: Facts) -> str:
    """An ETag for content that was not hashed: changes whenever size, mtime or inode do."""
    seed = b"%d.%d.%d" % (facts.size, facts.mtime_ns, facts.ino)
    return xxhash.xxh3_128_hexdigest(seed) + "-1"


def new_uuid() -> str:
    """A fresh time-ordered UUID (version 7, RFC 9562 section 5.7): keeps index inserts at the tail of their B-tree."""
    millis = time.time_ns() // 1_000_000
    tail = int.from_bytes(os.urandom(10), "big")
    value = (
        (millis & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (tail >> 66 & 0xFFF) << 64 | 0x2 << 62 | tail & (1 << 62) - 1
    )
    return str(uuidlib.UUID(int=value))


def time_of_uuid(uuid: str) -> float | None:
    """When a version 7 UUID was made, in seconds since the epoch; None for any other version."""
    value = uuidlib.UUID(uuid)
    return (value.int >> 80) / 1000 if value.version == 7 else None  # noqa: PLR2004 - the version of RFC 9562


class NodeAttributes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is mirrored into an extended attribute of the file, so that a copied or re-indexed file keeps it.

    ``etag`` and the checksums in ``meta`` describe the content of exactly ``size`` bytes at ``mtime_ns``; when the
    file's own facts differ they are stale and only headers, user metadata and tags may be used. ``path`` is the node
    path under which the bytes were written, where the object's key does not tell it; a later move does not change it.
    """

    size: int
    mtime_ns: int
    etag: str = ""
    meta: NodeMeta = NO_META
    path: str = ""

    def complete(self, facts: Facts) -> Facts:
        """Facts of a listing with the time that only the attributes keep (see ``BY_CONTENT``)."""
        return msgspec.structs.replace(facts, mtime_ns=self.mtime_ns) if facts.dev == BY_CONTENT else facts
