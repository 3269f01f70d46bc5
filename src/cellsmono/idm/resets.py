"""Links with which somebody chooses a new password, made by an administrator and good once."""

import hmac
from typing import Any, Self

import msgspec

from cellsmono.idm.auth import digest_of
from cellsmono.interfaces.resets import RESET_PREFIX, NewReset
from cellsmono.interfaces.users import User
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.draws import LETTERS_AND_DIGITS, draw_text
from cellsmono.kernel.errors import Invalid
from cellsmono.kernel.log import get_logger
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

log = get_logger("idm.auth")

LONGEST_SECONDS = 30 * 86_400.0
_SECRET_LENGTH = 43


class _Reset(msgspec.Struct, frozen=True):
    digest: bytes
    expires: float


class Resets:
    """At most one for each user. Changes are asked for one at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._resets: dict[str, _Reset] = {}

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Self:
        """Read all of them."""
        resets = cls(database, clock)
        for user, digest, expires in await database.read(_read_rows):
            resets._resets[user] = _Reset(digest, expires)
        return resets

    async def create(self, user: User, seconds: float) -> NewReset:
        """A new one in the place of the one before, stored when this returns. Raises Invalid."""
        if not 0 < seconds <= LONGEST_SECONDS:
            raise Invalid(f"a link is good for at most {int(LONGEST_SECONDS // 86_400)} days")
        text = RESET_PREFIX + draw_text(LETTERS_AND_DIGITS, _SECRET_LENGTH)
        row = _Reset(digest_of(text), self._clock.time() + seconds)
        values = (user.uuid, row.digest, row.expires)

        def write(tx: Tx) -> None:
            tx.execute("INSERT OR REPLACE INTO auth_reset VALUES (?, ?, ?)", values)

        await self._database.write(write)
        self._resets[user.uuid] = row
        log.info("a link for a new password was made", user=user.login)
        return NewReset(user.login, text, row.expires)

    def find(self, text: str) -> str:
        """UUID of the user whose password may be changed with this; empty for nobody's."""
        digest, now = digest_of(text), self._clock.time()
        for user, row in self._resets.items():
            if hmac.compare_digest(row.digest, digest) and now < row.expires:
                return user
        return ""

    async def end(self, user: str) -> None:
        """From now on the user's link is good no more."""
        if self._resets.pop(user, None) is not None:
            await self._database.write(lambda tx: self.delete_rows(tx, user))

    def delete_rows(self, tx: Tx, user: str) -> None:
        """The part of a user's removal that belongs here."""
        tx.execute("DELETE FROM auth_reset WHERE user = ?", (user,))

    def drop(self, user: str) -> None:
        """Forget what was deleted."""
        self._resets.pop(user, None)


def _read_rows(reader: Reader) -> list[tuple[Any, ...]]:
    return reader.execute("SELECT user, digest, expires FROM auth_reset").fetchall()
