"""The settings of buckets: in memory for requests, in the configuration store for the next start."""

import msgspec

from cellsmono.interfaces.bucket_settings import NO_SETTINGS, BucketSettings, Change
from cellsmono.kernel.errors import Corrupt
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx


class StoredBucketSettings:
    """``BucketSettingsStore`` over the table ``setting_bucket``."""

    def __init__(self, database: Database, stored: dict[str, BucketSettings]) -> None:
        self._database = database
        self._stored = stored

    def find(self, bucket: str) -> BucketSettings | None:
        """See ``BucketSettingsStore``."""
        return self._stored.get(bucket)

    async def change(self, bucket: str, change: Change) -> None:
        """See ``BucketSettingsStore``."""

        # Within the transaction, which runs alone and to its end also when whoever asked for it is gone.
        def replace(tx: Tx) -> None:
            row = tx.execute("SELECT settings FROM setting_bucket WHERE name = ?", (bucket,)).fetchone()
            settings = change(NO_SETTINGS if row is None else _decode(bucket, row[0]))
            if settings == NO_SETTINGS:
                delete_settings(tx, bucket)
                tx.after_commit(lambda: self.drop(bucket))
                return
            text = msgspec.json.encode(settings).decode()
            tx.execute("INSERT OR REPLACE INTO setting_bucket (name, settings) VALUES (?, ?)", (bucket, text))
            tx.after_commit(lambda: self._stored.update({bucket: settings}))

        await self._database.write(replace)

    def drop(self, bucket: str) -> None:
        """Forget in memory what is not in the store any more."""
        self._stored.pop(bucket, None)

    async def forget(self, bucket: str) -> None:
        """Drop what is set for a bucket that is not there any more."""
        await self.change(bucket, lambda _: NO_SETTINGS)


def delete_settings(tx: Tx, bucket: str) -> None:
    """Drop the row of a bucket, within a transaction."""
    tx.execute("DELETE FROM setting_bucket WHERE name = ?", (bucket,))


def read_settings(reader: Reader) -> dict[str, BucketSettings]:
    """All rows. Raises Corrupt for one that can not be read: a policy that is not known must not be ignored."""
    rows = reader.execute("SELECT name, settings FROM setting_bucket").fetchall()
    return {name: _decode(name, text) for name, text in rows}


def _decode(bucket: str, text: str) -> BucketSettings:
    try:
        return msgspec.json.decode(text, type=BucketSettings)
    except msgspec.DecodeError as error:
        raise Corrupt(f"the stored settings of the bucket {bucket!r} can not be read: {error}", path=bucket) from None
