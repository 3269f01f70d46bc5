"""Sessions: short-lived tokens of ``idm.auth``, each with a refresh token that brings the next one.

A refresh token is good once. Who uses one again has stolen it, or was robbed of it: nobody can tell which, so the
session ends.
"""

import hmac
from typing import Any, Self

import msgspec

from cellsmono.idm.auth import AuthService, StoredToken, digest_of
from cellsmono.interfaces.sessions import REFRESH_PREFIX, Session
from cellsmono.interfaces.tokens import TokenKind
from cellsmono.interfaces.users import User
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.draws import LETTERS_AND_DIGITS, draw_text
from cellsmono.kernel.errors import Forbidden
from cellsmono.kernel.log import get_logger
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

log = get_logger("idm.auth")

ACCESS_SECONDS = 3_600.0
"""How long the token of a session is good."""
REFRESH_SECONDS = 14 * 86_400.0
"""How long a session lasts that is not refreshed."""
MOST_SESSIONS = 100
"""Sessions of one user; the oldest ends when there would be more."""
_SECRET_LENGTH = 43


class StoredSession(msgspec.Struct, frozen=True):
    """Hashes of the refresh token and of the one before it, and when the session ends."""

    refresh: bytes
    used: bytes
    expires: float


class Sessions:
    """Begins, goes on with and ends them. Changes are asked for one at a time."""

    def __init__(self, database: Database, clock: Clock, auth: AuthService) -> None:
        self._database = database
        self._clock = clock
        self._auth = auth
        self._sessions: dict[str, StoredSession] = {}

    @classmethod
    async def open(cls, database: Database, clock: Clock, auth: AuthService) -> Self:
        """Read all sessions."""
        sessions = cls(database, clock, auth)
        for session_id, refresh, used, expires in await database.read(_read_rows):
            sessions._sessions[session_id] = StoredSession(refresh, used, expires)
        return sessions

    async def begin(self, user: User, description: str) -> Session:
        """A new session of a user, stored when this returns. Those that ended are forgotten."""
        made, stored = self._auth.draw_token(user, description, (), ACCESS_SECONDS, TokenKind.SESSION)
        session, row = self._draw_refresh(made.token.id, b"")
        gone = [*self._find_ended(), *self._find_surplus(user)]

        def write(tx: Tx) -> None:
            self._auth.delete_tokens(tx, gone)
            self._auth.insert_token(tx, stored)
            tx.execute("INSERT INTO auth_session VALUES (?, ?, ?, ?)", (made.token.id, *msgspec.structs.astuple(row)))

        await self._database.write(write)
        self._drop(gone)
        self._keep(stored, row)
        log.info("session begun", user=user.login, id=made.token.id)
        return Session(made.token, made.secret, session, row.expires)

    def find_user(self, refresh: str) -> str:
        """UUID of the user whose session a refresh token belongs to, good or not; empty for nobody's."""
        stored = self._auth.find_id(_id_of(refresh))
        return stored.user if stored is not None else ""

    async def refresh(self, user: User, refresh: str) -> Session:
        """The next tokens of a session; those before are good no more.

        Raises Forbidden (reason ``login``) for a refresh token that is not good. When it was used before, the session
        has ended.
        """
        session_id = _id_of(refresh)
        known, old = self._sessions.get(session_id), self._auth.find_id(session_id)
        if known is None or old is None or old.user != user.uuid:
            raise _refuse()
        digest = digest_of(refresh)
        if known.used and hmac.compare_digest(known.used, digest):
            log.warning("a refresh token was used twice; the session ends", user=user.login, id=session_id)
            await self._auth.revoke_token(user, session_id)
            self._sessions.pop(session_id, None)
            raise _refuse()
        if not hmac.compare_digest(known.refresh, digest) or known.expires <= self._clock.time():
            raise _refuse()
        made, stored = self._auth.draw_token(
            user, old.token.description, (), ACCESS_SECONDS, TokenKind.SESSION, session_id, old.token.created
        )
        text, row = self._draw_refresh(session_id, known.refresh)

        def write(tx: Tx) -> None:
            self._auth.delete_tokens(tx, [session_id])
            self._auth.insert_token(tx, stored)
            tx.execute("INSERT INTO auth_session VALUES (?, ?, ?, ?)", (session_id, *msgspec.structs.astuple(row)))

        await self._database.write(write)
        self._keep(stored, row)
        return Session(made.token, made.secret, text, row.expires)

    async def end_all(self, user: User) -> None:
        """End all sessions of a user; other tokens stay."""
        gone = self._list_ids(user)
        self._drop(gone)  # at once, also if the store can not be written
        if gone:
            await self._database.write(lambda tx: self._auth.delete_tokens(tx, gone))

    def _draw_refresh(self, session_id: str, used: bytes) -> tuple[str, StoredSession]:
        text = f"{REFRESH_PREFIX}{session_id}_{draw_text(LETTERS_AND_DIGITS, _SECRET_LENGTH)}"
        return text, StoredSession(digest_of(text), used, self._clock.time() + REFRESH_SECONDS)

    def _keep(self, stored: StoredToken, row: StoredSession) -> None:
        self._auth.keep_token(stored)
        self._sessions[stored.token.id] = row

    def _find_ended(self) -> list[str]:
        now = self._clock.time()
        return [each for each, row in self._sessions.items() if row.expires <= now or self._auth.find_id(each) is None]

    def _find_surplus(self, user: User) -> list[str]:
        ids = self._list_ids(user)
        return ids[: max(len(ids) - MOST_SESSIONS + 1, 0)]

    def _list_ids(self, user: User) -> list[str]:
        """The sessions of a user, the oldest first."""
        tokens = self._auth.list_tokens({user.uuid: user.login})
        return [token.id for token in tokens if token.kind is TokenKind.SESSION]

    def _drop(self, gone: list[str]) -> None:
        self._auth.drop_tokens(gone)
        for each in gone:
            self._sessions.pop(each, None)


def _id_of(refresh: str) -> str:
    return refresh.removeprefix(REFRESH_PREFIX).partition("_")[0] if refresh.startswith(REFRESH_PREFIX) else ""


def _refuse() -> Forbidden:
    return Forbidden("Login failed", reason="login")


def _read_rows(reader: Reader) -> list[tuple[Any, ...]]:
    return reader.execute("SELECT id, refresh, used, expires FROM auth_session").fetchall()
