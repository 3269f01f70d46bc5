"""Carries patches into the tables: each is one unit of work in the writer's thread."""

import msgspec
from msgspec.structs import replace

from cellsmono.datasource.index import rules
from cellsmono.datasource.index.log import EventLog
from cellsmono.datasource.index.patch_work import PatchWork
from cellsmono.datasource.index.rows import find_row, unpack_node
from cellsmono.datasource.index.statements import (
    SELECT_OWED,
    UPDATE_OWED,
)
from cellsmono.datasource.index.version_writer import read_versioning, write_versioning
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.patch import Patch
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.clock import Clock
from cellsmono.store.database import Tx


class Outcome(msgspec.Struct):
    """What a patch did: its events, and ``effects`` in order: a path and its node now, None when it went.

    A folder that went took everything below it along.
    """

    events: tuple[NodeEvent, ...]
    effects: list[tuple[str, Node | None]]


class PatchWriter:
    """Writes the patches of one index, one after the other; remembers folder ids and the last event between them."""

    def __init__(self, datasource: str, clock: Clock, kept_events: int) -> None:
        self._datasource = datasource
        self._clock = clock
        self._kept_events = kept_events
        self._known: dict[str, int] = {}
        self._last: int | None = None
        self._versioning: Versioning | None = None

    def knows(self, folder: str) -> bool:
        """Whether a folder is there and at hand. May be asked from another thread."""
        return not folder or folder in self._known

    def write(self, tx: Tx, patch: Patch) -> Outcome:
        """Carry out a patch; an error leaves it to the store to undo what was done."""
        tx.on_rollback(self._forget)
        at_ns, kept = self._clock.time_ns(), self._kept_events
        log = EventLog(tx, patch, datasource=self._datasource, at_ns=at_ns, kept=kept, last=self._last)
        if self._versioning is None:
            self._versioning = read_versioning(tx)
        work = PatchWork(tx, self._known, log, self._versioning)
        for operation in patch.operations:
            work.handlers[operation.__class__](operation)
        work.counts.flush()
        work.versions.flush_counts()
        if patch.bulk:
            self._end_bulk(tx, patch, log)
        events = log.store()
        self._last = log.last
        return Outcome(events, work.effects)

    def set_versioning(self, tx: Tx, versioning: Versioning) -> None:
        """Remember whether versions are kept."""
        tx.on_rollback(self._forget)
        write_versioning(tx, versioning)
        self._versioning = versioning

    def _end_bulk(self, tx: Tx, patch: Patch, log: EventLog) -> None:
        """Publish the one event of a bulk, or note that it is owed."""
        owed = tx.execute(SELECT_OWED).fetchone()[0]
        if owed is None and not log.is_pending:
            return
        path = rules.path_of_bulk(patch, owed, is_changed=log.is_pending)
        if patch.more:
            if path != owed:
                tx.execute(UPDATE_OWED, (path,))
            return
        if owed is not None:
            tx.execute(UPDATE_OWED, (None,))
        row = find_row(tx.execute, self._known, path)
        place = path if row is not None else ""
        row = row if row is not None else find_row(tx.execute, self._known, "")
        if row is not None:
            log.note_reload(replace(unpack_node(place, row), path=path))

    def _forget(self) -> None:
        """What is remembered of the tables may have been undone."""
        self._known.clear()
        self._last = None
        self._versioning = None
