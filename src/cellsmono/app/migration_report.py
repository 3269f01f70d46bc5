"""What is told of a migration in the end."""

import msgspec

from cellsmono.datasource.build import Triple
from cellsmono.datasource.migration.problems import Problems
from cellsmono.datasource.migration.removing import Removal
from cellsmono.datasource.migration.run import Outcome
from cellsmono.interfaces.datasource import Format
from cellsmono.interfaces.migration import MigrationAction, MigrationReport, MigrationState

NOTHING = Outcome(None, Problems(), (0, 0))


async def describe(
    state: MigrationState, action: MigrationAction, triple: Triple, outcome: Outcome = NOTHING
) -> MigrationReport:
    """What the datasource holds, how much of it is at the target, and what is in the way."""
    stats = await triple.index.stats()
    sync = triple.store.sync
    stays = state.source.format is state.target.format is Format.STRUCTURED
    return MigrationReport(
        datasource=state.source.name,
        action=action,
        phase=state.phase,
        source=state.source.place,
        target=state.target.place,
        format=state.target.format,
        move=state.move,
        files=stats.files,
        folders=stats.folders,
        bytes=stats.bytes,
        versions=0 if stays else await triple.index.count_contents(),
        version_bytes=0 if stays else stats.version_bytes,
        done_files=outcome.done[0],
        done_bytes=outcome.done[1],
        free=outcome.free,
        problems=tuple(outcome.problems.listed),
        problems_total=outcome.problems.total,
        skipped=0 if sync is None else sum(sync.status().skipped.values()),
        snapshots=len(state.snapshots),
    )


def with_removal(report: MigrationReport, removal: Removal) -> MigrationReport:
    """The same report, with what was removed."""
    return msgspec.structs.replace(
        report, removed=removal.removed, left=tuple(removal.left), left_total=removal.left_total
    )
