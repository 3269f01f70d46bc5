"""The same tree over other bytes: what a row says about its object is replaced, and nobody is told of a change.

For an index that is about to take the place of another one, when a datasource was migrated.
"""

from collections.abc import Sequence
from functools import partial

import msgspec

from cellsmono.datasource.index.reading import SELECT_BY_UUID, with_path
from cellsmono.datasource.index.rows import ABOVE_ROOT, pack_digest, pack_int, pack_uuid, unpack_uuid
from cellsmono.datasource.index.version_writer import COUNT_VERSIONS, DELETE_VERSION
from cellsmono.interfaces.node import Facts, derived_etag
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

Position = tuple[int, str]
"""A row by its primary key."""

BEGIN: Position = (ABOVE_ROOT, "")
"""Before every leaf: there are none above the root."""
_PAGE = 5000
_TOGETHER = 500

_LEAF = "UPDATE index_node SET mtime_ns = ?, ino = ?, dev = ?, mode = ?, etag = ?, blob = NULL WHERE uuid = ?"
_FOLDER = "UPDATE index_node SET mtime_ns = ?, ino = ?, dev = ?, mode = ? WHERE uuid = ?"
_RENUMBER = "UPDATE index_node SET blob = ? WHERE uuid = ?"
_RENUMBER_VERSION = "UPDATE index_version SET blob = ? WHERE uuid = ? AND ifnull(blob, 0) = ?"
_AHEAD = (
    "SELECT v.key, v.seq, v.size, v.uuid FROM index_version v JOIN index_node n"
    " ON n.uuid = v.uuid AND n.folder IS NULL AND ifnull(n.version, x'') = v.id"
)
_FORGET_SCANS = "UPDATE index_folder SET mtime_ns = 0, ctime_ns = 0, fingerprint = NULL"
_LEAVES = (
    "SELECT parent, name, uuid, size, mtime_ns, ino, etag FROM index_node"
    " WHERE folder IS NULL AND (parent, name) > (?, ?) ORDER BY parent, name LIMIT ?"
)
_KEEP_ETAG = "UPDATE index_node SET etag = ? WHERE uuid = ?"
_FORGET_FILES = (
    "UPDATE index_node SET ino = 0, dev = 0, mode = 0"
    " WHERE folder IS NULL AND (parent, name) > (?, ?) AND (parent, name) <= (?, ?)"
)
_BLOBS = "SELECT uuid, blob FROM index_node WHERE uuid IN (%s) AND folder IS NULL"
_FORGET_FOLDERS = "UPDATE index_node SET ino = 0, dev = 0, mode = 0 WHERE folder IS NOT NULL"


class Relocation(msgspec.Struct, frozen=True, gc=False):
    """What the storage says from now on about the node of this UUID; its size is the same.

    ``etag`` is that of a leaf, which must not follow from its facts any more. It lies in no blob.
    """

    uuid: str
    facts: Facts
    etag: str = ""


class Relocator:
    """Changes an index that nobody else uses, without an event."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget_storage(self) -> None:
        """Forget what is known about folders on the storage, and what scans of them found."""

        def write(tx: Tx) -> None:
            tx.execute(_FORGET_SCANS)
            tx.execute(_FORGET_FOLDERS)

        await self._database.write(write)

    async def relocate(self, leaves: Sequence[Relocation], folders: Sequence[Relocation]) -> None:
        """Enter where these nodes lie."""
        leaf_rows = [(*_pack(leaf), pack_digest(leaf.etag), pack_uuid(leaf.uuid)) for leaf in leaves]
        folder_rows = [(*_pack(folder), pack_uuid(folder.uuid)) for folder in folders]

        def write(tx: Tx) -> None:
            tx.executemany(_LEAF, leaf_rows)
            tx.executemany(_FOLDER, folder_rows)

        await self._database.write(write)

    async def relocate_into_blobs(self) -> None:
        """Enter of every leaf that it lies in its blob, which has no inode.

        An ETag that followed from the facts until now is kept as it is.
        """
        last: Position | None = BEGIN
        while last is not None:
            last = await self._database.write(partial(_relocate_page, after=last))

    async def renumber(self, leaves: Sequence[tuple[str, int]]) -> None:
        """Enter which blob holds the content of the leaves of these UUIDs."""
        rows = [(blob or None, pack_uuid(uuid)) for uuid, blob in leaves]
        await self._database.write(lambda tx: tx.executemany(_RENUMBER, rows))

    async def renumber_versions(self, versions: Sequence[tuple[str, int, int]]) -> int:
        """Enter by UUID and number which other number the content of versions has now; how many there were."""

        def write(tx: Tx) -> int:
            found = 0
            for uuid, old, new in versions:
                found += tx.execute(_RENUMBER_VERSION, (new or None, pack_uuid(uuid), old)).rowcount
            return found

        return await self._database.write(write)

    async def drop_ahead(self) -> None:
        """Take out what was kept ahead of a change that never came: its key still shows that very content."""
        await self._database.write(_drop_ahead)

    async def read_blobs(self, uuids: Sequence[str]) -> dict[str, int]:
        """The leaves among these, each with the number of its blob."""

        raw = [pack_uuid(uuid) for uuid in uuids]

        def read(reader: Reader) -> dict[str, int]:
            found: dict[str, int] = {}
            for start in range(0, len(raw), _TOGETHER):
                some = raw[start : start + _TOGETHER]
                rows = reader.execute(_BLOBS % ",".join("?" * len(some)), some)
                found |= {unpack_uuid(uuid): blob or 0 for uuid, blob in rows}
            return found

        return await self._database.read(read)


def _drop_ahead(tx: Tx) -> None:
    paths: dict[int, str] = {}
    for key, sequence, size, uuid in tx.execute(_AHEAD).fetchall():
        row = tx.execute(SELECT_BY_UUID, (uuid,)).fetchone()
        if with_path(tx.execute, row, paths).path == key:
            tx.execute(DELETE_VERSION, (key, sequence))
            tx.execute(COUNT_VERSIONS, (-1, -size))


def _relocate_page(tx: Tx, after: Position) -> Position | None:
    """Where to go on, None at the end."""
    rows = tx.execute(_LEAVES, (*after, _PAGE)).fetchall()
    if not rows:
        return None
    unhashed = [
        (pack_digest(derived_etag(Facts(int(size), int(mtime_ns), int(ino)))), uuid)
        for _, _, uuid, size, mtime_ns, ino, etag in rows
        if etag is None
    ]
    tx.executemany(_KEEP_ETAG, unhashed)
    last: Position = rows[-1][:2]
    tx.execute(_FORGET_FILES, (*after, *last))
    return last


def _pack(place: Relocation) -> tuple[int | bytes, int | bytes, int | bytes, int]:
    facts = place.facts
    return pack_int(facts.mtime_ns), pack_int(facts.ino), pack_int(facts.dev), facts.mode
