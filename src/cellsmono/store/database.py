"""A SQLite database in WAL mode: one writer that commits in groups, and a few readers that never wait for it.

Why one writer: SQLite has one anyway, and before 3.51.3 two connections that write or checkpoint at the same time may
damage a WAL (sqlite.org/wal.html#walresetbug). So the writer also owns every checkpoint, and the readers do none.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from cellsmono.kernel.calm import Calm
from cellsmono.kernel.crowd import gather_crowd
from cellsmono.kernel.errors import DISK_FAILED, Unavailable
from cellsmono.store.backup import Copy, Report
from cellsmono.store.connection import Connection
from cellsmono.store.failures import is_io_failure, translate_failure
from cellsmono.store.migrations import Migrations, create_private, migrate
from cellsmono.store.units import Batch, Tx, Unit, resolve_unit, run_batch

T = TypeVar("T")

BATCH_UNITS = 256
"""Units that share a transaction at most, so that a crowd can not hold back its first comer for long."""
PATIENCE = 2
"""Turns of the loop without a newcomer after which a transaction is not put off any more."""
BRIEF_UNITS = 32
"""Units that the event loop runs at most before it looks at something else: one or two milliseconds."""
WRITER_CACHE_KIB = 16 * 1024
READER_CACHE_KIB = 8 * 1024
WAL_BYTES = 16 * 1024 * 1024
"""The size of the WAL from which on a checkpoint is made between two batches."""
WAL_KEPT_BYTES = 4 * 1024 * 1024
"""The size to which SQLite cuts the WAL when it begins it anew: below ``WAL_BYTES``, so that the size tells of work."""
IDLE_SECONDS = 1.0
"""How long nothing was written before the WAL is checkpointed on the side."""


class Reader:
    """A read-only connection inside one snapshot, valid while the function that got it runs.

    ``memo`` belongs to the connection and stays between calls: what a service remembers there must be checked against
    the snapshot before it is used.
    """

    __slots__ = ("execute", "memo")

    execute: Callable[..., sqlite3.Cursor]
    """``execute(sql, parameters=())`` as ``sqlite3.Connection`` has it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute
        self.memo: dict[str, Any] = {}


class Database:
    """One database file. Make it with ``open``; every method is called on the event loop that opened it."""

    def __init__(self, path: Path, name: str, *, is_synced: bool, busy_seconds: float) -> None:
        self.path = Path(os.path.abspath(path))
        self.name = name
        self._is_synced = is_synced
        self._busy_seconds = busy_seconds
        self._writer: Connection | None = None
        self._readers: list[tuple[Connection, Reader]] = []
        self._is_waiting_for_lock = True
        self._begins_wal = True
        self._calm = Calm()
        self._turn = asyncio.Lock()
        self._waiting: list[Unit[Any]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure = ""
        self._is_closing = False
        self._is_dirty = False

    @classmethod
    async def open(
        cls,
        path: Path,
        migrations: Migrations,
        *,
        durability: Literal["fsync", "relaxed"] = "fsync",
        readers: int = 2,
        name: str = "",
        busy_seconds: float = 5.0,
    ) -> Self:
        """Open or make a database file (mode 0600) and bring its schema up to date.

        ``durability``: ``fsync`` returns from a write when it is on the disk, ``relaxed`` when the kernel has it (a
        power cut may lose the last writes, never tear them). With two readers, look-ups do not wait for pages.
        ``busy_seconds`` is how long to wait for another process that writes to the same file.
        Raises Corrupt, Invalid (a newer schema), Locked, Unavailable.
        """
        database = cls(path, name or path.stem, is_synced=durability == "fsync", busy_seconds=busy_seconds)
        create_private(path)
        try:
            await database._open(migrations, readers)
        except BaseException as error:
            await database._close_connections()
            raise database._translate(error) from error
        database._task = asyncio.create_task(database._write_batches(), name=f"database {database.name}: writer")
        return database

    async def _open(self, migrations: Migrations, readers: int) -> None:
        self._writer = await Connection.open(self.path, name=f"{self.name}: writer", busy_seconds=self._busy_seconds)
        synchronous = "FULL" if self._is_synced else "NORMAL"

        def prepare_writer(connection: sqlite3.Connection) -> None:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
            connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection, self.path, migrations, self.name)

        def prepare_reader(connection: sqlite3.Connection) -> Reader:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
            connection.execute("PRAGMA temp_store = MEMORY")
            return Reader(connection)

        await self._writer.run(prepare_writer)
        for number in range(max(1, readers)):
            connection = await Connection.open(self.path, name=f"{self.name}: reader {number}")
            try:
                self._readers.append((connection, await connection.run(prepare_reader)))
            except BaseException:
                await connection.close()
                raise

    # --- reading -----------------------------------------------------------------------------------------------------

    async def read(self, function: Callable[[Reader], T], *, page: bool = False) -> T:
        """Run a function that only reads, in one snapshot that holds every write that has returned.

        ``page`` sends it to the connection for long reads, so that a short look-up never waits for a page.
        """
        if not self._readers:
            raise self._closed()
        connection, reader = self._readers[-1 if page else 0]

        def read_in_snapshot(inner: sqlite3.Connection) -> T:
            inner.execute("BEGIN")
            try:
                return function(reader)
            finally:
                if inner.in_transaction:
                    inner.execute("ROLLBACK")

        try:
            return await connection.run(read_in_snapshot)
        except sqlite3.Error as error:
            raise self._translate(error) from error

    # --- writing -----------------------------------------------------------------------------------------------------

    async def write(self, function: Callable[[Tx], T]) -> T:
        """Run a whole unit of work in the writer's thread; returns what it returns once it is committed.

        An error undoes what this function did and nothing else. Cancelling the caller does not cancel the write. The
        function may run twice (when another one of its batch fails), the first run undone: what it changes outside
        the database belongs into a hook.
        """
        return await self.submit(function)

    def submit(self, function: Callable[[Tx], T], *, is_brief: bool = False) -> asyncio.Future[T]:
        """As ``write``, but the place in the order of writes is taken before this returns.

        ``is_brief``: the function takes a fraction of a millisecond, and may run on the event loop (see
        ``kernel.calm``): two threads that both work in small steps spend more on the interpreter's lock than on the
        work. The disk is not waited for there.

        Raises Unavailable at once when the database is closing or its disk has failed.
        """
        if self._is_closing or self._writer is None:
            raise self._closed()
        if self._failure:
            raise Unavailable(self._failure, reason=DISK_FAILED)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(Unit(function, future, is_brief=is_brief))
        self._wake.set()
        return future

    async def _write_batches(self) -> None:
        """The writer: takes all that wait, commits them together, tells the callers, and looks after the WAL."""
        while True:
            if not self._waiting:
                if self._is_closing:
                    return
                self._wake.clear()
                try:
                    async with asyncio.timeout(IDLE_SECONDS if self._is_dirty else None):
                        await self._wake.wait()
                except TimeoutError:
                    await self._checkpoint_quietly()
                continue
            await gather_crowd(self._waiting, BATCH_UNITS, PATIENCE)
            async with self._turn:
                await self._write_batch(self._take_batch())
            if self._is_dirty and self._wal_bytes() > WAL_BYTES:
                await self._checkpoint_quietly()

    def _take_batch(self) -> list[Unit[Any]]:
        """The units that come next and go together: brief ones among themselves while the loop may run them."""
        size = BATCH_UNITS
        if self._calm and self._waiting[0].is_brief:
            size = next((at for at, unit in enumerate(self._waiting[:size]) if not unit.is_brief), size)
        units, self._waiting = self._waiting[:size], self._waiting[size:]
        return units

    async def _write_batch(self, units: list[Unit[Any]]) -> None:
        if self._writer is None:
            raise self._closed()
        failure: BaseException | None = None
        try:
            failure = await self._run_batch(self._writer, units)
        except BaseException as error:
            failure = Unavailable(f"The database {self.name} was stopped while it wrote.", reason="closed")
            for unit in units:
                unit.error = unit.error or failure
            if not isinstance(error, Exception):
                raise
            failure.__cause__ = error
        finally:
            self._is_dirty = True
            for unit in units:
                self._call_hooks(unit)
                resolve_unit(unit, self._translate)
        if failure is not None and is_io_failure(failure):
            self._fail(failure)

    async def _run_batch(self, writer: Connection, units: list[Unit[Any]]) -> BaseException | None:
        if self._calm and all(unit.is_brief for unit in units):
            batch = Batch(writer.here(), units)
            if self._begin_here(writer.here(), batch):
                await self._run_here(writer, batch, len(units))
                return batch.failure

        def run(connection: sqlite3.Connection) -> BaseException | None:
            self._wait_for_lock(connection, True)
            return run_batch(connection, units)

        return await writer.run(run)

    def _begin_here(self, connection: sqlite3.Connection, batch: Batch) -> bool:
        """Begin a batch on the event loop; False when another process holds the file: that is waited for elsewhere."""
        try:
            self._wait_for_lock(connection, False)
            batch.begin()
        except sqlite3.Error:
            return False
        return True

    async def _run_here(self, writer: Connection, batch: Batch, size: int) -> None:
        """Run units on the event loop, and what may take longer in the thread: a second try, a synced commit.

        A commit that begins the WAL anew syncs it also where others do not.
        """

        def run_apart(connection: sqlite3.Connection) -> None:
            self._wait_for_lock(connection, True)
            batch.run_apart()

        for start in range(0, size, BRIEF_UNITS):
            if start:
                await asyncio.sleep(0)
            if not self._calm.run(batch.run, start, start + BRIEF_UNITS):
                await writer.run(run_apart)
                break
        if self._is_synced or self._begins_wal:
            self._begins_wal = False
            await writer.run(lambda _: batch.commit())
        else:
            self._calm.run(batch.commit)

    def _wait_for_lock(self, connection: sqlite3.Connection, wait: bool) -> None:
        """Whether the next statements wait for other processes: on the event loop nothing may."""
        if wait is not self._is_waiting_for_lock:
            connection.execute(f"PRAGMA busy_timeout = {round(self._busy_seconds * 1000) if wait else 0}")
            self._is_waiting_for_lock = wait

    def _call_hooks(self, unit: Unit[Any]) -> None:
        for hook in unit.hooks:
            try:
                hook()
            except Exception as error:
                context = {"message": f"A hook after a commit of {self.name} failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    def _fail(self, error: BaseException) -> None:
        """Stop writing for good: a sync that failed must not be repeated, the kernel may have dropped the pages."""
        self._failure = (
            f"The disk that holds the database {self.name} failed ({error}); nothing is written to it any more. "
            "Check the disk, then restart."
        )
        units, self._waiting = self._waiting, []
        for unit in units:
            unit.error = Unavailable(self._failure, reason=DISK_FAILED)
            resolve_unit(unit, self._translate)

    # --- copying -----------------------------------------------------------------------------------------------------

    async def back_up(self, target: Path, describe: Callable[[Reader], T], report: Report | None = None) -> T:
        """Copy the database, as it is at one moment, into a file (mode 0600); returns what ``describe`` read then.

        Nobody who reads or writes waits for it; memory stays small. Cancelling the caller ends the copy and removes the
        file. The copy is checked: Corrupt for a database that is damaged. Raises QuotaExceeded, Unavailable.
        """
        if self._writer is None:
            raise self._closed()
        copy = Copy(target, self.name, report)
        connection = await Connection.open(self.path, name=f"{self.name}: backup")
        try:
            work = asyncio.ensure_future(
                connection.run(lambda inner: copy.make(inner, lambda one: describe(Reader(one))))
            )
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                copy.abandon()
                await asyncio.wait([work])
                if not work.cancelled():
                    work.exception()  # seen
                raise
        except sqlite3.Error as error:
            raise self._translate(error) from error
        finally:
            await connection.close()

    # --- looking after the file --------------------------------------------------------------------------------------

    async def checkpoint(self, *, truncate: bool = False) -> None:
        """Carry the WAL into the database file; with ``truncate`` also empty it (waits for readers)."""
        if self._writer is None:
            raise self._closed()
        mode = "TRUNCATE" if truncate else "PASSIVE"
        self._is_dirty = False

        def run(connection: sqlite3.Connection) -> None:
            self._wait_for_lock(connection, True)
            connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()

        try:
            async with self._turn:
                self._begins_wal = True
                await self._writer.run(run)
        except sqlite3.Error as error:
            if is_io_failure(error):
                self._fail(error)
            raise self._translate(error) from error

    async def _checkpoint_quietly(self) -> None:
        """A checkpoint that is not needed now may fail: what counts stands in the WAL, and ``_fail`` tells of I/O."""
        with suppress(Exception):
            await self.checkpoint()

    def _wal_bytes(self) -> int:
        try:
            return os.stat(f"{self.path}-wal").st_size
        except OSError:
            return 0

    def file_bytes(self) -> int:
        """Bytes that the database and its WAL take on the disk."""
        try:
            return self.path.stat().st_size + self._wal_bytes()
        except OSError:
            return 0

    @property
    def failure(self) -> str:
        """Why nothing is written any more; empty while all is well."""
        return self._failure

    async def close(self) -> None:
        """Finish every write that was taken, empty the WAL, close. May be called twice."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        await self._close_connections()

    async def _close_connections(self) -> None:
        readers, self._readers = self._readers, []
        for connection, _ in readers:
            await connection.close()
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if not self._failure and self._task is not None:
            with suppress(sqlite3.Error):
                await writer.run(lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        await writer.close()

    def _closed(self) -> Unavailable:
        return Unavailable(f"The database {self.name} is closed.", reason="closed")

    def _translate(self, error: BaseException) -> BaseException:
        if isinstance(error, sqlite3.Error):
            return translate_failure(error, self.name) or error
        return error


__all__ = ["Database", "Reader", "Tx"]
