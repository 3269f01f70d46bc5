"""Look-ups and pages of versions, each a function of one snapshot."""

from collections.abc import Sequence

from cellsmono.datasource.index import versions
from cellsmono.datasource.index.listing import list_keys
from cellsmono.datasource.index.reading import SELECT_BY_UUID, known_folders, with_path
from cellsmono.datasource.index.rows import find_row, unpack_node
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.version import Version, Versioning, VersionPage
from cellsmono.store.database import Reader

SELECT_STATE = "SELECT versioning FROM index_state"
SELECT_CONTENTS = "SELECT count(*) FROM index_version WHERE uuid IS NOT NULL"
SELECT_KEPT = "SELECT 1 FROM index_version WHERE uuid = ? LIMIT 1"
SELECT_COUNTS = "SELECT versions, version_bytes FROM index_state"


def read_versioning(reader: Reader) -> Versioning:
    """Whether versions are kept."""
    return Versioning(reader.execute(SELECT_STATE).fetchone()[0])


def read_counts(reader: Reader) -> tuple[int, int]:
    """How many noncurrent versions and delete markers there are, and how many bytes of content."""
    count, size = reader.execute(SELECT_COUNTS).fetchone()
    return count, size


def count_contents(reader: Reader) -> int:
    """How many rows have content: all but delete markers."""
    number: int = reader.execute(SELECT_CONTENTS).fetchone()[0]
    return number


def find_kept(reader: Reader, uuids: Sequence[bytes]) -> set[bytes]:
    """Which of these UUIDs stand in a row of a version."""
    return {uuid for uuid in uuids if reader.execute(SELECT_KEPT, (uuid,)).fetchone() is not None}


def list_versions(
    reader: Reader, prefix: str, delimiter: str, after: str, after_version: str | None, limit: int
) -> VersionPage:
    """See ``NodeIndex.list_versions``."""
    execute = reader.execute
    more = max(limit, 0) + 1
    older: list[Version] = []
    if after and after_version is not None and versions.is_inside(after, prefix, delimiter):
        node, newest = _find_node(reader, after), versions.find_newest(execute, after)
        below = versions.find_below(after_version, node, newest, versions.find_stored(execute, after, after_version))
        older = versions.list_older(node, newest, versions.list_of_key(execute, after, below, more), below)
    nodes = list_keys(execute, known_folders(reader), prefix, delimiter, after, more).entries
    stored = versions.list_stored(execute, prefix, delimiter, after, more, versions.list_ahead(nodes))
    return versions.merge_page(nodes, stored, older, limit)


def find_version(reader: Reader, path: str, version: str) -> Version | None:
    """See ``NodeIndex.find_version``."""
    node = _find_node(reader, path)
    newest = versions.find_newest(reader.execute, path)
    if node is not None and node.version == version:
        return versions.current_version(node, newest)
    found = versions.find_stored(reader.execute, path, version)
    if found is None:
        return None
    return versions.list_older(node, newest, [found], versions.ABOVE_ALL)[-1]


def read_versions(reader: Reader, path: str, limit: int) -> list[Version]:
    """See ``NodeIndex.read_versions``."""
    node, newest = _find_node(reader, path), versions.find_newest(reader.execute, path)
    stored = versions.list_of_key(reader.execute, path, versions.ABOVE_ALL, max(limit, 0))
    return versions.list_older(node, newest, stored, versions.ABOVE_ALL)[: max(limit, 0)]


def find_blobs(reader: Reader, blobs: Sequence[tuple[bytes | None, int]]) -> list[Node | None]:
    """See ``NodeIndex.find_blobs``."""
    paths: dict[int, str] = {}
    return [None if uuid is None else _find_blob(reader, uuid, blob, paths) for uuid, blob in blobs]


def _find_blob(reader: Reader, uuid: bytes, blob: int, paths: dict[int, str]) -> Node | None:
    row = reader.execute(SELECT_BY_UUID, (uuid,)).fetchone()
    if row is not None:
        node = with_path(reader.execute, row, paths)
        if node.blob == blob and not node.is_folder:
            return node
    row = reader.execute(versions.SELECT_BY_BLOB, (uuid, blob)).fetchone()
    return None if row is None else versions.unpack_version(row).node


def _find_node(reader: Reader, path: str) -> Node | None:
    row = find_row(reader.execute, known_folders(reader), path)
    return None if row is None else unpack_node(path, row)
