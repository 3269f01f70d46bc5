"""The same tree over other bytes: what a row says about its object is replaced, and nobody is told of a change.

For an index that is about to take the place of another one, when a datasource was migrated.
"""

from collections.abc import Sequence

import msgspec

from cellsmono.datasource.index.rows import pack_digest, pack_int, pack_uuid
from cellsmono.interfaces.node import Facts
from cellsmono.store.units import Tx

_LEAF = "UPDATE index_node SET mtime_ns = ?, ino = ?, dev = ?, mode = ?, etag = ?, blob = ? WHERE uuid = ?"
_FOLDER = "UPDATE index_node SET mtime_ns = ?, ino = ?, dev = ?, mode = ? WHERE uuid = ?"
_FORGET_SCANS = "UPDATE index_folder SET mtime_ns = 0, ctime_ns = 0, fingerprint = NULL"
_FORGET_FOLDERS = "UPDATE index_node SET ino = 0, dev = 0, mode = 0 WHERE folder IS NOT NULL"


class Relocation(msgspec.Struct, frozen=True, gc=False):
    """What the storage says from now on about the node of this UUID; its size is the same.

    ``etag`` is that of a leaf, which must not follow from its facts any more.
    """

    uuid: str
    facts: Facts
    etag: str = ""
    blob: int = 0


def forget_storage(tx: Tx) -> None:
    """Forget what is known about folders on the storage, and what scans of them found."""
    tx.execute(_FORGET_SCANS)
    tx.execute(_FORGET_FOLDERS)


def relocate_leaves(tx: Tx, leaves: Sequence[Relocation]) -> None:
    """Enter where these leaves lie."""
    rows = [(*_pack(leaf), pack_digest(leaf.etag), leaf.blob or None, pack_uuid(leaf.uuid)) for leaf in leaves]
    tx.executemany(_LEAF, rows)


def relocate_folders(tx: Tx, folders: Sequence[Relocation]) -> None:
    """Enter where these folders lie."""
    tx.executemany(_FOLDER, [(*_pack(folder), pack_uuid(folder.uuid)) for folder in folders])


def _pack(place: Relocation) -> tuple[int | bytes, int | bytes, int | bytes, int]:
    facts = place.facts
    return pack_int(facts.mtime_ns), pack_int(facts.ino), pack_int(facts.dev), facts.mode
