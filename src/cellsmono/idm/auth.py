"""``idm.auth``: tokens and key pairs. All are in memory, since every request asks for one."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec

from cellsmono.interfaces.tokens import TOKEN_PREFIX, KeyPair, NewToken, Token, TokenKind, parse_scope
from cellsmono.interfaces.users import User
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.draws import CAPITALS_AND_DIGITS, LETTERS_AND_DIGITS, SMALL_AND_DIGITS, draw_text
from cellsmono.kernel.errors import Invalid, NotFound
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceStatus
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

log = get_logger("idm.auth")

ID_LENGTH = 10
SECRET_LENGTH = 43
"""Letters and digits of a token's secret part: 256 random bits."""
LONGEST_DESCRIPTION = 200
MOST_SCOPES = 100
USE_SECONDS = 60.0
"""How exactly the last use of a token is known."""
LONGEST_LIFE = 100 * 366 * 86_400.0


class StoredToken(msgspec.Struct, frozen=True):
    """A token as it is kept: whose it is, and the hash of its text."""

    token: Token
    user: str
    digest: bytes


class StoredKeyPair(msgspec.Struct, frozen=True):
    """A key pair as it is kept, with its secret."""

    pair: KeyPair
    user: str


class AuthService:
    """Makes, lists and revokes. Changes are asked for one at a time; look-ups may come at any moment."""

    name = "idm.auth"
    tag = "idm"

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._tokens: dict[str, StoredToken] = {}
        self._pairs: dict[str, StoredKeyPair] = {}

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Self:
        """Read all tokens and key pairs."""
        service = cls(database, clock)
        tokens, pairs = await database.read(_read_rows)
        for token_id, user, digest, description, scopes, created, expires, last_used, kind in tokens:
            decoded = msgspec.json.decode(scopes, type=tuple[str, ...])
            token = Token(token_id, "", description, decoded, created, expires, last_used, TokenKind(kind))
            service._tokens[token_id] = StoredToken(token, user, digest)
        for access_key, user, secret, description, created in pairs:
            service._pairs[access_key] = StoredKeyPair(KeyPair(access_key, "", secret, description, created), user)
        return service

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Nothing runs: it answers when it is asked."""
        yield

    def status(self) -> ServiceStatus:
        """How many there are."""
        return ServiceStatus(detail=f"{len(self._tokens)} tokens, {len(self._pairs)} key pairs")

    # tokens

    async def create_token(self, user: User, description: str, scopes: tuple[str, ...], seconds: float) -> NewToken:
        """Make a token; it is stored when this returns. Raises Invalid."""
        _check_description(description)
        if len(scopes) > MOST_SCOPES:
            raise Invalid(f"a token has at most {MOST_SCOPES} scopes", reason="scope")
        for scope in scopes:
            parse_scope(scope)
        if not 0 <= seconds <= LONGEST_LIFE:
            raise Invalid("a token is good for at most 100 years; without an end it is good until it is revoked")
        made, stored = self.draw_token(user, description, scopes, seconds)
        await self._database.write(lambda tx: self.insert_token(tx, stored))
        self.keep_token(stored)
        log.info("token created", user=user.login, id=made.token.id)
        return made

    def draw_token(
        self,
        user: User,
        description: str,
        scopes: tuple[str, ...],
        seconds: float,
        kind: TokenKind = TokenKind.PERSONAL,
        token_id: str = "",
        created: float = 0.0,
    ) -> tuple[NewToken, StoredToken]:
        """A token that nobody has yet: what is told, and what ``insert_token`` and ``keep_token`` take.

        With ``token_id`` and ``created`` it takes the place of another.
        """
        now = self._clock.time()
        token_id = token_id or draw_text(SMALL_AND_DIGITS, ID_LENGTH)
        text = f"{TOKEN_PREFIX}{token_id}_{draw_text(LETTERS_AND_DIGITS, SECRET_LENGTH)}"
        expires = now + seconds if seconds else 0.0
        token = Token(token_id, user.login, description, tuple(scopes), created or now, expires, kind=kind)
        return NewToken(token, text), StoredToken(token, user.uuid, digest_of(text))

    def insert_token(self, tx: Tx, stored: StoredToken) -> None:
        """The part of a change that stores a token."""
        token = stored.token
        scopes = msgspec.json.encode(token.scopes).decode()
        row = (token.id, stored.user, stored.digest, token.description, scopes, token.created, token.expires)
        tx.execute(
            "INSERT INTO auth_token (id, user, digest, description, scopes, created, expires, last_used, kind)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)",
            (*row, token.kind.value),
        )

    def delete_tokens(self, tx: Tx, tokens: Sequence[str]) -> None:
        """The part of a change that removes tokens, and the sessions that they belong to."""
        tx.executemany("DELETE FROM auth_token WHERE id = ?", [(each,) for each in tokens])
        tx.executemany("DELETE FROM auth_session WHERE id = ?", [(each,) for each in tokens])

    def keep_token(self, stored: StoredToken) -> None:
        """From now on a token that was stored is good."""
        self._tokens[stored.token.id] = stored

    def drop_tokens(self, tokens: Sequence[str]) -> None:
        """From now on these are good no more."""
        for each in tokens:
            self._tokens.pop(each, None)

    def find_id(self, token_id: str) -> StoredToken | None:
        """The token with an id, also when it has expired."""
        return self._tokens.get(token_id)

    def list_tokens(self, logins: dict[str, str]) -> list[Token]:
        """The tokens of users, oldest first; ``logins`` tells the users by UUID."""
        found = [
            msgspec.structs.replace(stored.token, login=logins[stored.user])
            for stored in self._tokens.values()
            if stored.user in logins
        ]
        return sorted(found, key=lambda token: (token.created, token.id))

    async def revoke_token(self, user: User, token_id: str) -> None:
        """Make a token unusable at once. Raises NotFound for one that is not this user's."""
        stored = self._tokens.get(token_id)
        if stored is None or stored.user != user.uuid:
            raise NotFound(
                f"{user.login} has no token {token_id!r}; `cellsmono user token list {user.login}` shows all",
                reason="token",
            )
        # Refused from now on, also if the store can not be written: whoever revokes wants it to stop.
        del self._tokens[token_id]
        await self._database.write(lambda tx: self.delete_tokens(tx, [token_id]))
        log.info("token revoked", user=user.login, id=token_id)

    def find_token(self, text: str) -> StoredToken | None:
        """The token that a text is; None for one that is unknown or expired."""
        stored = self._tokens.get(text[len(TOKEN_PREFIX) :].partition("_")[0])
        if stored is None or not hmac.compare_digest(stored.digest, digest_of(text)):
            return None
        expires = stored.token.expires
        return stored if not expires or self._clock.time() < expires else None

    def note_use(self, stored: StoredToken) -> None:
        """Note that a token was used, at most once a minute; nothing waits for the disk."""
        now, token = self._clock.time(), stored.token
        if now - token.last_used < USE_SECONDS or token.id not in self._tokens:
            return
        used = msgspec.structs.replace(token, last_used=now)
        self._tokens[token.id] = msgspec.structs.replace(stored, token=used)
        done = self._database.submit(
            lambda tx: tx.execute("UPDATE auth_token SET last_used = ? WHERE id = ?", (now, token.id)).rowcount
        )
        done.add_done_callback(lambda future: future.cancelled() or future.exception())

    # key pairs

    def find_pair(self, access_key: str) -> StoredKeyPair | None:
        """The key pair with an access key."""
        return self._pairs.get(access_key)

    async def create_pair(self, user: User, description: str) -> KeyPair:
        """Make a key pair; it is stored when this returns. Raises Invalid."""
        _check_description(description)
        pair = KeyPair(
            access_key="CU" + draw_text(CAPITALS_AND_DIGITS, 18),
            login=user.login,
            secret=draw_text(LETTERS_AND_DIGITS, 40),
            description=description,
            created=self._clock.time(),
        )
        row = (pair.access_key, user.uuid, pair.secret, description, pair.created)

        def insert(tx: Tx) -> None:
            tx.execute("INSERT INTO auth_key VALUES (?, ?, ?, ?, ?)", row)

        await self._database.write(insert)
        self._pairs[pair.access_key] = StoredKeyPair(pair, user.uuid)
        log.info("key pair created", user=user.login, access_key=pair.access_key)
        return pair

    def list_pairs(self, logins: dict[str, str]) -> list[KeyPair]:
        """The key pairs of users, oldest first, without their secrets."""
        found = [
            msgspec.structs.replace(stored.pair, login=logins[stored.user], secret="")
            for stored in self._pairs.values()
            if stored.user in logins
        ]
        return sorted(found, key=lambda pair: (pair.created, pair.access_key))

    async def revoke_pair(self, user: User, access_key: str) -> None:
        """Make a key pair unusable at once. Raises NotFound for one that is not this user's."""
        stored = self._pairs.get(access_key)
        if stored is None or stored.user != user.uuid:
            raise NotFound(
                f"{user.login} has no key pair {access_key!r}; `cellsmono user key list {user.login}` shows all",
                reason="key",
            )
        del self._pairs[access_key]
        await self._database.write(
            lambda tx: tx.execute("DELETE FROM auth_key WHERE access_key = ?", (access_key,)).rowcount
        )
        log.info("key pair revoked", user=user.login, access_key=access_key)

    # users that go

    def delete_rows(self, tx: Tx, user: str) -> None:
        """The part of a user's removal that belongs to this service."""
        tx.execute("DELETE FROM auth_session WHERE id IN (SELECT id FROM auth_token WHERE user = ?)", (user,))
        tx.execute("DELETE FROM auth_token WHERE user = ?", (user,))
        tx.execute("DELETE FROM auth_key WHERE user = ?", (user,))

    def drop(self, user: str) -> None:
        """Forget the tokens and key pairs of a user whose rows were deleted."""
        self._tokens = {key: stored for key, stored in self._tokens.items() if stored.user != user}
        self._pairs = {key: stored for key, stored in self._pairs.items() if stored.user != user}


def digest_of(text: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(text.encode()).digest()


def _check_description(description: str) -> None:
    if len(description) > LONGEST_DESCRIPTION:
        raise Invalid(f"the description has at most {LONGEST_DESCRIPTION} characters")


def _read_rows(reader: Reader) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    tokens = reader.execute(
        "SELECT id, user, digest, description, scopes, created, expires, last_used, kind FROM auth_token"
    ).fetchall()
    pairs = reader.execute("SELECT access_key, user, secret, description, created FROM auth_key").fetchall()
    return tokens, pairs
