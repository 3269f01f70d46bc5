"""One SQLite connection on a thread of its own. The only file that knows aiosqlite.

aiosqlite takes a hop to its thread for each statement; a unit of work here is a whole function, so it is handed to the
connection's own queue in one piece, or done on the event loop itself when it is brief. That needs private members of
aiosqlite (``_execute``, ``_conn`` and ``_thread``), which are used in this file only;
``tests/unit/store/test_connection.py`` fails when an upgrade changes them.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self, TypeVar

import aiosqlite

T = TypeVar("T")

CACHED_STATEMENTS = 256
"""Prepared statements kept by each connection: more than all of a service's, so that none is ever prepared twice."""


class Connection:
    """A connection and its thread; functions run there one after the other, in the order in which they were handed in.

    Transactions are explicit: nothing is begun or committed unless a statement says so.
    """

    def __init__(self, inner: aiosqlite.Connection) -> None:
        self._inner = inner

    @classmethod
    async def open(cls, path: Path, *, name: str, busy_seconds: float = 5.0) -> Self:
        """Open an existing file by its absolute path; ``name`` is the thread's. Raises ``sqlite3.Error``."""
        inner = aiosqlite.connect(
            f"{path.as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=busy_seconds,
            cached_statements=CACHED_STATEMENTS,
            check_same_thread=False,  # SQLite itself locks (sqlite3.threadsafety is 3); see ``here``
        )
        inner._thread.name = name  # a thread list that says whose thread it is
        try:
            await inner
        except BaseException:
            # aiosqlite ends the thread without waiting for it, and the thread's last act is a call to this loop.
            await asyncio.to_thread(inner._thread.join)
            raise
        return cls(inner)

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function in the connection's thread. Cancelling the caller does not stop the function."""
        inner = self._inner
        execute: Callable[..., Awaitable[T]] = inner._execute
        return await execute(function, inner._conn)

    def here(self) -> sqlite3.Connection:
        """The connection itself, for a moment's work on the event loop; only while nothing runs in its thread."""
        return self._inner._conn

    async def close(self) -> None:
        """Finish what was handed in, close the connection, end the thread."""
        await self._inner.close()
