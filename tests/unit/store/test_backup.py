"""A copy of a database in use: of one moment, whatever is written meanwhile."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from cellsmono.kernel.errors import Corrupt, Unavailable
from cellsmono.store.backup import seal_database
from cellsmono.store.database import Database, Reader
from cellsmono.store.migrations import Migrations

MIGRATIONS = Migrations(5, ("CREATE TABLE t (x INTEGER PRIMARY KEY, text TEXT);",))
ROWS = 20_000


@pytest.fixture
async def database(tmp_path: Path):
    opened = await Database.open(tmp_path / "x.db", MIGRATIONS)
    await opened.write(lambda tx: tx.executemany("INSERT INTO t VALUES (?, ?)", [(n, "t" * 200) for n in range(ROWS)]))
    yield opened
    await opened.close()


def count(reader: Reader) -> int:
    return reader.execute("SELECT count(*) FROM t").fetchone()[0]


def count_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as copy:
        return copy.execute("SELECT count(*) FROM t").fetchone()[0]


async def test_it_holds_what_was_described_and_reports_progress(database, tmp_path):
    told: list[tuple[int, int]] = []
    assert await database.back_up(tmp_path / "copy", count, lambda *each: told.append(each)) == ROWS
    assert count_in(tmp_path / "copy") == ROWS
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert len(told) > 1
    assert told[-1][0] == told[-1][1]
    assert not list(tmp_path.glob("copy-*"))


async def test_writers_do_not_wait_and_are_not_in_it(database, tmp_path):
    loop = asyncio.get_running_loop()
    written: list[int] = []

    async def write() -> None:
        await database.write(lambda tx: tx.execute("INSERT INTO t (text) VALUES ('late')").rowcount)
        await database.checkpoint()
        written.append(1)

    def report(done: int, total: int) -> None:
        if not written:  # the copy itself waits for the writer, so the writer can not be waiting for the copy
            asyncio.run_coroutine_threadsafe(write(), loop).result()

    assert await database.back_up(tmp_path / "copy", count, report) == ROWS
    assert written
    assert count_in(tmp_path / "copy") == ROWS
    assert await database.read(count) == ROWS + 1


async def test_a_caller_that_is_cancelled_ends_it_and_leaves_nothing(database, tmp_path):
    begun, gone_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def report(done: int, total: int) -> None:
        loop.call_soon_threadsafe(begun.set)
        gone_on.wait()

    task = asyncio.create_task(database.back_up(tmp_path / "copy", count, report))
    await begun.wait()
    task.cancel()
    loop.call_soon(gone_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (tmp_path / "copy").exists()


async def test_a_damaged_database_is_not_copied(database, tmp_path):
    await database.close()
    path = tmp_path / "x.db"
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    damaged = await Database.open(path, MIGRATIONS)
    try:
        with pytest.raises(Corrupt):
            await damaged.back_up(tmp_path / "copy", lambda reader: None)
    finally:
        await damaged.close()
    assert not (tmp_path / "copy").exists()


async def test_a_place_that_can_not_be_written_does_not_stop_the_database(database, tmp_path):
    with pytest.raises(Unavailable):
        await database.back_up(tmp_path / "missing" / "copy", count)
    assert database.failure == ""
    assert await database.read(count) == ROWS


async def test_a_file_with_a_wal_is_not_sealed(tmp_path):
    path = tmp_path / "x.db"
    path.touch()
    wal = tmp_path / "x.db-wal"
    wal.write_bytes(b"")
    seal_database(path)
    assert not wal.exists()
    wal.write_bytes(b"changes")
    with pytest.raises(Corrupt, match="-wal"):
        seal_database(path)
