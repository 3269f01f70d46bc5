"""Answers to requests about tokens and key pairs."""

from collections.abc import Awaitable, Callable
from typing import Any

from cellsmono.idm.auth import LONGEST_DESCRIPTION, AuthService
from cellsmono.idm.sessions import Sessions
from cellsmono.idm.sign_in import SignIn
from cellsmono.idm.turn import Turn
from cellsmono.idm.user import UserService
from cellsmono.interfaces import people as asked
from cellsmono.interfaces.sessions import Session
from cellsmono.interfaces.tokens import KeyPair, NewToken, Token
from cellsmono.kernel.errors import Forbidden


class AuthRequests:
    """The handlers; whatever changes something holds ``turn``, or, where rights do not come into it, its lock."""

    def __init__(self, users: UserService, auth: AuthService, sessions: Sessions, sign_in: SignIn, turn: Turn) -> None:
        self._users = users
        self._auth = auth
        self._sessions = sessions
        self._sign_in = sign_in
        self._turn = turn

    def handlers(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Which method answers which request."""
        return {
            asked.SignIn: self._begin_session,
            asked.RefreshSession: self._refresh_session,
            asked.CreateToken: self._create_token,
            asked.ListTokens: self._list_tokens,
            asked.RevokeToken: self._revoke_token,
            asked.CreateKeyPair: self._create_pair,
            asked.ListKeyPairs: self._list_pairs,
            asked.RevokeKeyPair: self._revoke_pair,
        }

    async def _begin_session(self, request: asked.SignIn) -> Session:
        user = await self._sign_in.check(request.login, request.password)
        async with self._turn.lock:
            user = self._users.read(user.login)  # it may be gone, or locked, since the password was checked
            if user.is_locked_out:
                raise Forbidden("Login failed", reason="login")
            return await self._sessions.begin(user, request.description[:LONGEST_DESCRIPTION])

    async def _refresh_session(self, request: asked.RefreshSession) -> Session:
        async with self._turn.lock:
            user = self._users.find_uuid(self._sessions.find_user(request.refresh))
            if user is None or user.is_locked_out:
                raise Forbidden("Login failed", reason="login")
            return await self._sessions.refresh(user, request.refresh)

    async def _create_token(self, request: asked.CreateToken) -> NewToken:
        async with self._turn:
            user = self._users.read(request.login)
            return await self._auth.create_token(user, request.description, request.scopes, request.seconds)

    async def _list_tokens(self, request: asked.ListTokens) -> list[Token]:
        return self._auth.list_tokens(self._logins(request.login))

    async def _revoke_token(self, request: asked.RevokeToken) -> None:
        async with self._turn:
            await self._auth.revoke_token(self._users.read(request.login), request.token)

    async def _create_pair(self, request: asked.CreateKeyPair) -> KeyPair:
        async with self._turn:
            return await self._auth.create_pair(self._users.read(request.login), request.description)

    async def _list_pairs(self, request: asked.ListKeyPairs) -> list[KeyPair]:
        return self._auth.list_pairs(self._logins(request.login))

    async def _revoke_pair(self, request: asked.RevokeKeyPair) -> None:
        async with self._turn:
            await self._auth.revoke_pair(self._users.read(request.login), request.access_key)

    def _logins(self, login: str) -> dict[str, str]:
        users = [self._users.read(login)] if login else self._users.list_users()
        return {user.uuid: user.login for user in users}
