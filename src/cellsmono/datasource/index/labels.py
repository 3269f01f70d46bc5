"""The labels of the nested set: where a new folder's interval goes, and how intervals are moved and spread.

Only folders have labels, between 1 and 2^62 and far apart. The order of siblings in label space means nothing (names
order them), so a new child always goes behind the last one. The free space behind it is shared by 1 / (children + 16),
which decays slowly with the number of children, not exponentially. When there is none left, the smallest surrounding
subtree that is sparse enough is spread evenly, each folder with slack behind its children.

No other file writes lft or rgt.
"""

from collections.abc import Sequence

from cellsmono.datasource.index.rows import ROOT_ID
from cellsmono.kernel.errors import Corrupt
from cellsmono.store.database import Tx

LOWEST = 1
HIGHEST = 2**62
SHARES = 16
SPARSE = 2**16
"""Labels per folder that a subtree must have, times the levels climbed, to be spread instead of a larger one."""
CRAMPED = 16
"""Labels per folder below which a moved subtree is not squeezed in."""

SELECT_SPAN = "SELECT lft, rgt, parent, folders FROM index_folder WHERE id = ?"
SELECT_TAIL = "SELECT max(rgt) FROM index_folder WHERE rgt < ?"
COUNT_BELOW = "SELECT count(*) FROM index_folder WHERE lft > ? AND lft < ?"
SELECT_WITHIN = "SELECT id, lft, rgt, folders FROM index_folder WHERE lft >= ? AND lft <= ? ORDER BY lft"
SHIFT = "UPDATE index_folder SET lft = lft + ?, rgt = rgt + ? WHERE lft >= ? AND lft <= ?"
RELABEL = "UPDATE index_folder SET lft = ?, rgt = ? WHERE id = ?"


def place_folder(tx: Tx, parent: int) -> tuple[int, int]:
    """The labels for a new last child of a folder."""
    for _ in range(2):
        tail, free, folders = _measure_tail(tx, parent)
        width = max(2, free // (folders + SHARES))
        if width <= free:
            return tail + 1, tail + width
        _make_room(tx, parent, 1)
    raise _exhausted()


def move_folder(tx: Tx, folder: int, parent: int) -> None:
    """Carry the interval of a folder, with all below it, behind the last child of another parent."""
    for _ in range(2):
        lft, rgt, _, _ = tx.execute(SELECT_SPAN, (folder,)).fetchone()
        tail, free, _ = _measure_tail(tx, parent)
        room = free // 2
        if rgt - lft + 1 <= room:
            delta = tail + 1 - lft
            tx.execute(SHIFT, (delta, delta, lft, rgt))
            return
        rows = tx.execute(SELECT_WITHIN, (lft, rgt)).fetchall()
        if room >= CRAMPED * len(rows):
            tx.executemany(RELABEL, [(tail + 1, tail + room, folder), *_spread(rows, tail + 1, tail + room)])
            return
        _make_room(tx, parent, len(rows))
    raise _exhausted()


def _measure_tail(tx: Tx, parent: int) -> tuple[int, int, int]:
    """The last label used inside a folder, the free labels behind it, and the number of its child folders."""
    lft, rgt, _, folders = tx.execute(SELECT_SPAN, (parent,)).fetchone()
    tail = max(lft, tx.execute(SELECT_TAIL, (rgt,)).fetchone()[0] or lft)
    return tail, rgt - tail - 1, folders


def _make_room(tx: Tx, folder: int, wanted: int) -> None:
    """Spread the smallest sparse subtree around a folder, leaving room for ``wanted`` more folders in it."""
    at, level = folder, 1
    while True:
        lft, rgt, above, _ = tx.execute(SELECT_SPAN, (at,)).fetchone()
        count = tx.execute(COUNT_BELOW, (lft, rgt)).fetchone()[0] + 1 + wanted
        if at == ROOT_ID or (rgt - lft) // (2 * count) >= SPARSE * level:
            break
        at, level = above, level + 1
    rows = tx.execute(SELECT_WITHIN, (lft, rgt)).fetchall()
    tx.executemany(RELABEL, _spread(rows, lft, rgt, folder, wanted))


def _spread(
    rows: Sequence[tuple[int, int, int, int]], low: int, high: int, favoured: int = 0, wanted: int = 0
) -> list[tuple[int, int, int]]:
    """New labels ``(lft, rgt, id)`` for all but the first of the rows (in pre-order), which gets ``low`` and ``high``.

    Each folder gets slack behind its children in proportion to their number; the favoured one as if it had ``wanted``
    more of them.
    """
    weights = {row[0]: row[3] + 1 for row in rows}
    if favoured in weights:
        weights[favoured] += wanted
    unit = (high - low - 1 - 2 * (len(rows) - 1)) // sum(weights.values())
    if unit < 1:
        raise _exhausted()
    labels: list[tuple[int, int, int]] = []
    open_folders: list[tuple[int, int, int]] = []
    position = low
    for folder, lft, rgt, _ in rows[1:]:
        while open_folders and open_folders[-1][1] < lft:
            done, _, begun = open_folders.pop()
            position += unit * weights[done] + 1
            labels.append((begun, position, done))
        position += 1
        open_folders.append((folder, rgt, position))
    while open_folders:
        done, _, begun = open_folders.pop()
        position += unit * weights[done] + 1
        labels.append((begun, position, done))
    return labels


def _exhausted() -> Corrupt:
    message = "The labels of the index leave no room for another folder: delete the index file, it is rebuilt."
    return Corrupt(message, reason="labels")
