"""Pages of an S3 listing, read from the tree without reading what they leave out.

Siblings ordered by name, a folder's ending with ``/``, make a depth-first walk run in the byte order of keys. So a flat
page is such a walk from one key on; with the delimiter ``/`` a page is a plain range of one folder, whose child folders
are the common prefixes; and any other delimiter is a flat walk that seeks past each common prefix.
"""

from collections.abc import Iterator

from cellsmono.datasource.index.keys import common_prefix, end_of_prefix, first_candidate, just_after
from cellsmono.datasource.index.rows import (
    COLUMNS,
    NODES,
    SELECT_NODE,
    Execute,
    Row,
    find_folder,
    unpack_node,
)
from cellsmono.interfaces.index import KeyPage
from cellsmono.interfaces.node import FolderKind, Node
from cellsmono.interfaces.paths import name_of, parent_of

CHILDREN_FROM = f"SELECT {COLUMNS} FROM {NODES} WHERE n.parent = ? AND n.name >= ? AND n.name < ? ORDER BY n.name"  # noqa: S608
CHILDREN_PAGE = CHILDREN_FROM + " LIMIT ?"
HAS_KEY_WITHIN = (
    "SELECT 1 FROM index_folder WHERE lft >= ? AND lft <= ?"
    " AND (files > 0 OR kind = 2 OR (kind = 0 AND folders = 0)) LIMIT 1"
)
SELECT_LABELS = "SELECT lft, rgt FROM index_folder WHERE id = ?"
NO_END = b""
"""Greater than every name, because SQLite orders each BLOB after all TEXT."""

FOUND, MARKER = FolderKind.FOUND, FolderKind.MARKER
STATEMENT_DEPTHS = 24
WALK_STATEMENTS = [f"{CHILDREN_FROM} -- {depth}" for depth in range(STATEMENT_DEPTHS)]
"""One statement text for each level: a walk has one open at each, and the statement cache gives out each text once."""


def list_keys(execute: Execute, known: dict[str, int], prefix: str, delimiter: str, after: str, limit: int) -> KeyPage:
    """See ``NodeIndex.list_keys``."""
    start = first_candidate(prefix, delimiter, after) if limit > 0 else None
    base = prefix[: prefix.rfind("/") + 1]
    folder = find_folder(execute, known, base)
    if start is None or folder is None:
        return KeyPage(())
    walk = _Walk(execute, known, base, folder, end_of_prefix(prefix[len(base) :]))
    if delimiter == "/":
        found = walk.list_folder(start, limit + 1)
    elif delimiter:
        found = walk.list_rolled(start, prefix, delimiter, limit + 1)
    else:
        found = walk.list_flat(start, limit + 1)
    if len(found) <= limit:
        return KeyPage(tuple(found))
    found.pop()
    last = found[-1]
    return KeyPage(tuple(found), last if isinstance(last, str) else last.path)


class _Walk:
    """A walk over the keys of ``folder`` (at ``base``) whose first segment below it is less than ``end``."""

    def __init__(self, execute: Execute, known: dict[str, int], base: str, folder: int, end: str | None) -> None:
        self._execute = execute
        self._known = known
        self._base = base
        self._folder = folder
        self._end: str | bytes = NO_END if end is None else end
        self._levels: list[tuple[str, int, Iterator[Row]]] = []
        """Path, id and open statement of each folder on the way to where the walk stands."""

    def list_folder(self, start: str, limit: int) -> list[Node | str]:
        """Keys and common prefixes of the folder itself from ``start`` on."""
        found: list[Node | str] = [unpack_node(path, row) for path, row in self._own_key(start)]
        lowest = self._below_base(start)
        while len(found) < limit:
            # Folders without any key below them are no common prefixes, so a page may need another round.
            wanted = limit - len(found)
            rows = self._execute(CHILDREN_PAGE, (self._folder, lowest, self._end, wanted)).fetchall()
            for row in rows:
                if row[1] is None:
                    found.append(unpack_node(self._base + row[0], row))
                elif _is_key(row) or row[13] or self._has_key_within(row[1]):
                    found.append(self._base + row[0])
            if len(rows) < wanted:
                break
            lowest = just_after(rows[-1][0])
        return found

    def list_flat(self, start: str, limit: int) -> list[Node | str]:
        """Every key from ``start`` on."""
        found: list[Node | str] = []
        self._seek(self._below_base(start))
        for path, row in self._iterate(start):
            found.append(unpack_node(path, row))
            if len(found) == limit:
                break
        return found

    def list_rolled(self, start: str, prefix: str, delimiter: str, limit: int) -> list[Node | str]:
        """Keys and common prefixes for any delimiter; goes on behind each common prefix without reading its keys."""
        found: list[Node | str] = []
        self._seek(self._below_base(start))
        at: str | None = start
        while at is not None:
            begin, at = at, None
            for path, row in self._iterate(begin):
                rolled = common_prefix(path, prefix, delimiter)
                found.append(rolled or unpack_node(path, row))
                if len(found) == limit:
                    return found
                if rolled:
                    at = first_candidate(prefix, delimiter, rolled)
                    break
            if at is not None:
                self._skip_to(at)
        return found

    def _own_key(self, start: str) -> list[tuple[str, Row]]:
        """The key of the folder that the walk stands in, when the listing reaches back to it."""
        if not self._base or start > self._base or self._end != NO_END:
            return []
        parent = find_folder(self._execute, self._known, parent_of(self._base))
        row = self._execute(SELECT_NODE, (parent, name_of(self._base))).fetchone()
        return [(self._base, row)] if _is_key(row) else []

    def _has_key_within(self, folder: int) -> bool:
        lft, rgt = self._execute(SELECT_LABELS, (folder,)).fetchone()
        return self._execute(HAS_KEY_WITHIN, (lft, rgt)).fetchone() is not None

    def _below_base(self, start: str) -> str:
        return start[len(self._base) :] if start.startswith(self._base) else ""

    def _iterate(self, start: str) -> Iterator[tuple[str, Row]]:
        """The path and row of every key from ``start`` on, depth first, from where the open levels stand."""
        yield from self._own_key(start)
        levels = self._levels
        while levels:
            path, _, rows = levels[-1]
            for row in rows:
                inner = path + row[0]
                if row[1] is None:
                    yield inner, row
                    continue
                if _is_key(row):
                    yield inner, row
                if row[12] or row[13]:
                    self._open(inner, row[1], "", NO_END)
                    break
            else:
                levels.pop()

    def _skip_to(self, start: str) -> None:
        """Go on with the first key not less than ``start``, keeping the levels that it shares with the last one."""
        levels = self._levels
        while len(levels) > 1 and not start.startswith(levels[-1][0]):
            levels.pop()
        if levels:
            path, folder = levels.pop()[:2]  # the statement must be free again, or it is prepared anew
            self._seek(start[len(path) :], path, folder)

    def _seek(self, start: str, path: str | None = None, folder: int = 0) -> None:
        """Open the levels of a walk that begins with the first key not less than ``path`` (the base) + ``start``."""
        if path is None:
            path, folder = self._base, self._folder
        at = 0
        while True:
            end = NO_END if self._levels else self._end
            cut = start.find("/", at) + 1
            name = start[at:cut] if cut else start[at:]
            inner = None
            if cut and cut < len(start) and (isinstance(end, bytes) or name < end):
                inner = find_folder(self._execute, self._known, path + name)
            if inner is None:
                self._open(path, folder, name, end)
                return
            self._open(path, folder, just_after(name), end)
            path, folder, at = path + name, inner, cut

    def _open(self, path: str, folder: int, lowest: str, end: str | bytes) -> None:
        depth = len(self._levels)
        statement = WALK_STATEMENTS[depth] if depth < STATEMENT_DEPTHS else CHILDREN_FROM
        self._levels.append((path, folder, self._execute(statement, (folder, lowest, end))))


def _is_key(row: Row) -> bool:
    """Whether a folder's row stands for a key of its own."""
    kind: int = row[11]
    return kind == MARKER or (kind == FOUND and not row[12] and not row[13])
