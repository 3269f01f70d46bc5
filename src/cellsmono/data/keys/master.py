"""Master keys: they encrypt data keys, and lie in the data folder for its owner alone."""

import hmac
import os
from pathlib import Path

import msgspec

from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import Corrupt, Unavailable
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.private_files import is_open_to_others, write_private

log = get_logger("keys")

FILE_NAME = "master.key"
KEY_BYTES = 32
VERSION = 1


class MasterKey(msgspec.Struct, frozen=True):
    """A master key of 32 bytes. ``created`` is seconds since the epoch, UTC. It never appears in logs."""

    created: float
    secret: bytes

    @property
    def id(self) -> str:
        """Its name, in hex: made from the key, and telling nothing about it."""
        return hmac.digest(self.secret, b"cellsmono master key", "sha256")[:8].hex()

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"


class _File(msgspec.Struct, frozen=True):
    version: int
    keys: list[MasterKey]
    about: str = (
        "The master keys of this cellsmono. Without them sealed content is lost: keep a copy elsewhere, by `cellsmono "
        "encryption export`. Whoever has this file and the blobs can read them."
    )


class MasterKeys:
    """The master keys of a data folder. The last one encrypts new data keys; none is made before it is needed."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.path = folder / FILE_NAME
        self._clock = clock
        self._keys: dict[str, MasterKey] | None = None

    def list_keys(self) -> list[MasterKey]:
        """All keys, oldest first. Raises Corrupt for a file that can not be read."""
        return list(self._load().values())

    def find(self, key_id: str) -> MasterKey:
        """A key by its id. Raises Unavailable (reason ``key``)."""
        found = self._load().get(key_id)
        if found is None:
            raise Unavailable(
                f"It is sealed under the master key {key_id}, which is not in {self.path}. `cellsmono encryption "
                "import FILE` brings it back from an export (`ds export` takes one with --keys).",
                reason="key",
            )
        return found

    def current(self) -> MasterKey:
        """The newest key; made when there is none."""
        keys = self.list_keys()
        if keys:
            return keys[-1]
        made = MasterKey(self._clock.time(), os.urandom(KEY_BYTES))
        self._store([made])
        log.info("a master key was made; save it by `cellsmono encryption export`", key=made.id, file=str(self.path))
        return made

    def add(self, key: MasterKey) -> bool:
        """Take a key in, behind those that are there when it is older; False when it was there."""
        known = self._load()
        if key.id in known:
            return False
        self._store(sorted([*known.values(), key], key=lambda each: each.created))
        return True

    def _load(self) -> dict[str, MasterKey]:
        if self._keys is None:
            self._keys = {key.id: key for key in self._read()}
        return self._keys

    def _read(self) -> list[MasterKey]:
        try:
            text = self.path.read_bytes()
            if is_open_to_others(self.path):
                log.warning("the master keys are open to other users; run chmod 600", file=str(self.path))
            found = msgspec.json.decode(text, type=_File)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise _unreadable(self.path, str(error)) from error
        if found.version != VERSION or any(len(key.secret) != KEY_BYTES for key in found.keys):
            raise _unreadable(self.path, "it is of another version, or a key has another length")
        return found.keys

    def _store(self, keys: list[MasterKey]) -> None:
        write_private(self.path, msgspec.json.format(msgspec.json.encode(_File(VERSION, keys))))
        self._keys = {key.id: key for key in keys}


def _unreadable(path: Path, why: str) -> Corrupt:
    return Corrupt(
        f"The master keys in {path} can not be read ({why}). Put the file back from a backup, or move it away and run "
        "`cellsmono encryption import FILE`.",
        reason="master_key",
        path=str(path),
    )
