"""Visiting folders: list a batch of them, compare with their rows, and carry the differences into the index.

Nothing is claimed while a folder is listed. It is *watched* instead, from before the listing until its operations have
their place in the order of patches, and every name that somebody claimed meanwhile is left out and looked at on its
own later. Between listing and reading the rows all patches submitted so far are awaited: a claim that was released
before the watch began may still wait for its commit. A folder that is not in the index yet is claimed for the moment
in which it is put there, so that two do not give it a UUID each.
"""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack
from operator import attrgetter

import msgspec

from cellsmono.datasource.claims import FolderWatch
from cellsmono.datasource.sync.context import SyncContext
from cellsmono.datasource.sync.differ import FolderDiff, FolderDiffer, find_new, folder_facts
from cellsmono.datasource.sync.guard import explain_empty_root
from cellsmono.datasource.sync.identity import Identity, Kin, find_kin, identify_folder
from cellsmono.datasource.sync.leaves import Mirrored, describe_crowd, describe_files, find_sources, read_mirrored
from cellsmono.datasource.sync.removal import is_stranger
from cellsmono.datasource.sync.round import Round, Step, Visit
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.node import Node, new_uuid
from cellsmono.interfaces.objects import Entry, Listing
from cellsmono.interfaces.patch import FolderScanned, PutFolder, PutLeaf
from cellsmono.interfaces.paths import is_folder
from cellsmono.kernel.errors import NotFound

ROWS_A_PAGE = 2000
FILES_A_BATCH = 1000
NODES_A_PATCH = 5000
SMALL_FOLDER = 200

_NAME = attrgetter("name")


class _Section:
    """The steps of one folder, with the watch that says which of them may be applied.

    ``is_owned``: we hold the claim on the folder, so nobody else can touch what is below it. ``waits``: something
    that was found is not applied with the rest, so the folder must be looked at again. ``has_new``: a sub folder is
    visited later. ``mirrored`` is what is mirrored beside its files, when that was asked for all sections together.
    """

    def __init__(self, visit: Visit, listing: Listing, watch: FolderWatch) -> None:
        self.visit = visit
        self.listing = listing
        self.path = listing.key
        self.watch = watch
        self.steps: list[Step] = []
        self.is_owned = False
        self.is_judged = False
        self.waits = False
        self.has_new = False
        self.mark = ""
        self.mirrored: Mirrored | None = None

    @property
    def is_upset(self) -> bool:
        """Whether somebody else moved or removed the folder while it was looked at."""
        return self.watch.is_upset and not self.is_owned


async def visit_folders(context: SyncContext, round_: Round, visits: Sequence[Visit]) -> None:
    """List these folders and carry what differs into the index; what has to wait is noted in the round."""
    async with AsyncExitStack() as stack:
        watches = [await stack.enter_async_context(context.claims.watch(visit.path)) for visit in visits]
        wanted = [(visit.path, visit.fingerprint) for visit in visits]
        began = context.clock.monotonic()
        listings = await context.objects.scan(context.bucket, wanted)
        sections = []
        for visit, listing, watch in zip(visits, listings, watches, strict=True):
            if watch.is_upset:
                round_.retry(visit)
            elif _note_listing(round_, listing) and not _is_unchanged(visit, listing):
                sections.append(_Section(visit, listing, watch))
        if sections:
            await _compare_folders(context, round_, sections, stack)
            done = await _apply(context, round_, sections, is_last=True)
            await asyncio.gather(*done)
        ended = context.clock.monotonic()
        for listing in listings:
            context.relists.note(listing.key, listing.count, began, ended)


def _note_listing(round_: Round, listing: Listing) -> bool:
    """Count a listing; False when there is nothing to compare.

    A new folder that can not be read gets its row all the same: nobody would look there again otherwise.
    """
    round_.tally.skip(listing.skipped)
    if listing.missing:
        round_.gone[listing.key] = None
        return False
    round_.tally.folders += 1
    round_.tally.entries += listing.count
    return True


def _is_unchanged(visit: Visit, listing: Listing) -> bool:
    """Whether the rows are known to equal this listing, and nothing about the folder itself is new."""
    return listing.entries is None and (listing.mtime_ns, listing.ctime_ns) == (visit.mtime_ns, visit.ctime_ns)


def _state_of(listing: Listing) -> FolderScanned:
    """What is stored about a folder whose rows equal this listing."""
    if not listing.complete:
        return FolderScanned(listing.key, 0, 0)
    if not listing.stable:
        return FolderScanned(listing.key, 0, 0, listing.fingerprint)
    return FolderScanned(listing.key, listing.mtime_ns, listing.ctime_ns, listing.fingerprint)


async def _compare_folders(
    context: SyncContext, round_: Round, sections: list[_Section], stack: AsyncExitStack
) -> None:
    await context.settle_index()
    paths = [section.path for section in sections]
    rows = dict(zip(paths, await context.read_rows(paths), strict=True))
    new = [section for section in sections if rows[section.path] is None and not section.visit.discover]
    if new:
        owned = await _claim_new(context, round_, new, stack)
        # Whoever held a claim below one of them may have put it into the index until we got ours.
        await context.settle_index()
        rows.update(zip(owned, await context.read_rows(owned), strict=True))
    adopted: set[str] = set()
    kin = await find_kin(context, [section.listing for section in new])
    await _read_mirrored(context, [section for section in new if section.is_owned])
    for section in sections:
        row = rows[section.path]
        if row is not None or section.is_owned or section.visit.discover:
            await _compare_folder(context, round_, section, row, adopted, kin)
    await _write_markers(context, round_, [section for section in sections if section.mark and section.is_judged])


async def _claim_new(context: SyncContext, round_: Round, sections: list[_Section], stack: AsyncExitStack) -> list[str]:
    """Claim folders that are not in the index, those that nobody else is busy in; the others are visited again."""
    free = []
    for section in sections:
        if section.watch.is_upset or context.claims.is_claimed(section.path):
            round_.retry(section.visit)
        else:
            section.is_owned = True
            free.append(section.path)
    if free:
        await stack.enter_async_context(context.claims.claim(*free))
    return free


async def _read_mirrored(context: SyncContext, sections: list[_Section]) -> None:
    """Ask in one hop what is mirrored beside the files of new folders; a large folder asks for itself, in parts."""
    small = [section for section in sections if section.listing.count <= SMALL_FOLDER]
    entries = [(section.path, entry.name) for section in small for entry in section.listing.entries or ()]
    found = await read_mirrored(context, [path + name for path, name in entries if not is_folder(name)])
    for section in small:
        section.mirrored = found


async def _compare_folder(
    context: SyncContext, round_: Round, section: _Section, row: Node | None, adopted: set[str], kin: Kin
) -> None:
    """Find out which folder it is and how its rows differ; children come page by page."""
    path, listing = section.path, section.listing
    if not path and row is not None and not round_.accept and await is_stranger(context, row, listing):
        round_.tally.held = explain_empty_root(context.config.name, context.config.place)
        return
    if section.visit.is_settled and row is not None:
        identity = Identity(row.uuid, mark=context.uses_markers and listing.marker != row.uuid)
    else:
        identity = await identify_folder(context, listing, row, kin)
    if identity.source is not None and path:
        round_.relocations[path] = identity.uuid
        if row is not None:
            _discover_below(round_, listing)
        return
    if identity.is_foreign and path:
        round_.foreign[path] = None
    if section.visit.discover or (identity.is_foreign and path):
        _discover_below(round_, listing)
        return
    if row is None and identity.uuid in adopted:
        # Two new folders carry one marker: the first one has it, this one is the copy.
        identity = Identity(new_uuid(), mark=context.uses_markers)
    adopted.add(identity.uuid)
    section.is_judged = True
    section.mark = identity.uuid if identity.mark and listing.complete else ""
    facts = None if listing.facts.is_void else folder_facts(listing.facts)
    if row is None:
        section.steps.append(Step(path, PutFolder(path, identity.uuid, facts), "created"))
    elif (facts is not None and row.facts != facts) or row.uuid != identity.uuid:
        section.steps.append(Step(path, PutFolder(path, identity.uuid, facts)))
    if listing.entries is not None:
        await _compare_children(context, round_, section, is_known=row is not None)


def _discover_below(round_: Round, listing: Listing) -> None:
    """Another folder stands where the index has one: see whether that one is found somewhere in it."""
    for entry in listing.entries or ():
        if is_folder(entry.name):
            round_.visits.append(Visit(listing.key + entry.name, discover=True))


async def _compare_children(context: SyncContext, round_: Round, section: _Section, *, is_known: bool) -> None:
    if not is_known:
        await _take_diff(context, round_, section, find_new(section.path, section.listing.entries or ()))
        return
    differ = FolderDiffer(section.listing)
    after = ""
    while True:
        try:
            rows = await context.index.list_children(section.path, after, ROWS_A_PAGE)
        except NotFound:
            # Somebody moved or deleted the folder meanwhile.
            section.is_judged = False
            round_.retry(section.visit)
            return
        await _take_diff(context, round_, section, differ.compare(rows))
        if len(rows) < ROWS_A_PAGE:
            break
        after = rows[-1].path[len(section.path) :]
    await _take_diff(context, round_, section, differ.rest())


async def _take_diff(context: SyncContext, round_: Round, section: _Section, diff: FolderDiff) -> None:
    """Turn a diff into steps, and what has to wait into notes of the round."""
    for path, facts in diff.quiet:
        operation = PutFolder(path, facts=folder_facts(facts)) if is_folder(path) else PutLeaf(path, facts)
        section.steps.append(Step(path, operation))
    for path in [*diff.new_folders, *diff.moved_in]:
        round_.visits.append(Visit(path))
    section.has_new |= bool(diff.new_folders or diff.moved_in)
    for path in diff.gone:
        round_.gone[path] = None
    for path in diff.replaced:
        round_.replaced[path] = None
    for row, _ in diff.touched:
        round_.leaves[row.path] = None
    section.waits |= bool(diff.gone or diff.replaced or diff.touched)
    section.steps += await describe_files(context, [(row.path, facts) for row, facts in diff.changed], "updated")
    # In the order in which the index stores them: it grows at its end then.
    diff.new_files.sort(key=_NAME)
    for start in range(0, len(diff.new_files), FILES_A_BATCH):
        await _take_new_files(context, round_, section, diff.new_files[start : start + FILES_A_BATCH])


async def _take_new_files(context: SyncContext, round_: Round, section: _Section, files: list[Entry]) -> None:
    """New files; those that seem to have been moved here are looked at one by one, under claims on both places."""
    if not round_.bulk:
        sources = await find_sources(context, [(section.path + entry.name, entry.facts) for entry in files])
        round_.leaves.update(dict.fromkeys(sources))
        section.waits |= bool(sources)
        files = [entry for entry in files if section.path + entry.name not in sources] if sources else files
    section.steps += await describe_crowd(context, section.path, files, section.mirrored)
    if sum(step.weight for step in section.steps) >= NODES_A_PATCH and not section.mark:
        await asyncio.gather(*await _apply(context, round_, [section], is_last=False))


async def _write_markers(context: SyncContext, round_: Round, sections: list[_Section]) -> None:
    """Write missing markers before the rows: after a crash between the two the marker is adopted.

    Writing changes the folder's ctime, so the one after it is taken; that is safe because the mtime is kept by the
    writer and tells whether an entry came or went meanwhile.
    """
    if round_.dry_run or not sections:
        return
    times = await context.mark_folders([(section.path, section.mark) for section in sections])
    for section, now in zip(sections, times, strict=True):
        if now is not None and now[0] == section.listing.mtime_ns:
            section.listing = msgspec.structs.replace(section.listing, ctime_ns=now[1])


async def _apply(
    context: SyncContext, round_: Round, sections: Sequence[_Section], *, is_last: bool
) -> list[Awaitable[tuple[NodeEvent, ...]]]:
    """Submit what may be applied of these sections. Nothing is awaited between the check of a watch and the place in
    the order of patches; the results are to be awaited by the caller."""
    steps: list[Step] = []
    for section in sections:
        if not section.is_judged:
            continue
        if section.is_upset:
            round_.retry(section.visit)
            continue
        if section.is_owned or not section.watch.touched:
            steps += section.steps
        else:
            for step in section.steps:
                left, touched = step.without(section.watch.touched)
                round_.leaves.update(dict.fromkeys(touched))
                section.waits |= bool(touched)
                if left is not None:
                    steps.append(left)
        section.steps = []
        if is_last:
            _finish_section(round_, section, steps)
    patches = [round_.patch(part) for part in _slice_steps(steps)]
    return [context.index.submit(patch) for patch in patches if patch is not None]


def _slice_steps(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Parts of about ``NODES_A_PATCH`` nodes."""
    part: list[Step] = []
    weight = 0
    for step in steps:
        part.append(step)
        weight += step.weight
        if weight >= NODES_A_PATCH:
            yield part
            part, weight = [], 0
    if part:
        yield part


def _finish_section(round_: Round, section: _Section, steps: list[Step]) -> None:
    """Store what the folder's rows are known to equal now, unless something of it is still to come."""
    touched = bool(section.watch.touched) and not section.is_owned
    state = FolderScanned(section.path, 0, 0) if section.waits or touched else _state_of(section.listing)
    if section.has_new:
        round_.deferred.append(state)
    else:
        steps.append(Step(section.path, state))
