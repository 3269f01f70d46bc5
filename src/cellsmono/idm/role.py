"""``idm.role``: roles that are given to users, and the order in which all of a user's roles count."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec

from cellsmono.idm.names import check_label, key_of
from cellsmono.idm.user import UserService
from cellsmono.interfaces.node import new_uuid
from cellsmono.interfaces.roles import ADMINS, Role, RoleKind
from cellsmono.interfaces.users import Group, Profile, User, groups_above
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import AlreadyExists, Invalid, NotFound
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceStatus
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

log = get_logger("idm.role")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class RoleService:
    """Roles in memory. Changes are asked for one at a time; look-ups may come at any moment."""

    name = "idm.role"
    tag = "idm"

    def __init__(self, database: Database, users: UserService, clock: Clock) -> None:
        self._database = database
        self._users = users
        self._clock = clock
        self._roles: dict[str, Role] = {}
        self._given: dict[str, list[str]] = {}
        """UUIDs of the roles that were given to each user, in that order."""

    @classmethod
    async def open(cls, database: Database, users: UserService, clock: Clock) -> Self:
        """Read all roles."""
        service = cls(database, users, clock)
        roles, members = await database.read(_read_rows)
        for uuid, label, is_team, auto_applies, created in roles:
            profiles = msgspec.json.decode(auto_applies, type=tuple[Profile, ...])
            kind = RoleKind.TEAM if is_team else RoleKind.ROLE
            service._roles[uuid] = Role(uuid, label, kind, profiles, (), created)
        for user, role in members:
            service._given.setdefault(user, []).append(role)
        return service

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Nothing runs: it answers when it is asked."""
        yield

    def status(self) -> ServiceStatus:
        """How many there are."""
        return ServiceStatus(detail=f"{len(self._roles)} roles beside those of groups and users")

    # looking up

    def list_roles(self) -> list[Role]:
        """Roles and teams with their members, by label."""
        members: dict[str, list[str]] = {}
        for user in self._users.list_users():
            for uuid in self._given.get(user.uuid, ()):
                members.setdefault(uuid, []).append(user.login)
        roles = sorted(self._roles.values(), key=lambda role: key_of(role.label))
        return [msgspec.structs.replace(role, members=tuple(members.get(role.uuid, ()))) for role in roles]

    def read(self, name: str) -> Role:
        """The role or team of a label or UUID. Raises NotFound."""
        key = key_of(name)
        for role in self._roles.values():
            if role.uuid == name or key_of(role.label) == key:
                return role
        raise NotFound(f"There is no role {name!r}; `cellsmono role list` shows all", reason="role")

    def find_uuid(self, uuid: str) -> Role | None:
        """The role, or the role of a group or user, with a UUID."""
        if role := self._roles.get(uuid):
            return role
        if user := self._users.find_uuid(uuid):
            return role_of_user(user)
        group = self._users.find_group_uuid(uuid)
        return None if group is None else role_of_group(group)

    def read_subject(self, subject: str) -> Role:
        """The role of ``user:LOGIN``, ``group:PATH`` or ``role:LABEL``. Raises Invalid, NotFound."""
        kind, colon, name = subject.partition(":")
        if colon and kind == "user":
            return role_of_user(self._users.read(name))
        if colon and kind == "group":
            return role_of_group(self._users.read_group(name))
        if colon and kind == "role":
            return self.read(name)
        raise Invalid(f"{subject!r} names nobody: it is written user:LOGIN, group:PATH or role:LABEL")

    def order_roles(self, user: User) -> list[Role]:
        """All roles of a user, the weakest first: groups from the root down, those that apply by profile, those that
        were given, in that order, and last the user's own.
        """
        groups = [self._users.find_group(path) for path in groups_above(user.group)]
        given = self._given.get(user.uuid, [])
        automatic = [
            role for role in self._roles.values() if user.profile in role.auto_applies and role.uuid not in given
        ]
        return [
            *(role_of_group(group) for group in groups if group is not None),
            *sorted(automatic, key=lambda role: (role.created, role.uuid)),
            *(self._roles[uuid] for uuid in given),
            role_of_user(user),
        ]

    # changing

    async def create(self, label: str, kind: RoleKind, auto_applies: Sequence[Profile], uuid: str = "") -> Role:
        """Make a role or team, with a UUID of its own unless one is given. Raises AlreadyExists, Invalid."""
        label = check_label(label)
        self._check_free(label)
        if uuid and not _UUID.fullmatch(uuid):
            raise Invalid(f"{uuid!r} is no UUID: it is written as 01a22edc-372d-7820-b142-ef3998170b8b", reason="uuid")
        if uuid and self.find_uuid(uuid) is not None:
            raise AlreadyExists(f"The UUID {uuid} is that of another role", reason="role")
        role = Role(uuid or new_uuid(), label, kind, _sort(auto_applies), (), self._clock.time())
        is_team = int(kind is RoleKind.TEAM)
        row = (role.uuid, label, key_of(label), is_team, _json(role.auto_applies), role.created)

        def insert(tx: Tx) -> None:
            tx.execute("INSERT INTO role_role VALUES (?, ?, ?, ?, ?, ?)", row)

        await self._database.write(insert)
        self._roles[role.uuid] = role
        log.info("role created", role=label, kind=kind.value)
        return role

    async def change(self, role: Role, label: str | None, auto_applies: Sequence[Profile] | None) -> Role:
        """Change what is given. Raises AlreadyExists, Invalid."""
        new_label = role.label if label is None else check_label(label)
        if key_of(new_label) != key_of(role.label):
            self._check_free(new_label)
        profiles = role.auto_applies if auto_applies is None else _sort(auto_applies)
        row = (new_label, key_of(new_label), _json(profiles), role.uuid)

        def update(tx: Tx) -> None:
            tx.execute("UPDATE role_role SET label = ?, label_key = ?, auto_applies = ? WHERE uuid = ?", row)

        await self._database.write(update)
        new = msgspec.structs.replace(role, label=new_label, auto_applies=profiles)
        self._roles[role.uuid] = new
        return new

    async def give(self, role: Role, user: User) -> None:
        """Give a role to a user, as the last and strongest of those that were given. Raises AlreadyExists."""
        given = self._given.get(user.uuid, [])
        if role.uuid in given:
            raise AlreadyExists(f"{user.login} has the role {role.label!r} already", reason="role")
        await self._store_given(user, [*given, role.uuid])
        log.info("role given", role=role.label, user=user.login)

    async def take(self, role: Role, user: User) -> None:
        """Take a role that was given. Raises NotFound."""
        given = self._given.get(user.uuid, [])
        if role.uuid not in given:
            raise NotFound(f"the role {role.label!r} was not given to {user.login}", reason="role")
        await self._store_given(user, [uuid for uuid in given if uuid != role.uuid])
        log.info("role taken", role=role.label, user=user.login)

    async def set_given(self, roles: Sequence[Role], user: User) -> None:
        """Give a user these roles and no others, the weakest first."""
        await self._store_given(user, list(dict.fromkeys(role.uuid for role in roles)))
        log.info("roles given", roles=[role.label for role in roles], user=user.login)

    async def _store_given(self, user: User, given: list[str]) -> None:
        rows = [(user.uuid, position, uuid) for position, uuid in enumerate(given)]

        def replace(tx: Tx) -> None:
            tx.execute("DELETE FROM role_member WHERE user = ?", (user.uuid,))
            tx.executemany("INSERT INTO role_member VALUES (?, ?, ?)", rows)

        await self._database.write(replace)
        self._given[user.uuid] = given

    def check_removable(self, role: Role) -> None:
        """Raise Invalid for the role that every installation has."""
        if role.uuid == ADMINS:
            raise Invalid(f"the role {role.label!r} is that of all administrators: it can not be deleted")

    def delete_rows(self, tx: Tx, uuid: str) -> None:
        """The part of a removal of a role or user that belongs to this service."""
        tx.execute("DELETE FROM role_role WHERE uuid = ?", (uuid,))
        tx.execute("DELETE FROM role_member WHERE role = ? OR user = ?", (uuid, uuid))

    def drop(self, uuid: str) -> None:
        """Forget a role or user whose rows were deleted."""
        self._given.pop(uuid, None)
        if role := self._roles.pop(uuid, None):
            log.info("role deleted", role=role.label)
            self._given = {user: [each for each in given if each != uuid] for user, given in self._given.items()}

    def _check_free(self, label: str) -> None:
        if any(key_of(role.label) == key_of(label) or role.uuid == label for role in self._roles.values()):
            raise AlreadyExists(f"There is a role {label!r} already; choose another label", reason="role")


def role_of_user(user: User) -> Role:
    """A user's own role."""
    return Role(user.uuid, user.login, RoleKind.USER, (), (), user.created)


def role_of_group(group: Group) -> Role:
    """A group's role."""
    return Role(group.uuid, group.path, RoleKind.GROUP, (), (), group.created)


def _sort(profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    return tuple(sorted(set(profiles), key=lambda profile: profile.rank))


def _read_rows(reader: Reader) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    roles = reader.execute("SELECT uuid, label, is_team, auto_applies, created FROM role_role").fetchall()
    members = reader.execute("SELECT user, role FROM role_member ORDER BY user, position").fetchall()
    return roles, members


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
