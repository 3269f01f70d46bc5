"""Which folder is it? The UUID of a folder that was looked at, by its marker, its inode and what the index knows."""

from collections.abc import Mapping, Sequence

import msgspec

from cellsmono.datasource.sync.context import SyncContext, is_folder_entry
from cellsmono.interfaces.node import Node, new_uuid
from cellsmono.interfaces.objects import Entry, Listing

CHILDREN_COMPARED = 50


class Identity(msgspec.Struct, frozen=True):
    """The verdict about one folder.

    ``uuid`` is the one it has or gets. ``source`` is where the index holds that UUID now, when the folder was moved
    here from there. ``mark`` says that its marker has to be written. ``is_foreign`` says that the marker names a
    folder that nobody knows while the index holds another one at this path: to be decided at the end of the round,
    when it is known whether the one that stood here turned up elsewhere.
    """

    uuid: str
    source: str | None = None
    mark: bool = False
    is_foreign: bool = False


Kin = Mapping[tuple[int, int], Sequence[Node]]
"""Nodes by device and inode, as far as they were asked for beforehand."""


async def find_kin(context: SyncContext, listings: Sequence[Listing]) -> Kin:
    """Ask in one hop what ``identify_folder`` is going to ask about new folders without a marker."""
    bare = [listing for listing in listings if not (listing.marker and context.uses_markers) and listing.facts.ino]
    pairs = [(listing.facts.dev, listing.facts.ino) for listing in bare]
    return dict(zip(pairs, await context.index.find_inodes(pairs), strict=True))


async def identify_folder(context: SyncContext, listing: Listing, row: Node | None, kin: Kin) -> Identity:
    """Decide which folder stands at ``listing.key``. Reads the index and the storage, changes nothing."""
    if row is None:
        return await _identify_new(context, listing, kin)
    if not row.path and not row.facts.ino and listing.marker and context.uses_markers:
        # The index is new, the root is not: it keeps the UUID that it had before the index was lost.
        return Identity(listing.marker)
    if _is_same_place(row, listing):
        return Identity(row.uuid, mark=context.uses_markers and listing.marker != row.uuid)
    return await _identify_other(context, listing, row, kin)


def _is_same_place(row: Node, listing: Listing) -> bool:
    """Whether the folder at this path is the one that the row was made for.

    A marker that is gone or was edited says nothing against it while the inode is the same: the index wins. Where there
    are no inodes only a marker can tell, and it does.
    """
    if listing.marker and listing.marker == row.uuid:
        return True
    if not listing.facts.ino:
        return not listing.marker
    return row.facts.ino in (0, listing.facts.ino)


async def _identify_new(context: SyncContext, listing: Listing, kin: Kin) -> Identity:
    if not listing.marker or not context.uses_markers:
        source = await _find_by_inode(context, listing, kin)
        if source is not None:
            return Identity(source.uuid, source.path, mark=context.uses_markers)
        return Identity(new_uuid(), mark=context.uses_markers)
    known = await context.index.find_node(listing.marker)
    if known is None or known.path == listing.key:
        return Identity(listing.marker)
    if known.is_folder and known.path and not await still_stands(context, known):
        return Identity(known.uuid, known.path)
    return Identity(new_uuid(), mark=True)


async def _identify_other(context: SyncContext, listing: Listing, row: Node, kin: Kin) -> Identity:
    """Another folder stands where the row's folder stood, or one with a marker that was edited."""
    if not context.uses_markers or not listing.marker:
        source = await _find_by_inode(context, listing, kin)
        if source is not None and source.path != row.path:
            return Identity(source.uuid, source.path, mark=context.uses_markers)
        return Identity(row.uuid, mark=context.uses_markers, is_foreign=True)
    known = await context.index.find_node(listing.marker)
    if known is None:
        return Identity(row.uuid, mark=True, is_foreign=True)
    if known.is_folder and known.path and known.path != row.path and not await still_stands(context, known):
        return Identity(known.uuid, known.path)
    return Identity(row.uuid, mark=True, is_foreign=True)


async def still_stands(context: SyncContext, node: Node) -> bool:
    """Whether the storage still has this very folder at the path that the index knows.

    Where there are no inodes a marker of another one says that it has not.
    """
    (entry,) = await context.look([node.path])
    if not is_folder_entry(entry) or not isinstance(entry, Entry):
        return False
    if context.uses_markers:
        marker = await context.objects.read_marker(context.bucket, node.path)
        if marker == node.uuid:
            return True
        if marker and not entry.facts.ino:
            return False
    return node.facts.ino in (0, entry.facts.ino)


async def _find_by_inode(context: SyncContext, listing: Listing, kin: Kin) -> Node | None:
    """The one known folder that had this inode, is gone from its path, and looks alike.

    Inodes are used again at once after a deletion, so the times or a child must agree as well.
    """
    if not listing.facts.ino:
        return None
    pair = (listing.facts.dev, listing.facts.ino)
    for node in kin[pair] if pair in kin else await context.index.find_inode(*pair):
        if not node.is_folder or not node.path or node.path == listing.key:
            continue
        if await still_stands(context, node):
            continue
        if node.facts.mtime_ns == listing.facts.mtime_ns or await _shares_child(context, node, listing):
            return node
    return None


async def _shares_child(context: SyncContext, node: Node, listing: Listing) -> bool:
    inodes = {entry.name: entry.facts.ino for entry in listing.entries or ()}
    children = await context.index.list_children(node.path, limit=CHILDREN_COMPARED)
    return any(inodes.get(child.path[len(node.path) :]) == child.facts.ino for child in children if child.facts.ino)
