"""What an operation means for one node: the decisions that every implementation of the index shares.

Each function takes the node that is stored now (None: there is none) and the operation, and returns the node to store
with the kind of event to publish (None: silent), or None when the index already says so and nothing is to be written.
"""

import uuid as uuidlib

from msgspec.structs import replace

from cellsmono.interfaces.events import EventKind
from cellsmono.interfaces.node import NO_META, Facts, FolderKind, Node, NodeMeta, new_uuid
from cellsmono.interfaces.patch import MoveNode, Patch, PromoteVersion, PutFolder, PutLeaf, PutLeaves, SetHash, SetMeta
from cellsmono.interfaces.paths import is_below, is_folder
from cellsmono.interfaces.version import Versioning, new_version_id
from cellsmono.kernel.errors import AlreadyExists, Conflict, Invalid, NotFound

Change = tuple[Node, EventKind | None] | None

KEPT_EVENTS = 100_000
"""How many events the log keeps, unless told otherwise."""


def check_path(path: str, *, folder: bool) -> None:
    """Raise Invalid (reason ``path``) unless this is a well-formed node path of the wanted sort (root: a folder)."""
    if is_folder(path) is not folder:
        wanted = "a folder, so its path ends with '/'" if folder else "a file, so its path is not empty or ends in '/'"
        raise Invalid(f"The path {path!r} does not name {wanted}.", reason="path", path=path)
    check_text(path)


def check_leaves(operation: PutLeaves) -> None:
    """Raise Invalid (reason ``path``) unless the folder and the names of its files are well-formed."""
    check_path(operation.path, folder=True)
    names = operation.names
    if len(names) != len(operation.facts):
        message = f"There are {len(names)} names and {len(operation.facts)} facts for {operation.path!r}."
        raise Invalid(message, reason="path", path=operation.path)
    together = "".join(names)
    if all(names) and "/" not in together and together.isascii():
        return
    for name in names:
        check_path(operation.path + name, folder=False)
        if "/" in name:
            raise Invalid(f"{name!r} is not the name of a file.", reason="path", path=operation.path + name)


def check_text(text: str) -> None:
    """Raise Invalid (reason ``path``) for text with surrogates, which has no UTF-8 form."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        message = f"{text!r} can not be written in UTF-8."
        raise Invalid(message, reason="path", path=text) from None


def check_move(operation: MoveNode) -> None:
    """Raise Invalid or Conflict for a move that can not be meant, whatever the tree looks like."""
    source, path = operation.source, operation.path
    check_path(source, folder=is_folder(source))
    check_path(path, folder=is_folder(source))
    if is_folder(source) and source != path and is_below(path, source):
        raise Conflict(f"The folder {source!r} can not be moved into itself, to {path!r}.", path=source)


def check_delete(path: str) -> None:
    """Raise Invalid for the root, which can not be deleted, and for a malformed path."""
    check_path(path, folder=is_folder(path))
    if not path:
        raise Invalid("The root of a datasource can not be deleted from its index.", reason="path")


def canonical_uuid(text: str) -> str:
    """The usual form of a UUID. Raises Invalid (reason ``uuid``) for text that is none."""
    try:
        return str(uuidlib.UUID(text))
    except ValueError:
        raise Invalid(f"{text!r} is not a UUID.", reason="uuid") from None


def missing_node(path: str) -> NotFound:
    """The error for a path that the index does not hold."""
    return NotFound(f"There is no node at {path!r}.", path=path)


def taken_uuid(path: str, uuid: str) -> Conflict:
    """The error for a UUID that another node holds."""
    return Conflict(f"{path!r} can not get the UUID {uuid}: another node holds it.", reason="uuid", path=path)


def taken_path(path: str) -> AlreadyExists:
    """The error for a move onto a folder that is there."""
    return AlreadyExists(f"There is already a folder at {path!r}.", path=path)


def folder_facts(facts: Facts) -> Facts:
    """The facts of a folder as they are stored: its own size on the disk is of no interest to anybody."""
    return replace(facts, size=0) if facts.size else facts


def implied_folder(path: str, now_ns: int) -> Node:
    """The folder that comes into being because something is put below it."""
    return Node(path=path, uuid=new_uuid(), facts=Facts(size=0, mtime_ns=now_ns), kind=FolderKind.IMPLICIT)


def path_of_bulk(patch: Patch, owed: str | None, *, is_changed: bool) -> str:
    """What the event of a bulk patch is about, when ``owed`` is still to be told and it changed something or not."""
    if owed is None or owed == patch.bulk_path:
        return patch.bulk_path
    return "" if is_changed else owed


def put_leaf(old: Node | None, operation: PutLeaf) -> Change:
    """See ``PutLeaf``."""
    if operation.only_new and old is not None:
        raise AlreadyExists(f"There is already a file at {operation.path!r}.", path=operation.path)
    facts, etag = operation.facts, operation.etag
    meta = NO_META if operation.meta is None else operation.meta
    if old is None:
        uuid = canonical_uuid(operation.uuid) if operation.uuid else new_uuid()
        node = Node(operation.path, uuid, facts, kind=FolderKind.FOUND)
        return _with_content(node, operation, meta), EventKind.CREATE
    is_same = facts.is_same_content(old.facts)
    event: EventKind | None = EventKind.UPDATE_CONTENT
    if not etag and (is_same or operation.touched):
        node = replace(old, facts=facts)
        if operation.touched and operation.meta is not None:
            node = replace(node, meta=operation.meta)
        event = None if is_same and node.meta == old.meta else EventKind.UPDATE_META
    else:
        node = _with_content(replace(old, facts=facts), operation, meta)
        if etag and is_same and etag == old.etag and meta == old.meta:
            event = None
    return None if node == old else (node, event)


def _with_content(node: Node, operation: PutLeaf, meta: NodeMeta) -> Node:
    """The node with the content that the operation tells of, and nothing of what was known of older content."""
    return replace(
        node,
        etag=operation.etag,
        content_hash=operation.content_hash,
        block_hash=operation.block_hash,
        meta=meta,
        blob=operation.blob,
        version=operation.version or "",
    )


def id_of_leaf(old: Node | None, node: Node, operation: PutLeaf, versioning: Versioning, now_ns: int) -> str:
    """The id that new content gets where versions are kept."""
    if operation.version is not None:
        return operation.version
    if old is not None and node.etag and (node.etag, node.size) == (old.etag, old.size):
        return old.version  # a copy of the file took its place, as after a restore from a backup
    return new_version_id(now_ns) if versioning is Versioning.ENABLED else ""


def brings_content(old: Node | None, node: Node, operation: PutLeaf) -> bool:
    """Whether an operation brought other content, rather than news about what was there."""
    if operation.touched or old is None:
        return not operation.touched
    return bool(operation.etag) or not node.facts.is_same_content(old.facts)


def put_folder(old: Node | None, operation: PutFolder, now_ns: int) -> Change:
    """See ``PutFolder``. A folder that stops being a marker loses the metadata of the marker."""
    uuid = canonical_uuid(operation.uuid) if operation.uuid else None
    facts = None if operation.facts is None or operation.facts.is_void else folder_facts(operation.facts)
    if old is None:
        kind = FolderKind.FOUND if operation.kind is None else operation.kind
        facts = Facts(size=0, mtime_ns=now_ns) if facts is None else facts
        return Node(path=operation.path, uuid=uuid or new_uuid(), facts=facts, kind=kind), EventKind.CREATE
    kind = old.kind if operation.kind is None else operation.kind
    meta = old.meta if kind is FolderKind.MARKER else NO_META
    node = replace(old, uuid=uuid or old.uuid, facts=old.facts if facts is None else facts, kind=kind, meta=meta)
    if node == old:
        return None
    was_marker, is_marker = old.kind is FolderKind.MARKER, kind is FolderKind.MARKER
    return node, EventKind.UPDATE_META if was_marker is not is_marker or node.uuid != old.uuid else None


def moved_node(old: Node, operation: MoveNode) -> Node:
    """The node of a ``MoveNode`` at its new place."""
    facts = old.facts
    if operation.facts is not None:
        facts = folder_facts(operation.facts) if old.is_folder else operation.facts
    return replace(old, path=operation.path, facts=facts)


def promoted_node(kept: Node, operation: PromoteVersion) -> Node:
    """What the noncurrent version ``kept`` becomes, see ``PromoteVersion``."""
    facts = kept.facts if operation.facts is None else operation.facts
    if not operation.uuid:
        return replace(kept, facts=facts)
    return replace(kept, uuid=canonical_uuid(operation.uuid), blob=operation.blob, facts=facts)


def is_other(old: Node, node: Node) -> bool:
    """Whether another file or folder stands at a path now, as its inode tells."""
    return old.facts.ino != node.facts.ino


def set_meta(old: Node | None, operation: SetMeta) -> Change:
    """See ``SetMeta``. Raises NotFound, and Conflict (reason ``not_marker``) for a folder that is no marker."""
    if old is None:
        raise missing_node(operation.path)
    if old.is_folder and old.kind is not FolderKind.MARKER:
        message = f"The folder {operation.path!r} is not an object of its own and can not carry metadata."
        raise Conflict(message, reason="not_marker", path=operation.path)
    if old.meta == operation.meta:
        return None
    return replace(old, meta=operation.meta), EventKind.UPDATE_META


def set_hash(old: Node | None, operation: SetHash) -> Change:
    """See ``SetHash``."""
    if old is None or old.is_folder or operation.blob != old.blob or not operation.facts.is_same_content(old.facts):
        return None
    content_hash, block_hash = operation.content_hash or old.content_hash, operation.block_hash or old.block_hash
    contradicts = old.content_hash not in ("", content_hash) or old.block_hash not in ("", block_hash)
    if contradicts and not operation.replaces:
        return None
    etag = content_hash if old.etag in ("", old.content_hash) else old.etag
    node = replace(old, content_hash=content_hash, block_hash=block_hash, etag=etag)
    return None if node == old else (node, EventKind.UPDATE_CONTENT if contradicts else None)
