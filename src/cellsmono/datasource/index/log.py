"""The event log: each event gets its number and its row in the transaction of the change that it tells of."""

from collections.abc import Sequence

from cellsmono.datasource.index.rows import (
    ABOVE_ROOT,
    NODES,
    Execute,
    Row,
    pack_uuid,
    path_of_folder,
    unpack_node,
    unpack_uuid,
)
from cellsmono.datasource.index.rows import COLUMNS as NODE_COLUMNS
from cellsmono.interfaces.events import ChangePage, EventKind, NodeEvent
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.patch import Patch
from cellsmono.store.database import Tx

INSERT_EVENT = "INSERT INTO index_change (seq, kind, path, uuid, at_ns, source, origin) VALUES (?, ?, ?, ?, ?, ?, ?)"
SELECT_LAST = "SELECT max(seq) FROM index_change"
SELECT_FIRST = "SELECT min(seq) FROM index_change"
SELECT_EVENTS = "SELECT seq, kind, path, uuid, at_ns, source FROM index_change WHERE seq > ? ORDER BY seq LIMIT ?"
SELECT_BY_UUID = f"SELECT {NODE_COLUMNS}, n.parent FROM {NODES} WHERE n.uuid = ?"  # noqa: S608 - constants
TRIM = "DELETE FROM index_change WHERE seq <= ?"
TRIM_EVERY = 256
TRIM_SLICE = 2_000
"""Events deleted at once at least; a slice is larger only when as many came in."""


class EventLog:
    """The events of one patch. A bulk patch keeps none of them and publishes one in their place."""

    def __init__(self, tx: Tx, patch: Patch, *, datasource: str, at_ns: int, kept: int, last: int | None) -> None:
        self.at_ns = at_ns
        self.is_pending = False
        """A bulk patch changed something."""
        self._tx = tx
        self._origin = patch.origin
        self.is_bulk = patch.bulk
        self._datasource = datasource
        self._kept = kept
        self._events: list[NodeEvent] = []
        self._last = last

    def note(self, kind: EventKind, path: str, uuid: str, node: Node | None = None, source: str = "") -> None:
        """Remember an event; numbers follow one another."""
        if self.is_bulk:
            self.is_pending = True
            return
        self._append(kind, path, uuid, node, source)

    def note_reload(self, node: Node) -> None:
        """The one event of a bulk patch."""
        self._append(EventKind.RELOAD, node.path, node.uuid, node, "")

    def _append(self, kind: EventKind, path: str, uuid: str, node: Node | None, source: str) -> None:
        last = self._last
        if last is None:
            last = self._tx.execute(SELECT_LAST).fetchone()[0] or 0
        self._last = last + 1
        self._events.append(NodeEvent(last + 1, kind, path, uuid, self.at_ns, source, node, self._datasource))

    @property
    def last(self) -> int | None:
        """The number of the last event of the log, None when it was never asked for."""
        return self._last

    def store(self) -> tuple[NodeEvent, ...]:
        """Write the events, trim old ones, and return them."""
        if self._events:
            rows = [
                (
                    event.seq,
                    event.kind.value,
                    event.path,
                    pack_uuid(event.uuid),
                    event.at_ns,
                    event.source,
                    self._origin,
                )
                for event in self._events
            ]
            self._tx.executemany(INSERT_EVENT, rows)
            last = self._events[-1].seq
            if last // TRIM_EVERY != (last - len(rows)) // TRIM_EVERY or self._kept < TRIM_EVERY:
                self._trim(last)
        return tuple(self._events)

    def _trim(self, last: int) -> None:
        """Delete what is too old, a slice at a time, so that no write ever pays for a long history."""
        first = self._tx.execute(SELECT_FIRST).fetchone()[0]
        upto = min(last - self._kept, first + max(TRIM_SLICE, 2 * len(self._events)))
        if first <= upto:
            self._tx.execute(TRIM, (upto,))


def restart_log(tx: Tx, last: int) -> None:
    """Forget all events, and owe everybody one that says to read everything again, numbered after ``last``."""
    last = max(last, tx.execute(SELECT_LAST).fetchone()[0] or 0)
    tx.execute("DELETE FROM index_change")
    if last:
        root = tx.execute("SELECT uuid FROM index_node WHERE parent = ? AND name = ''", (ABOVE_ROOT,)).fetchone()[0]
        tx.execute(INSERT_EVENT, (last, EventKind.RELOAD, "", root, 0, "", "load"))
    tx.execute("UPDATE index_state SET owed = ''")


def read_changes(execute: Execute, datasource: str, since: int, limit: int) -> ChangePage:
    """See ``NodeIndex.changes``."""
    first = execute(SELECT_FIRST).fetchone()[0] or 1
    last = execute(SELECT_LAST).fetchone()[0] or 0
    rows = execute(SELECT_EVENTS, (since, limit)).fetchall()
    paths: dict[int, str] = {}
    events = tuple(_read_event(execute, datasource, row, paths) for row in rows)
    return ChangePage(events, events[-1].seq if events else last, since + 1 < first or since > last)


def find_deleted(execute: Execute, uuids: Sequence[bytes]) -> set[str]:
    """See ``NodeIndex.find_deleted``. Reads the whole log once."""
    marks = ", ".join("?" * len(uuids))
    rows = execute(f"SELECT uuid FROM index_change WHERE kind = 'delete' AND uuid IN ({marks})", list(uuids))  # noqa: S608
    return {unpack_uuid(row[0]) for row in rows}


def _read_event(execute: Execute, datasource: str, row: Row, paths: dict[int, str]) -> NodeEvent:
    seq, name, path, raw, at_ns, source = row
    kind = EventKind(name)
    node = None
    if kind is not EventKind.DELETE:
        found = execute(SELECT_BY_UUID, (raw,)).fetchone()
        if found is not None:
            *columns, parent = found
            node = unpack_node(path_of_folder(execute, paths, parent) + columns[0], columns)
    return NodeEvent(seq, kind, path, unpack_uuid(raw), at_ns, source, node, datasource)
