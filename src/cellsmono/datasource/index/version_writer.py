"""Writes the rows of noncurrent versions and delete markers, as a part of a patch."""

from msgspec.structs import replace

from cellsmono.datasource.index import rules
from cellsmono.datasource.index.keys import end_of_prefix
from cellsmono.datasource.index.rows import pack_meta
from cellsmono.datasource.index.versions import (
    NO_END,
    VERSION_COLUMNS,
    find_newest,
    find_stored,
    pack_version,
    pack_version_id,
)
from cellsmono.interfaces.node import Node, NodeMeta
from cellsmono.interfaces.patch import PutLeaf
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.version import (
    Version,
    Versioning,
    missing_version,
    new_version_id,
    sequence_of,
)
from cellsmono.store.database import Tx

INSERT_VERSION = f"INSERT INTO index_version ({VERSION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
DELETE_VERSION = "DELETE FROM index_version WHERE key = ? AND seq = ?"
UPDATE_META = "UPDATE index_version SET meta = ? WHERE key = ? AND seq = ?"
UPDATE_ID = "UPDATE index_version SET id = ? WHERE key = ? AND seq = ?"
SELECT_NULLS = "SELECT key, seq FROM index_version WHERE key >= ? AND key < ? AND id = x''"
NOTE_SUPERSEDED = (
    "UPDATE index_version AS v SET since_ns = ? WHERE key >= ? AND key < ? AND uuid IS NULL"
    " AND seq = (SELECT max(seq) FROM index_version WHERE key = v.key)"
)
SELECT_BARE = (  # with max(), SQLite takes the other columns from the row of the maximum
    "SELECT key, newest FROM (SELECT key, max(seq) AS newest, uuid FROM index_version WHERE key >= ? AND key < ?"
    " GROUP BY key) WHERE uuid IS NOT NULL"
)
SELECT_VERSIONING = "SELECT versioning FROM index_state"
UPDATE_VERSIONING = "UPDATE index_state SET versioning = ?"
COUNT_VERSIONS = "UPDATE index_state SET versions = versions + ?, version_bytes = version_bytes + ?"


class VersionWriter:
    """The versions in one patch. Where versioning never was on there are none, and nothing is looked for."""

    def __init__(self, tx: Tx, versioning: Versioning, now_ns: int) -> None:
        self._tx = tx
        self._execute = tx.execute
        self._versioning = versioning
        self._now_ns = now_ns
        self._count = 0
        self._bytes = 0
        self.is_on = versioning is not Versioning.OFF

    def take_turns(self, old: Node | None, node: Node, operation: PutLeaf) -> Node:
        """New content comes to a key; returns it with its id. What was there is kept if that is asked for."""
        node = replace(node, version=rules.id_of_leaf(old, node, operation, self._versioning, self._now_ns))
        if old is None:
            self.note_superseded(node.path)
        elif operation.keeps:
            self.keep(old)
        if not node.version:
            self.drop(node.path, "")
        return node

    def keep(self, node: Node) -> None:
        """What a key showed becomes a noncurrent version."""
        newest = find_newest(self._execute, node.path)
        sequence = max(sequence_of(node.version), 0 if newest is None else newest + 1)
        self._insert(Version(node.path, node.version, node, node.mtime_ns, sequence, since_ns=self._now_ns))

    def put_marker(self, key: str, version: str) -> None:
        """A delete marker becomes the newest version of a key that shows nothing."""
        self.note_superseded(key)
        if not version:
            self.drop(key, "")
        newest = find_newest(self._execute, key)
        sequence = max(sequence_of(version), 0 if newest is None else newest + 1)
        self._insert(Version(key, version, None, self._now_ns, sequence))

    def cover(self, path: str) -> None:
        """Put delete markers where keys, at or below a path, have noncurrent versions and show nothing any more."""
        for key, newest in self._execute(SELECT_BARE, _span(path)).fetchall():
            version = new_version_id(self._now_ns)
            self._insert(Version(key, version, None, self._now_ns, max(sequence_of(version), newest + 1)))

    def note_superseded(self, path: str) -> None:
        """Something new stands above the delete markers of a key, or of those below a folder."""
        self._execute(NOTE_SUPERSEDED, (self._now_ns, *_span(path)))

    def free_null(self, path: str) -> None:
        """A null version is moved to a key, or below a folder: one that is there gets an id, so that both stay."""
        for key, sequence in self._execute(SELECT_NULLS, _span(path)).fetchall():
            self._execute(UPDATE_ID, (pack_version_id(new_version_id(self._now_ns)), key, sequence))

    def drop(self, key: str, version: str) -> None:
        """Remove a noncurrent version or delete marker, if there is one of this id."""
        found = find_stored(self._execute, key, version)
        if found is not None:
            self._delete(found)

    def take(self, key: str, version: str) -> Node:
        """Remove a noncurrent version that becomes the current one. Raises NotFound (reason ``version``)."""
        found = find_stored(self._execute, key, version)
        if found is None or found.node is None:
            raise missing_version(key, version)
        self._delete(found)
        return found.node

    def set_meta(self, key: str, version: str, meta: NodeMeta) -> None:
        """Replace the metadata of a noncurrent version. Raises NotFound (reason ``version``)."""
        found = find_stored(self._execute, key, version)
        if found is None or found.node is None:
            raise missing_version(key, version)
        self._execute(UPDATE_META, (pack_meta(meta), key, found.sequence))

    def flush_counts(self) -> None:
        """Write the counters that were kept back."""
        if self._count or self._bytes:
            self._execute(COUNT_VERSIONS, (self._count, self._bytes))
            self._count = self._bytes = 0

    def _insert(self, version: Version) -> None:
        self._execute(INSERT_VERSION, pack_version(version))
        self._count += 1
        self._bytes += version.size

    def _delete(self, version: Version) -> None:
        self._execute(DELETE_VERSION, (version.key, version.sequence))
        self._count -= 1
        self._bytes -= version.size


def read_versioning(tx: Tx) -> Versioning:
    """What the index remembers."""
    return Versioning(tx.execute(SELECT_VERSIONING).fetchone()[0])


def write_versioning(tx: Tx, versioning: Versioning) -> None:
    """Make the index remember it."""
    tx.execute(UPDATE_VERSIONING, (versioning.value,))


def _span(path: str) -> tuple[str, str | bytes]:
    """From where to where the key of a leaf, or the keys below a folder, stand."""
    if not is_folder(path):
        return path, path + "\0"
    end = end_of_prefix(path)
    return path, NO_END if end is None or not path else end
