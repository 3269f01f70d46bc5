"""A copy of a database that is in use, of one moment, made without holding up anybody who writes."""

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from cellsmono.kernel.errors import CellsError, Corrupt
from cellsmono.store.failures import is_io_failure, translate_failure
from cellsmono.store.migrations import create_private, read_pragma

T = TypeVar("T")

STEP_PAGES = 512
"""Pages (2 MiB) copied between two looks at whether the copy is still wanted."""

Report = Callable[[int, int], None]
"""Called in the copying thread with bytes done and bytes in all."""


class Abandoned(Exception):
    """Whoever wanted the copy does so no longer."""


class Copy:
    """One copy under way; ``abandon`` may be called from any thread."""

    def __init__(self, target: Path, name: str, report: Report | None) -> None:
        self._target = target
        self._name = name
        self._report = report
        self._is_abandoned = threading.Event()
        self._page_bytes = 0

    def abandon(self) -> None:
        """Stop at the next look."""
        self._is_abandoned.set()

    def make(self, connection: sqlite3.Connection, describe: Callable[[sqlite3.Connection], T]) -> T:
        """Copy what this connection sees now; what ``describe`` reads is of the same moment.

        In WAL mode an open read holds its snapshot while others write, so SQLite never begins the copy anew.
        """
        self._target.unlink(missing_ok=True)
        create_private(self._target)
        try:
            connection.execute("BEGIN")
            try:
                told = describe(connection)
                self._page_bytes = read_pragma(connection, "page_size")
                self._copy(connection)
            finally:
                connection.execute("ROLLBACK")
        except BaseException:
            self._target.unlink(missing_ok=True)
            raise
        return told

    def _copy(self, connection: sqlite3.Connection) -> None:
        try:
            with closing(sqlite3.connect(self._target, isolation_level=None)) as copy:
                copy.execute("PRAGMA synchronous = OFF")  # nobody relies on it before its reader has checked it
                connection.backup(copy, pages=STEP_PAGES, progress=self._note)
                copy.execute("PRAGMA journal_mode = DELETE")
                verdict = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            raise self._explain(error) from error
        if verdict != "ok":
            raise Corrupt(f"The database {self._name} is damaged ({verdict}).", reason="database")

    def _note(self, _status: int, remaining: int, total: int) -> None:
        if self._is_abandoned.is_set():
            raise Abandoned
        if self._report is not None:
            self._report((total - remaining) * self._page_bytes, total * self._page_bytes)

    def _explain(self, error: sqlite3.Error) -> Exception:
        """An I/O error may be the copy's; it must not pass for one of the database, which would stop all writing."""
        known: CellsError | None = translate_failure(error, f"{self._name} or its copy in {self._target.parent}")
        if known is not None and is_io_failure(error):
            return type(known)(known.message, reason="io")
        return known or error


def seal_database(path: Path) -> None:
    """Bring a database file that nobody has open to the disk. Raises Corrupt when some of it still is in a WAL."""
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise Corrupt(f"The database {path} was not closed: its -wal still holds changes.", reason="database")
    for rest in (wal, path.with_name(path.name + "-shm")):
        rest.unlink(missing_ok=True)
    with path.open("rb") as file:
        os.fsync(file.fileno())
