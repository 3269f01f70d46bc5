"""The register of multipart uploads in a database."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from cellsmono.datasource.objects.registry import StoredPart, no_upload
from cellsmono.interfaces.node import Checksum
from cellsmono.interfaces.objects import Part, Upload
from cellsmono.store.database import Database, Reader, Tx
from cellsmono.store.migrations import load_migrations

APPLICATION_ID = 0x43656C55
"""``CelU``: which kind of database this is."""

_checksum_encoder = msgspec.json.Encoder()
_checksum_decoder = msgspec.json.Decoder(Checksum)
_Row = tuple[Any, ...]


class DatabaseRegistry:
    """An ``UploadRegistry`` that survives a restart. One may serve several object services."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, path: Path, *, durability: Literal["fsync", "relaxed"] = "fsync") -> Self:
        """Open or make the register's database. Raises as ``Database.open``."""
        migrations = load_migrations("cellsmono.datasource.objects", APPLICATION_ID)
        return cls(await Database.open(path, migrations, durability=durability, readers=1, name="uploads"))

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()

    async def add_upload(self, upload: Upload) -> None:
        """Begin to know an upload."""
        row = (upload.upload_id, upload.bucket, upload.key.encode(), upload.initiated_ns, upload.context)

        def insert(tx: Tx) -> None:
            tx.execute(
                "INSERT INTO objects_upload (id, bucket, key, initiated_ns, context) VALUES (?, ?, ?, ?, ?)", row
            )

        await self._database.write(insert)

    async def find_upload(self, upload_id: str) -> tuple[Upload, int] | None:
        """An upload and the distance of its parts."""

        def find(reader: Reader) -> _Row | None:
            found: _Row | None = reader.execute(
                "SELECT bucket, key, id, initiated_ns, context, part_bytes FROM objects_upload WHERE id = ?",
                (upload_id,),
            ).fetchone()
            return found

        row = await self._database.read(find)
        return None if row is None else (_make_upload(row), row[5])

    async def list_uploads(self, bucket: str, prefix: str, after_key: str, after_id: str, limit: int) -> list[Upload]:
        """Uploads of a bucket by key and id."""
        start = after_key.encode()
        begin = prefix.encode()

        def find(reader: Reader) -> list[_Row]:
            return reader.execute(
                "SELECT bucket, key, id, initiated_ns, context FROM objects_upload"
                " WHERE bucket = :bucket AND key >= :start AND key >= :begin"
                " AND (key > :start OR (:id <> '' AND id > :id) OR (:start = x'' AND :id = ''))"
                " AND (:begin = x'' OR substr(key, 1, length(:begin)) = :begin)"
                " ORDER BY key, id LIMIT :limit",
                {"bucket": bucket, "start": start, "begin": begin, "id": after_id, "limit": limit},
            ).fetchall()

        return [_make_upload(row) for row in await self._database.read(find)]

    async def list_ids(self, bucket: str) -> set[str]:
        """Ids of all uploads of a bucket."""

        def find(reader: Reader) -> set[str]:
            rows = reader.execute("SELECT id FROM objects_upload WHERE bucket = ?", (bucket,))
            return {upload_id for (upload_id,) in rows}

        return await self._database.read(find)

    async def remove_upload(self, upload_id: str) -> bool:
        """Forget an upload and its parts."""

        def remove(tx: Tx) -> bool:
            tx.execute("DELETE FROM objects_part WHERE upload = ?", (upload_id,))
            tx.execute(
                "INSERT OR IGNORE INTO objects_finished SELECT id, bucket FROM objects_upload WHERE id = ?",
                (upload_id,),
            )
            return tx.execute("DELETE FROM objects_upload WHERE id = ?", (upload_id,)).rowcount > 0

        return await self._database.write(remove)

    async def list_finished(self, bucket: str) -> list[str]:
        """Ids of uploads that were removed."""

        def find(reader: Reader) -> list[str]:
            rows = reader.execute("SELECT id FROM objects_finished WHERE bucket = ?", (bucket,))
            return [upload_id for (upload_id,) in rows]

        return await self._database.read(find)

    async def forget_finished(self, upload_ids: Sequence[str]) -> None:
        """The folders of these finished uploads are gone."""

        def forget(tx: Tx) -> None:
            for upload_id in upload_ids:
                tx.execute("DELETE FROM objects_finished WHERE id = ?", (upload_id,))

        await self._database.write(forget)

    async def put_part(self, upload_id: str, stored: StoredPart, part_bytes: int) -> StoredPart | None:
        """Enter a part."""
        part = stored.part
        checksum = None if part.checksum is None else _checksum_encoder.encode(part.checksum)
        row = (upload_id, part.number, part.size, part.etag, part.modified_ns, checksum, stored.file, stored.start)

        def put(tx: Tx) -> _Row | None:
            if tx.execute("SELECT 1 FROM objects_upload WHERE id = ?", (upload_id,)).fetchone() is None:
                raise no_upload(upload_id)
            if part_bytes:
                tx.execute("UPDATE objects_upload SET part_bytes = ? WHERE id = ?", (part_bytes, upload_id))
            before: _Row | None = tx.execute(
                f"SELECT {_PART} FROM objects_part WHERE upload = ? AND number = ?",  # noqa: S608
                (upload_id, part.number),
            ).fetchone()
            tx.execute("INSERT OR REPLACE INTO objects_part VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            return before

        before = await self._database.write(put)
        return None if before is None else _make_part(before)

    async def list_parts(self, upload_id: str, after: int, limit: int) -> list[StoredPart]:
        """Parts by number."""

        def find(reader: Reader) -> list[_Row]:
            return reader.execute(
                f"SELECT {_PART} FROM objects_part WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",  # noqa: S608
                (upload_id, after, limit),
            ).fetchall()

        return [_make_part(row) for row in await self._database.read(find)]


_PART = "number, size, etag, modified_ns, checksum, file, start"


def _make_upload(row: _Row) -> Upload:
    return Upload(row[0], bytes(row[1]).decode(), row[2], row[3], bytes(row[4]))


def _make_part(row: _Row) -> StoredPart:
    number, size, etag, modified_ns, checksum, file, start = row
    decoded = None if checksum is None else _checksum_decoder.decode(checksum)
    return StoredPart(Part(number, size, etag, modified_ns, decoded), file, start)
