"""A unit of work, and the batch of units that share one transaction and one sync of the disk (group commit)."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from cellsmono.kernel.errors import CellsError

T = TypeVar("T")
Parameters = Sequence[Any]
Hook = Callable[[], None]


class Tx:
    """What a unit of work writes through. It is valid only while the unit runs, in the writer's thread."""

    __slots__ = ("_commit_hooks", "_rollback_hooks", "execute", "executemany")

    execute: Callable[..., sqlite3.Cursor]
    """``execute(sql, parameters=())`` as ``sqlite3.Connection`` has it."""
    executemany: Callable[[str, Iterable[Parameters]], sqlite3.Cursor]
    """``executemany(sql, rows)`` as ``sqlite3.Connection`` has it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self._commit_hooks: list[Hook] = []
        self._rollback_hooks: list[Hook] = []

    def after_commit(self, hook: Hook) -> None:
        """Call ``hook`` on the event loop once this is committed, in commit order, before the caller goes on."""
        self._commit_hooks.append(hook)

    def on_rollback(self, hook: Hook) -> None:
        """Call ``hook`` in the writer's thread, before any other unit runs, if what this did is undone."""
        self._rollback_hooks.append(hook)

    def undone(self) -> None:
        """Run the hooks of a rollback, once."""
        hooks, self._rollback_hooks = self._rollback_hooks, []
        self._commit_hooks = []
        for hook in reversed(hooks):
            hook()

    def committed(self) -> list[Hook]:
        """The hooks of a commit, in the order in which they were given."""
        return self._commit_hooks


class Unit(Generic[T]):
    """One caller's function, the future it waits for, and how it went."""

    __slots__ = ("error", "function", "future", "hooks", "result")

    def __init__(self, function: Callable[[Tx], T], future: asyncio.Future[T]) -> None:
        self.function = function
        self.future = future
        self.result: T | None = None
        self.error: BaseException | None = None
        self.hooks: list[Hook] = []


class Failed(Exception):
    """The transaction that the units shared is gone, with all that they did."""


def run_batch(connection: sqlite3.Connection, units: Sequence[Unit[Any]]) -> BaseException | None:
    """Run units in one transaction; runs in the writer's thread.

    Errors are rare and savepoints are not free, so a crowd first runs without; when one of it fails, all is undone and
    run again, each in a savepoint of its own. The outcome stands in the units. What is returned is the error that
    undid the whole transaction, if one did: then it stands in every unit that had no error of its own.
    """
    pairs = [(unit, Tx(connection)) for unit in units]
    try:
        connection.execute("BEGIN IMMEDIATE")
        if len(units) == 1 or not run_together(connection, pairs):
            pairs = [(unit, Tx(connection)) for unit in units]
            for unit, tx in pairs:
                run_unit(connection, unit, tx)
        connection.execute("COMMIT")
    except BaseException as error:
        cause = error.__cause__ if isinstance(error, Failed) and error.__cause__ else error
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        undo_all(pairs)
        for unit in units:
            unit.error = unit.error or cause
        return cause
    for unit, tx in pairs:
        unit.hooks = tx.committed()
    return None


def run_together(connection: sqlite3.Connection, pairs: Sequence[tuple[Unit[Any], Tx]]) -> bool:
    """Run all units; False when one failed: then all is undone and a new transaction is open.

    Raises Failed when SQLite had to undo the transaction itself.
    """
    try:
        for unit, tx in pairs:
            unit.result = unit.function(tx)
    except BaseException as error:
        if not connection.in_transaction:
            raise Failed from error
        connection.execute("ROLLBACK")
        undo_all(pairs)
        connection.execute("BEGIN IMMEDIATE")
        return False
    return True


def undo_all(pairs: Sequence[tuple[Unit[Any], Tx]]) -> None:
    """Run the hooks of a rollback, last unit first."""
    for _, tx in reversed(pairs):
        tx.undone()


def run_unit(connection: sqlite3.Connection, unit: Unit[Any], tx: Tx) -> None:
    """Run one unit; undo only what it did when it fails. Raises Failed when SQLite had to undo the transaction."""
    connection.execute("SAVEPOINT unit")
    try:
        unit.result = unit.function(tx)
    except BaseException as error:
        unit.error = error
        if not connection.in_transaction:
            raise Failed from error
        connection.execute("ROLLBACK TO unit")
        tx.undone()
    connection.execute("RELEASE unit")


def resolve_unit(unit: Unit[Any], translate: Callable[[BaseException], BaseException]) -> None:
    """Tell the caller how it went; runs on the event loop. A caller that was cancelled meanwhile hears nothing."""
    if unit.future.done():
        return
    if unit.error is None:
        unit.future.set_result(unit.result)
        return
    error = unit.error if isinstance(unit.error, CellsError) else translate(unit.error)
    unit.future.set_exception(error)
