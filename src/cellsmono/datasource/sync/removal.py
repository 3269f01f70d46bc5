"""Deleting rows: the only place that does it, and only on evidence.

A row goes when a direct look under a claim finds nothing at its path, the folders above it are those that the index
has there, the datasource's root is there and is the one that was indexed, and the mass-deletion guard lets it pass.
"""

from collections.abc import Iterable, Sequence

import msgspec

from cellsmono.datasource.sync.context import SyncContext, is_file_entry, is_folder_entry
from cellsmono.datasource.sync.differ import is_absent
from cellsmono.datasource.sync.displaced import find_displaced
from cellsmono.datasource.sync.guard import explain_empty_root, explain_refusal
from cellsmono.datasource.sync.round import Round
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.objects import Entry, Listing, Skipped
from cellsmono.interfaces.patch import DeleteNode, Patch
from cellsmono.interfaces.paths import ancestors_of, is_below, is_folder
from cellsmono.kernel.errors import Unavailable

PATHS_A_CLAIM = 200
LEAVES_REMEMBERED = 5000


class Removal(msgspec.Struct):
    """What is to be deleted: the outermost paths, and how many nodes go with them."""

    paths: list[str]
    nodes: int


async def remove_gone(context: SyncContext, round_: Round, paths: Iterable[str]) -> None:
    """Delete the rows of these paths as far as they are really gone; a refusal is noted in the round's tally."""
    removal = await _plan(context, round_, list(paths))
    if not removal.paths:
        return
    held = "" if round_.accept else await _find_objection(context, removal)
    if held:
        round_.tally.held = held
        return
    if round_.dry_run:
        round_.tally.deleted += removal.nodes
        for path in removal.paths:
            round_.tally.line("-", path)
        return
    for start in range(0, len(removal.paths), PATHS_A_CLAIM):
        await _remove(context, round_, removal.paths[start : start + PATHS_A_CLAIM])
    if round_.accept:
        context.guard.forget()


async def _plan(context: SyncContext, round_: Round, paths: Sequence[str]) -> Removal:
    """Reduce what seems to be gone to the outermost folders that are gone, as far as the index has them."""
    candidates = outermost({path for path in paths if path})
    above = sorted({folder for path in candidates for folder in ancestors_of(path)})
    missing = {path for path, entry in zip(above, await context.look(above), strict=True) if _is_gone(path, entry)}
    candidates = outermost({next((a for a in ancestors_of(path) if a in missing), path) for path in candidates})
    await context.settle_index()
    rows = await context.read_rows(candidates)
    known = [path for path, row in zip(candidates, rows, strict=True) if row is not None]
    entries = await context.look(known)
    gone = [path for path, entry in zip(known, entries, strict=True) if _is_gone(path, entry)]
    gone = await _spare_displaced(context, round_, gone)
    nodes = 0
    for path in gone:
        nodes += 1
        if is_folder(path):
            usage = await context.index.usage(path)
            nodes += usage.files + usage.folders
    return Removal(gone, nodes)


async def _spare_displaced(context: SyncContext, round_: Round, paths: list[str]) -> list[str]:
    """The paths of which a look tells something; the folders above the others are to be looked at once more."""
    displaced = await find_displaced(context, paths)
    round_.unfinished.update(displaced.values())
    return [path for path in paths if path not in displaced] if displaced else paths


def outermost(paths: set[str]) -> list[str]:
    """Of these paths, those that are not below another one of them, in order."""
    found: list[str] = []
    for path in sorted(paths):
        if not (found and is_folder(found[-1]) and is_below(path, found[-1])):
            found.append(path)
    return found


def _is_gone(path: str, entry: Entry | Skipped | None) -> bool:
    """Whether what the row at ``path`` describes is not on the storage any more."""
    if entry is None:
        return True
    if isinstance(entry, Skipped):
        return is_absent(entry.reason)
    return is_file_entry(entry) if is_folder(path) else is_folder_entry(entry)


async def _find_objection(context: SyncContext, removal: Removal) -> str:
    """Why these deletions must not be done, empty when they may."""
    total = await context.count_nodes()
    if not await is_own_root(context):
        return explain_empty_root(context.config.name, context.config.place)
    if not context.guard.would_pass(removal.nodes, total, context.clock.monotonic()):
        return explain_refusal(context.config.name, removal.nodes, total)
    return ""


async def is_own_root(context: SyncContext) -> bool:
    """Whether the root is the folder that was indexed, or at least one that holds something.

    Raises Unavailable when the root is missing.
    """
    await check_root(context)
    root = await context.index.read_node("")
    (listing,) = await context.objects.scan(context.bucket, [("", b"")])
    return not await is_stranger(context, root, listing)


async def check_root(context: SyncContext) -> None:
    """Raise Unavailable when the root is missing."""
    if not await context.objects.has_bucket(context.bucket):
        raise Unavailable(
            f"The place {context.config.place} of datasource '{context.config.name}' is not there; nothing is "
            "changed in its index until it is back.",
            reason="offline",
        )


async def is_stranger(context: SyncContext, root: Node, listing: Listing) -> bool:
    """Whether the root is empty, is not the folder that was indexed, and the index is not empty.

    A disk that is not mounted leaves such a folder in its place.
    """
    if listing.missing:
        return True
    if listing.entries is None or listing.entries or listing.skipped:
        return False
    if context.uses_markers and listing.marker == root.uuid:
        return False
    if root.facts.ino and (root.facts.dev, root.facts.ino) == (listing.facts.dev, listing.facts.ino):
        return False
    return await context.count_nodes() > 0


async def _remove(context: SyncContext, round_: Round, paths: Sequence[str]) -> None:
    """Delete these rows under a claim, after one last look."""
    async with context.claims.claim(*paths):
        await context.settle_index()
        entries = await context.look(paths)
        missing = [path for path, entry in zip(paths, entries, strict=True) if _is_gone(path, entry)]
        rows = await context.read_rows(await _spare_displaced(context, round_, missing))
        gone = [row for row in rows if row is not None]
        if not gone or not await context.objects.has_bucket(context.bucket):
            return
        nodes = 0
        for row in gone:
            nodes += await count_nodes(context, row)
            await remember(context, row)
        operations = tuple(DeleteNode(row.path) for row in gone)
        done = context.index.submit(Patch(operations, origin=round_.origin))
    await done
    context.guard.note(nodes, context.clock.monotonic())
    round_.tally.deleted += nodes


async def count_nodes(context: SyncContext, row: Node, *, stays: str = "") -> int:
    """How many nodes go with this one; ``stays`` is a folder somewhere below that does not."""
    if not row.is_folder:
        return 1
    usage = await context.index.usage(row.path)
    nodes = 1 + usage.files + usage.folders
    return nodes - await count_nodes(context, await context.index.read_node(stays)) if stays else nodes


async def remember(context: SyncContext, row: Node, *, stays: str = "") -> None:
    """Keep what is needed to join a late half of a rename to a node that is going to be deleted."""
    now = context.clock.monotonic()
    if not row.is_folder:
        context.tombstones.add(row, now)
        return
    after = ""
    left = LEAVES_REMEMBERED
    while left > 0:
        page = await context.index.list_keys(row.path, after=after)
        for node in page.entries:
            if isinstance(node, Node) and not (stays and is_below(node.path, stays)):
                context.tombstones.add(node, now)
        left -= len(page.entries)
        after = page.next_after
        if not after:
            break
