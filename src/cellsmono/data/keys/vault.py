"""The vault: makes and opens data keys, and remembers the wrapped ones of every store."""

import base64
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cellsmono.data.keys.master import KEY_BYTES, MasterKey, MasterKeys
from cellsmono.interfaces.encryption import ImportReport, KeyBundle, MasterSecret, StoredKeys
from cellsmono.interfaces.sealing import WrappedKey
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import Corrupt, Invalid, Unavailable
from cellsmono.kernel.private_files import write_private

FILE_NAME = "data_keys.json"
VERSION = 1
_ID_BYTES = 8
_NONCE_BYTES = 12


class _File(msgspec.Struct, frozen=True):
    version: int
    stores: list[StoredKeys]


class Vault:
    """``KeyVault`` over the files of a data folder. Calls come from threads, and wait for each other."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.masters = MasterKeys(folder, clock)
        self.path = folder / FILE_NAME
        self._clock = clock
        self._lock = threading.Lock()

    def make_key(self, store: str) -> tuple[WrappedKey, bytes]:
        """See ``KeyVault``."""
        with self._lock:
            master = self.masters.current()
        secret, key_id = os.urandom(KEY_BYTES), os.urandom(_ID_BYTES).hex()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + AESGCM(master.secret).encrypt(nonce, secret, _bound(store, key_id))
        return WrappedKey(key_id, self._clock.time(), master.id, base64.b64encode(sealed).decode()), secret

    def unwrap(self, store: str, key: WrappedKey) -> bytes:
        """See ``KeyVault``."""
        with self._lock:
            master = self.masters.find(key.master)
        return _unwrap(master.secret, store, key)

    def remember(self, store: str, name: str, keys: Sequence[WrappedKey]) -> None:
        """See ``KeyVault``."""
        with self._lock:
            stores = {each.store: each for each in self.list_stores()}
            known = {key.id: key for key in stores[store].keys} if store in stores else {}
            merged = sorted((known | {key.id: key for key in keys}).values(), key=lambda key: key.created)
            wanted = StoredKeys(store, name, merged)
            if stores.get(store) != wanted:
                stores[store] = wanted
                data = msgspec.json.encode(_File(VERSION, list(stores.values())))
                write_private(self.path, msgspec.json.format(data))

    def recall(self, store: str) -> list[WrappedKey]:
        """See ``KeyVault``."""
        return next((each.keys for each in self.list_stores() if each.store == store), [])

    def export(self) -> KeyBundle:
        """All keys. Raises Invalid when there are none, Corrupt."""
        masters = [MasterSecret(key.created, key.secret) for key in self.masters.list_keys()]
        if not masters:
            raise Invalid(f"There are no keys in {self.path.parent}: nothing was encrypted yet.")
        return KeyBundle(masters, self.list_stores())

    def take(self, bundle: KeyBundle) -> ImportReport:
        """Take keys in that are not there. Raises Corrupt."""
        with self._lock:
            masters = sum(self.masters.add(MasterKey(each.created, each.secret)) for each in bundle.masters)
        keys = 0
        for each in bundle.stores:
            known = {key.id for key in self.recall(each.store)}
            fresh = [key for key in each.keys if key.id not in known]
            keys += len(fresh)
            if fresh:
                self.remember(each.store, each.name, fresh)
        return ImportReport(masters, keys)

    def list_stores(self) -> list[StoredKeys]:
        """What is remembered, by store. Raises Corrupt for a file that can not be read."""
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=_File)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise Corrupt(
                f"The data keys in {self.path} can not be read ({error}). Put the file back from a backup, or remove "
                "it: the stores have copies of their own.",
                reason="data_key",
                path=str(self.path),
            ) from error
        return found.stores


class BundleVault:
    """``KeyVault`` over an export that was opened: it makes and keeps nothing. ``name`` is the file, for messages."""

    def __init__(self, bundle: KeyBundle, name: str) -> None:
        self._masters = {MasterKey(each.created, each.secret).id: each.secret for each in bundle.masters}
        self._stores = {each.store: each.keys for each in bundle.stores}
        self._name = name

    def make_key(self, store: str) -> tuple[WrappedKey, bytes]:
        """See ``KeyVault``: there is none. Raises Unavailable (reason ``key``)."""
        raise Unavailable(f"{self._name} is an export of keys, in which none can be made.", reason="key")

    def unwrap(self, store: str, key: WrappedKey) -> bytes:
        """See ``KeyVault``."""
        secret = self._masters.get(key.master)
        if secret is None:
            raise Unavailable(
                f"It is sealed under the master key {key.master}, which is not in {self._name}: that is the export of "
                "another installation, or an older one.",
                reason="key",
            )
        return _unwrap(secret, store, key)

    def remember(self, store: str, name: str, keys: Sequence[WrappedKey]) -> None:
        """See ``KeyVault``: an export stays as it is."""

    def recall(self, store: str) -> list[WrappedKey]:
        """See ``KeyVault``."""
        return self._stores.get(store, [])


def _unwrap(master: bytes, store: str, key: WrappedKey) -> bytes:
    try:
        data = base64.b64decode(key.wrapped, validate=True)
        return AESGCM(master).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _bound(store, key.id))
    except (InvalidTag, ValueError):
        raise Corrupt(
            f"The data key {key.id} of the store {store} was altered, or is that of another store; put "
            "'cellsmono-keys.json' back from a backup.",
            reason="data_key",
        ) from None


def _bound(store: str, key_id: str) -> bytes:
    return f"cellsmono data key {key_id} of {store}".encode()
