"""``idm.user``: users and groups. All are in memory, so that a request finds its user without waiting."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec

from cellsmono.idm.names import check_attributes, check_group_path, check_login, key_of
from cellsmono.interfaces.node import new_uuid
from cellsmono.interfaces.users import LOCK_PASSWORD, ROOT_GROUP, ROOT_PATH, Group, Profile, User
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import AlreadyExists, Conflict, Corrupt, Invalid, NotFound
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceStatus
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

log = get_logger("idm.user")

_COLUMNS = "uuid, parent, is_group, name, profile, attributes, locks, password, created, last_login"
_INSERT = (
    "INSERT INTO user_node (uuid, parent, is_group, name, name_key, profile, attributes, locks, password, created,"
    " last_login) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
)


class UserService:
    """The tree of users and groups. Changes are asked for one at a time; look-ups may come at any moment."""

    name = "idm.user"
    tag = "idm"

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._users: dict[str, User] = {}
        self._by_login: dict[str, str] = {}
        self._hashes: dict[str, str] = {}
        self._groups: dict[str, Group] = {}

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Self:
        """Read all users and groups. Raises Corrupt."""
        service = cls(database, clock)
        service._load(await database.read(_read_rows))
        return service

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Nothing runs: it answers when it is asked."""
        yield

    def status(self) -> ServiceStatus:
        """How many there are."""
        return ServiceStatus(detail=f"{len(self._users)} users in {len(self._groups)} groups")

    def _load(self, rows: list[tuple[Any, ...]]) -> None:
        parents = {row[0]: (row[1], row[3]) for row in rows if row[2]}
        paths = {uuid: _path_of(uuid, parents) for uuid in parents}
        for uuid, parent, is_group, name, profile, attributes, locks, password, created, last_login in rows:
            if is_group:
                self._groups[paths[uuid]] = Group(uuid, paths[uuid], created)
                continue
            try:
                user = User(
                    uuid=uuid,
                    login=name,
                    group=paths[parent],
                    profile=Profile(profile),
                    attributes=msgspec.json.decode(attributes, type=dict[str, str]),
                    locks=msgspec.json.decode(locks, type=tuple[str, ...]),
                    has_password=bool(password),
                    created=created,
                    last_login=last_login,
                )
            except (KeyError, ValueError) as error:
                raise Corrupt(f"the stored user {name!r} can not be read: {error}") from None
            self._keep(user)
            self._hashes[uuid] = password

    # looking up

    def find(self, login: str) -> User | None:
        """The user of a login, whatever its case; None when there is none."""
        return self._users.get(self._by_login.get(key_of(login), ""))

    def find_uuid(self, uuid: str) -> User | None:
        """The user with a UUID."""
        return self._users.get(uuid)

    def read(self, login: str) -> User:
        """The user of a login. Raises NotFound."""
        user = self.find(login)
        if user is None:
            raise NotFound(f"There is no user {login!r}; `cellsmono user list` shows all", reason="user")
        return user

    def list_users(self, group: str = ROOT_PATH) -> list[User]:
        """The users of a group and of those below it, by login. Raises NotFound."""
        inside = {each.path for each in self.list_groups(group)}
        return sorted((user for user in self._users.values() if user.group in inside), key=lambda user: user.login)

    def read_group(self, path: str) -> Group:
        """A group. Raises NotFound, Invalid."""
        group = self._groups.get(self._find_path(check_group_path(path)))
        if group is None:
            raise NotFound(f"There is no group {path!r}; `cellsmono group list` shows all", reason="group")
        return group

    def find_group(self, path: str) -> Group | None:
        """The group at a path as ``User.group`` has it."""
        return self._groups.get(path)

    def find_group_uuid(self, uuid: str) -> Group | None:
        """The group with a UUID."""
        return next((group for group in self._groups.values() if group.uuid == uuid), None)

    def list_groups(self, path: str = ROOT_PATH) -> list[Group]:
        """A group and those below it, by path. Raises NotFound."""
        top = self.read_group(path).path
        below = top.rstrip("/") + "/"
        return [self._groups[each] for each in sorted(self._groups) if each == top or each.startswith(below)]

    def hash_of(self, uuid: str) -> str:
        """The stored hash of a user's password; empty for none, and for nobody."""
        return self._hashes.get(uuid, "")

    # changing users

    async def create(
        self, login: str, group: str, profile: Profile, attributes: dict[str, str], password_hash: str
    ) -> User:
        """Make a user. Raises AlreadyExists, Invalid, NotFound for the group."""
        check_login(login)
        self.check_free(login)
        kept = {name: value for name, value in attributes.items() if value}
        check_attributes(kept)
        parent = self.read_group(group)
        user = User(
            uuid=new_uuid(),
            login=login,
            group=parent.path,
            profile=profile,
            attributes=kept,
            has_password=bool(password_hash),
            created=self._clock.time(),
        )
        text = msgspec.json.encode(kept).decode()
        row = (user.uuid, parent.uuid, 0, login, key_of(login), profile.value, text, "[]", password_hash, user.created)
        await self._database.write(lambda tx: tx.execute(_INSERT, row).rowcount)
        self._hashes[user.uuid] = password_hash
        self._keep(user)
        log.info("user created", user=login, group=user.group, profile=profile.value)
        return user

    def check_free(self, login: str) -> None:
        """Raise AlreadyExists for a login that is taken."""
        if self.find(login) is not None:
            raise AlreadyExists(f"There is a user {login!r} already; choose another login", reason="user")

    async def change(
        self,
        user: User,
        *,
        group: str | None = None,
        profile: Profile | None = None,
        attributes: dict[str, str] | None = None,
        locks: tuple[str, ...] | None = None,
    ) -> User:
        """Change what is given. Attributes are merged, an empty one goes. Raises Invalid, NotFound."""
        merged = {name: value for name, value in (user.attributes | (attributes or {})).items() if value}
        check_attributes(merged)
        parent = self.read_group(user.group if group is None else group)
        given = None if locks is None else _json(locks)
        row = (parent.uuid, (profile or user.profile).value, _json(merged), given, user.uuid)

        def update(tx: Tx) -> None:
            tx.execute(
                "UPDATE user_node SET parent = ?, profile = ?, attributes = ?, locks = coalesce(?, locks)"
                " WHERE uuid = ?",
                row,
            )

        await self._database.write(update)
        now = self._users[user.uuid]
        # What is not given may have changed while this was written: a lock comes from whoever tries passwords.
        return self._keep(
            msgspec.structs.replace(
                now,
                group=parent.path,
                profile=profile or now.profile,
                attributes=merged,
                locks=now.locks if locks is None else locks,
            )
        )

    async def set_password(self, user: User, password_hash: str) -> None:
        """Store the hash of a new password; the lock of wrong passwords goes."""
        locks = tuple(lock for lock in user.locks if lock != LOCK_PASSWORD)
        row = (password_hash, _json(locks), user.uuid)

        def update(tx: Tx) -> None:
            tx.execute("UPDATE user_node SET password = ?, locks = ? WHERE uuid = ?", row)

        await self._database.write(update)
        self._hashes[user.uuid] = password_hash
        self._keep(msgspec.structs.replace(self._users[user.uuid], has_password=True, locks=locks))

    async def note_login(self, user: User, fresh_hash: str) -> User:
        """Note the moment of a sign-in, and a hash with newer parameters if there is one."""
        now = self._clock.time()
        password = fresh_hash or self._hashes[user.uuid]

        def update(tx: Tx) -> None:
            tx.execute("UPDATE user_node SET last_login = ?, password = ? WHERE uuid = ?", (now, password, user.uuid))

        await self._database.write(update)
        self._hashes[user.uuid] = password
        return self._keep(msgspec.structs.replace(self._users[user.uuid], last_login=now))

    def lock_password(self, user: User) -> None:
        """Lock sign-in by password at once; the disk is not waited for, so that nobody can time it."""
        locks = (*user.locks, LOCK_PASSWORD)
        self._keep(msgspec.structs.replace(user, locks=locks))
        row = (_json(locks), user.uuid)
        done = self._database.submit(
            lambda tx: tx.execute("UPDATE user_node SET locks = ? WHERE uuid = ?", row).rowcount
        )
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        log.warning("user locked after too many wrong passwords", user=user.login)

    def delete_row(self, tx: Tx, uuid: str) -> None:
        """The part of a removal that belongs to this service."""
        tx.execute("DELETE FROM user_node WHERE uuid = ? AND is_group = 0", (uuid,))

    def drop(self, user: User) -> None:
        """Forget a user whose row was deleted."""
        self._users.pop(user.uuid, None)
        self._by_login.pop(key_of(user.login), None)
        self._hashes.pop(user.uuid, None)
        log.info("user deleted", user=user.login)

    # changing groups

    async def create_group(self, path: str) -> Group:
        """Make a group below one that is there. Raises AlreadyExists, Invalid, NotFound."""
        path = check_group_path(path)
        if self._find_path(path) in self._groups:
            raise AlreadyExists(f"There is a group {path!r} already", reason="group")
        above, _, name = path.rpartition("/")
        parent = self.read_group(above or ROOT_PATH)
        group = Group(new_uuid(), f"{parent.path.rstrip('/')}/{name}", self._clock.time())
        row = (group.uuid, parent.uuid, 1, name, key_of(name), "", "{}", "[]", "", group.created)
        await self._database.write(lambda tx: tx.execute(_INSERT, row).rowcount)
        self._groups[group.path] = group
        log.info("group created", group=group.path)
        return group

    def check_removable(self, group: Group) -> None:
        """Raise Conflict for a group with anybody in it, Invalid for the root."""
        if group.uuid == ROOT_GROUP:
            raise Invalid("the group / is that of everybody: it can not be deleted", reason="group")
        if len(self.list_groups(group.path)) > 1 or self.list_users(group.path):
            raise Conflict(
                f"The group {group.path!r} is not empty: move or delete its users and groups first", reason="not_empty"
            )

    def delete_group_row(self, tx: Tx, uuid: str) -> None:
        """The part of a group's removal that belongs to this service."""
        tx.execute("DELETE FROM user_node WHERE uuid = ? AND is_group = 1", (uuid,))

    def drop_group(self, group: Group) -> None:
        """Forget a group whose row was deleted."""
        self._groups.pop(group.path, None)
        log.info("group deleted", group=group.path)

    # memory

    def _keep(self, user: User) -> User:
        self._users[user.uuid] = user
        self._by_login[key_of(user.login)] = user.uuid
        return user

    def _find_path(self, path: str) -> str:
        """The path as it was made, for one that may differ in case."""
        if path in self._groups:
            return path
        key = key_of(path)
        return next((each for each in self._groups if key_of(each) == key), path)


def _read_rows(reader: Reader) -> list[tuple[Any, ...]]:
    return reader.execute(f"SELECT {_COLUMNS} FROM user_node").fetchall()  # noqa: S608 - our own columns


def _path_of(uuid: str, parents: dict[str, tuple[str, str]]) -> str:
    names: list[str] = []
    while uuid != ROOT_GROUP:
        if uuid not in parents or len(names) > len(parents):
            raise Corrupt("the stored tree of groups has no root: restore idm.db from a backup")
        uuid, name = parents[uuid]
        names.append(name)
    return ROOT_PATH + "/".join(reversed(names))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
