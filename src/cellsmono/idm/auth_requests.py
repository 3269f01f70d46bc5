"""Answers to requests about tokens and key pairs."""

from collections.abc import Awaitable, Callable
from typing import Any

from cellsmono.idm.auth import AuthService
from cellsmono.idm.turn import Turn
from cellsmono.idm.user import UserService
from cellsmono.interfaces import people as asked
from cellsmono.interfaces.tokens import KeyPair, NewToken, Token


class AuthRequests:
    """The handlers; whatever changes something holds ``turn``."""

    def __init__(self, users: UserService, auth: AuthService, turn: Turn) -> None:
        self._users = users
        self._auth = auth
        self._turn = turn

    def handlers(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Which method answers which request."""
        return {
            asked.CreateToken: self._create_token,
            asked.ListTokens: self._list_tokens,
            asked.RevokeToken: self._revoke_token,
            asked.CreateKeyPair: self._create_pair,
            asked.ListKeyPairs: self._list_pairs,
            asked.RevokeKeyPair: self._revoke_pair,
        }

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
