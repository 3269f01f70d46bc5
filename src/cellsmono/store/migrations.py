"""Schemas: numbered SQL files of a service, applied once each, in order, forwards only.

The file holds ``PRAGMA user_version`` (how many were applied) and ``PRAGMA application_id`` (whose database it is). A
backup is made and checked before an existing database is changed.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import msgspec

from cellsmono.kernel.errors import Corrupt, Invalid, Unavailable
from cellsmono.store.failures import translated

STEP_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


class Migrations(msgspec.Struct, frozen=True):
    """The schema of one service: its own 31-bit ``application_id``, and ``steps[n]`` which leads to version n+1."""

    application_id: int
    steps: tuple[str, ...]

    @property
    def version(self) -> int:
        """The version of the schema that this program knows."""
        return len(self.steps)


def load_migrations(package: str, application_id: int) -> Migrations:
    """Read ``sql/0001_*.sql``, ``sql/0002_*.sql``, ... beside the modules of a package. Raises ValueError on a gap."""
    found = {}
    for entry in files(package).joinpath("sql").iterdir():
        match = STEP_NAME.match(entry.name)
        if match:
            found[int(match[1])] = entry.read_text(encoding="utf-8")
    if sorted(found) != list(range(1, len(found) + 1)):
        raise ValueError(f"The migrations of {package} are not numbered from 1 without gaps: {sorted(found)}")
    return Migrations(application_id, tuple(found[number] for number in sorted(found)))


def split_statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: ``executescript`` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"The script ends in the middle of a statement: {statement.strip()!r}")


def migrate(connection: sqlite3.Connection, path: Path, migrations: Migrations, name: str) -> None:
    """Bring the schema up to date; each step is one transaction that also counts itself.

    A step that must tell a new database from one that is upgraded finds the version that there was at the beginning in
    ``temp.migration`` (column ``origin``, 0 for a new one).

    Raises Invalid (reason ``schema``) for a database that a newer program wrote, Corrupt (reason ``database``) for one
    that belongs to somebody else.
    """
    with translated(name):
        version = read_pragma(connection, "user_version")
        owner = read_pragma(connection, "application_id")
        is_new = version == 0 and owner == 0 and read_pragma(connection, "schema_version") == 0
        check_owner(migrations, name, path, owner=owner, version=version, is_new=is_new)
        if version == migrations.version:
            return
        if not is_new:
            back_up(connection, path.with_name(f"{path.name}.backup-v{version}"), name)
        connection.execute("CREATE TEMP TABLE migration (origin INTEGER NOT NULL)")
        connection.execute("INSERT INTO temp.migration VALUES (?)", (version,))
        for number in range(version, migrations.version):
            apply_step(connection, migrations, number)
        connection.execute("DROP TABLE temp.migration")


def check_owner(migrations: Migrations, name: str, path: Path, *, owner: int, version: int, is_new: bool) -> None:
    """Refuse a file of another kind or of a newer program."""
    if not is_new and owner != migrations.application_id:
        message = f"{path} is not the database {name} but something else: put it aside, or configure another path."
        raise Corrupt(message, reason="database", path=str(path))
    if version > migrations.version:
        message = (
            f"The database {name} ({path}) has schema {version}, this program knows up to {migrations.version}: "
            f"run the newer cellsmono that wrote it, or restore {path.name}.backup-v{migrations.version}."
        )
        raise Invalid(message, reason="schema", path=str(path))


def apply_step(connection: sqlite3.Connection, migrations: Migrations, number: int) -> None:
    """Apply one step and raise the version, all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in split_statements(migrations.steps[number]):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {migrations.application_id}")
        connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def back_up(connection: sqlite3.Connection, target: Path, name: str) -> None:
    """Copy the database by SQLite's own backup (never ``cp``: that misses the WAL), check the copy, keep it as 0600."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    create_private(part)
    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        verdict = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        message = f"The database {name} is damaged, so it was not upgraded ({verdict}): restore a backup."
        raise Corrupt(message, reason="database")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    sync_folder(target.parent)


def create_private(path: Path) -> None:
    """Make an empty file that only its owner may read, unless it is there; SQLite copies the mode to WAL and SHM."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        message = f"The database file {path} can not be opened ({error.strerror}): check its folder and permissions."
        raise Unavailable(message, reason="permissions", path=str(path)) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_pragma(connection: sqlite3.Connection, pragma: str) -> int:
    """The value of a numeric pragma."""
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
