"""Sessions of clients and of browsers.

A client's session is a short-lived token of ``idm.auth`` with a refresh token that brings the next one. A refresh token
is good once. Who uses one again has stolen it, or was robbed of it: nobody can tell which, so the session ends. A
browser's is a cookie that is good at the sign-in page alone.
"""

import hmac
from typing import Any, Self

import msgspec

from cellsmono.idm.auth import LONGEST_DESCRIPTION, AuthService, StoredToken, digest_of
from cellsmono.interfaces.sessions import (
    FULL_ACCESS,
    OWN_SCOPE,
    REFRESH_PREFIX,
    Browser,
    Origin,
    Session,
    ShownSession,
)
from cellsmono.interfaces.tokens import BROWSER_PREFIX, NewToken, TokenKind
from cellsmono.interfaces.users import User
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.draws import LETTERS_AND_DIGITS, draw_text
from cellsmono.kernel.errors import Forbidden, NotFound
from cellsmono.kernel.log import get_logger
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

log = get_logger("idm.auth")

ACCESS_SECONDS = 3_600.0
"""How long the token of a session is good."""
REFRESH_SECONDS = 14 * 86_400.0
"""How long a session lasts that is not refreshed."""
LONGEST_SECONDS = 365 * 86_400.0
"""How long a session lasts, however often it is refreshed."""
BROWSER_IDLE_SECONDS = 7 * 86_400.0
BROWSER_SECONDS = 30 * 86_400.0
"""The same for browsers."""
MOST_SESSIONS = 100
"""Sessions of one user; the oldest ends when there would be more."""
LONGEST_ADDRESS = 100
_SECRET_LENGTH = 43

_INSERT = "INSERT INTO auth_session (id, refresh, expires, ends, client, scope, address) VALUES (?, ?, ?, ?, ?, ?, ?)"


class StoredSession(msgspec.Struct, frozen=True):
    """Hash of the refresh token (empty: none), when the session ends unused and in any case, and whose it is."""

    refresh: bytes
    expires: float
    ends: float
    client: str
    scope: str
    address: str


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
        for session_id, *row in await database.read(_read_rows):
            sessions._sessions[session_id] = StoredSession(*row)
        return sessions

    # clients

    async def begin(self, user: User, origin: Origin, scope: str = OWN_SCOPE, *, is_lasting: bool = True) -> Session:
        """A new session of a user, stored when this returns. One that is not lasting has no refresh token."""
        agent = origin.agent[:LONGEST_DESCRIPTION]
        made, stored = self._auth.draw_token(user, agent, (), ACCESS_SECONDS, TokenKind.SESSION)
        now, text, digest = self._clock.time(), "", b""
        if is_lasting:
            text, digest = _draw_refresh(made.token.id)
        expires, ends = (now + REFRESH_SECONDS, now + LONGEST_SECONDS) if is_lasting else (made.token.expires,) * 2
        row = StoredSession(digest, expires, ends, origin.client, scope, origin.address[:LONGEST_ADDRESS])
        await self._store(user, stored, row)
        return _tell(made, stored, text, row)

    def find_user(self, refresh: str) -> str:
        """UUID of the user whose session a refresh token belongs to, good or not; empty for nobody's."""
        stored = self._auth.find_id(_id_of(refresh))
        return stored.user if stored is not None else ""

    async def refresh(self, user: User, refresh: str, client: str = "") -> Session:
        """The next tokens of a session; those before are good no more. ``client`` is whose it must be, if not empty.

        Raises Forbidden (reason ``login``) for a refresh token that is not good. When it was used before, the session
        has ended.
        """
        session_id, known, old = await self._check_refresh(user, refresh, client)
        made, stored = self._auth.draw_token(
            user, old.token.description, (), ACCESS_SECONDS, TokenKind.SESSION, session_id, old.token.created
        )
        now = self._clock.time()
        stored = msgspec.structs.replace(stored, token=msgspec.structs.replace(stored.token, last_used=now))
        text, digest = _draw_refresh(session_id)
        row = msgspec.structs.replace(known, refresh=digest, expires=min(now + REFRESH_SECONDS, known.ends))

        def write(tx: Tx) -> None:
            tx.execute("INSERT INTO auth_refresh VALUES (?, ?)", (known.refresh, session_id))
            tx.execute("DELETE FROM auth_token WHERE id = ?", (session_id,))
            self._auth.insert_token(tx, stored)
            change = (row.refresh, row.expires, session_id)
            tx.execute("UPDATE auth_session SET refresh = ?, expires = ? WHERE id = ?", change)

        await self._database.write(write)
        self._keep(stored, row)
        return _tell(made, stored, text, row)

    async def _check_refresh(self, user: User, refresh: str, client: str) -> tuple[str, StoredSession, StoredToken]:
        session_id = _id_of(refresh)
        known, old = self._sessions.get(session_id), self._auth.find_id(session_id)
        if known is None or old is None or old.user != user.uuid or (client and client != known.client):
            raise _refuse()
        digest = digest_of(refresh)
        if not known.refresh or not hmac.compare_digest(known.refresh, digest):
            if await self._was_used(session_id, digest):
                log.warning("a refresh token was used twice; the session ends", user=user.login, id=session_id)
                await self._end([session_id])
            raise _refuse()
        if known.expires <= self._clock.time():
            raise _refuse()
        return session_id, known, old

    async def _was_used(self, session_id: str, digest: bytes) -> bool:
        query = "SELECT 1 FROM auth_refresh WHERE digest = ? AND session = ?"
        found = await self._database.read(lambda reader: reader.execute(query, (digest, session_id)).fetchone())
        return found is not None

    def read_scope(self, stored: StoredToken) -> str:
        """What the bearer of a token may be told and do; empty for one that is good for some nodes alone."""
        if stored.token.kind is TokenKind.PERSONAL:
            return "" if stored.token.scopes else OWN_SCOPE
        found = self._sessions.get(stored.token.id)
        return "" if found is None else found.scope

    def is_full(self, stored: StoredToken) -> bool:
        """Whether a token stands for the user, and does not only tell who that is."""
        return stored.token.kind is TokenKind.PERSONAL or FULL_ACCESS in self.read_scope(stored).split()

    # browsers

    async def begin_browser(self, user: User, origin: Origin) -> Browser:
        """Somebody signed in with a browser; stored when this returns."""
        agent = origin.agent[:LONGEST_DESCRIPTION]
        made, stored = self._auth.draw_token(user, agent, (), BROWSER_SECONDS, TokenKind.BROWSER)
        ends = made.token.expires
        row = StoredSession(b"", ends, ends, origin.client, "", origin.address[:LONGEST_ADDRESS])
        await self._store(user, stored, row)
        return Browser(made.token.id, user, made.token.created, ends, made.secret)

    def find_browser(self, secret: str) -> StoredToken | None:
        """The session that a cookie is; None for one that is unknown or has ended. To find it is a use of it."""
        found = self._auth.find_token(secret) if secret.startswith(BROWSER_PREFIX) else None
        if found is None or self._is_idle(found):
            return None
        self._auth.note_use(found)
        return found

    def _is_idle(self, stored: StoredToken) -> bool:
        token = stored.token
        return (
            token.kind is TokenKind.BROWSER
            and max(token.created, token.last_used) + BROWSER_IDLE_SECONDS <= self._clock.time()
        )

    # both

    def show(self, logins: dict[str, str]) -> list[ShownSession]:
        """The sessions of users that have not ended, oldest first; ``logins`` tells the users by UUID."""
        ended = set(self._find_ended())
        found = []
        for token in self._auth.list_tokens(logins):
            row = self._sessions.get(token.id)
            if row is None or token.id in ended:
                continue
            last_used, expires = max(token.created, token.last_used), row.expires
            if token.kind is TokenKind.BROWSER:
                expires = min(last_used + BROWSER_IDLE_SECONDS, row.ends)
            found.append(
                ShownSession(
                    token.id,
                    token.login,
                    token.kind,
                    row.client,
                    token.description,
                    row.address,
                    token.created,
                    last_used,
                    expires,
                    row.ends,
                )
            )
        return found

    async def end(self, user: User, session_id: str) -> None:
        """End a session at once. Raises NotFound for one that is not this user's."""
        stored = self._auth.find_id(session_id)
        if stored is None or stored.user != user.uuid or session_id not in self._sessions:
            raise NotFound(
                f"{user.login} has no session {session_id!r}; `cellsmono user session list {user.login}` shows all",
                reason="session",
            )
        await self._end([session_id])
        log.info("session ended", user=user.login, id=session_id)

    async def end_all(self, user: User) -> None:
        """End all sessions of a user; other tokens stay."""
        await self._end(self._list_ids(user))

    async def end_by_text(self, text: str, client: str) -> None:
        """End the session of a client that an access token or a refresh token belongs to; nothing for anything else."""
        if text.startswith(REFRESH_PREFIX):
            session_id, known = _id_of(text), self._sessions.get(_id_of(text))
            is_own = known is not None and hmac.compare_digest(known.refresh, digest_of(text))
            if known is not None and not is_own:
                is_own = await self._was_used(session_id, digest_of(text))
        else:
            stored = self._auth.find_token(text)
            session_id = stored.token.id if stored is not None else ""
            known = self._sessions.get(session_id)
            is_own = known is not None and stored is not None and stored.token.kind is TokenKind.SESSION
        if known is not None and is_own and known.client == client:
            await self._end([session_id])

    async def _end(self, gone: list[str]) -> None:
        self._drop(gone)  # at once, also if the store can not be written
        if gone:
            await self._database.write(lambda tx: self._auth.delete_tokens(tx, gone))

    async def _store(self, user: User, stored: StoredToken, row: StoredSession) -> None:
        """Store a new session; those that ended are forgotten, and the oldest of too many ends."""
        gone = [*self._find_ended(), *self._find_surplus(user)]

        def write(tx: Tx) -> None:
            self._auth.delete_tokens(tx, gone)
            self._auth.insert_token(tx, stored)
            tx.execute(_INSERT, (stored.token.id, *msgspec.structs.astuple(row)))

        await self._database.write(write)
        self._drop(gone)
        self._keep(stored, row)
        log.info("session begun", user=user.login, id=stored.token.id, kind=stored.token.kind.value, client=row.client)

    def _keep(self, stored: StoredToken, row: StoredSession) -> None:
        self._auth.keep_token(stored)
        self._sessions[stored.token.id] = row

    def _find_ended(self) -> list[str]:
        now, ended = self._clock.time(), []
        for each, row in self._sessions.items():
            stored = self._auth.find_id(each)
            if stored is None or row.expires <= now or self._is_idle(stored):
                ended.append(each)
        return ended

    def _find_surplus(self, user: User) -> list[str]:
        ids = self._list_ids(user)
        return ids[: max(len(ids) - MOST_SESSIONS + 1, 0)]

    def _list_ids(self, user: User) -> list[str]:
        """The sessions of a user, the oldest first."""
        tokens = self._auth.list_tokens({user.uuid: user.login})
        return [token.id for token in tokens if token.kind is not TokenKind.PERSONAL]

    def _drop(self, gone: list[str]) -> None:
        self._auth.drop_tokens(gone)
        for each in gone:
            self._sessions.pop(each, None)


def _tell(made: NewToken, stored: StoredToken, refresh: str, row: StoredSession) -> Session:
    return Session(made.token, made.secret, refresh, row.expires, stored.user, row.scope)


def _draw_refresh(session_id: str) -> tuple[str, bytes]:
    text = f"{REFRESH_PREFIX}{session_id}_{draw_text(LETTERS_AND_DIGITS, _SECRET_LENGTH)}"
    return text, digest_of(text)


def _id_of(refresh: str) -> str:
    return refresh.removeprefix(REFRESH_PREFIX).partition("_")[0] if refresh.startswith(REFRESH_PREFIX) else ""


def _refuse() -> Forbidden:
    return Forbidden("Login failed", reason="login")


def _read_rows(reader: Reader) -> list[tuple[Any, ...]]:
    return reader.execute("SELECT id, refresh, expires, ends, client, scope, address FROM auth_session").fetchall()
