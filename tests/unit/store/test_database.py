"""One writer that commits in groups, readers that see what has returned, and what happens when things go wrong."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from cellsmono.kernel.errors import Conflict, Corrupt, Locked, QuotaExceeded, Unavailable
from cellsmono.store.database import Database, Reader, Tx
from cellsmono.store.failures import translate_failure
from cellsmono.store.migrations import Migrations

SCHEMA = """
CREATE TABLE t (x INTEGER PRIMARY KEY, text TEXT);
CREATE TABLE child (x INTEGER REFERENCES t (x) DEFERRABLE INITIALLY DEFERRED);
"""
MIGRATIONS = Migrations(5, (SCHEMA,))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "x.db", MIGRATIONS, busy_seconds=0.01)
    yield opened
    await opened.close()


def insert(number: int) -> Callable[[Tx], int]:
    def write(tx: Tx) -> int:
        tx.execute("INSERT INTO t (x) VALUES (?)", (number,))
        return number

    return write


async def rows(database: Database, *, page: bool = False) -> list[int]:
    def read(reader: Reader) -> list[int]:
        return [row[0] for row in reader.execute("SELECT x FROM t ORDER BY x")]

    return await database.read(read, page=page)


async def trace(database: Database) -> list[str]:
    statements: list[str] = []
    assert database._writer is not None
    await database._writer.run(lambda connection: connection.set_trace_callback(statements.append))
    return statements


async def test_a_write_returns_its_result_and_is_seen_by_every_reader(database: Database) -> None:
    assert await database.write(insert(7)) == 7
    assert await rows(database) == [7]
    assert await rows(database, page=True) == [7]


async def test_all_that_wait_share_one_commit_in_the_order_of_submission(database: Database) -> None:
    statements = await trace(database)
    order: list[int] = []

    def write(number: int) -> Callable[[Tx], None]:
        def unit(tx: Tx) -> None:
            insert(number)(tx)
            order.append(number)

        return unit

    await asyncio.gather(*(database.write(write(number)) for number in range(50)))
    assert statements.count("COMMIT") == 1
    assert order == list(range(50))


async def test_an_error_undoes_one_caller_only(database: Database) -> None:
    def fail(tx: Tx) -> None:
        insert(2)(tx)
        raise Conflict("no")

    outcomes = await asyncio.gather(
        database.write(insert(1)),
        database.write(fail),
        database.write(insert(1)),
        database.write(insert(3)),
        return_exceptions=True,
    )
    assert outcomes[0] == 1
    assert isinstance(outcomes[1], Conflict)
    assert isinstance(outcomes[2], sqlite3.IntegrityError)
    assert outcomes[3] == 3
    assert await rows(database) == [1, 3]


async def test_a_crowd_needs_savepoints_only_when_one_of_it_fails(database: Database) -> None:
    statements = await trace(database)
    undone: list[int] = []

    def write(number: int) -> Callable[[Tx], None]:
        def unit(tx: Tx) -> None:
            tx.on_rollback(lambda: undone.append(number))
            insert(number)(tx)
            if number == 2:
                raise Conflict("no")

        return unit

    await asyncio.gather(*(database.write(insert(number)) for number in (10, 11)))
    assert not [each for each in statements if each.startswith("SAVEPOINT")]
    await asyncio.gather(*(database.write(write(number)) for number in (1, 2, 3)), return_exceptions=True)
    assert len([each for each in statements if each.startswith("SAVEPOINT")]) == 3
    assert undone == [2, 1, 2]
    assert await rows(database) == [1, 3, 10, 11]


async def test_a_commit_that_fails_fails_the_whole_batch(database: Database) -> None:
    told: list[str] = []

    def orphan(tx: Tx) -> None:
        tx.after_commit(lambda: told.append("committed"))
        tx.on_rollback(lambda: told.append("undone"))
        tx.execute("INSERT INTO child VALUES (99)")

    outcomes = await asyncio.gather(database.write(insert(1)), database.write(orphan), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [sqlite3.IntegrityError] * 2
    assert told == ["undone"]
    assert await rows(database) == []
    await database.write(insert(1))
    assert await rows(database) == [1]


async def test_hooks_run_on_the_loop_in_commit_order_before_the_caller_goes_on(database: Database) -> None:
    told: list[object] = []
    loop = asyncio.get_running_loop()

    def write(number: int) -> Callable[[Tx], None]:
        def unit(tx: Tx) -> None:
            tx.after_commit(lambda: told.append((number, asyncio.get_running_loop() is loop)))
            if number == 1:
                raise Conflict("no")

        return unit

    async def caller(number: int) -> None:
        try:
            await database.write(write(number))
        except Conflict:
            told.append("failed")
        else:
            told.append(f"returned {number}")

    await asyncio.gather(*(caller(number) for number in range(3)))
    assert told.index((0, True)) < told.index("returned 0")
    assert told.index((0, True)) < told.index((2, True)) < told.index("returned 2")
    assert "failed" in told
    assert (1, True) not in told


async def test_a_hook_that_fails_does_not_hurt_the_caller(database: Database) -> None:
    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))

    def write(tx: Tx) -> str:
        tx.after_commit(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
        return "fine"

    assert await database.write(write) == "fine"
    assert isinstance(seen[0]["exception"], ZeroDivisionError)


async def test_cancelling_a_caller_neither_loses_nor_halves_its_write(database: Database) -> None:
    def both(tx: Tx) -> None:
        insert(1)(tx)
        insert(2)(tx)

    waiting = asyncio.create_task(database.write(both))
    other = asyncio.create_task(database.write(insert(3)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await other == 3
    assert await rows(database) == [1, 2, 3]


async def test_a_read_is_one_snapshot_and_can_not_write(database: Database) -> None:
    await database.write(insert(1))

    def write(reader: Reader) -> None:
        reader.execute("INSERT INTO t (x) VALUES (2)")

    with pytest.raises((sqlite3.OperationalError, Unavailable), match="read"):
        await database.read(write)
    assert await rows(database) == [1]


async def test_a_long_read_does_not_hold_up_a_short_one(database: Database) -> None:
    import threading

    gate = threading.Event()
    page = asyncio.create_task(database.read(lambda _: gate.wait(10), page=True))
    assert await rows(database) == []
    await database.write(insert(1))
    assert await rows(database) == [1]
    gate.set()
    assert await page


async def test_a_full_disk_is_told_and_passes(database: Database) -> None:
    await database.write(insert(1))

    def fill(tx: Tx) -> None:
        tx.execute("PRAGMA max_page_count = 10")
        for number in range(2, 200):
            tx.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * 3000))

    with pytest.raises(QuotaExceeded) as caught:
        await database.write(fill)
    assert caught.value.reason == "disk_full"
    assert await rows(database) == [1]

    def enlarge(tx: Tx) -> None:
        tx.execute("PRAGMA max_page_count = 1000000")

    await database.write(enlarge)
    await database.write(insert(2))
    assert await rows(database) == [1, 2]


async def test_another_process_that_writes_is_told(database: Database) -> None:
    other = sqlite3.connect(database.path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked):
            await database.write(insert(1))
        other.execute("ROLLBACK")
        await database.write(insert(1))
    finally:
        other.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, Unavailable),
        (sqlite3.SQLITE_CORRUPT_INDEX, Corrupt),
        (sqlite3.SQLITE_NOTADB, Corrupt),
        (sqlite3.SQLITE_FULL, QuotaExceeded),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Locked),
        (sqlite3.SQLITE_READONLY, Unavailable),
        (sqlite3.SQLITE_CANTOPEN, Unavailable),
    ],
)
def test_failures_of_sqlite_become_errors_of_the_domain(code: int, kind: type[Exception]) -> None:
    error = sqlite3.OperationalError("what it said")
    error.sqlite_errorcode = code
    found = translate_failure(error, "index photos")
    assert isinstance(found, kind)
    assert "index photos" in found.message
    assert "what it said" in found.message


async def test_after_an_io_error_nothing_is_written_any_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = sqlite3.OperationalError("disk I/O error")
    failed.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    await database.write(insert(1))

    def fail(connection: sqlite3.Connection, units: list[Any]) -> BaseException:
        for unit in units:
            unit.error = failed
        return failed

    monkeypatch.setattr("cellsmono.store.database.run_batch", fail)
    with pytest.raises(Unavailable, match="check it"):
        await database.write(insert(2))
    monkeypatch.undo()
    with pytest.raises(Unavailable, match="nothing is written"):
        await database.write(insert(3))
    assert "Check the disk" in database.failure
    assert await rows(database) == [1]


async def test_close_finishes_what_was_taken_and_empties_the_wal(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = await Database.open(path, MIGRATIONS, durability="relaxed", readers=1)
    pending = [database.submit(insert(number)) for number in range(600)]
    await database.close()
    assert [await each for each in pending] == list(range(600))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.db"]
    with pytest.raises(Unavailable, match="closed"):
        await database.write(insert(1))
    with pytest.raises(Unavailable, match="closed"):
        await rows(database)
    with pytest.raises(Unavailable, match="closed"):
        await database.checkpoint()
    await database.close()
    again = await Database.open(path, MIGRATIONS)
    assert len(await rows(again)) == 600
    await again.close()


async def test_durability_decides_about_the_sync(tmp_path: Path) -> None:
    async def level(durability: Any) -> int:
        database = await Database.open(tmp_path / f"{durability}.db", MIGRATIONS, durability=durability)
        try:
            return await database.write(lambda tx: int(tx.execute("PRAGMA synchronous").fetchone()[0]))
        finally:
            await database.close()

    assert (await level("fsync"), await level("relaxed")) == (2, 1)


async def test_the_wal_is_carried_over_when_it_grows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellsmono.store.database.WAL_BYTES", 50_000)
    statements = await trace(database)

    def write(tx: Tx) -> None:
        tx.execute("INSERT INTO t (text) VALUES (?)", ("x" * 60_000,))

    await database.write(write)
    await database.write(write)
    assert "PRAGMA wal_checkpoint(PASSIVE)" in statements


async def test_the_wal_is_carried_over_when_nothing_happens(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellsmono.store.database.IDLE_SECONDS", 0.0)
    done = asyncio.Event()
    checkpoint = database.checkpoint

    async def observed(*, truncate: bool = False) -> None:
        await checkpoint(truncate=truncate)
        done.set()

    monkeypatch.setattr(database, "checkpoint", observed)
    await database.write(insert(1))
    async with asyncio.timeout(10):
        await done.wait()
    assert await rows(database) == [1]


async def test_a_memo_stays_with_its_connection(database: Database) -> None:
    def count(reader: Reader) -> int:
        reader.memo["calls"] = reader.memo.get("calls", 0) + 1
        return int(reader.memo["calls"])

    assert [await database.read(count), await database.read(count), await database.read(count, page=True)] == [1, 2, 1]
