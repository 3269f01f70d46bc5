"""Comparing trees: the walk over known folders, and the order in which a round is brought to its end."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import structlog

from cellsmono.datasource.sync.context import SyncContext
from cellsmono.datasource.sync.folders import visit_folders
from cellsmono.datasource.sync.leaves import look_at_leaves
from cellsmono.datasource.sync.relocation import relocate_folders
from cellsmono.datasource.sync.removal import check_root, outermost, remove_gone
from cellsmono.datasource.sync.round import Round, Visit
from cellsmono.interfaces.index import FolderState
from cellsmono.interfaces.patch import FolderScanned, Patch
from cellsmono.interfaces.paths import ancestors_of, is_below
from cellsmono.interfaces.sync import Progress, ResyncOptions, ResyncReport
from cellsmono.kernel.errors import CellsError, NotFound

log = structlog.get_logger("cellsmono.sync")

FOLDERS_A_PAGE = 5000
FOLDERS_A_STAT = 1000
FEWEST_A_SCAN = 4
MOST_A_SCAN = 128
SCAN_SECONDS = 0.05
"""How long one hop to a thread may take: then other requests get their turn."""

MOST_PASSES = 50
"""How often what was found out may call for another look. Listing new folders, and waiting for those who are at work in
one, do not count: a deep tree that two rounds explore at once takes any number of them, and each ends by itself."""


class Pace:
    """How many folders are listed in one hop: as many as fit into ``SCAN_SECONDS``."""

    def __init__(self) -> None:
        self.size = 16

    def note(self, folders: int, seconds: float) -> None:
        """Learn from a batch that was done."""
        if seconds > 2 * SCAN_SECONDS:
            self.size = max(FEWEST_A_SCAN, self.size // 2)
        elif seconds < SCAN_SECONDS and folders >= self.size:
            self.size = min(MOST_A_SCAN, self.size * 2)


class TreeWalk:
    """Brings one round to its end: visits, moves, single files, and at last deletions.

    ``on_folder`` is called after each batch with a path, for progress. ``is_patient``: large folders that were listed
    a moment ago may wait. ``missed`` collects folders whose times had changed although their rows were thought to be
    up to date.
    """

    def __init__(
        self,
        context: SyncContext,
        round_: Round,
        on_folder: Callable[[str], None] | None = None,
        *,
        is_patient: bool = False,
    ) -> None:
        self._context = context
        self._is_patient = is_patient
        self._round = round_
        self._pace = Pace()
        self._on_folder = on_folder
        self.seen_folders = 0
        self.missed: list[tuple[str, int]] = []

    async def walk(self, path: str, *, full: bool) -> None:
        """Compare a known folder and every known folder below it; new ones are visited as they are found."""
        async for states in self._pages(path):
            for start in range(0, len(states), FOLDERS_A_STAT):
                part = states[start : start + FOLDERS_A_STAT]
                if not full:
                    part = await self._changed(part)
                visits = [Visit(state.path, state.fingerprint, state.mtime_ns, state.ctime_ns) for state in part]
                await self._visit_all(visits)

    async def settle(self, *, full: bool = False) -> None:
        """Carry over everything that was noted in the round, but for what is gone."""
        round_ = self._round
        passes = 0
        while passes < MOST_PASSES:
            passes += not (round_.busy or round_.visits)
            if round_.busy:
                await self._wait_for_busy()
            elif round_.visits:
                visits, round_.visits = round_.visits, []
                await self._visit_all(visits)
            elif round_.walks:
                walks, round_.walks = round_.walks, {}
                for folder in outermost(set(walks)):
                    await self.walk(folder, full=full)
            elif round_.relocations:
                await relocate_folders(self._context, round_)
            elif round_.leaves:
                leaves, round_.leaves = round_.leaves, {}
                await look_at_leaves(self._context, round_, leaves)
            elif round_.foreign:
                await self._settle_foreign()
            elif round_.displaced:
                round_.leaves, round_.displaced = round_.displaced, {}
            else:
                break
        else:
            log.warning("what is on the storage does not settle", datasource=self._context.config.name)
            round_.has_given_up = True
        await self._apply_deferred()

    async def remove(self, *, with_gone: bool = True) -> None:
        """Delete the rows of what was replaced, and of what is gone."""
        round_ = self._round
        paths = [*round_.replaced, *(round_.gone if with_gone else ())]
        if round_.dry_run:
            paths = [path for path in paths if not any(is_below(path, each) for each in round_.moved_from)]
        round_.replaced.clear()
        if with_gone:
            round_.gone.clear()
        if paths:
            await remove_gone(self._context, round_, paths)

    async def _pages(self, path: str) -> AsyncIterator[list[FolderState]]:
        after = ""
        while True:
            states = await self._context.index.list_folder_states(path, after, FOLDERS_A_PAGE)
            if states:
                yield states
            if len(states) < FOLDERS_A_PAGE:
                return
            after = states[-1].path

    async def _changed(self, states: list[FolderState]) -> list[FolderState]:
        """Of these folders, those whose times are not the ones that were stored."""
        context = self._context
        paths = [state.path for state in states]
        times = await context.objects.stat_folders(context.bucket, paths)
        found = []
        for state, now in zip(states, times, strict=True):
            if now is None:
                self._round.gone[state.path] = None
            elif now == (0, 0) or now != (state.mtime_ns, state.ctime_ns):
                if self._is_patient and not context.relists.is_due(state.path, context.clock.monotonic()):
                    continue
                found.append(state)
                if state.mtime_ns and not context.relists.is_large(state.path):
                    self.missed.append((state.path, now[0]))
        self._note(len(states) - len(found), paths[-1] if paths else "")
        self._round.tally.folders += len(states) - len(found)
        return found

    async def _visit_all(self, visits: list[Visit]) -> None:
        """Visit these folders and all new ones below them, depth first, so that the stack stays small."""
        stack = list(reversed(visits))
        context, round_ = self._context, self._round
        while stack:
            size = self._pace.size
            batch, stack = stack[-size:][::-1], stack[:-size]
            unique = list({visit.path: visit for visit in batch}.values())
            began = context.clock.monotonic()
            await visit_folders(context, round_, unique)
            self._pace.note(len(unique), context.clock.monotonic() - began)
            self._note(len(unique), unique[-1].path)
            stack.extend(reversed(round_.visits))
            round_.visits.clear()

    def _note(self, folders: int, path: str) -> None:
        self.seen_folders += folders
        if self._on_folder is not None and folders:
            self._on_folder(path)

    async def _settle_foreign(self) -> None:
        """Folders of unknown origin stand where the index has others: whose row is still there keeps the path.

        Its UUID was claimed by no other place in this round, so the index wins: the next visit takes the inode over and
        rewrites the marker.
        """
        context, round_ = self._context, self._round
        foreign = sorted(round_.foreign)
        round_.foreign.clear()
        await context.settle_index()
        if not round_.dry_run:
            round_.visits += [Visit(path, is_settled=True) for path in foreign]

    async def _wait_for_busy(self) -> None:
        """Wait for those who were at work in these folders, then visit the folders again."""
        busy, self._round.busy = self._round.busy, {}
        for path, visit in busy.items():
            async with self._context.claims.claim(path):
                pass
            self._round.visits.append(visit)

    async def _apply_deferred(self) -> None:
        """Store the state of folders with new sub folders, as far as they are still in the index."""
        context, round_ = self._context, self._round
        deferred, round_.deferred = round_.deferred, []
        if round_.dry_run or not deferred or round_.unfinished:
            return
        rows = await context.read_rows([each.path for each in deferred])
        known: tuple[FolderScanned, ...] = tuple(
            each for each, row in zip(deferred, rows, strict=True) if row is not None
        )
        if known:
            await context.index.apply(Patch(known, origin=round_.origin))


class Resync:
    """One resync of one subtree, from the request to the report."""

    def __init__(
        self,
        context: SyncContext,
        path: str,
        options: ResyncOptions,
        progress: Callable[[Progress], None] | None = None,
        *,
        is_patient: bool = False,
    ) -> None:
        self._context = context
        self._path = path
        self._options = options
        self._progress = progress
        self._round = Round("resync", dry_run=options.dry_run, accept=options.accept_deletes)
        self._walk = TreeWalk(context, self._round, self._tell, is_patient=is_patient)
        self._began = context.clock.monotonic()
        self._total = 0

    @property
    def missed(self) -> list[tuple[str, int]]:
        """Folders (with their mtime) that had changed although their rows were thought to be up to date."""
        return self._walk.missed

    @property
    def round(self) -> Round:
        """What was found, and what is left to be looked at again."""
        return self._round

    async def run(self) -> ResyncReport:
        """Compare, repair, report."""
        await check_root(self._context)
        try:
            await self._begin(self._path)
            await self._walk.settle(full=self._options.full)
            await self._walk.remove()
        except BaseException:
            with suppress(CellsError):
                await self._end_bulk()
            raise
        await self._end_bulk()
        return self.report()

    async def _end_bulk(self) -> None:
        """A first import is one event, also when it ends early."""
        if self._round.bulk and not self._round.dry_run:
            await self._context.index.apply(Patch((), self._round.origin, bulk=True))

    async def _begin(self, path: str) -> None:
        """Note where to look first."""
        context, round_ = self._context, self._round
        bare = path.rstrip("/")
        folder = bare + "/" if bare else ""
        rows = await context.read_rows([bare, folder] if bare else [""])
        (entry,) = await context.look([bare]) if bare else [None]
        if bare and entry is None and not any(rows):
            raise NotFound(f"There is nothing at {path!r}, neither on the storage nor in the index.", path=path)
        stats = await context.index.stats()
        if not bare:
            round_.bulk = not (stats.files or stats.folders)
        if bare:
            round_.leaves[bare] = None
        if rows[-1] is not None:
            self._total = 1 + (await context.index.usage(folder)).folders if not round_.bulk else 0
            round_.leaves.clear()
            if round_.bulk:
                round_.visits.append(Visit(folder))
            else:
                round_.walks[folder] = None
        elif bare:
            for above in ancestors_of(bare):
                if (await context.read_rows([above]))[0] is None:
                    round_.leaves = {above.rstrip("/"): None}
                    break

    def _tell(self, path: str) -> None:
        if self._progress is None:
            return
        spent = max(self._context.clock.monotonic() - self._began, 1e-6)
        done = self._walk.seen_folders
        rate = done / spent
        left = max(0, self._total - done)
        eta = left / rate if self._total and rate else None
        self._progress(
            Progress(done, max(self._total, done) if self._total else 0, self._round.tally.entries, rate, eta, path)
        )

    def report(self, *, cancelled: bool = False) -> ResyncReport:
        """What was found so far."""
        tally = self._round.tally
        return ResyncReport(
            path=self._path,
            folders=tally.folders,
            entries=tally.entries,
            created=tally.created,
            updated=tally.updated,
            moved=tally.moved,
            deleted=tally.deleted,
            skipped_total=tally.skipped_total,
            skipped=tuple(tally.skipped.values()),
            seconds=self._context.clock.monotonic() - self._began,
            held=tally.held,
            cancelled=cancelled,
            dry_run=self._options.dry_run,
            changes=tuple(tally.changes),
        )
