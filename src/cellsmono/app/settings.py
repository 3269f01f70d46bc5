"""The configuration store ``cellsmono.db``: datasources, access keys and bucket settings that were made at run time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from cellsmono.app.bucket_settings import StoredBucketSettings, delete_settings, read_settings
from cellsmono.app.config import OwnerConfig
from cellsmono.interfaces.bucket_settings import BucketSettings
from cellsmono.interfaces.credentials import AccessKey
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.draws import CAPITALS_AND_DIGITS, LETTERS_AND_DIGITS, draw_text
from cellsmono.kernel.errors import AlreadyExists, Corrupt, Invalid, NotFound
from cellsmono.store.database import Database, Reader
from cellsmono.store.migrations import load_migrations
from cellsmono.store.units import Tx

FILE_NAME = "cellsmono.db"
APPLICATION_ID = 0x63656C73
ACCESS_KEY_LENGTH = 20
SECRET_LENGTH = 40
LONGEST_DESCRIPTION = 200


class StoredCredentials:
    """Access keys: those of the store and the preset one, in memory for requests, in the database for the next start.

    Implements ``interfaces.credentials.Credentials``.
    """

    def __init__(self, database: Database, clock: Clock, stored: list[AccessKey], preset: AccessKey | None) -> None:
        self._database = database
        self._clock = clock
        self._keys: dict[str, AccessKey] = {key.access_key: key for key in stored}
        if preset is not None:
            self._keys[preset.access_key] = preset

    def find_secret(self, access_key: str) -> str | None:
        """The secret of an active key, None for an unknown or revoked one."""
        key = self._keys.get(access_key)
        return None if key is None else key.secret

    async def list_keys(self) -> list[AccessKey]:
        """All active keys, oldest first; the preset one before all others."""
        return sorted(self._keys.values(), key=lambda key: (not key.preset, key.created))

    async def create_key(self, description: str = "") -> AccessKey:
        """A new random pair, stored before this returns. Raises Invalid for a description that is too long."""
        if len(description) > LONGEST_DESCRIPTION:
            raise Invalid(f"the description of a key has at most {LONGEST_DESCRIPTION} characters")
        key = AccessKey(
            access_key="CM" + draw_text(CAPITALS_AND_DIGITS, ACCESS_KEY_LENGTH - 2),
            secret=draw_text(LETTERS_AND_DIGITS, SECRET_LENGTH),
            description=description,
            created=self._clock.time(),
        )
        row = (key.access_key, key.secret, key.description, key.created)

        def insert(tx: Tx) -> None:
            tx.execute("INSERT INTO setting_key (access_key, secret, description, created) VALUES (?, ?, ?, ?)", row)

        await self._database.write(insert)
        self._keys[key.access_key] = key
        return key

    async def make_first_key(self) -> AccessKey | None:
        """The owner's pair, when there is no key at all, neither stored nor preset; None when there is one.

        Its secret is told nowhere else: call it only when everything that can fail before it is shown has been done.
        """
        return None if self._keys else await self.create_key("owner")

    async def revoke_key(self, access_key: str) -> None:
        """Make a key unusable at once. Raises NotFound; Invalid for one that is preset by the configuration."""
        key = self._keys.get(access_key)
        if key is None:
            raise NotFound(f"there is no key {access_key!r}; `cellsmono key list` shows all", reason="key")
        if key.preset:
            raise Invalid(
                f"the key {access_key!r} is preset by the configuration; change it there and restart", reason="preset"
            )
        # Refused from now on, also if the store can not be written: whoever revokes a key wants it to stop.
        del self._keys[access_key]
        await self._database.write(
            lambda tx: tx.execute("DELETE FROM setting_key WHERE access_key = ?", (access_key,)).rowcount
        )


class Settings:
    """The open configuration store. Make it with ``open``."""

    def __init__(
        self,
        database: Database,
        credentials: StoredCredentials,
        sources: Mapping[str, DatasourceConfig],
        buckets: StoredBucketSettings,
        settled: frozenset[str],
    ) -> None:
        self.credentials = credentials
        self._settled = settled
        self.buckets = buckets
        self._database = database
        self._sources = dict(sources)

    @classmethod
    async def open(cls, data_dir: Path, clock: Clock, owner: OwnerConfig | None = None) -> Self:
        """Open or make the store.

        Raises what ``Database.open`` raises, and Corrupt for a stored datasource that can not be read.
        """
        migrations = load_migrations("cellsmono.app", APPLICATION_ID)
        database = await Database.open(data_dir / FILE_NAME, migrations, readers=1, name="settings")
        try:
            keys, sources, buckets = await database.read(_read_all)
            settled = await database.read(_read_settled)
            preset = None
            if owner is not None and owner.access_key:
                preset = AccessKey(owner.access_key, owner.secret_key, "preset by the configuration", preset=True)
            credentials = StoredCredentials(database, clock, keys, preset)
        except BaseException:
            await database.close()
            raise
        return cls(database, credentials, sources, StoredBucketSettings(database, buckets), settled)

    async def close(self) -> None:
        """Close the store."""
        await self._database.close()

    def list_datasources(self) -> list[DatasourceConfig]:
        """Datasources that were added at run time, by name."""
        return [self._sources[name] for name in sorted(self._sources)]

    def list_settled(self) -> frozenset[str]:
        """Names of the default datasources that are not to be made any more."""
        return self._settled

    async def settle(self, names: Sequence[str]) -> None:
        """Note that default datasources were made, or need not be."""
        if not names:
            return

        def insert(tx: Tx) -> None:
            for name in names:
                tx.execute("INSERT OR IGNORE INTO setting_default (name) VALUES (?)", (name,))

        await self._database.write(insert)
        self._settled |= frozenset(names)

    async def add_datasource(self, config: DatasourceConfig) -> None:
        """Remember a datasource for the next start. Raises AlreadyExists."""
        if config.name in self._sources:
            raise AlreadyExists(f"there is a datasource {config.name!r} already", path=config.name)
        text = msgspec.json.encode(config).decode()

        def insert(tx: Tx) -> None:
            tx.execute("INSERT INTO setting_datasource (name, config) VALUES (?, ?)", (config.name, text))

        self._sources[config.name] = config
        self.buckets.locate(config.name, config.place)
        try:
            await self._database.write(insert)
        except BaseException:
            del self._sources[config.name]
            raise

    async def replace_datasource(self, config: DatasourceConfig) -> None:
        """Remember from now on that a datasource has this configuration, whoever named it before."""
        text = msgspec.json.encode(config).decode()

        def upsert(tx: Tx) -> None:
            tx.execute("INSERT OR REPLACE INTO setting_datasource (name, config) VALUES (?, ?)", (config.name, text))

        await self._database.write(upsert)
        self._sources[config.name] = config

    async def remove_datasource(self, name: str) -> None:
        """Forget a datasource, and what was set for its bucket. Raises NotFound."""
        if name not in self._sources:
            raise NotFound(f"no datasource {name!r} was added at run time", path=name)

        def delete(tx: Tx) -> None:
            tx.execute("DELETE FROM setting_datasource WHERE name = ?", (name,))
            delete_settings(tx, name)

        await self._database.write(delete)
        self._sources.pop(name, None)
        self.buckets.drop(name)


def _read_all(reader: Reader) -> tuple[list[AccessKey], dict[str, DatasourceConfig], dict[str, BucketSettings]]:
    rows = reader.execute("SELECT access_key, secret, description, created FROM setting_key").fetchall()
    keys = [AccessKey(access_key, secret, description, created) for access_key, secret, description, created in rows]
    sources = {}
    for name, text in reader.execute("SELECT name, config FROM setting_datasource").fetchall():
        try:
            sources[name] = msgspec.json.decode(text, type=DatasourceConfig)
        except msgspec.DecodeError as error:
            raise Corrupt(f"the stored datasource {name!r} can not be read: {error}", path=name) from None
    return keys, sources, read_settings(reader)


def _read_settled(reader: Reader) -> frozenset[str]:
    return frozenset(name for (name,) in reader.execute("SELECT name FROM setting_default").fetchall())
