"""Passwords: argon2id, off the event loop, and a few at a time, since each takes memory on purpose.

A hash is stored in PHC form, which names the parameters that made it; a sign-in replaces one that was made with others.
"""

import asyncio
import secrets
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from typing import TypeVar

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cellsmono.kernel.errors import Invalid, Unavailable

T = TypeVar("T")

SHORTEST = 8
LONGEST = 1_000
AT_ONCE = 2
"""Passwords that are hashed at the same time: 64 MiB each."""
MOST_WAITING = 100
"""Sign-ins that may wait for their turn; more are turned away, so that a flood can not fill the memory."""


class Outcome(msgspec.Struct, frozen=True):
    """Whether a password is right, and the hash to store from now on, empty when the present one is good."""

    is_right: bool
    fresh_hash: str = ""


def check_password(password: str, login: str) -> None:
    """Raise Invalid for a password that is too easily guessed, or too long to be meant."""
    if len(password) < SHORTEST:
        raise Invalid(f"the password is too short: at least {SHORTEST} characters", reason="password")
    if len(password) > LONGEST:
        raise Invalid(f"the password is too long: at most {LONGEST} characters", reason="password")
    if password.casefold() == login.casefold() or len(set(password)) == 1:
        raise Invalid("the password is too easily guessed: choose another", reason="password")


class Passwords:
    """Hashes and verifies."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        # Nobody's hash: what it takes to verify does not depend on what stands in it.
        salt, digest = secrets.token_bytes(self._hasher.salt_len), secrets.token_bytes(self._hasher.hash_len)
        costs = f"m={self._hasher.memory_cost},t={self._hasher.time_cost},p={self._hasher.parallelism}"
        self._nobody = f"$argon2id$v=19${costs}${_encode(salt)}${_encode(digest)}"

    async def hash(self, password: str) -> str:
        """The hash to store."""
        return await self._take_turn(self._hasher.hash, _normalize(password))

    async def verify(self, stored: str, password: str) -> Outcome:
        """Compare. With nothing stored it takes as long, and is wrong. Raises Unavailable when too many wait."""
        if len(password) > LONGEST:
            password = ""  # no such password can be stored; what it costs must not depend on its length
        return await self._take_turn(self._verify, stored, _normalize(password))

    def _verify(self, stored: str, password: str) -> Outcome:
        try:
            self._hasher.verify(stored or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return Outcome(False)
        return Outcome(bool(stored), self._hasher.hash(password) if self._hasher.check_needs_rehash(stored) else "")

    async def _take_turn(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= MOST_WAITING:
            raise Unavailable("Too many people sign in at the same time; try again in a moment", reason="login_crowd")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work, *arguments)
        finally:
            self._waiting -= 1


def _normalize(password: str) -> str:
    """The same password typed on another keyboard (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)


def _encode(value: bytes) -> str:
    return b64encode(value).decode().rstrip("=")
