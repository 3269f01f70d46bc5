"""Checks of every invariant of the stored tree. Reads everything; meant for a person, a test, or after an accident."""

from collections.abc import Iterator

from cellsmono.datasource.index.labels import HIGHEST, LOWEST
from cellsmono.datasource.index.rows import ABOVE_ROOT, ROOT_ID, Execute

SHOWN = 100
"""Violations that are told of at most, per check."""

SELECT_LABELS = "SELECT id, parent, name, lft, rgt FROM index_folder ORDER BY lft, rgt"
ROWS_WITHOUT_PARTNER = (
    (
        "SELECT name, parent FROM index_node n WHERE NOT EXISTS (SELECT 1 FROM index_folder f WHERE f.id = n.parent)"
        " AND n.parent <> 0",
        "The node {0!r} hangs on folder {1}, which does not exist.",
    ),
    (
        "SELECT name, parent FROM index_node n WHERE folder IS NOT NULL AND NOT EXISTS (SELECT 1 FROM index_folder f"
        " WHERE f.id = n.folder AND f.parent = n.parent AND f.name = n.name)",
        "The folder node {0!r} in folder {1} has no folder row that agrees with it.",
    ),
    (
        "SELECT name, id FROM index_folder f WHERE NOT EXISTS (SELECT 1 FROM index_node n"
        " WHERE n.parent = f.parent AND n.name = f.name AND n.folder = f.id)",
        "The folder row {0!r} ({1}) has no node that agrees with it.",
    ),
    (
        "SELECT name, parent FROM index_node WHERE parent <> 0 AND (name = ''"
        " OR instr(substr(name, 1, length(name) - 1), '/') OR (substr(name, -1) = '/') <> (folder IS NOT NULL))",
        "The name {0!r} in folder {1} does not fit its node.",
    ),
    (
        "SELECT hex(uuid), count(*) FROM index_node NOT INDEXED GROUP BY uuid"
        " HAVING count(*) > 1 OR length(uuid) <> 16",
        "The UUID {0} is held by {1} nodes, or is none.",
    ),
    (
        "SELECT f.name, f.id FROM index_folder f LEFT JOIN (SELECT parent, sum(folder IS NOT NULL) folders,"
        " sum(folder IS NULL) files, sum(CASE WHEN folder IS NULL THEN size ELSE 0 END) bytes"
        " FROM index_node GROUP BY parent) c ON c.parent = f.id"
        " WHERE f.folders <> ifnull(c.folders, 0) OR f.files <> ifnull(c.files, 0) OR f.bytes <> ifnull(c.bytes, 0)",
        "The counters of folder {0!r} ({1}) are not those of its children.",
    ),
    (
        "SELECT min(seq), max(seq) FROM index_change HAVING max(seq) - min(seq) + 1 <> count(*)",
        "The event log has gaps between {0} and {1}.",
    ),
    (
        "SELECT key, newest FROM (SELECT key, max(seq) AS newest, uuid, count(*) AS number, count(DISTINCT id) AS ids"
        " FROM index_version GROUP BY key) WHERE number <> ids",
        "Two versions of {0!r} have the same id.",
    ),
    (
        "SELECT s.versions, s.version_bytes FROM index_state s, (SELECT count(*) AS number,"
        " ifnull(sum(size), 0) AS bytes FROM index_version) v"
        " WHERE s.versions <> v.number OR s.version_bytes <> v.bytes",
        "There are not {0} versions with {1} bytes, as it is noted.",
    ),
)


def verify_tree(execute: Execute) -> list[str]:
    """One sentence for each violation; empty when the tree is sound."""
    wrong = [f"SQLite: {row[0]}" for row in execute(f"PRAGMA quick_check({SHOWN})") if row[0] != "ok"]
    if wrong:
        return wrong
    for statement, sentence in ROWS_WITHOUT_PARTNER:
        wrong += [sentence.format(*row) for row in execute(f"{statement} LIMIT {SHOWN}")]
    for number, sentence in enumerate(_check_labels(execute)):
        if number == SHOWN:
            break
        wrong.append(sentence)
    return wrong


def _check_labels(execute: Execute) -> Iterator[str]:
    """The intervals must nest exactly as the parents say."""
    open_folders = [(ABOVE_ROOT, HIGHEST + 1)]
    last = LOWEST - 1
    ends: set[int] = set()
    for folder, parent, name, lft, rgt in execute(SELECT_LABELS):
        if not last < lft < rgt <= HIGHEST:
            yield f"The labels {lft} and {rgt} of folder {name!r} ({folder}) are out of order."
        last = lft
        while open_folders[-1][1] < lft:
            open_folders.pop()
        if open_folders[-1][0] != parent:
            yield f"The labels of folder {name!r} ({folder}) put it into {open_folders[-1][0]}, its row into {parent}."
        if rgt >= open_folders[-1][1] or lft in ends:
            yield f"The labels of folder {name!r} ({folder}) cross those of another one."
        if (folder == ROOT_ID) is not (parent == ABOVE_ROOT):
            yield f"Folder {name!r} ({folder}) is a second root."
        ends.add(rgt)
        open_folders.append((folder, rgt))
    if len(open_folders) == 1:
        yield "The root is missing."
