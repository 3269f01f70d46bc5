"""What a patch adds to the counters of folders, kept back so that each folder is written once."""

from cellsmono.datasource.index import rules
from cellsmono.interfaces.node import Node
from cellsmono.store.database import Tx

COUNT_FOLDER = "UPDATE index_folder SET folders = folders + ?, ctime_ns = 0, fingerprint = NULL WHERE id = ?"
COUNT_FILES = (
    "UPDATE index_folder SET files = files + ?, bytes = bytes + ?, ctime_ns = iif(?, 0, ctime_ns), fingerprint = NULL"
    " WHERE id = ?"
)


class Counts:
    """Files and bytes to be added, by the id of the folder. Whatever is counted makes what was scanned of it void."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._pending: dict[int, list[int]] = {}

    def add(self, folder: int, files: int, size: int, *, is_other: bool = True) -> None:
        """Count files that come or go; ``is_other``: the folder must be listed again, its times would not tell."""
        pending = self._pending.get(folder)
        if pending is None:
            self._pending[folder] = [files, size, is_other]
        else:
            pending[0] += files
            pending[1] += size
            pending[2] |= is_other

    def change(self, folder: int, old: Node, node: Node) -> None:
        """Count a child that stays at its name."""
        self.add(folder, 0, node.size - old.size, is_other=rules.is_other(old, node))

    def forget_scan(self, folder: int) -> None:
        """What was scanned of a folder says nothing of it any more."""
        self.add(folder, 0, 0)

    def add_folder(self, folder: int, folders: int) -> None:
        """Count a sub folder that comes or goes, at once."""
        self._tx.execute(COUNT_FOLDER, (folders, folder))

    def flush_one(self, folder: int) -> None:
        """Write what was kept back of one folder."""
        pending = self._pending.pop(folder, None)
        if pending is not None:
            self._tx.execute(COUNT_FILES, (*pending, folder))

    def flush(self) -> None:
        """Write what was kept back."""
        if self._pending:
            self._tx.executemany(COUNT_FILES, [(*pending, folder) for folder, pending in self._pending.items()])
            self._pending.clear()
