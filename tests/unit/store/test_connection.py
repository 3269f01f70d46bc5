"""The one place that leans on private members of aiosqlite: these tests fail when an upgrade changes them."""

import sqlite3
import threading
from pathlib import Path

import aiosqlite
import pytest

from cellsmono.store.connection import Connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "a b%20?.db"
    found.touch()
    return found


async def test_a_function_runs_in_one_hop_on_the_threads_own_connection(path: Path) -> None:
    connection = await Connection.open(path, name="one")
    try:
        seen = await connection.run(lambda inner: (type(inner), threading.current_thread().name))
        assert seen == (sqlite3.Connection, "one")
    finally:
        await connection.close()


async def test_nothing_is_begun_by_itself(path: Path) -> None:
    connection = await Connection.open(path, name="two")
    try:
        await connection.run(lambda inner: inner.execute("CREATE TABLE t (x)"))
        await connection.run(lambda inner: inner.execute("INSERT INTO t VALUES (1)"))
        assert not await connection.run(lambda inner: inner.in_transaction)
    finally:
        await connection.close()


async def test_errors_of_the_function_come_back(path: Path) -> None:
    connection = await Connection.open(path, name="three")
    try:
        with pytest.raises(sqlite3.OperationalError):
            await connection.run(lambda inner: inner.execute("nonsense"))
        with pytest.raises(ZeroDivisionError):
            await connection.run(lambda _: 1 / 0)
    finally:
        await connection.close()


async def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        await Connection.open(tmp_path / "none.db", name="four")
    assert list(tmp_path.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "four"]


def test_the_private_members_are_there() -> None:
    inner = aiosqlite.connect(":memory:")
    assert callable(inner._execute)
    assert isinstance(type(inner)._conn, property)
    assert inner._thread.name
