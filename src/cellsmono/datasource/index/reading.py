"""Look-ups and pages other than S3 listings, each a function of one snapshot."""

from collections.abc import Sequence

from cellsmono.datasource.index.listing import list_keys
from cellsmono.datasource.index.rows import (
    COLUMNS,
    NODES,
    ROOT_ID,
    Execute,
    find_folder,
    find_row,
    pack_int,
    path_of_folder,
    unpack_node,
)
from cellsmono.interfaces.index import FolderState, KeyPage, Unhashed, Usage
from cellsmono.interfaces.node import BLOCK_BYTES, Node
from cellsmono.interfaces.paths import is_folder, name_of, parent_of
from cellsmono.store.database import Reader

SELECT_MOVES = "SELECT moves FROM index_state"
SELECT_BY_UUID = f"SELECT {COLUMNS}, n.parent FROM {NODES} WHERE n.uuid = ?"  # noqa: S608 - constants, as below
SELECT_PLACES = "SELECT uuid, parent, name FROM index_node WHERE uuid IN"
PATHS_AT_ONCE = 500
SELECT_BY_INO = f"SELECT {COLUMNS}, n.parent FROM {NODES} WHERE n.ino = ? AND n.ino <> 0 AND n.dev = ?"  # noqa: S608
SELECT_CHILDREN = f"SELECT {COLUMNS} FROM {NODES} WHERE n.parent = ? AND n.name > ? ORDER BY n.name LIMIT ?"  # noqa: S608
LACKS_HASH = (  # literally the condition of that index, and which folders
    f"n.folder IS NULL AND (n.hash IS NULL OR (n.size > {BLOCK_BYTES} AND n.block_hash IS NULL))"  # noqa: S608
    " AND n.parent IN (SELECT id FROM index_folder WHERE lft >= ? AND lft < ? AND id >= ?)"
)
UNHASHED = "index_node n INDEXED BY index_node_unhashed"
SELECT_UNHASHED = (
    f"SELECT {COLUMNS}, n.parent FROM {UNHASHED} LEFT JOIN index_folder f ON f.id = n.folder"  # noqa: S608
    f" WHERE {LACKS_HASH} AND (n.parent, n.name) > (?, ?) ORDER BY n.parent, n.name LIMIT ?"
)
COUNT_UNHASHED = f"SELECT count(*), ifnull(sum(n.size), 0) FROM {UNHASHED} WHERE {LACKS_HASH}"  # noqa: S608
SELECT_SPAN = "SELECT lft, rgt FROM index_folder WHERE id = ?"
SUM_SPAN = "SELECT count(*) - 1, sum(files), sum(bytes) FROM index_folder WHERE lft >= ? AND lft < ?"
STATE_COLUMNS = "id, parent, name, mtime_ns, ctime_ns, fingerprint"
SELECT_STATE = f"SELECT {STATE_COLUMNS} FROM index_folder WHERE id = ?"  # noqa: S608
SELECT_STATES = f"SELECT {STATE_COLUMNS} FROM index_folder WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
SELECT_STATES_WITHIN = (
    f"SELECT {STATE_COLUMNS} FROM index_folder WHERE lft >= ? AND lft <= ? AND +id > ? ORDER BY id LIMIT ?"  # noqa: S608
)


def known_folders(reader: Reader) -> dict[str, int]:
    """The ids of folders that this connection remembers, as far as they hold in the snapshot."""
    moves = reader.execute(SELECT_MOVES).fetchone()[0]
    if reader.memo.get("moves") != moves:
        reader.memo["moves"] = moves
        reader.memo["folders"] = {}
    known: dict[str, int] = reader.memo["folders"]
    return known


def read_nodes(reader: Reader, paths: Sequence[str]) -> list[Node | None]:
    """See ``NodeIndex.read_nodes``."""
    known, execute = known_folders(reader), reader.execute
    found: list[Node | None] = []
    for path in paths:
        row = find_row(execute, known, path) if is_text(path) else None
        found.append(None if row is None else unpack_node(path, row))
    return found


def find_by_uuid(reader: Reader, uuid: bytes) -> Node | None:
    """The node with this UUID."""
    row = reader.execute(SELECT_BY_UUID, (uuid,)).fetchone()
    return None if row is None else with_path(reader.execute, row, {})


def find_by_uuids(reader: Reader, uuids: Sequence[bytes | None]) -> list[Node | None]:
    """See ``NodeIndex.find_nodes``."""
    paths: dict[int, str] = {}
    found: list[Node | None] = []
    for uuid in uuids:
        row = None if uuid is None else reader.execute(SELECT_BY_UUID, (uuid,)).fetchone()
        found.append(None if row is None else with_path(reader.execute, row, paths))
    return found


def find_paths(reader: Reader, uuids: Sequence[bytes]) -> dict[bytes, str]:
    """Paths by UUID, from one index that covers the question; many UUIDs share a statement."""
    paths: dict[int, str] = {}
    found: dict[bytes, str] = {}
    for start in range(0, len(uuids), PATHS_AT_ONCE):
        asked = uuids[start : start + PATHS_AT_ONCE]
        marks = ", ".join("?" * len(asked))
        for uuid, parent, name in reader.execute(f"{SELECT_PLACES} ({marks})", asked).fetchall():
            found[uuid] = path_of_folder(reader.execute, paths, parent) + name
    return found


def find_by_inode(reader: Reader, dev: int, ino: int) -> list[Node]:
    """See ``NodeIndex.find_inode``."""
    return find_by_inodes(reader, [(dev, ino)])[0]


def find_by_inodes(reader: Reader, pairs: Sequence[tuple[int, int]]) -> list[list[Node]]:
    """See ``NodeIndex.find_inodes``."""
    execute = reader.execute
    paths: dict[int, str] = {}
    found = []
    for dev, ino in pairs:
        rows = execute(SELECT_BY_INO, (pack_int(ino), pack_int(dev))).fetchall()
        found.append([with_path(execute, row, paths) for row in rows] if rows else [])
    return found


def list_children(reader: Reader, path: str, after: str, limit: int) -> list[Node] | None:
    """See ``NodeIndex.list_children``; None when there is no such folder."""
    folder = find_folder(reader.execute, known_folders(reader), path) if is_folder(path) else None
    if folder is None:
        return None
    rows = reader.execute(SELECT_CHILDREN, (folder, after, max(limit, 0))).fetchall()
    return [unpack_node(path + row[0], row) for row in rows]


def list_page(reader: Reader, prefix: str, delimiter: str, after: str, limit: int) -> KeyPage:
    """See ``NodeIndex.list_keys``."""
    return list_keys(reader.execute, known_folders(reader), prefix, delimiter, after, limit)


def read_usage(reader: Reader, path: str) -> Usage | None:
    """See ``NodeIndex.usage``; None when there is no such folder."""
    span = _find_span(reader, path)
    if span is None:
        return None
    folders, files, size = reader.execute(SUM_SPAN, span).fetchone()
    return Usage(folders, files, size)


def read_states(reader: Reader, paths: Sequence[str]) -> list[FolderState | None]:
    """See ``NodeIndex.read_folder_states``."""
    known, execute = known_folders(reader), reader.execute
    found: list[FolderState | None] = []
    for path in paths:
        folder = find_folder(execute, known, path) if is_folder(path) and is_text(path) else None
        found.append(None if folder is None else _state(path, execute(SELECT_STATE, (folder,)).fetchone()))
    return found


def list_states(reader: Reader, path: str, after_id: int, limit: int) -> list[tuple[int, FolderState]]:
    """See ``NodeIndex.list_folder_states``: in the order of ids, which no move or relabelling ever changes."""
    known, execute = known_folders(reader), reader.execute
    folder = find_folder(execute, known, path) if is_folder(path) else None
    if folder is None:
        return []
    if folder == ROOT_ID:
        rows = execute(SELECT_STATES, (after_id, limit)).fetchall()
    else:
        lft, rgt = execute(SELECT_SPAN, (folder,)).fetchone()
        rows = execute(SELECT_STATES_WITHIN, (lft, rgt, after_id, limit)).fetchall()
    paths: dict[int, str] = {}
    return [(row[0], _state(path_of_folder(execute, paths, row[0]), row)) for row in rows]


def list_unhashed(reader: Reader, path: str, after: tuple[int, str], limit: int) -> list[tuple[int, Node]]:
    """See ``NodeIndex.list_unhashed``; with each node the id of its folder, which with the name says where to go on."""
    span = _find_span(reader, path)
    if span is None:
        return []
    paths: dict[int, str] = {}
    rows = reader.execute(SELECT_UNHASHED, (*span, after[0], *after, limit)).fetchall()
    return [(row[-1], with_path(reader.execute, row, paths)) for row in rows]


def count_unhashed(reader: Reader, path: str) -> Unhashed:
    """See ``NodeIndex.count_unhashed``."""
    span = _find_span(reader, path)
    return Unhashed() if span is None else Unhashed(*map(int, reader.execute(COUNT_UNHASHED, (*span, 0)).fetchone()))


def _find_span(reader: Reader, path: str) -> tuple[int, int] | None:
    """The labels of a folder, None when there is none."""
    folder = find_folder(reader.execute, known_folders(reader), path) if is_folder(path) and is_text(path) else None
    return None if folder is None else reader.execute(SELECT_SPAN, (folder,)).fetchone()


def find_position(reader: Reader, path: str) -> tuple[int, str] | None:
    """Where a leaf stands among all leaves in the order of the tables; None when its folder is gone."""
    folder = find_folder(reader.execute, known_folders(reader), parent_of(path))
    return None if folder is None else (folder, name_of(path))


def find_folder_id(reader: Reader, path: str) -> int | None:
    """The id of a folder, None when there is none."""
    return find_folder(reader.execute, known_folders(reader), path)


def is_text(path: str) -> bool:
    """Whether a path can be stored at all; nothing is found under one that can not."""
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def with_path(execute: Execute, row: Sequence[object], paths: dict[int, str]) -> Node:
    """The node of a row that ends with the id of its folder; ``paths`` remembers those of folders."""
    *columns, parent = row
    return unpack_node(path_of_folder(execute, paths, int(str(parent))) + str(columns[0]), columns)


def _state(path: str, row: Sequence[object]) -> FolderState:
    _, _, _, mtime_ns, ctime_ns, fingerprint = row
    return FolderState(
        path, _as_int(mtime_ns), _as_int(ctime_ns), fingerprint if isinstance(fingerprint, bytes) else b""
    )


def _as_int(value: object) -> int:
    return value if isinstance(value, int) else int(bytes(value))  # type: ignore[call-overload]
