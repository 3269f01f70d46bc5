"""Hints out of what others tell of changes: the watcher of a disk, or the server of a bucket.

The echo of an own write, of which the index says the same already, is no hint: nobody has to look there again.
"""

from collections.abc import Callable, Iterable

from cellsmono.datasource.sync.aggregator import Hint
from cellsmono.datasource.sync.context import SyncContext
from cellsmono.datasource.sync.watcher import Change
from cellsmono.interfaces.node import Facts

MARKER = ".pydio"
_MARKER_NAME = MARKER.encode()


def read_changes(context: SyncContext, changes: Iterable[Change], announce: Callable[[str], None]) -> list[Hint]:
    """What the watcher told, as keys; ``announce`` is called with each, the echoes included."""
    hints = []
    for change in changes:
        path, _, name = change.path.rpartition(b"/")
        is_marker = name == _MARKER_NAME
        key = context.objects.key_of(context.bucket, path if is_marker else change.path)
        if key is None:
            continue
        announce(key)
        if change.facts is None or is_marker or not _is_known(context, key, change.facts):
            hints.append(Hint(key, change.added and not is_marker))
    return hints


def read_keys(context: SyncContext, told: Iterable[tuple[str, Facts | None]]) -> list[Hint]:
    """What the server of a bucket told: keys, and facts of what is there as far as it said so."""
    hints = []
    for key, facts in told:
        folder, _, name = key.rstrip("/").rpartition("/")
        if name == MARKER:
            hints.append(Hint(folder))
        elif facts is None or not _is_known(context, key, facts):
            hints.append(Hint(key.rstrip("/"), True))
    return hints


def _is_known(context: SyncContext, key: str, facts: Facts) -> bool:
    node = context.index.recall_node(key)
    return node is not None and not node.facts.tells_news(facts)
