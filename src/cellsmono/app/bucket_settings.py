"""The settings of buckets: in memory for requests, in the configuration store for the next start."""

from collections.abc import Mapping

import msgspec

from cellsmono.interfaces.bucket_settings import NO_SETTINGS, BucketSettings, Change
from cellsmono.kernel.errors import Corrupt
from cellsmono.kernel.log import get_logger
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

log = get_logger("settings")


class StoredBucketSettings:
    """``BucketSettingsStore`` over the table ``setting_bucket``."""

    def __init__(self, database: Database, stored: dict[str, BucketSettings]) -> None:
        self._database = database
        self._stored = stored
        self._places: dict[str, str] = {}

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
            row = (bucket, text, self._places.get(bucket, ""))
            tx.execute("INSERT OR REPLACE INTO setting_bucket (name, settings, place) VALUES (?, ?, ?)", row)
            tx.after_commit(lambda: self._stored.update({bucket: settings}))

        await self._database.write(replace)

    async def settle(self, places: Mapping[str, str]) -> None:
        """Tell where the datasource of each bucket lies. What was set for one that lay elsewhere is dropped.

        So a datasource that leaves the configuration finds its settings when it comes back, and another one of its
        name does not inherit them.
        """
        self._places = dict(places)
        if not self._stored.keys() & places.keys():
            return

        def compare(tx: Tx) -> list[str]:
            rows = tx.execute("SELECT name, place FROM setting_bucket").fetchall()
            known = [(name, place) for name, place in rows if name in places and place != places[name]]
            for name, place in known:
                if place:
                    delete_settings(tx, name)
                else:
                    tx.execute("UPDATE setting_bucket SET place = ? WHERE name = ?", (places[name], name))
            return [name for name, place in known if place]

        for name in await self._database.write(compare):
            self.drop(name)
            log.warning("settings of a bucket are dropped: they were made for another place", bucket=name)

    def locate(self, bucket: str, place: str) -> None:
        """Tell where the datasource of a new bucket lies."""
        self._places[bucket] = place

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
