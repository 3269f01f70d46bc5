"""Second factors: who has one has to tell a code beside the password."""

import hmac
import secrets
from typing import Any, Self

import msgspec

from cellsmono.idm.auth import digest_of
from cellsmono.idm.one_time_codes import (
    SECRET_BYTES,
    clean_code,
    draw_recovery_codes,
    find_step,
    spell_secret,
    spell_uri,
)
from cellsmono.interfaces.second_factor import NewTotp, ShownTotp
from cellsmono.interfaces.users import User
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import AlreadyExists, NotFound
from cellsmono.kernel.log import get_logger
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

log = get_logger("idm.auth")

ISSUER = "cellsmono"


class _Factor(msgspec.Struct):
    secret: bytes
    step: int
    created: float
    recovery: set[bytes]


class SecondFactors:
    """Changes are asked for one at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._factors: dict[str, _Factor] = {}

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Self:
        """Read all of them."""
        factors = cls(database, clock)
        totps, recovery = await database.read(_read_rows)
        for user, secret, step, created in totps:
            factors._factors[user] = _Factor(secret, step, created, set())
        for user, digest in recovery:
            if user in factors._factors:
                factors._factors[user].recovery.add(digest)
        return factors

    def show(self, user: User) -> ShownTotp:
        """Whether a user has one, and how many recovery codes are left."""
        factor = self._factors.get(user.uuid)
        if factor is None:
            return ShownTotp(user.login)
        return ShownTotp(user.login, is_enabled=True, created=factor.created, recovery_codes=len(factor.recovery))

    async def enable(self, user: User) -> NewTotp:
        """Make one; it is asked for from now on. Raises AlreadyExists."""
        if user.uuid in self._factors:
            raise AlreadyExists(
                f"{user.login} has a second factor already; `cellsmono user totp disable {user.login}` removes it",
                reason="totp",
            )
        codes = draw_recovery_codes()
        digests = {_digest(code) for code in codes}
        factor = _Factor(secrets.token_bytes(SECRET_BYTES), 0, self._clock.time(), digests)

        def write(tx: Tx) -> None:
            tx.execute("INSERT INTO auth_totp VALUES (?, ?, 0, ?)", (user.uuid, factor.secret, factor.created))
            tx.executemany("INSERT INTO auth_recovery VALUES (?, ?)", [(user.uuid, digest) for digest in digests])

        await self._database.write(write)
        self._factors[user.uuid] = factor
        log.info("second factor enabled", user=user.login)
        secret = factor.secret
        return NewTotp(user.login, spell_secret(secret), spell_uri(secret, ISSUER, user.login), tuple(codes))

    async def disable(self, user: User) -> None:
        """Remove it, with its recovery codes. Raises NotFound."""
        if user.uuid not in self._factors:
            raise NotFound(f"{user.login} has no second factor", reason="totp")
        await self._database.write(lambda tx: self.delete_rows(tx, user.uuid))
        self.drop(user.uuid)
        log.info("second factor disabled", user=user.login)

    async def use(self, user: str, text: str) -> bool:
        """Whether a code is good; then it is used up when this returns. Who has no second factor needs none."""
        factor = self._factors.get(user)
        if factor is None:
            return True
        code = clean_code(text)
        step = find_step(factor.secret, code, self._clock.time(), factor.step)
        if step is not None:
            factor.step = step
            await self._database.write(
                lambda tx: tx.execute("UPDATE auth_totp SET step = ? WHERE user = ?", (step, user)).rowcount
            )
            return True
        digest = _digest(code)
        found = [each for each in factor.recovery if hmac.compare_digest(each, digest)]
        if not found:
            return False
        factor.recovery.discard(found[0])
        await self._database.write(
            lambda tx: tx.execute("DELETE FROM auth_recovery WHERE user = ? AND digest = ?", (user, digest)).rowcount
        )
        log.warning("a recovery code was used", user=user, left=len(factor.recovery))
        return True

    def delete_rows(self, tx: Tx, user: str) -> None:
        """The part of a user's removal that belongs here."""
        tx.execute("DELETE FROM auth_totp WHERE user = ?", (user,))
        tx.execute("DELETE FROM auth_recovery WHERE user = ?", (user,))

    def drop(self, user: str) -> None:
        """Forget what was deleted."""
        self._factors.pop(user, None)


def _digest(code: str) -> bytes:
    return digest_of(clean_code(code))


def _read_rows(reader: Reader) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    totps = reader.execute("SELECT user, secret, step, created FROM auth_totp").fetchall()
    return totps, reader.execute("SELECT user, digest FROM auth_recovery").fetchall()
