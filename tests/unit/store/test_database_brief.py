"""Brief units: written on the event loop, under the same promises as in the writer's thread."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

import pytest

from cellsmono.kernel.calm import STALL_SECONDS, Calm
from cellsmono.kernel.errors import Conflict, Locked
from cellsmono.store.database import BRIEF_UNITS, Database, Tx
from cellsmono.store.migrations import Migrations

MIGRATIONS = Migrations(5, ("CREATE TABLE t (x INTEGER PRIMARY KEY);",))
LEVELS: tuple[Literal["fsync", "relaxed"], ...] = ("fsync", "relaxed")


@pytest.fixture(params=LEVELS)
async def database(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "x.db", MIGRATIONS, busy_seconds=0.01, durability=request.param)
    yield opened
    await opened.close()


def insert(number: int, threads: list[str] | None = None) -> Callable[[Tx], int]:
    def write(tx: Tx) -> int:
        if threads is not None:
            threads.append(threading.current_thread().name)
        tx.execute("INSERT INTO t (x) VALUES (?)", (number,))
        return number

    return write


async def rows(database: Database) -> list[int]:
    return await database.read(lambda reader: [row[0] for row in reader.execute("SELECT x FROM t ORDER BY x")])


def fail(tx: Tx) -> None:
    tx.execute("INSERT INTO t (x) VALUES (-1)")
    raise Conflict("on purpose")


async def trace(database: Database) -> list[str]:
    statements: list[str] = []
    assert database._writer is not None
    await database._writer.run(lambda connection: connection.set_trace_callback(statements.append))
    return statements


async def test_a_brief_unit_runs_on_the_loop_and_is_seen_by_readers(database: Database) -> None:
    threads: list[str] = []
    assert await database.submit(insert(7, threads), is_brief=True) == 7
    assert threads == [threading.main_thread().name]
    assert await rows(database) == [7]


async def test_other_units_run_in_the_writers_thread(database: Database) -> None:
    threads: list[str] = []
    await database.submit(insert(7, threads))
    assert threads != [threading.main_thread().name]


async def test_a_crowd_shares_one_commit_and_keeps_its_order(database: Database) -> None:
    statements = await trace(database)
    crowd = [database.submit(insert(number), is_brief=True) for number in range(BRIEF_UNITS * 3)]
    assert await asyncio.gather(*crowd) == list(range(BRIEF_UNITS * 3))
    assert statements.count("COMMIT") == 1


async def test_brief_and_other_units_keep_the_order_of_submission(database: Database) -> None:
    order: list[int] = []

    def note(number: int) -> Callable[[Tx], None]:
        return lambda tx: order.append(number)

    await asyncio.gather(*(database.submit(note(number), is_brief=number % 3 != 0) for number in range(30)))
    assert order == list(range(30))


@pytest.mark.parametrize("at", [0, 1, BRIEF_UNITS + 5])
async def test_one_that_fails_harms_nobody_else(database: Database, at: int) -> None:
    size = BRIEF_UNITS + 10
    crowd = [database.submit(fail if number == at else insert(number), is_brief=True) for number in range(size)]
    results = await asyncio.gather(*crowd, return_exceptions=True)
    assert [number for number, result in enumerate(results) if isinstance(result, Conflict)] == [at]
    assert await rows(database) == [number for number in range(size) if number != at]


async def test_one_alone_that_fails_leaves_nothing(database: Database) -> None:
    undone: list[str] = []

    def write(tx: Tx) -> None:
        tx.on_rollback(lambda: undone.append("undone"))
        fail(tx)

    with pytest.raises(Conflict):
        await database.submit(write, is_brief=True)
    assert undone == ["undone"]
    assert await rows(database) == []
    await database.submit(insert(1), is_brief=True)
    assert await rows(database) == [1]


async def test_hooks_run_after_the_commit_in_order(database: Database) -> None:
    told: list[int] = []

    def unit(number: int) -> Callable[[Tx], None]:
        def write(tx: Tx) -> None:
            insert(number)(tx)
            tx.after_commit(lambda: told.append(number))
            assert not told

        return write

    await asyncio.gather(*(database.submit(unit(number), is_brief=True) for number in range(5)))
    assert told == list(range(5))


async def test_another_process_that_holds_the_file_is_not_waited_for_on_the_loop(
    database: Database, tmp_path: Path
) -> None:
    await database.submit(insert(1), is_brief=True)
    threads: list[str] = []
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked, match="Another process"):
            await database.submit(insert(2, threads), is_brief=True)
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert threads == []
    await database.submit(insert(3), is_brief=True)
    assert await rows(database) == [1, 3]


async def test_a_slow_disk_sends_brief_units_to_the_thread(database: Database) -> None:
    now = 1000.0

    def monotonic() -> float:
        nonlocal now
        now += STALL_SECONDS * 2
        return now

    database._calm = Calm(monotonic)
    threads: list[str] = []
    for number in range(3):
        await database.submit(insert(number, threads), is_brief=True)
    assert threads[0] == threading.main_thread().name
    assert threading.main_thread().name not in threads[1:]
    assert await rows(database) == [0, 1, 2]


@pytest.mark.parametrize("at", [0, 5, BRIEF_UNITS + 5])
async def test_nothing_is_written_once_sqlite_gave_the_transaction_up(database: Database, at: int) -> None:
    def give_up(tx: Tx) -> None:
        tx.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    crowd = [
        database.submit(give_up if number == at else insert(number), is_brief=True) for number in range(BRIEF_UNITS * 3)
    ]
    results = await asyncio.gather(*crowd, return_exceptions=True)
    assert all(isinstance(result, sqlite3.OperationalError) for result in results)
    assert await rows(database) == []
    await database.submit(insert(1), is_brief=True)
    assert await rows(database) == [1]


async def test_a_commit_that_begins_the_wal_anew_is_made_in_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite flushes the header of a new WAL also where other commits are not flushed."""
    database = await Database.open(tmp_path / "x.db", MIGRATIONS, durability="relaxed")
    writer = database._writer
    assert writer is not None
    hops: list[str] = []
    run = writer.run

    async def note(function: Callable[[sqlite3.Connection], object]) -> object:
        hops.append("hop")
        return await run(function)

    monkeypatch.setattr(writer, "run", note)
    for number, expected in ((1, 1), (2, 0)):
        hops.clear()
        await database.submit(insert(number), is_brief=True)
        assert len(hops) == expected
    await database.checkpoint()
    hops.clear()
    await database.submit(insert(3), is_brief=True)
    assert len(hops) == 1
    assert await rows(database) == [1, 2, 3]
    await database.close()


async def test_the_second_try_of_a_crowd_waits_for_another_process(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "x.db", MIGRATIONS, busy_seconds=30)
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
    let_go = threading.Timer(0.2, lambda: other.execute("ROLLBACK"))

    def lock_and_fail(tx: Tx) -> None:
        if not let_go.is_alive() and not let_go.finished.is_set():
            tx.execute("ROLLBACK")
            other.execute("BEGIN IMMEDIATE")
            tx.execute("BEGIN")
            let_go.start()
        raise Conflict("on purpose")

    results = await asyncio.gather(
        database.submit(insert(1), is_brief=True),
        database.submit(lock_and_fail, is_brief=True),
        return_exceptions=True,
    )
    let_go.join()
    other.close()
    assert results[0] == 1
    assert isinstance(results[1], Conflict)
    await database.close()
