"""The keys that ID tokens are signed with: RSA, made when one is needed first, and replaced every few months.

They are in a file of the data folder that its owner alone can read. What is signed with them says who somebody is, to
the client that asked; it opens nothing here.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from cellsmono.kernel.clock import Clock
from cellsmono.kernel.draws import SMALL_AND_DIGITS, draw_text
from cellsmono.kernel.errors import Corrupt, Unavailable
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.private_files import is_open_to_others, write_private

log = get_logger("idm.auth")

FILE_NAME = "id-token-keys.json"
ALGORITHM = "RS256"
KEY_BITS = 2048
KEY_SECONDS = 90 * 86_400.0
"""How long a key is signed with."""
SHOWN_SECONDS = 7 * 86_400.0
"""How long it is told on after that: much longer than what it signed is good."""


class StoredKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A private key (JWK), and when it was made: seconds since the epoch, UTC."""

    jwk: dict[str, str]
    created: float


class KeyRing:
    """Implements ``interfaces.oidc.IdTokens``."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self._path = data_dir / FILE_NAME
        self._clock = clock
        self._keys: list[StoredKey] | None = None
        self._turn = asyncio.Lock()

    async def sign(self, claims: dict[str, Any]) -> str:
        """See ``IdTokens``. Raises Corrupt for a file that can not be understood."""
        newest = (await self._list_keys())[0].jwk
        header = {"alg": ALGORITHM, "kid": newest["kid"]}
        return await asyncio.to_thread(lambda: jwt.encode(header, claims, RSAKey.import_key(dict(newest))))

    async def list_public_keys(self) -> list[dict[str, Any]]:
        """See ``IdTokens``."""
        return [_publish(key) for key in await self._list_keys()]

    async def _list_keys(self) -> list[StoredKey]:
        """The keys that count now, the newest first; a new one is on the disk before it is used."""
        async with self._turn:
            if self._keys is None:
                self._keys = await asyncio.to_thread(self._read)
            now = self._clock.time()
            if not self._keys or now - self._keys[0].created >= KEY_SECONDS:
                kept = [key for key in self._keys if now - key.created < KEY_SECONDS + SHOWN_SECONDS]
                keys = [await asyncio.to_thread(_make_key, now), *kept]
                await asyncio.to_thread(self._write, keys)
                log.info("a new key signs ID tokens", kid=keys[0].jwk["kid"])
                self._keys = keys
            return [key for key in self._keys if now - key.created < KEY_SECONDS + SHOWN_SECONDS]

    def _read(self) -> list[StoredKey]:
        try:
            text = self._path.read_bytes()
            if is_open_to_others(self._path):
                log.warning("others could read the keys of ID tokens; the file is closed now", path=str(self._path))
                self._path.chmod(0o600)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Unavailable(f"The keys of ID tokens can not be read: {error}") from error
        try:
            keys = msgspec.json.decode(text, type=list[StoredKey])
            for key in keys:
                RSAKey.import_key(dict(key.jwk)).ensure_kid()
        except (msgspec.MsgspecError, JoseError, ValueError, KeyError) as error:
            raise Corrupt(
                f"The keys of ID tokens in {self._path} can not be understood ({type(error).__name__}): restore the "
                "file, or remove it and new ones are made"
            ) from None
        return keys

    def _write(self, keys: list[StoredKey]) -> None:
        try:
            write_private(self._path, msgspec.json.encode(keys))
        except OSError as error:
            raise Unavailable(f"The keys of ID tokens can not be written: {error}") from error


def _make_key(now: float) -> StoredKey:
    made = RSAKey.generate_key(
        KEY_BITS, {"use": "sig", "alg": ALGORITHM, "kid": draw_text(SMALL_AND_DIGITS, 16)}, private=True
    ).as_dict(private=True)
    return StoredKey({name: str(value) for name, value in made.items()}, now)


def _publish(key: StoredKey) -> dict[str, Any]:
    return {name: key.jwk[name] for name in ("kty", "use", "alg", "kid", "n", "e")}
