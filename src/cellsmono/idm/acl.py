"""``idm.acl``: rows that say what roles may do with nodes. They stay in the database; who asks reads what counts."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from cellsmono.interfaces.acls import ACTIONS, LOCKS, NOTES, POLICY, RIGHTS, Acl
from cellsmono.interfaces.permissions import Right
from cellsmono.kernel.errors import Invalid, NotFound
from cellsmono.kernel.service import ServiceStatus
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

LONGEST_VALUE = 1_000
MOST_ROLES_KEPT = 10_000
"""Roles whose rights are remembered."""

_PLUGIN_ACTION = re.compile(r"(parameter|action):[A-Za-z0-9._-]{1,100}:[A-Za-z0-9._-]{1,100}")
_COLUMNS = "id, node, role, workspace, action, value"


class RightsRow(msgspec.Struct, frozen=True, gc=False):
    """The rights that one role has on one node in one workspace."""

    node: str
    role: str
    workspace: str
    rights: Right


class Note(msgspec.Struct, frozen=True, gc=False):
    """What else is noted for one role and one node in one workspace: an action that counts, and is no right."""

    node: str
    role: str
    workspace: str
    action: str
    value: str


class RoleRows(msgspec.Struct, frozen=True):
    """All that one role says about nodes and that counts."""

    rights: list[RightsRow]
    notes: list[Note]


NOTHING_SAID = RoleRows([], [])


class AclService:
    """Reads and writes rows."""

    name = "idm.acl"
    tag = "idm"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: dict[str, RoleRows] = {}
        self._version = 0
        self._locks: list[Acl] | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Nothing runs: it answers when it is asked."""
        yield

    def status(self) -> ServiceStatus:
        """That it answers."""
        return ServiceStatus()

    async def put(self, node: str, role: str, workspace: str, actions: Mapping[str, str]) -> list[Acl]:
        """Set actions. Rights go together: when one is set, those of read, write and deny that are not go.

        Returns all rows of this node, role and workspace. Raises Invalid for what is no action.
        """
        for action, value in actions.items():
            _check_action(action, value)
        place = (role, node, workspace)

        def write(tx: Tx) -> list[tuple[Any, ...]]:
            self._forget(tx, role)
            for action in RIGHTS if RIGHTS.keys() & actions.keys() else ():
                tx.execute("DELETE FROM acl_acl WHERE role = ? AND node = ? AND workspace = ? AND action = ?",
                           (*place, action))  # fmt: skip
            tx.executemany(
                "INSERT INTO acl_acl (role, node, workspace, action, value) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (role, node, workspace, action) DO UPDATE SET value = excluded.value",
                [(*place, action, value) for action, value in actions.items()],
            )
            return tx.execute(
                f"SELECT {_COLUMNS} FROM acl_acl WHERE role = ? AND node = ? AND workspace = ? ORDER BY id",  # noqa: S608
                place,
            ).fetchall()

        return [Acl(*row) for row in await self._database.write(write)]

    async def put_row(self, node: str, role: str, workspace: str, action: str, value: str) -> Acl:
        """Set one action, and leave all others as they are. Raises Invalid for what is no action."""
        _check_action(action, value)

        def write(tx: Tx) -> tuple[Any, ...]:
            self._forget(tx, role)
            tx.execute(
                "INSERT INTO acl_acl (role, node, workspace, action, value) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (role, node, workspace, action) DO UPDATE SET value = excluded.value",
                (role, node, workspace, action, value),
            )
            row: tuple[Any, ...] = tx.execute(
                f"SELECT {_COLUMNS} FROM acl_acl WHERE role = ? AND node = ? AND workspace = ? AND action = ?",  # noqa: S608
                (role, node, workspace, action),
            ).fetchone()
            return row

        return Acl(*await self._database.write(write))

    async def list_rows(self, node: str = "", role: str = "") -> list[Acl]:
        """Rows of a node, of a role, or of both; all without either."""

        def read(reader: Reader) -> list[tuple[Any, ...]]:
            return reader.execute(
                f"SELECT {_COLUMNS} FROM acl_acl WHERE (? = '' OR node = ?) AND (? = '' OR role = ?) ORDER BY id",  # noqa: S608
                (node, node, role, role),
            ).fetchall()

        return [Acl(*row) for row in await self._database.read(read)]

    async def delete(self, node: str, role: str, workspace: str, actions: Sequence[str]) -> int:
        """Remove rows of a node, role and workspace: those of these actions, or all. Returns how many went."""
        wanted = tuple(actions)
        marks = ", ".join("?" * len(wanted))
        limit = f" AND action IN ({marks})" if wanted else ""
        statement = f"DELETE FROM acl_acl WHERE role = ? AND node = ? AND workspace = ?{limit}"  # noqa: S608

        def remove(tx: Tx) -> int:
            self._forget(tx, role)
            return tx.execute(statement, (role, node, workspace, *wanted)).rowcount

        return await self._database.write(remove)

    async def delete_id(self, row_id: int) -> None:
        """Remove one row. Raises NotFound."""

        def remove(tx: Tx) -> int:
            self._forget(tx)
            return tx.execute("DELETE FROM acl_acl WHERE id = ?", (row_id,)).rowcount

        if not await self._database.write(remove):
            raise NotFound(f"There is no ACL {row_id}; `cellsmono acl list` shows all", reason="acl")

    async def read_rights(self, roles: Sequence[str], workspace: str) -> list[RightsRow]:
        """What these roles say about nodes, in this workspace and in all."""
        return [row for rows in await self._read(roles) for row in rows.rights if row.workspace in {"", workspace}]

    async def read_notes(self, roles: Sequence[str], workspace: str) -> list[Note]:
        """Quotas, recycle bins and policies of these roles, in this workspace and in all."""
        return [note for rows in await self._read(roles) for note in rows.notes if note.workspace in {"", workspace}]

    @property
    def version(self) -> int:
        """Grows with everything that is written."""
        return self._version

    async def read_locks(self) -> list[Acl]:
        """All locks. They are remembered until something is written."""
        if self._locks is not None:
            return self._locks
        marks = ", ".join("?" * len(LOCKS))
        statement = f"SELECT {_COLUMNS} FROM acl_acl WHERE action IN ({marks}) ORDER BY id"  # noqa: S608
        version = self._version
        rows = await self._database.read(lambda reader: reader.execute(statement, LOCKS).fetchall())
        found = [Acl(*row) for row in rows]
        if version == self._version:
            self._locks = found
        return found

    async def _read(self, roles: Sequence[str]) -> list[RoleRows]:
        missing = [role for role in roles if role not in self._rows]
        found = await self._load(missing) if missing else {}
        return [found.get(role) or self._rows.get(role, NOTHING_SAID) for role in roles]

    async def _load(self, roles: Sequence[str]) -> dict[str, RoleRows]:
        """What roles say from the database; it is remembered unless something was written meanwhile."""
        marks = ", ".join("?" * len(roles))
        counting = ", ".join(f"'{action}'" for action in (*RIGHTS, *NOTES, POLICY))
        statement = (
            f"SELECT role, node, workspace, action, value FROM acl_acl WHERE role IN ({marks})"  # noqa: S608
            f" AND action IN ({counting})"
        )
        version = self._version
        rows = await self._database.read(lambda reader: reader.execute(statement, tuple(roles)).fetchall())
        bits: dict[tuple[str, str, str], int] = {}
        found = {role: RoleRows([], []) for role in roles}
        for role, node, workspace, action, value in rows:
            place = (role, node, workspace)
            if action in RIGHTS:
                bits[place] = bits.get(place, 0) | RIGHTS[action].value
            else:
                found[role].notes.append(Note(node, role, workspace, action, value))
        for (role, node, workspace), rights in bits.items():
            found[role].rights.append(RightsRow(node, role, workspace, Right(rights)))
        if version == self._version:
            if len(self._rows) + len(found) > MOST_ROLES_KEPT:
                self._rows.clear()
            self._rows |= found
        return found

    def _forget(self, tx: Tx, role: str | None = None) -> None:
        """What is remembered of this role, or of all, counts no more once this is committed."""

        def forget() -> None:
            self._version += 1
            self._locks = None
            if role is None:
                self._rows.clear()
            else:
                self._rows.pop(role, None)

        tx.after_commit(forget)

    def delete_rows(self, tx: Tx, role: str) -> None:
        """The part of the removal of a role, group or user that belongs to this service."""
        self._forget(tx, role)
        tx.execute("DELETE FROM acl_acl WHERE role = ?", (role,))

    def delete_workspace_rows(self, tx: Tx, workspace: str) -> None:
        """The part of a workspace's removal that belongs to this service."""
        self._forget(tx)
        tx.execute("DELETE FROM acl_acl WHERE workspace = ?", (workspace,))


def _check_action(action: str, value: str) -> None:
    if action not in ACTIONS and not _PLUGIN_ACTION.fullmatch(action):
        known = ", ".join(sorted(ACTIONS))
        raise Invalid(f"{action!r} is no action: there are {known}, parameter:PLUGIN:NAME and action:PLUGIN:NAME")
    if len(value) > LONGEST_VALUE:
        raise Invalid(f"the value of an action has at most {LONGEST_VALUE} characters")
    if action in RIGHTS and value != "1":
        raise Invalid(f"{action} is given or not: its value is 1")
    if action == "quota" and not (value.isascii() and value.isdigit()):
        raise Invalid("a quota is a number of bytes")
    if action == "recycle_root" and value not in {"0", "1"}:
        raise Invalid("recycle_root is 1, or 0 where a weaker role says 1 and there is to be none")
