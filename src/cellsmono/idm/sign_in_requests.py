"""Answers to the sign-in page and the token endpoint."""

from collections.abc import Awaitable, Callable
from typing import Any

from cellsmono.idm.auth import AuthService, StoredToken
from cellsmono.idm.codes import Codes
from cellsmono.idm.sessions import Sessions
from cellsmono.idm.sign_in import SignIn
from cellsmono.idm.turn import Turn
from cellsmono.idm.user import UserService
from cellsmono.interfaces import signing_in as asked
from cellsmono.interfaces.oidc import OFFLINE, Granted
from cellsmono.interfaces.sessions import Browser, Origin
from cellsmono.interfaces.tokens import TOKEN_PREFIX
from cellsmono.interfaces.users import User
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import Forbidden, NotFound
from cellsmono.kernel.log import get_logger

log = get_logger("idm.auth")


class SignInRequests:
    """The handlers. Rights do not come into it, so that they hold the lock of ``turn`` alone."""

    def __init__(
        self, users: UserService, auth: AuthService, sessions: Sessions, sign_in: SignIn, turn: Turn, clock: Clock
    ) -> None:
        self._users = users
        self._auth = auth
        self._sessions = sessions
        self._sign_in = sign_in
        self._turn = turn
        self._codes = Codes(clock)

    def handlers(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Which method answers which request."""
        return {
            asked.SignInBrowser: self._sign_in_browser,
            asked.ReadBrowser: self._read_browser,
            asked.EndBrowser: self._end_browser,
            asked.GrantCode: self._grant_code,
            asked.RedeemCode: self._redeem_code,
            asked.EndByToken: self._end_by_token,
            asked.ReadBearer: self._read_bearer,
        }

    async def _sign_in_browser(self, request: asked.SignInBrowser) -> Browser:
        user = await self._sign_in.check(request.login, request.password, request.code)
        async with self._turn.lock:
            user = self._read_user(user.uuid, "login")  # it may be gone, or locked, since the password was checked
            await self._end_cookie(request.replaces)
            return await self._sessions.begin_browser(user, Origin("", request.agent, request.address))

    async def _read_browser(self, request: asked.ReadBrowser) -> Browser:
        found, user = self._find_browser(request.secret)
        return Browser(found.token.id, user, found.token.created, found.token.expires)

    async def _end_browser(self, request: asked.EndBrowser) -> None:
        async with self._turn.lock:
            await self._end_cookie(request.secret)

    async def _grant_code(self, request: asked.GrantCode) -> str:
        found, user = self._find_browser(request.browser)
        return self._codes.draw(user.uuid, request.wanted, found.token.created)

    async def _redeem_code(self, request: asked.RedeemCode) -> Granted:
        async with self._turn.lock:
            await self._punish_reuse(request.code)
            code = self._codes.take(request.code, request.client, request.redirect, request.verifier)
            user = self._read_user(code.user, "code")
            wanted = code.wanted
            is_lasting = not OFFLINE.isdisjoint(wanted.scope.split())
            origin = Origin(wanted.client, request.agent, request.address)
            session = await self._sessions.begin(user, origin, wanted.scope, is_lasting=is_lasting)
            code.session = session.token.id
            return Granted(session, user, wanted.nonce, code.since)

    async def _punish_reuse(self, text: str) -> None:
        used = self._codes.find_used(text)
        user = None if used is None else self._users.find_uuid(used.user)
        if used is None or user is None or not used.session:
            return
        log.warning("a code was used twice; the session ends", user=user.login, id=used.session)
        try:
            await self._sessions.end(user, used.session)
        except NotFound:
            return  # it ended already

    async def _end_by_token(self, request: asked.EndByToken) -> None:
        async with self._turn.lock:
            await self._sessions.end_by_text(request.token, request.client)

    async def _read_bearer(self, request: asked.ReadBearer) -> tuple[User, str]:
        stored = self._auth.find_token(request.token) if request.token.startswith(TOKEN_PREFIX) else None
        if stored is None:
            raise Forbidden("The token is not good, or not any more", reason="token")
        user = self._read_user(stored.user, "token")
        self._auth.note_use(stored)
        return user, self._sessions.read_scope(stored)

    async def _end_cookie(self, secret: str) -> None:
        found = self._sessions.find_browser(secret)
        user = None if found is None else self._users.find_uuid(found.user)
        if found is not None and user is not None:
            await self._sessions.end(user, found.token.id)

    def _find_browser(self, secret: str) -> tuple[StoredToken, User]:
        found = self._sessions.find_browser(secret)
        if found is None:
            raise Forbidden("Nobody is signed in with this browser", reason="browser")
        return found, self._read_user(found.user, "browser")

    def _read_user(self, uuid: str, reason: str) -> User:
        user = self._users.find_uuid(uuid)
        if user is None or user.is_locked_out:
            raise Forbidden("Login failed", reason=reason)
        return user
