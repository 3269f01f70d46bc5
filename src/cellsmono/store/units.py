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

    __slots__ = ("error", "function", "future", "hooks", "is_brief", "result")

    def __init__(self, function: Callable[[Tx], T], future: asyncio.Future[T], *, is_brief: bool = False) -> None:
        self.function = function
        self.is_brief = is_brief
        self.future = future
        self.result: T | None = None
        self.error: BaseException | None = None
        self.hooks: list[Hook] = []


class Batch:
    """Units in one transaction: ``begin``, ``run``, ``commit``, each perhaps in another thread, one after the other.

    Errors are rare and savepoints are not free, so a crowd first runs without; when one of it fails, all is undone and
    run again, each in a savepoint of its own. The outcome stands in the units. ``failure`` is the error that undid the
    whole transaction, if one did: then it stands in every unit that had no error of its own.
    """

    def __init__(self, connection: sqlite3.Connection, units: Sequence[Unit[Any]]) -> None:
        self._connection = connection
        self._units = units
        self._done: list[tuple[Unit[Any], Tx]] = []
        self.failure: BaseException | None = None

    def begin(self) -> None:
        """Take the place of the one writer. Raises ``sqlite3.Error``; then nothing has happened."""
        self._connection.execute("BEGIN IMMEDIATE")

    def run(self, first: int = 0, last: int | None = None) -> bool:
        """Run the units of a range; False when one failed: then nothing is done, and ``run_apart`` is to follow.

        After a failure of the whole there is no transaction any more that anything could be written in.
        """
        if self.failure is not None:
            return True
        try:
            for unit in self._units[first:last]:
                unit.result = unit.function(self._new_tx(unit))
        except BaseException as error:
            if not self._connection.in_transaction:
                self.fail(error)
                return True
            self._undo()
            if len(self._units) > 1:
                return False
            self._units[0].error = error
        return True

    def run_apart(self) -> None:
        """Run every unit anew, each so that it can be undone alone."""
        try:
            self.begin()
            for unit in self._units:
                self._run_unit(unit, self._new_tx(unit))
        except BaseException as error:
            self.fail(error)

    def _run_unit(self, unit: Unit[Any], tx: Tx) -> None:
        self._connection.execute("SAVEPOINT unit")
        try:
            unit.result = unit.function(tx)
        except BaseException as error:
            unit.error = error
            if not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO unit")
            tx.undone()
        self._connection.execute("RELEASE unit")

    def commit(self) -> None:
        """Make what was done last, unless it was undone."""
        if not self._connection.in_transaction:
            return
        try:
            self._connection.execute("COMMIT")
        except BaseException as error:
            self.fail(error)
            return
        for unit, tx in self._done:
            unit.hooks = tx.committed()

    def fail(self, error: BaseException) -> None:
        """Undo everything because of an error that is nobody's own."""
        self.failure = error
        self._undo()
        for unit in self._units:
            unit.error = unit.error or error

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        for _, tx in reversed(self._done):
            tx.undone()
        self._done = []

    def _new_tx(self, unit: Unit[Any]) -> Tx:
        tx = Tx(self._connection)
        self._done.append((unit, tx))
        return tx


def run_batch(connection: sqlite3.Connection, units: Sequence[Unit[Any]]) -> BaseException | None:
    """Run units in one transaction, from its begin to its commit; what ``Batch.failure`` says of it."""
    batch = Batch(connection, units)
    try:
        batch.begin()
    except BaseException as error:
        batch.fail(error)
        return error
    if not batch.run():
        batch.run_apart()
    batch.commit()
    return batch.failure


def resolve_unit(unit: Unit[Any], translate: Callable[[BaseException], BaseException]) -> None:
    """Tell the caller how it went; runs on the event loop. A caller that was cancelled meanwhile hears nothing."""
    if unit.future.done():
        return
    if unit.error is None:
        unit.future.set_result(unit.result)
        return
    error = unit.error if isinstance(unit.error, CellsError) else translate(unit.error)
    unit.future.set_exception(error)
