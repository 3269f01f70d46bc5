"""From SQLite's result codes (sqlite.org/rescode.html) to the errors of the domain."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from cellsmono.kernel.errors import DISK_FAILED, CellsError, Corrupt, Locked, QuotaExceeded, Unavailable

PRIMARY_CODE = 0xFF
"""The low byte of an extended result code is the primary one."""


def primary_code(error: sqlite3.Error) -> int:
    """The primary result code, 0 for an error that SQLite itself did not raise."""
    return int(getattr(error, "sqlite_errorcode", 0)) & PRIMARY_CODE


def is_io_failure(error: BaseException) -> bool:
    """Whether the disk itself failed: after that nothing that was not yet on it can be trusted to get there."""
    return isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_IOERR


def translate_failure(error: sqlite3.Error, name: str) -> CellsError | None:
    """What to tell the caller about a failure of the database ``name``; None for a mistake in a statement."""
    code = primary_code(error)
    detail = f"{getattr(error, 'sqlite_errorname', 'SQLITE_ERROR')}: {error}"
    if code == sqlite3.SQLITE_FULL:
        message = f"The disk that holds the database {name} is full: free some space and try again ({detail})."
        return QuotaExceeded(message, reason="disk_full")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        message = f"The database {name} is damaged ({detail}): stop, keep a copy of the file, and restore a backup."
        return Corrupt(message, reason="database")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        message = f"Another process holds the database {name} ({detail}): stop the other one, then try again."
        return Locked(message, reason="database")
    if code == sqlite3.SQLITE_IOERR:
        message = f"The disk that holds the database {name} reports an error ({detail}): check it, then restart."
        return Unavailable(message, reason=DISK_FAILED)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        message = f"The database {name} can not be opened or written ({detail}): check its folder and its permissions."
        return Unavailable(message, reason="permissions")
    return None


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise the domain's error for a failure of SQLite in this block; a wrong statement stays as it is."""
    try:
        yield
    except sqlite3.Error as error:
        known = translate_failure(error, name)
        if known is None:
            raise
        raise known from error
