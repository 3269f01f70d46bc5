"""Looking again and again where no watcher tells of changes, as often as the cost of a look allows."""

import math
from collections.abc import Sequence

from cellsmono.datasource.sync.context import SyncContext
from cellsmono.datasource.sync.resync import TreeWalk
from cellsmono.datasource.sync.round import Round, Visit
from cellsmono.interfaces.datasource import DatasourceConfig

LEAST_PAUSE = 2.0
COST_FACTOR = 20.0
"""Looking takes at most a twentieth of the time."""

FULL_COST_FACTOR = 100.0
"""Comparing every file, which alone finds what was rewritten in place, takes at most a hundredth of it."""


def longest_pause(config: DatasourceConfig) -> float:
    """Seconds between comparisons of the folders' times; infinite where they are switched off (0)."""
    return config.reconcile_seconds if config.reconcile_seconds > 0 else math.inf


def choose_pause(cost: float, longest: float) -> float:
    """Seconds until the next look, when the last one took ``cost`` seconds."""
    return min(longest, max(LEAST_PAUSE, COST_FACTOR * cost))


async def visit_blind_spots(context: SyncContext, folders: Sequence[str]) -> Round:
    """List these folders, as far as the index has them, and carry over what differs."""
    round_ = Round("watch")
    for state in await context.index.read_folder_states(folders):
        if state is not None:
            round_.visits.append(Visit(state.path, state.fingerprint, state.mtime_ns, state.ctime_ns))
    walk = TreeWalk(context, round_)
    await walk.settle()
    await walk.remove()
    return round_
