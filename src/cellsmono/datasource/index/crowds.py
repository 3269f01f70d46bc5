"""Many new files of one folder at once: rows without a node, an object or a statement for each.

Measured with all indexes in place: rows that come in the order of their names, with UUIDs that ascend, cost about 3 µs
each, because every B-tree but the one of inodes only grows at its end. Dropping the indexes and making them anew at the
end takes as long.
"""

import os
import time
from array import array
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter, lt

from cellsmono.datasource.index.rows import LARGEST, Execute, pack_int
from cellsmono.interfaces.node import Facts
from cellsmono.store.database import Tx

INSERT_LEAF = (
    "INSERT INTO index_node (parent, name, uuid, size, mtime_ns, ino, dev, mode) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
SELECT_LAST_NAME = "SELECT max(name) FROM index_node WHERE parent = ?"
SELECT_NAME = "SELECT 1 FROM index_node WHERE parent = ? AND name = ?"

_STEP_BYTES = 4
_VARIANT = 0x2 << 62
_INO, _DEV, _MTIME = attrgetter("ino"), attrgetter("dev"), attrgetter("mtime_ns")


def new_uuids(count: int) -> list[bytearray]:
    """Fresh UUIDs of version 7 that ascend (RFC 9562 section 6.2, method 2: a random counter with random steps).

    They are bytearrays because sqlite3 looks for an adapter of every bytes object that it is given.
    """
    seed = os.urandom(10)
    millis = time.time_ns() // 1_000_000
    head = (millis & 0xFFFF_FFFF_FFFF) << 16 | 0x7 << 12 | int.from_bytes(seed[:2], "big") & 0xFFF
    first = head.to_bytes(8, "big")
    # The highest bit stays free for the steps.
    counter = _VARIANT | int.from_bytes(seed[2:], "big") >> 3
    found = []
    for step in array("I", os.urandom(_STEP_BYTES * count)):
        counter += step + 1
        found.append(bytearray(first + counter.to_bytes(8, "big")))
    return found


def are_new(execute: Execute, parent: int, names: Sequence[str]) -> bool:
    """Whether these names ascend and the folder has none of them."""
    if not all(map(lt, names, names[1:])):
        return False
    last = execute(SELECT_LAST_NAME, (parent,)).fetchone()[0]
    if last is None or last < names[0]:
        return True
    return all(execute(SELECT_NAME, (parent, name)).fetchone() is None for name in names)


def insert_leaves(tx: Tx, parent: int, names: Sequence[str], facts: Sequence[Facts]) -> list[bytearray]:
    """Insert files that are not there yet, unhashed and without metadata; returns their UUIDs."""
    uuids = new_uuids(len(names))
    # What is beyond 63 bits is as good as never seen, and a call of pack_int for each number would cost more than this.
    numbers = list(chain(map(_INO, facts), map(_DEV, facts), map(_MTIME, facts)))
    if max(numbers) >= LARGEST or min(numbers) < -LARGEST:
        rows = [
            (parent, name, uuid, f.size, pack_int(f.mtime_ns), pack_int(f.ino), pack_int(f.dev), f.mode)
            for name, uuid, f in zip(names, uuids, facts, strict=True)
        ]
        tx.executemany(INSERT_LEAF, rows)
        return uuids
    plain = [
        (parent, name, uuid, f.size, f.mtime_ns, f.ino, f.dev, f.mode)
        for name, uuid, f in zip(names, uuids, facts, strict=True)
    ]
    tx.executemany(INSERT_LEAF, plain)
    return uuids
