"""Answers to requests about users and groups."""

from collections.abc import Awaitable, Callable
from typing import Any

from cellsmono.idm.acl import AclService
from cellsmono.idm.auth import AuthService
from cellsmono.idm.names import check_login
from cellsmono.idm.passwords import Passwords, check_password
from cellsmono.idm.role import RoleService
from cellsmono.idm.sessions import Sessions
from cellsmono.idm.sign_in import SignIn
from cellsmono.idm.turn import Turn
from cellsmono.idm.user import UserService
from cellsmono.interfaces import people as asked
from cellsmono.interfaces.users import LOCK_LOGOUT, Group, User
from cellsmono.store.database import Database
from cellsmono.store.units import Tx


class UserRequests:
    """The handlers. Whatever changes something holds ``turn``: what was checked is then still so when it is written."""

    def __init__(
        self,
        database: Database,
        users: UserService,
        auth: AuthService,
        sessions: Sessions,
        roles: RoleService,
        acls: AclService,
        sign_in: SignIn,
        passwords: Passwords,
        turn: Turn,
    ) -> None:
        self._database = database
        self._users = users
        self._auth = auth
        self._sessions = sessions
        self._roles = roles
        self._acls = acls
        self._sign_in = sign_in
        self._passwords = passwords
        self._turn = turn

    def handlers(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Which method answers which request."""
        return {
            asked.CreateUser: self._create_user,
            asked.ListUsers: self._list_users,
            asked.ReadUser: self._read_user,
            asked.ChangeUser: self._change_user,
            asked.DeleteUser: self._delete_user,
            asked.SetPassword: self._set_password,
            asked.CheckPassword: self._check_password,
            asked.LockUser: self._lock_user,
            asked.UnlockUser: self._unlock_user,
            asked.CreateGroup: self._create_group,
            asked.ListGroups: self._list_groups,
            asked.DeleteGroup: self._delete_group,
        }

    async def _create_user(self, request: asked.CreateUser) -> User:
        check_login(request.login)
        self._users.check_free(request.login)
        self._users.read_group(request.group)
        password_hash = await self._hash(request.password, request.login) if request.password else ""
        async with self._turn:
            return await self._users.create(
                request.login, request.group, request.profile, request.attributes, password_hash
            )

    async def _list_users(self, request: asked.ListUsers) -> list[User]:
        return self._users.list_users(request.group)

    async def _read_user(self, request: asked.ReadUser) -> User:
        return self._users.read(request.login)

    async def _change_user(self, request: asked.ChangeUser) -> User:
        async with self._turn:
            return await self._users.change(
                self._users.read(request.login),
                group=request.group,
                profile=request.profile,
                attributes=request.attributes,
            )

    async def _delete_user(self, request: asked.DeleteUser) -> None:
        async with self._turn:
            user = self._users.read(request.login)

            def delete(tx: Tx) -> None:
                self._acls.delete_rows(tx, user.uuid)
                self._roles.delete_rows(tx, user.uuid)
                self._auth.delete_rows(tx, user.uuid)
                self._users.delete_row(tx, user.uuid)

            await self._database.write(delete)
            self._roles.drop(user.uuid)
            self._auth.drop(user.uuid)
            self._users.drop(user)
            self._sign_in.forgive(user)

    async def _set_password(self, request: asked.SetPassword) -> None:
        self._users.read(request.login)
        password_hash = await self._hash(request.password, request.login)
        async with self._turn:
            user = self._users.read(request.login)
            await self._users.set_password(user, password_hash)
            await self._sessions.end_all(user)
            self._sign_in.forgive(user)

    async def _check_password(self, request: asked.CheckPassword) -> User:
        return await self._sign_in.check(request.login, request.password)

    async def _lock_user(self, request: asked.LockUser) -> User:
        async with self._turn:
            user = self._users.read(request.login)
            locks = user.locks if user.is_locked_out else (*user.locks, LOCK_LOGOUT)
            return await self._users.change(user, locks=locks)

    async def _unlock_user(self, request: asked.UnlockUser) -> User:
        async with self._turn:
            user = self._users.read(request.login)
            self._sign_in.forgive(user)
            return await self._users.change(user, locks=())

    async def _create_group(self, request: asked.CreateGroup) -> Group:
        async with self._turn:
            return await self._users.create_group(request.path)

    async def _list_groups(self, request: asked.ListGroups) -> list[Group]:
        return self._users.list_groups(request.path)

    async def _delete_group(self, request: asked.DeleteGroup) -> None:
        async with self._turn:
            group = self._users.read_group(request.path)
            self._users.check_removable(group)

            def delete(tx: Tx) -> None:
                self._acls.delete_rows(tx, group.uuid)
                self._users.delete_group_row(tx, group.uuid)

            await self._database.write(delete)
            self._users.drop_group(group)

    async def _hash(self, password: str, login: str) -> str:
        check_password(password, login)
        return await self._passwords.hash(password)
