"""A patch: what the index is told to change, applied in one transaction.

Operations are applied in order. Each one is idempotent: where the index already says so, nothing is written and no
event is made, so the echo of one's own write and a repeated resync cost a look-up only.
"""

from typing import Literal

import msgspec

from cellsmono.interfaces.node import Facts, FolderKind, NodeMeta


class PutLeaf(msgspec.Struct, frozen=True, tag=True):
    """The file at ``path`` is there with these facts.

    *Authoritative* (``etag`` given: one's own write, the content is known): etag, the two hashes and meta replace
    what was there; an update_content event is published unless facts, etag and meta are all equal. *Observed* (``etag``
    empty: seen on the storage): equal facts (``is_same_content``) mean no change (a different mode or dev is stored
    silently). Other facts mean new content: etag, hashes and meta are reset (to ``meta`` when it is given), the
    UUID stays, one update_content. With ``touched`` set the caller has proved that the content is the same: etag,
    hashes and meta are kept (meta is replaced when it is given), facts replaced, one update_meta.

    ``blob`` says which blob holds new content (see ``Node``). A new node gets ``uuid`` or a fresh one and one create
    event. Missing parents are made as IMPLICIT folders, each
    with a create event of its own. A ``uuid`` that another node holds raises Conflict (reason ``uuid``).
    With ``only_new`` set a node that is there raises AlreadyExists.

    ``version`` is the id that new content gets among the versions of its key (empty: the null version, in the place of
    an older one). None: somebody else wrote it; where versions are kept it gets a fresh id, unless ETag and size say
    that it is what was there. With ``keeps`` what was there becomes a noncurrent version instead of being forgotten.
    """

    path: str
    facts: Facts
    etag: str = ""
    content_hash: str = ""
    meta: NodeMeta | None = None
    uuid: str | None = None
    touched: bool = False
    blob: int = 0
    only_new: bool = False
    block_hash: str = ""
    version: str | None = None
    keeps: bool = False


class PutLeaves(msgspec.Struct, frozen=True, tag=True):
    """Many files were seen in the folder ``path``: as a ``PutLeaf`` with name and facts alone for each, but cheap.

    ``names`` and ``facts`` are equally long. Fast when the names ascend (as text compares) and are not in the index.
    A folder that is missing is made as IMPLICIT, as its parents are.
    """

    path: str
    names: tuple[str, ...]
    facts: tuple[Facts, ...]


class PutFolder(msgspec.Struct, frozen=True, tag=True):
    """The folder at ``path`` (ending in ``/``) is there. Missing parents are made as IMPLICIT folders.

    ``uuid`` given and different from the stored one: the stored one is replaced (caller has decided, see the
    synchronizer). ``kind`` None keeps the stored kind, FOUND for a new one. ``facts`` None, or such that tell nothing,
    keep the stored ones.
    New: one create event; changed kind to or from MARKER, or changed UUID: one update_meta; changed facts alone:
    silent. A ``uuid`` that another node holds raises Conflict (reason ``uuid``).
    """

    path: str
    uuid: str | None = None
    facts: Facts | None = None
    kind: FolderKind | None = None


class MoveNode(msgspec.Struct, frozen=True, tag=True):
    """The node at ``source`` is now at ``path`` (both folders, or both leaves), UUIDs of it and all below kept.

    A leaf at ``path`` is replaced (its row goes without an event of its own; with ``keeps`` it becomes a noncurrent
    version); a folder at ``path`` must not exist (AlreadyExists). Noncurrent versions stay with their keys. Missing
    parents of ``path`` are made as IMPLICIT folders. ``facts`` replaces the facts when given (a rename changes none but
    may come with a touch). One update_path event. A missing source raises NotFound, a folder moved into itself raises
    Conflict.
    """

    source: str
    path: str
    facts: Facts | None = None
    keeps: bool = False


class DeleteNode(msgspec.Struct, frozen=True, tag=True):
    """The node at ``path`` and all below it are gone. One delete event; a missing node is no change.

    With ``keeps`` a leaf becomes a noncurrent version. ``marker`` is the id of a delete marker that takes its place,
    also where there was nothing (empty: the null version, in the place of an older one; None: no marker). Keys that
    have noncurrent versions get a marker in any case, since the next of them would show otherwise.
    """

    path: str
    keeps: bool = False
    marker: str | None = None


class PruneFolders(msgspec.Struct, frozen=True, tag=True):
    """Folders above ``path`` that are IMPLICIT and hold nothing are gone, innermost first. One delete event for each.

    For trees whose folders are in the index alone: there nobody else can put something into them meanwhile.
    """

    path: str


class SetMeta(msgspec.Struct, frozen=True, tag=True):
    """Replace the metadata of the leaf (or marker folder) at ``path``; missing: NotFound.

    One update_meta event when it differs. A folder that is no marker raises Conflict (reason ``not_marker``).
    """

    path: str
    meta: NodeMeta


class SetHash(msgspec.Struct, frozen=True, tag=True):
    """The content of ``path`` was hashed while it had ``facts`` and lay in ``blob``: ignored if it has others now.

    Hashes that are empty here say nothing. The etag becomes the ``content_hash`` when none was known. No event: the
    content did not change. A hash that contradicts a stored one is not stored, and the other one neither, unless
    ``replaces`` is set: then both are, the etag follows if it was the stored hash, with one update_content event.
    """

    path: str
    facts: Facts
    content_hash: str = ""
    block_hash: str = ""
    blob: int = 0
    replaces: bool = False


class FolderScanned(msgspec.Struct, frozen=True, tag=True):
    """Book-keeping of the scanner: the folder's rows equal a listing that had this state. No event.

    ``fingerprint`` empty means "not known". Any change to the name or the facts of a direct child of the folder clears
    the stored fingerprint; one of metadata or hashes alone, which no listing shows, does not. A child that comes or
    goes, or has another inode, clears ``ctime_ns`` as well: such a change is told of a path, and if another folder
    stood there, the times of this one would never show it. So does another inode of the folder itself: a copy may have
    the same times. Missing: NotFound.
    """

    path: str
    mtime_ns: int
    ctime_ns: int
    fingerprint: bytes = b""


class KeepVersion(msgspec.Struct, frozen=True, tag=True):
    """The content of the leaf at ``path`` lies in this blob as well, so that it can be replaced or deleted. No event.

    Until the leaf gets another version the noncurrent one with its id is not shown. No change for a missing leaf.
    """

    path: str
    blob: int


class DropVersion(msgspec.Struct, frozen=True, tag=True):
    """This noncurrent version or delete marker of the key ``path`` is gone; no change when there is none. No event."""

    path: str
    version: str


class PromoteVersion(msgspec.Struct, frozen=True, tag=True):
    """This noncurrent version is what the key ``path`` shows from now on; what it showed is forgotten.

    ``uuid`` and ``blob`` say where its content lies now, ``facts`` what the storage says of it; without, they are as
    they were. One update_content event where the UUID stays, else a create event (after a delete event for a leaf that
    was there). Raises NotFound (reason ``version``), and Conflict (reason ``uuid``) when another node holds the UUID.
    """

    path: str
    version: str
    uuid: str = ""
    blob: int = 0
    facts: Facts | None = None


class SetVersionMeta(msgspec.Struct, frozen=True, tag=True):
    """Replace the metadata of a noncurrent version; NotFound (reason ``version``) when it is missing. No event."""

    path: str
    version: str
    meta: NodeMeta


Operation = (
    PutLeaf
    | PutLeaves
    | PutFolder
    | MoveNode
    | DeleteNode
    | PruneFolders
    | SetMeta
    | SetHash
    | FolderScanned
    | KeepVersion
    | DropVersion
    | PromoteVersion
    | SetVersionMeta
)


class Patch(msgspec.Struct, frozen=True):
    """Operations for one transaction.

    ``origin`` is a word for logs and the event log. ``bulk`` asks for one RELOAD event at ``bulk_path`` instead of an
    event for each node, for first imports; there is none when nothing changed. ``more`` says that the bulk goes on:
    its event is then owed, and published with the first bulk patch without ``more`` (an empty one will do). When the
    index is closed or the process dies before, it is published when the index is opened again. Bulks at different paths
    that were begun together are told as one at the root.
    """

    operations: tuple[Operation, ...]
    origin: Literal["write", "watch", "resync", "hash", "repair", "load"] = "write"
    bulk: bool = False
    bulk_path: str = ""
    more: bool = False
