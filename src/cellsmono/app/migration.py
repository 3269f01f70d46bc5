"""Migrations of the datasources of one installation: what is asked, in which order things happen, and the switch."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from cellsmono.app.migration_report import describe, with_removal
from cellsmono.app.migration_target import make_target
from cellsmono.app.settings import Settings
from cellsmono.app.snapshots import Snapshots
from cellsmono.datasource.build import Datasources, Triple
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.carrying import carry_snapshots, list_to_carry, remove_carried, remove_copies
from cellsmono.datasource.migration.journal import Journal
from cellsmono.datasource.migration.planning import check_room, count_needed, find_problems, find_room, refuse_versions
from cellsmono.datasource.migration.progress import Meter, ignore_progress
from cellsmono.datasource.migration.removing import Removal, count_lost, remove_source, remove_target
from cellsmono.datasource.migration.run import Follow, Migration, Outcome
from cellsmono.datasource.migration.side import check_empty, open_source, open_target
from cellsmono.datasource.migration.state import describe_hold, is_same_place, is_withheld
from cellsmono.datasource.versions.kept import Kept
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.interfaces.migration import (
    MigrationAction,
    MigrationOptions,
    MigrationPhase,
    MigrationProgress,
    MigrationReport,
    MigrationState,
)
from cellsmono.interfaces.sealing import KeyVault
from cellsmono.interfaces.sync import ResyncOptions, SyncState
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Conflict, Invalid, NotFound
from cellsmono.kernel.log import get_logger

log = get_logger("migration")

Progress = Callable[[MigrationProgress], None]
_ATTEMPTS = 3
_NOT_NOW = (SyncState.STARTING, SyncState.SCANNING, SyncState.HELD, SyncState.OFFLINE)


class Migrations:
    """What ``Operations.migrate`` does. One at a time for each datasource; the others get an error."""

    def __init__(
        self, datasources: Datasources, settings: Settings, snapshots: Snapshots, clock: Clock, vault: KeyVault
    ) -> None:
        self._vault = vault
        self._datasources = datasources
        self._settings = settings
        self._snapshots = snapshots
        self._clock = clock
        self._busy: set[str] = set()

    def refuse_busy(self, name: str) -> None:
        """Raise Conflict (reason ``migration``) for a datasource that must stay as it is for its migration."""
        state = self._datasources.migration(name).read()
        if name in self._busy or is_withheld(state):
            raise Conflict(
                f"The datasource {name!r} is being migrated. Wait for the end of that, or go on with it: `cellsmono ds "
                f"migrate {name}`",
                reason="migration",
                path=name,
            )

    async def migrate(self, name: str, options: MigrationOptions, progress: Progress | None = None) -> MigrationReport:
        """See ``Operations.migrate``."""
        config = next((each for each in self._datasources.configs() if each.name == name), None)
        if config is None:
            raise NotFound(f"There is no datasource {name!r}", reason="root", path=name)
        if name in self._busy:
            self.refuse_busy(name)
        self._busy.add(name)
        try:
            act = {
                MigrationAction.PLAN: self._plan,
                MigrationAction.RUN: self._run,
                MigrationAction.FINISH: self._finish,
                MigrationAction.ABORT: self._abort,
            }[options.action]
            begun = self._clock.monotonic()
            report = await act(config, options, Meter(progress or ignore_progress, self._clock))
        finally:
            self._busy.discard(name)
        return msgspec.structs.replace(report, seconds=self._clock.monotonic() - begun)

    # --- before

    def _agree(self, config: DatasourceConfig, options: MigrationOptions) -> tuple[MigrationState, bool]:
        """The migration that is meant, and whether it was begun before. Raises Conflict, Invalid."""
        state = self._datasources.migration(config.name).read()
        if state is None:
            target = make_target(config, options)
            self._datasources.check_target(target)
            return MigrationState(phase=MigrationPhase.COPYING, source=config, target=target, move=options.move), False
        name = config.name
        if state.phase is MigrationPhase.SWITCHED:
            raise Conflict(
                f"{name!r} was migrated from {state.source.place}, where everything still is. `cellsmono ds migrate "
                f"{name} --finish` removes it there; then {name!r} can be migrated again.",
                reason="migration",
            )
        if state.phase is MigrationPhase.ABORTING:
            raise Conflict(
                f"The migration of {name!r} is being aborted: `cellsmono ds migrate {name} --abort` goes on with that.",
                reason="migration",
            )
        if options.target or options.format is not None:
            asked = make_target(state.source, options)
            if not is_same_place(asked, state.target) or options.move != state.move:
                raise Conflict(
                    f"{name!r} is on its way to {state.target.place} ({state.target.format}"
                    f"{', --move' if state.move else ''}). `cellsmono ds migrate {name}` goes on with that, "
                    f"`cellsmono ds migrate {name} --abort` gives it up.",
                    reason="migration",
                )
        self._datasources.check_target(state.target)
        return state, True

    def _check_sync(self, name: str, triple: Triple) -> None:
        """Raise Conflict while the synchronizer is at something that must be done first."""
        if triple.store.sync is None:
            return
        status = triple.store.sync.status()
        if status.state in _NOT_NOW:
            raise Conflict(
                f"The synchronizer of {name!r} is {status.state}{f' ({status.detail})' if status.detail else ''}. A "
                f"datasource is migrated once it agrees with its storage: see `cellsmono ds show {name}`.",
                reason="sync",
                path=name,
            )

    async def _plan(self, config: DatasourceConfig, options: MigrationOptions, meter: Meter) -> MigrationReport:
        state, is_begun = self._agree(config, options)
        triple = self._datasources.inner(config.name)
        kept = await self._find_kept(state)
        await refuse_versions(state, triple.index, self._datasources.make_keeper(config.name))
        stats = await triple.index.stats()
        journal = await Journal.open(self._datasources.migration(config.name).journal) if is_begun else None
        try:
            async with (
                open_source(state.source, self._vault, kept=kept) as source,
                open_target(state.target, self._vault, make=False, kept=kept) as target,
            ):
                if not is_begun and await target.objects.has_bucket(target.bucket):
                    await check_empty(target)
                meter.begin("looking", stats.files)
                problems = await find_problems(source, target, triple.index, journal, meter)
                done = (0, 0) if journal is None else await journal.total()
                free = await find_room(target)
                if not state.move:
                    check_room(problems, free, await count_needed(target, triple.index, journal))
                snapshots = len(await source.objects.snapshots(source.bucket).list_files())
        finally:
            if journal is not None:
                await journal.close()
        report = await describe(state, options.action, triple, Outcome(None, problems, done, free))
        return msgspec.structs.replace(report, snapshots=snapshots, phase=state.phase if is_begun else None)

    # --- up to the switch

    async def _run(self, config: DatasourceConfig, options: MigrationOptions, meter: Meter) -> MigrationReport:
        state, is_begun = self._agree(config, options)
        if not is_begun:
            await self._begin(state)
        for _ in range(_ATTEMPTS):
            try:
                report = await self._run_held(state, meter, is_begun=is_begun)
            except _Outdated:
                continue
            if self._datasources.migration(config.name).read() is None:  # it came to nothing
                return msgspec.structs.replace(report, phase=None)
            if report.phase is MigrationPhase.SWITCHED and state.move:
                return with_removal(
                    msgspec.structs.replace(report, phase=None), await self._remove_source(state, meter)
                )
            return report
        raise _Outdated(f"{config.name!r} keeps changing; stop what writes to its storage, then go on.")

    async def _begin(self, state: MigrationState) -> None:
        """Make sure of the target, and remember what is to be done."""
        name = state.source.name
        self._check_sync(name, self._datasources.inner(name))
        async with open_target(state.target, self._vault) as target:
            await check_empty(target)
            self._datasources.migration(name).write(state)
        log.info("migration begun", datasource=name, source=state.source.place, target=state.target.place)

    async def _run_held(self, state: MigrationState, meter: Meter, *, is_begun: bool) -> MigrationReport:
        """Copy and switch, while the datasource takes no writes and nobody synchronizes it.

        In the end it is opened anew. A new migration that came to nothing is forgotten.
        """
        name = state.source.name
        triple = await self._datasources.hold(name, describe_hold(state), withhold=state.move)
        try:
            await refuse_versions(state, triple.index, self._datasources.make_keeper(name))
            outcome = await self._copy(state, triple, meter)
            report = await describe(state, MigrationAction.RUN, triple, outcome)
            if outcome.last is None:
                return report
            snapshots = await self._switch(state, triple, outcome.last)
            log.info("datasource migrated", datasource=name, target=state.target.place)
            return msgspec.structs.replace(report, phase=MigrationPhase.SWITCHED, snapshots=snapshots)
        finally:
            if self._datasources.is_open(triple):
                if not is_begun and await _is_untouched(state.target, self._vault):
                    self._datasources.migration(name).forget()
                await self._datasources.release(name)

    async def _copy(self, state: MigrationState, triple: Triple, meter: Meter) -> Outcome:
        files = self._datasources.migration(state.source.name)
        kept = await self._find_kept(state)
        journal = await Journal.open(files.journal)
        try:
            async with (
                open_source(state.source, self._vault, kept=kept) as source,
                open_target(state.target, self._vault, kept=kept) as target,
            ):
                follow = await self._follow(triple, compare=not state.move or not (await journal.total())[0])
                work = Migration(source, target, triple.index, journal, meter, moves=state.move, follow=follow)
                return await work.run(files.prepared)
        finally:
            await journal.close()

    async def _follow(self, triple: Triple, *, compare: bool) -> Follow | None:
        sync = triple.store.sync
        if sync is None:
            return None

        async def compare_all() -> int:
            report = await sync.resync("", ResyncOptions(full=True))
            if report.held:
                raise Conflict(
                    f"Files are missing at the source: {report.held}. `cellsmono ds resync {triple.store.config.name} "
                    "--accept-deletes` if that is meant; then go on.",
                    reason="sync",
                )
            return report.changed

        if compare:
            await compare_all()
        return Follow(sync.ingest, compare_all)

    async def _switch(self, state: MigrationState, triple: Triple, last: int) -> int:
        """Make the target what counts: one row of the configuration store decides. How many snapshots went along."""
        name = state.source.name

        async def commit() -> None:
            if await _read_last(self._datasources.index_path(name), name) != last:
                raise _Outdated(f"{name!r} was changed while it was switched; go on once more.", reason="changing")
            await self._settings.replace_datasource(state.target)

        async with self._snapshots.exclusive(name):
            snapshots = await self._carry_snapshots(state)
            for upload in await triple.store.list_uploads("", "", "", 1 << 30):
                await triple.store.abort_upload(upload.upload_id)
            await self._datasources.switch(name, state.target, commit)
        return snapshots

    async def _carry_snapshots(self, state: MigrationState) -> int:
        """Bring all snapshots to the target; which ones is written down before."""
        async with (
            open_source(state.source, self._vault) as source,
            open_target(state.target, self._vault) as target,
        ):
            snapshots = await list_to_carry(source, target, state.snapshots)
            state = msgspec.structs.replace(state, snapshots=tuple(snapshots))
            self._datasources.migration(state.source.name).write(state)
            await carry_snapshots(source, target, snapshots)
        return len(snapshots)

    # --- after

    async def _finish(self, config: DatasourceConfig, options: MigrationOptions, meter: Meter) -> MigrationReport:
        state = self._begun(config.name)
        if state.phase is not MigrationPhase.SWITCHED:
            raise Conflict(
                f"{config.name!r} is not switched to {state.target.place} yet: `cellsmono ds migrate {config.name}` "
                "goes on with that.",
                reason="migration",
            )
        self._datasources.check_target(state.source)  # it may be served under another name by now
        triple = self._datasources.triple(config.name)
        await self._verify(state, triple, meter)
        removal = await self._remove_source(state, meter, holds=True)
        log.info("migration finished", datasource=config.name, removed=removal.removed, left=removal.left_total)
        report = await describe(state, options.action, triple)
        return with_removal(msgspec.structs.replace(report, phase=None), removal)

    async def _verify(self, state: MigrationState, triple: Triple, meter: Meter) -> None:
        """Raise Conflict unless the target is whole."""
        name = state.source.name
        violations = await triple.index.verify()
        if violations:
            raise Conflict(f"The index of {name!r} contradicts itself ({violations[0]}); nothing was removed.")
        journal = await Journal.open(self._datasources.migration(name).journal)
        try:
            async with open_source(state.target, self._vault, kept=await self._find_kept(state)) as target:
                meter.begin("checking", (await journal.total())[0])
                lost = await count_lost(target, triple.index, journal, meter)
        finally:
            await journal.close()
        if lost:
            raise Conflict(
                f"{lost} files of {name!r} are not at {state.target.place} any more; nothing was removed from "
                f"{state.source.place}. `cellsmono ds check {name}` names them.",
                reason="altered",
            )

    async def _remove_source(self, state: MigrationState, meter: Meter, *, holds: bool = False) -> Removal:
        files = self._datasources.migration(state.source.name)
        kept = await self._find_kept(state)
        journal = await Journal.open(files.journal)
        try:
            async with open_source(state.source, self._vault, is_whole=False, holds=holds, kept=kept) as source:
                meter.begin("removing", (await journal.total())[0])
                if await source.objects.has_bucket(source.bucket):
                    await remove_carried(source, (files.read() or state).snapshots)
                removal = await remove_source(source, journal, meter)
        finally:
            await journal.close()
        files.forget()
        return removal

    async def _abort(self, config: DatasourceConfig, options: MigrationOptions, meter: Meter) -> MigrationReport:
        state, name = self._begun(config.name), config.name
        files = self._datasources.migration(name)
        if state.phase is MigrationPhase.SWITCHED:
            raise Conflict(
                f"{name!r} is switched to {state.target.place} already. Finish that (--finish), and migrate it back.",
                reason="migration",
            )
        journal = await Journal.open(files.journal)
        try:
            done = await journal.total()
            if state.move and done[0]:
                raise Conflict(
                    f"{done[0]} files of {name!r} were moved to {state.target.place} already and may be nowhere else: "
                    f"go on with `cellsmono ds migrate {name}`, then migrate it back.",
                    reason="migration",
                )
            files.write(msgspec.structs.replace(state, phase=MigrationPhase.ABORTING))
            triple = self._datasources.inner(name)
            async with open_target(state.target, self._vault, kept=await self._find_kept(state)) as target:
                meter.begin("removing", done[0])
                await remove_copies(target, state.snapshots)
                removal = await remove_target(target, triple.index, journal, meter)
        finally:
            await journal.close()
        report = await describe(state, options.action, triple)
        files.forget()
        if state.move:
            await self._datasources.release(name)
        log.info("migration aborted", datasource=name, removed=removal.removed)
        return with_removal(msgspec.structs.replace(report, phase=None), removal)

    async def _find_kept(self, state: MigrationState) -> Kept | None:
        """What the structured side of a migration keeps of versions; None where nothing of that is to be moved."""
        if (state.source.format is Format.STRUCTURED) is (state.target.format is Format.STRUCTURED):
            return None
        root = await self._datasources.inner(state.source.name).index.read_node("")
        return Kept(self._datasources.make_keeper(state.source.name), root.uuid)

    def _begun(self, name: str) -> MigrationState:
        state = self._datasources.migration(name).read()
        if state is None:
            raise Invalid(f"No migration of {name!r} was begun; see `cellsmono ds migrate --help`", path=name)
        return state


async def _is_untouched(config: DatasourceConfig, vault: KeyVault) -> bool:
    try:
        async with open_target(config, vault) as target:
            await check_empty(target)
    except CellsError:
        return False
    return True


class _Outdated(Conflict):
    """The index was changed between its copy and the switch."""


async def _read_last(path: Path, name: str) -> int:
    """The number of the last event in an index that nobody has open."""
    index = await SqliteIndex.open(path, datasource=name, durability="relaxed")
    try:
        return (await index.stats()).last_sequence
    finally:
        await index.close()
