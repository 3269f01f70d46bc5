"""The synchronizer of one datasource: everything that changes the index because of the storage goes through here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager

import structlog

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.sync.aggregator import Aggregator, Batch, Hint
from cellsmono.datasource.sync.canary import Canary
from cellsmono.datasource.sync.context import SyncContext, SyncStore
from cellsmono.datasource.sync.hints import read_changes, read_keys
from cellsmono.datasource.sync.polling import choose_pause, longest_pause, visit_blind_spots
from cellsmono.datasource.sync.removal import outermost
from cellsmono.datasource.sync.resync import Resync, TreeWalk
from cellsmono.datasource.sync.round import Round, Visit
from cellsmono.datasource.sync.schedule import Schedule
from cellsmono.datasource.sync.watcher import Change, Watcher
from cellsmono.datasource.sync.watching import WatchKeeper
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.node import Facts
from cellsmono.interfaces.paths import ancestors_of, parent_of
from cellsmono.interfaces.sync import Progress, ResyncOptions, ResyncReport, SyncState, SyncStatus
from cellsmono.kernel.clock import Clock, SystemClock
from cellsmono.kernel.errors import CellsError, Forbidden, Unavailable

BURST = 500
"""Hints at once from which on events may have been lost by the kernel: each file made is three of them there."""

HOLD_SECONDS = 0.2
"""How long an entry that vanished is kept, so that the other half of its rename can arrive."""

WATCH_START_SECONDS = 120.0
"""How long the second comparison waits for the watcher: it registers every folder first."""

log = structlog.get_logger("cellsmono.sync")


class Synchronizer:
    """See ``interfaces.sync.Syncer``. ``lifespan()`` runs the background loops; the methods work without it, too."""

    def __init__(
        self,
        config: DatasourceConfig,
        objects: SyncStore,
        index: NodeIndex,
        claims: Claims,
        *,
        clock: Clock | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.config = config
        self._clock = clock or SystemClock()
        self._context = SyncContext(config, objects, index, claims, self._clock)
        self._hints = Aggregator()
        self._held: dict[str, float] = {}
        self._resync_lock = asyncio.Lock()
        self._round_lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._schedule = Schedule(config, self._clock)
        self._canary = Canary()
        self._watch = WatchKeeper(config, objects, self._take_changes, self._lose_events, watcher)
        self._state = SyncState.STOPPED
        self._is_reconciled = False
        self._is_scanning = False
        self._first_done = asyncio.Event()
        self._stirred: list[asyncio.Future[None]] = []
        self._offline = ""
        self._held_reason = ""
        self._last_reconciled = 0.0
        self._last_report: ResyncReport | None = None
        self._last_error = ""
        self._at_work_since: float | None = None

    # --- interface

    async def ingest(self, paths: Iterable[str]) -> int:
        """See ``Syncer.ingest``."""
        keys = {path.rstrip("/"): True for path in paths}
        round_ = Round("watch")
        await self._look(round_, keys, hold=False)
        return round_.tally.changed

    async def resync(
        self,
        path: str = "",
        options: ResyncOptions = ResyncOptions(),
        progress: Callable[[Progress], None] | None = None,
    ) -> ResyncReport:
        """See ``Syncer.resync``."""
        return await self._resync(path, options, progress)

    async def _resync(
        self,
        path: str = "",
        options: ResyncOptions = ResyncOptions(),
        progress: Callable[[Progress], None] | None = None,
        *,
        is_patient: bool = False,
    ) -> ResyncReport:
        """The one road to a ``Resync``; ``is_patient``: see ``TreeWalk``."""
        async with self._resync_lock:
            self._is_scanning = True
            resync = Resync(self._context, path, options, progress, is_patient=is_patient)
            try:
                report = await resync.run()
            except BaseException as error:
                self._note_failure(error)
                if isinstance(error, asyncio.CancelledError):
                    self._last_report = resync.report(cancelled=True)
                raise
            finally:
                self._is_scanning = False
            self._note_report(report, resync)
            self._look_again(resync.round, resync.round.stayed_busy)
            return report

    def status(self) -> SyncStatus:
        """See ``Syncer.status``."""
        oldest = [at for at in (self._hints.oldest, self._at_work_since, *list(self._held.values())[:1]) if at]
        lag = max(0.0, self._clock.monotonic() - min(oldest)) if oldest else 0.0
        state, detail = self._tell_state()
        return SyncStatus(
            state=state,
            detail=detail,
            last_reconciled=self._last_reconciled,
            pending=len(self._hints) + len(self._held),
            lag=lag,
            watcher=self._watch.kind,
            skipped=self._count_skipped(),
            last_report=self._last_report,
            last_error=self._last_error,
        )

    def _count_skipped(self) -> dict[str, int]:
        counts = dict(self._context.skipped)
        if self._context.unmarkable:
            counts["marker"] = len(self._context.unmarkable)
        return counts

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Watch and reconcile in the background while entered; leaving finishes what is at work."""
        self._state = SyncState.STARTING
        loops = [
            asyncio.create_task(run(), name=f"sync {self.config.name}: {name}")
            for name, run in (
                ("watch", self._watch.run),
                ("ingest", self._run_ingest),
                ("reconcile", self._run_reconcile),
                ("blind spots", self._run_blind_spots),
            )
        ]
        try:
            yield
        finally:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            self._state = SyncState.STOPPED

    async def wait_until_followed(self) -> None:
        """Wait until the first comparison is done and the watcher (if there is to be one) has begun."""
        await self._first_done.wait()
        await self._watch.wait_until_begun()

    async def wait_for_state(self, state: SyncState) -> None:
        """Wait until the synchronizer is in this state."""
        while self.status().state is not state:
            stirred: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._stirred.append(stirred)
            await stirred

    def _stir(self) -> None:
        """Something was done: whoever waits for a state looks again."""
        stirred, self._stirred = self._stirred, []
        for each in stirred:
            if not each.done():
                each.set_result(None)

    # --- hints

    def hint(self, hints: Iterable[Hint]) -> None:
        """Take hints in; they are looked at after a quiet delay."""
        self._hints.add(hints, self._clock.monotonic())
        self._wake.set()

    def look_soon(self, told: Iterable[tuple[str, Facts | None]]) -> None:
        """See ``Syncer.look_soon``."""
        self.hint(read_keys(self._context, told))

    def _take_changes(self, changes: Sequence[Change]) -> None:
        """What the watcher told, as keys."""
        hints = read_changes(self._context, changes, self._announce)
        if hints:
            self.hint(hints)
        if len(changes) >= BURST:
            self._schedule.suspect()

    def _announce(self, key: str) -> None:
        """Remember that the watcher spoke of this key, to tell later whether it missed something."""
        self._canary.hear(parent_of(key))
        self._canary.hear(key + "/" if key else "")

    def _lose_events(self, reason: str) -> None:
        """Events may have been lost: compare everything."""
        self._last_error = reason
        self._canary.doubt()
        self._schedule.doubt()

    async def settle(self) -> None:
        """Look at everything that was hinted so far now, without waiting for quiet, until nothing is left to do."""
        while len(self._hints) or self._held:
            batch = self._hints.take(self._clock.monotonic(), force=True)
            if batch is not None:
                await self._ingest_batch(batch)
            else:
                await self._delete_held(float("inf"))

    async def _run_ingest(self) -> None:
        while True:
            now = self._clock.monotonic()
            dues = [due for due in (self._hints.next_due(), *self._held.values()) if due is not None]
            if not dues or min(dues) > now:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), min(dues) - now if dues else None)
                continue
            try:
                batch = self._hints.take(now)
                if batch is not None:
                    await self._ingest_batch(batch)
                await self._delete_held(self._clock.monotonic())
            except Exception as error:
                self._note_failure(error)
                self._schedule.doubt()

    async def _ingest_batch(self, batch: Batch) -> None:
        self._at_work_since = batch.since
        try:
            if batch.flood:
                log.info("many changes at once, comparing everything", datasource=self.config.name)
                await self.resync()
                self._schedule.doubt()
                return
            await self._look(Round("watch"), batch.paths, hold=True)
            if len(batch.paths) >= BURST:
                self._schedule.suspect()
        finally:
            self._at_work_since = None

    async def _look(self, round_: Round, keys: dict[str, bool], *, hold: bool) -> None:
        """The one funnel: look at these keys and carry over what is there; ``hold`` waits with deletions."""
        context = self._context
        walk = TreeWalk(context, round_)
        wanted = await self._widen(keys)
        if "" in wanted:
            round_.visits.append(Visit(""))
        round_.leaves.update(dict.fromkeys(key for key in wanted if key))
        await walk.settle()
        await walk.remove(with_gone=not hold)
        if hold:
            due = self._clock.monotonic() + HOLD_SECONDS
            for path in outermost(set(round_.gone)):
                self._held.setdefault(path, due)
        self._note_round(round_)

    async def _widen(self, keys: dict[str, bool]) -> set[str]:
        """Put in the place of a key its outermost folder that the index does not know: that is scanned whole."""
        above = sorted({folder for key in keys for folder in ancestors_of(key)})
        rows = await self._context.read_rows(above)
        unknown = {folder for folder, row in zip(above, rows, strict=True) if row is None}
        if not unknown:
            return set(keys)
        return {next((a.rstrip("/") for a in ancestors_of(key) if a in unknown), key) for key in keys}

    async def _delete_held(self, now: float) -> None:
        due = [path for path, at in self._held.items() if at <= now]
        if not due:
            return
        for path in due:
            del self._held[path]
        round_ = Round("watch")
        round_.gone = dict.fromkeys(due)
        await TreeWalk(self._context, round_).remove()
        self._note_round(round_)

    def _note_round(self, round_: Round) -> None:
        tally = round_.tally
        self._stir()
        if tally.held:
            self._held_reason = tally.held
            log.warning("deletions are held", datasource=self.config.name, reason=tally.held)
        self._look_again(round_, round_.unfinished)

    def _look_again(self, round_: Round, left: Collection[str]) -> None:
        """Have what a round left seen by another one; not at once where it found no end by itself."""
        if left:
            self.hint(Hint(path.rstrip("/"), True) for path in left)
        if round_.has_given_up:
            self._schedule.doubt()

    # --- schedule

    async def _run_reconcile(self) -> None:
        """At once, again when the watcher has begun (what happened in between is not known), then by the schedule.

        When somebody doubts that all events came, everything is compared, but not so often that it never rests.
        """
        await self._reconcile(full=False)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._watch.wait_until_begun(), WATCH_START_SECONDS)
        await self._reconcile(full=self._schedule.wants_full)
        self._first_done.set()
        while True:
            full = await self._schedule.wait(is_polling=self._watch.is_polling)
            await self._reconcile(full=full, is_patient=not full)

    async def _run_blind_spots(self) -> None:
        """Look often at the few folders that the watcher can not watch."""
        took = 0.0
        while True:
            await asyncio.sleep(choose_pause(took, longest_pause(self.config)))
            folders = self._watch.blind_spots()
            if not folders or not self._is_reconciled:
                continue
            began = self._clock.monotonic()
            try:
                self._note_round(await visit_blind_spots(self._context, folders))
            except Exception as error:
                self._note_failure(error)
            took = self._clock.monotonic() - began

    async def _reconcile(self, *, full: bool, is_patient: bool = False) -> None:
        began = self._clock.monotonic()
        changed = True
        try:
            options = ResyncOptions(full=full and not self._context.has_full_times)
            changed = (await self._resync("", options, is_patient=is_patient)).changed > 0
        except CellsError as error:
            log.warning("reconciling failed", datasource=self.config.name, error=error.message)
        except Exception:
            log.exception("reconciling failed", datasource=self.config.name)
        await self._watch.check_root()
        self._schedule.note(began, full=full, changed=changed)
        self._stir()

    def _note_report(self, report: ResyncReport, resync: Resync) -> None:
        self._last_report = report
        if report.dry_run:
            return
        self._offline = ""
        if report.path == "":
            self._question_watcher(resync)
            self._held_reason = report.held
            self._is_reconciled = True
            self._last_reconciled = self._clock.time()
            self._last_error = ""
            self._context.skipped.clear()
            for skipped in report.skipped:
                self._context.skipped[skipped.reason] += 1
        elif report.held:
            self._held_reason = report.held

    def _question_watcher(self, resync: Resync) -> None:
        """A change that was found now and never announced means that the watcher lost events without a word."""
        missed = self._canary.find_missed(resync.missed, self._clock.time_ns())
        missed = [folder for folder in missed if self._watch.covers(folder)]
        if missed:
            log.warning("the watcher missed changes", datasource=self.config.name, folders=len(missed), first=missed[0])
            self._watch.restart()
        self._canary.begin(is_watching=self._watch.is_watching and not missed)

    def _note_failure(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            return
        self._last_error = error.message if isinstance(error, CellsError) else f"{type(error).__name__}: {error}"
        if isinstance(error, Unavailable | Forbidden):
            self._offline = error.message

    def _tell_state(self) -> tuple[SyncState, str]:
        if self._state is SyncState.STOPPED:
            return SyncState.STOPPED, ""
        if self._offline:
            return SyncState.OFFLINE, self._offline
        if self._held_reason:
            return SyncState.HELD, self._held_reason
        if self._is_scanning and not self._is_reconciled:
            return SyncState.SCANNING, "first comparison with the storage"
        if self._watch.degraded:
            return SyncState.DEGRADED, self._watch.degraded
        if not self._is_reconciled:
            return SyncState.STARTING, ""
        blind = len(self._watch.blind_spots())
        return SyncState.WATCHING, f"({blind} folders are polled: they hold names that are not UTF-8)" if blind else ""
