"""Schemas: applied once, in order, all or nothing, after a checked backup."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cellsmono.kernel.errors import Corrupt, Invalid, Locked, Unavailable
from cellsmono.store.database import Database
from cellsmono.store.migrations import Migrations, load_migrations, split_statements

ONE = Migrations(77, ("CREATE TABLE t (x);\nINSERT INTO t VALUES ('a;b');\n",))
TWO = Migrations(77, (*ONE.steps, "ALTER TABLE t ADD COLUMN y;\nUPDATE t SET y = 1;\n"))


async def open_once(path: Path, migrations: Migrations) -> list[tuple[object, ...]]:
    database = await Database.open(path, migrations)
    try:
        return await database.read(lambda reader: reader.execute("SELECT * FROM t").fetchall())
    finally:
        await database.close()


def read_versions(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        pragmas = ("application_id", "user_version")
        application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
        return application, version


async def test_a_new_file_gets_every_step_no_backup_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    assert await open_once(path, TWO) == [("a;b", 1)]
    assert read_versions(path) == (77, 2)
    assert [each.name for each in tmp_path.iterdir()] == ["x.db"]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_an_old_file_is_backed_up_and_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    await open_once(path, ONE)
    assert await open_once(path, TWO) == [("a;b", 1)]
    backup = tmp_path / "x.db.backup-v1"
    assert read_versions(backup) == (77, 1)
    assert backup.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.db", "x.db.backup-v1"]
    shutil.copy(backup, path)
    assert await open_once(path, ONE) == [("a;b",)]


async def test_a_step_can_tell_a_new_file_from_one_that_is_upgraded(tmp_path: Path) -> None:
    asking = Migrations(77, (*ONE.steps, "INSERT INTO t SELECT 'from ' || origin FROM temp.migration;\n"))
    assert await open_once(tmp_path / "new.db", asking) == [("a;b",), ("from 0",)]
    await open_once(tmp_path / "old.db", ONE)
    assert await open_once(tmp_path / "old.db", asking) == [("a;b",), ("from 1",)]


async def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    await open_once(path, ONE)
    broken = Migrations(77, (*ONE.steps, "UPDATE t SET x = 'changed';\nCREATE TABLE u (x);\nnonsense;\n"))
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        await Database.open(path, broken)
    assert await open_once(path, ONE) == [("a;b",)]
    assert read_versions(path) == (77, 1)


async def test_a_newer_schema_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    await open_once(path, TWO)
    with pytest.raises(Invalid, match=r"schema 2.*knows up to 1.*backup-v1") as caught:
        await Database.open(path, ONE)
    assert caught.value.reason == "schema"
    assert await open_once(path, TWO) == [("a;b", 1)]


async def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    await open_once(path, Migrations(78, ONE.steps))
    with pytest.raises(Corrupt, match="something else"):
        await Database.open(path, ONE)


async def test_garbage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database, but long enough to look like a page " * 100)
    with pytest.raises(Corrupt, match="damaged"):
        await Database.open(path, ONE)


async def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="check its folder"):
        await Database.open(tmp_path / "none" / "x.db", ONE)


async def test_a_file_that_another_process_writes_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    await open_once(path, ONE)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Locked, match="Another process"):
            await Database.open(path, TWO, busy_seconds=0.01)


def test_scripts_are_split_at_statements_only() -> None:
    script = "-- a; comment\nCREATE TABLE a (\n  x -- ; no end\n);\nINSERT INTO a VALUES (';');\n"
    assert len(list(split_statements(script))) == 2
    with pytest.raises(ValueError, match="middle"):
        list(split_statements("SELECT 1"))


def test_the_index_has_numbered_migrations() -> None:
    migrations = load_migrations("cellsmono.datasource.index", 1)
    assert migrations.version >= 1
    for step in migrations.steps:
        assert list(split_statements(step))
