"""Facts that services publish about nodes."""

import enum

import msgspec

from cellsmono.interfaces.node import Node


class EventKind(enum.StrEnum):
    """What happened to a node. ``RELOAD`` says that the whole tree below ``path`` came in bulk: read it again."""

    CREATE = "create"
    UPDATE_PATH = "update_path"
    UPDATE_CONTENT = "update_content"
    UPDATE_META = "update_meta"
    DELETE = "delete"
    RELOAD = "reload"


class NodeEvent(msgspec.Struct, frozen=True):
    """One logical change of one datasource's tree, published after its transaction was committed.

    ``seq`` grows by one with each event of a datasource, without gaps and in commit order. ``path`` is where the node
    is now (for ``delete``: where it was), ``source`` where it was before an ``update_path``. A folder that was moved
    or deleted is one event, whatever was below it. ``node`` is None for a delete and when an event is read back from
    the log after the node went.
    """

    seq: int
    kind: EventKind
    path: str
    uuid: str
    at_ns: int
    source: str = ""
    node: Node | None = None
    datasource: str = ""


class ChangePage(msgspec.Struct, frozen=True):
    """A stretch of the event log.

    ``last`` is the cursor to read on from: the number of the last event here, or of the log when there are none here.
    ``missed`` says that events before the first one were trimmed away, or that the cursor is ahead of the log (which
    was begun anew): reload.
    """

    events: tuple[NodeEvent, ...]
    last: int
    missed: bool = False
