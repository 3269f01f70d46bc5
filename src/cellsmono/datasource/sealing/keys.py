"""The data keys of one store: in a record in its bucket, each encrypted with the master key, and in the vault.

The record goes where the blobs go, so that the master key alone opens them wherever they are; the vault's copy is for
the day on which somebody removes the record.
"""

import asyncio
import base64

import msgspec

from cellsmono.datasource.flat.layout import KEYS, once
from cellsmono.datasource.sealing.format import NO_KEY, WITH_CLIENT_KEY, WITH_DATA_KEY, Frames, Header, Sealer
from cellsmono.datasource.sealing.reader import client_key_needed
from cellsmono.interfaces.objects import ObjectStore
from cellsmono.interfaces.sealing import KeyVault, WrappedKey
from cellsmono.kernel.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable

VERSION = 1
_LARGEST_RECORD = 4 * 1024 * 1024
_ABOUT = (
    "The data keys of this flat store, each encrypted with the master key of its installation. Without this object, or "
    "without the master key, the sealed blobs can not be read. `cellsmono encryption export` saves both."
)


class KeyRecord(msgspec.Struct, frozen=True):
    """What the record says. The last key seals what is new; ``store`` is the UUID of the store's root."""

    version: int
    store: str
    keys: list[WrappedKey]
    about: str = _ABOUT


class StoreKeys:
    """The keys of a store that is open. ``is_kept``: what its record and the vault lack is written there."""

    def __init__(self, objects: ObjectStore, bucket: str, vault: KeyVault, *, is_kept: bool = True) -> None:
        self.bucket = bucket
        self._is_kept = is_kept
        self.store = ""
        self._objects = objects
        self._vault = vault
        self._wrapped: dict[str, WrappedKey] = {}
        self._secrets: dict[bytes, bytes] = {}
        self._changing = asyncio.Lock()

    @property
    def wrapped(self) -> list[WrappedKey]:
        """All keys, oldest first: the last one seals what is new."""
        return list(self._wrapped.values())

    async def open(self, store: str, *, make: bool) -> None:
        """See ``Sealing.open_keys``."""
        self.store = store
        record = await read_keys(self._objects, self.bucket)
        if record is not None and record.store != store:
            raise Conflict(
                f"'{KEYS}' of '{self.bucket}' holds the keys of another store than '{self.bucket}' is. Put the right "
                "one back from a backup, or remove it: what this installation knows is written anew.",
                reason="other_store",
            )
        remembered = await asyncio.to_thread(self._vault.recall, store)
        noted = [] if record is None else record.keys
        merged = {key.id: key for key in (*remembered, *noted)}
        self._wrapped = dict(sorted(merged.items(), key=lambda item: item[1].created))
        if self._wrapped:
            await self.current()
            if not self._is_kept:
                return
            if len(noted) < len(merged) and self._objects.capabilities(self.bucket).writable:
                await self._write()
            if len(remembered) < len(merged):
                await asyncio.to_thread(self._vault.remember, store, self.bucket, self.wrapped)
        elif make:
            await self.renew()

    async def renew(self) -> WrappedKey:
        """A new data key for what is sealed from now on; it is on the storage before anything is sealed with it."""
        async with self._changing:
            key, secret = await asyncio.to_thread(self._vault.make_key, self.store)
            before = dict(self._wrapped)
            newest = max((each.created for each in self.wrapped), default=0.0)
            key = msgspec.structs.replace(key, created=max(key.created, newest + 1e-3))
            self._wrapped[key.id] = key
            try:
                await asyncio.to_thread(self._vault.remember, self.store, self.bucket, self.wrapped)
                await self._write()
            except BaseException:
                self._wrapped = before
                raise
            self._secrets[bytes.fromhex(key.id)] = secret
            return key

    async def _write(self) -> None:
        record = KeyRecord(VERSION, self.store, self.wrapped)
        data = msgspec.json.format(msgspec.json.encode(record))
        await self._objects.commit(await self._objects.stage(self.bucket, once(data)), KEYS)

    async def current(self) -> tuple[bytes, bytes]:
        """Id and secret of the key that seals what is new; made if there is none."""
        if not self._wrapped:
            await self.renew()
        newest = next(reversed(self._wrapped.values()))
        return bytes.fromhex(newest.id), await self.find_secret(bytes.fromhex(newest.id))

    async def sealer(self, seal: int, client_key: bytes = b"") -> Sealer:
        """Seals one content for the blob with this number, with the newest data key or that of a client."""
        if client_key:
            return Sealer(client_key, NO_KEY, seal, WITH_CLIENT_KEY)
        key, secret = await self.current()
        return Sealer(secret, key, seal)

    async def frames(self, header: Header, name: str) -> Frames:
        """What decrypts the blob with this header. Raises Unavailable (reason ``key``), Corrupt, Invalid."""
        if header.kind != WITH_DATA_KEY:
            raise client_key_needed(name)
        frames = Frames(await self.find_secret(header.key, name), header)
        if not frames.fits(header):
            raise Corrupt(
                f"The header of the sealed blob '{name}' was altered or damaged; put the blob back from a backup.",
                reason="seal",
                path=name,
            )
        return frames

    async def find_secret(self, key: bytes, name: str = "") -> bytes:
        """The data key with this id. Raises Unavailable (reason ``key``), Corrupt."""
        known = self._secrets.get(key)
        if known is None:
            wrapped = self._wrapped.get(key.hex())
            if wrapped is None:
                raise Unavailable(
                    f"'{name}' is sealed with the data key {key.hex()}, which is neither in '{KEYS}' of "
                    f"'{self.bucket}' nor in the data folder; `cellsmono encryption import FILE` brings it back.",
                    reason="key",
                    path=name,
                )
            known = await asyncio.to_thread(self._vault.unwrap, self.store, wrapped)
            self._secrets[key] = known
        return known


async def read_keys(objects: ObjectStore, bucket: str) -> KeyRecord | None:
    """The record of a bucket, None when there is none. Raises Corrupt, Invalid for a newer one, Unavailable."""
    try:
        reader = await objects.open(bucket, KEYS)
    except NotFound:
        return None
    try:
        text = await reader.read(0, _LARGEST_RECORD)
    finally:
        reader.close()
    try:
        record = msgspec.json.decode(text, type=KeyRecord)
        for key in record.keys:
            bytes.fromhex(key.id), base64.b64decode(key.wrapped, validate=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise Corrupt(
            f"'{KEYS}' of the flat store '{bucket}' can not be read ({error}). Put it back from a backup, or remove "
            "it: what this installation knows is written anew.",
            reason="record",
            path=KEYS,
        ) from error
    if record.version > VERSION:
        raise Invalid(f"The keys of the flat store '{bucket}' were written by a newer cellsmono; use that one.")
    return record
