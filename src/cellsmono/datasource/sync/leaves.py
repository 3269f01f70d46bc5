"""Files, one by one: under a claim, so that what was seen and what is written can not be torn apart by a write.

A file that appears under an inode the index knows at another path, from where it is gone, was moved; equal size and
mtime must say so too, because inodes are used again at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from cellsmono.datasource.sync.context import SyncContext, is_file_entry, is_folder_entry
from cellsmono.datasource.sync.differ import FolderDiff, compare_folder, compare_leaf, is_absent
from cellsmono.datasource.sync.displaced import find_displaced, put_off
from cellsmono.datasource.sync.round import Round, Step, Visit
from cellsmono.interfaces.node import Facts, Node, NodeAttributes, NodeMeta
from cellsmono.interfaces.objects import Entry, Skipped
from cellsmono.interfaces.patch import MoveNode, PutLeaf, PutLeaves

LEAVES_A_CLAIM = 200
MD5_LENGTH = 32

Looked = Entry | Skipped | None

Mirrored = Mapping[str, NodeAttributes]
"""What is mirrored beside files, by path."""


class _Seen(msgspec.Struct):
    """A key, what stands there, and the rows that the index has for it as a file and as a folder."""

    key: str
    entry: Looked
    leaf: Node | None
    folder: Node | None


async def look_at_leaves(context: SyncContext, round_: Round, keys: Iterable[str]) -> None:
    """Look at these keys; carry files into the index, note folders and what is gone in the round.

    First without any claim: where storage and index agree, nothing has to be done, and that is the common case (the
    echo of an own write). Only what differs is claimed and looked at again.
    """
    differing: list[_Seen] = []
    for seen in await _leave_out_displaced(context, round_, await _see(context, list(keys))):
        if isinstance(seen.entry, Skipped):
            round_.tally.skip([seen.entry])
        if is_folder_entry(seen.entry):
            _note_folder(round_, seen)
        if seen.leaf is None and not is_file_entry(seen.entry):
            _note_absent_folder(round_, seen)
        elif not _agree(seen):
            differing.append(seen)
    for start in range(0, len(differing), LEAVES_A_CLAIM):
        await _carry(context, round_, differing[start : start + LEAVES_A_CLAIM])


async def _see(context: SyncContext, keys: Sequence[str]) -> list[_Seen]:
    entries = await context.look(keys)
    rows = await context.read_rows([path for key in keys for path in (key, key + "/")])
    return [_Seen(key, entries[i], rows[2 * i], rows[2 * i + 1]) for i, key in enumerate(keys)]


async def _leave_out_displaced(context: SyncContext, round_: Round, crowd: list[_Seen]) -> list[_Seen]:
    """Those of which may be judged what was seen; the others are looked at again later."""
    wanted = [seen.key for seen in crowd if is_folder_entry(seen.entry) or seen.folder is not None or not _agree(seen)]
    waiting = put_off(round_, await find_displaced(context, wanted))
    return [seen for seen in crowd if seen.key not in waiting] if waiting else crowd


def _agree(seen: _Seen) -> bool:
    """Whether the index says about this key, as a file, what the storage says."""
    if isinstance(seen.entry, Entry) and is_file_entry(seen.entry):
        return seen.leaf is not None and not seen.leaf.facts.tells_news(seen.entry.facts) and seen.folder is None
    return seen.leaf is None or (isinstance(seen.entry, Skipped) and not is_absent(seen.entry.reason))


def _note_folder(round_: Round, seen: _Seen) -> None:
    """A folder stands there: a new one is visited, of a known one the subtree is compared by its folders' times."""
    if seen.folder is None:
        round_.visits.append(Visit(seen.key + "/"))
    elif isinstance(seen.entry, Entry):
        diff = FolderDiff()
        compare_folder(seen.folder, seen.entry.facts, diff)
        if diff.moved_in:
            round_.visits.append(Visit(seen.folder.path))
        round_.walks[seen.folder.path] = None


def _note_absent_folder(round_: Round, seen: _Seen) -> None:
    if seen.folder is None or is_folder_entry(seen.entry):
        return
    if seen.entry is None or (isinstance(seen.entry, Skipped) and is_absent(seen.entry.reason)):
        round_.gone[seen.folder.path] = None


async def _carry(context: SyncContext, round_: Round, differing: Sequence[_Seen]) -> None:
    """Claim these keys (and where they may have been moved from), look again, and apply."""
    keys = [seen.key for seen in differing]
    new = [seen for seen in differing if _is_new_file(seen)]
    sources = await find_sources(context, [(s.key, s.entry.facts) for s in new if isinstance(s.entry, Entry)])
    proofs = await _prove_touches(context, differing)
    paths = {*keys, *(source.path for source in sources.values())}
    async with context.claims.claim(*paths):
        await context.settle_index()
        again = await _leave_out_displaced(context, round_, await _see(context, keys))
        moves = await _confirm_moves(context, again, sources)
        steps: list[Step] = []
        created: list[tuple[str, Facts]] = []
        for seen in again:
            _judge(round_, seen, moves, proofs, steps, created)
        steps += await describe_files(context, created, "created")
        steps += await describe_files(context, _changed(again, proofs), "updated")
        patch = round_.patch(steps)
        done = None if patch is None else context.index.submit(patch)
    if done is not None:
        await done


def _is_new_file(seen: _Seen) -> bool:
    return seen.leaf is None and is_file_entry(seen.entry)


def _judge(
    round_: Round,
    seen: _Seen,
    moves: dict[str, Node],
    proofs: dict[str, tuple[Facts, str]],
    steps: list[Step],
    new: list[tuple[str, Facts]],
) -> None:
    """Decide about one key that was looked at under a claim."""
    entry = seen.entry
    if not isinstance(entry, Entry) or not is_file_entry(entry):
        if is_folder_entry(entry):
            _note_folder(round_, seen)
        if seen.leaf is not None and not _agree(seen):
            target = round_.replaced if is_folder_entry(entry) else round_.gone
            target[seen.leaf.path] = None
        return
    if seen.folder is not None:
        round_.replaced[seen.folder.path] = None
    if seen.leaf is None:
        source = moves.get(seen.key)
        if source is None:
            new.append((seen.key, entry.facts))
        else:
            steps.append(Step(seen.key, MoveNode(source.path, seen.key, entry.facts), "moved"))
            if not round_.dry_run:
                # Another file may stand where it came from, in a folder that was compared already.
                round_.leaves[source.path] = None
        return
    diff = FolderDiff()
    compare_leaf(seen.leaf, entry.facts, diff)
    if diff.quiet:
        steps.append(Step(seen.key, PutLeaf(seen.key, entry.facts)))
    elif _is_proven(seen, proofs):
        steps.append(Step(seen.key, PutLeaf(seen.key, entry.facts, touched=True), "updated"))


def _changed(again: Sequence[_Seen], proofs: dict[str, tuple[Facts, str]]) -> list[tuple[str, Facts]]:
    """Known files whose content is taken to be new."""
    found = []
    for seen in again:
        if seen.leaf is None or not isinstance(seen.entry, Entry) or not is_file_entry(seen.entry):
            continue
        if not seen.leaf.facts.is_same_content(seen.entry.facts) and not _is_proven(seen, proofs):
            found.append((seen.key, seen.entry.facts))
    return found


# --- touches


async def _prove_touches(context: SyncContext, differing: Sequence[_Seen]) -> dict[str, tuple[Facts, str]]:
    """Hash the files of which only the mtime seems to have changed."""
    proofs = {}
    for seen in differing:
        if seen.leaf is None or not isinstance(seen.entry, Entry) or not is_file_entry(seen.entry):
            continue
        diff = FolderDiff()
        compare_leaf(seen.leaf, seen.entry.facts, diff)
        if diff.touched:
            proof = await context.objects.hash_object(context.bucket, seen.key)
            if proof is not None:
                proofs[seen.key] = proof
    return proofs


def _is_proven(seen: _Seen, proofs: dict[str, tuple[Facts, str]]) -> bool:
    """Whether the file as it is now has the content that the index knows."""
    proof = proofs.get(seen.key)
    if proof is None or seen.leaf is None or not isinstance(seen.entry, Entry):
        return False
    facts, digest = proof
    return facts.is_same_content(seen.entry.facts) and digest == seen.leaf.content_hash


# --- moves


async def find_sources(context: SyncContext, files: Sequence[tuple[str, Facts]]) -> dict[str, Node]:
    """For new files: the known file that each seems to have been, judged by inode, size and mtime alone."""
    found = {}
    known = await context.index.find_inodes([(facts.dev, facts.ino) for _, facts in files])
    for (key, facts), nodes in zip(files, known, strict=True):
        if not facts.ino:
            continue
        for node in nodes:
            if node.is_folder or node.path == key:
                continue
            if node.facts.size == facts.size and node.facts.mtime_ns == facts.mtime_ns:
                found[key] = node
                break
    return found


async def _confirm_moves(context: SyncContext, again: Sequence[_Seen], sources: dict[str, Node]) -> dict[str, Node]:
    """Of these candidates, those that are still known under the inode and are gone from where they were."""
    wanted = [seen for seen in again if seen.key in sources and _is_new_file(seen)]
    olds = [sources[seen.key].path for seen in wanted]
    entries = await context.look(olds)
    rows = await context.read_rows(olds)
    confirmed: dict[str, Node] = {}
    taken: set[str] = set()
    for seen, old, there, row in zip(wanted, olds, entries, rows, strict=True):
        if row is None or old in taken or not isinstance(seen.entry, Entry):
            continue
        still_there = isinstance(there, Entry) and is_file_entry(there) and there.facts.ino == row.facts.ino
        if row.facts.is_same_content(seen.entry.facts) and not still_there:
            confirmed[seen.key] = row
            taken.add(old)
    return confirmed


# --- new content


async def describe_files(
    context: SyncContext, files: Sequence[tuple[str, Facts]], count: Literal["created", "updated"]
) -> list[Step]:
    """Operations for files that are new or have new content, with what is mirrored beside them.

    A file that was deleted from the index a moment ago is the same node again.
    """
    if not files:
        return []
    return _describe(context, files, await _read_attributes(context, [path for path, _ in files]), count)


async def describe_crowd(
    context: SyncContext, folder: str, files: Sequence[Entry], mirrored: Mirrored | None = None
) -> list[Step]:
    """As ``describe_files``, for new files of one folder in the order of their names: most in one operation.

    ``mirrored`` is what ``read_mirrored`` found beside them, when it was asked before.
    """
    if not files:
        return []
    if mirrored is None:
        mirrored = await read_mirrored(context, [folder + entry.name for entry in files])
    steps: list[Step] = []
    if mirrored or len(context.tombstones):
        now = context.clock.monotonic()
        pairs = [(folder + each.name, each.facts) for each in files]
        special = [each for each in pairs if each[0] in mirrored or context.tombstones.has(each[1], now)]
        steps = _describe(context, special, [mirrored.get(path) for path, _ in special], "created")
        apart = {path for path, _ in special}
        files = [each for each in files if folder + each.name not in apart]
    if files:
        names, facts = tuple([each.name for each in files]), tuple([each.facts for each in files])
        steps.append(Step(folder, PutLeaves(folder, names, facts), "created"))
    return steps


async def read_mirrored(context: SyncContext, paths: Sequence[str]) -> Mirrored:
    """What is mirrored beside those of these files that have anything."""
    attributes = await _read_attributes(context, paths)
    return {path: kept for path, kept in zip(paths, attributes, strict=True) if kept is not None}


async def _read_attributes(context: SyncContext, paths: Sequence[str]) -> Sequence[NodeAttributes | None]:
    if not paths or not context.has_attributes:
        return [None] * len(paths)
    return await context.objects.read_attributes(context.bucket, paths)


def _describe(
    context: SyncContext,
    files: Sequence[tuple[str, Facts]],
    attributes: Sequence[NodeAttributes | None],
    count: Literal["created", "updated"],
) -> list[Step]:
    now = context.clock.monotonic()
    steps = []
    for (path, seen), kept in zip(files, attributes, strict=True):
        facts = seen if kept is None else kept.complete(seen)
        operation = PutLeaf(path, facts)
        if kept is not None:
            if (kept.size, kept.mtime_ns) == (facts.size, facts.mtime_ns) and kept.etag:
                digest = kept.etag if len(kept.etag) == MD5_LENGTH else ""
                operation = PutLeaf(path, facts, etag=kept.etag, content_hash=digest, meta=kept.meta)
            else:
                operation = PutLeaf(path, facts, meta=without_content_facts(kept.meta))
        old = context.tombstones.take(facts, now) if count == "created" else None
        if old is not None:
            operation = _rejoin(operation, old)
        steps.append(Step(path, operation, count))
    return steps


def _rejoin(operation: PutLeaf, old: Node) -> PutLeaf:
    """The node that this was before it was deleted: same inode, size and mtime, so the same content."""
    if operation.etag:
        return msgspec.structs.replace(operation, uuid=old.uuid)
    return msgspec.structs.replace(
        operation,
        uuid=old.uuid,
        etag=old.etag,
        content_hash=old.content_hash,
        meta=old.meta,
        block_hash=old.block_hash,
    )


def without_content_facts(meta: NodeMeta) -> NodeMeta:
    """What of the metadata stays true when the content is another: headers, user metadata, tags."""
    return msgspec.structs.replace(meta, checksum=None, parts=())
