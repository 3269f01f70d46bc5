"""The journal of a migration: which objects were copied, from what, and what their copies are."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from cellsmono.datasource.index.rows import pack_uuid, unpack_uuid
from cellsmono.interfaces.node import Facts
from cellsmono.store.database import Database, Reader
from cellsmono.store.migrations import load_migrations
from cellsmono.store.units import Tx

APPLICATION_ID = 0x43656C4D
"""``CelM``: which kind of database this is."""
PAGE = 1000
_TOGETHER = 500

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Facts).decode
_SELECT = "SELECT uuid, source, target, source_facts, target_facts, kept FROM migration_content"
_COUNT = "SELECT count(*), coalesce(sum(size), 0) FROM migration_content WHERE kept <= ?"


class Copy(msgspec.Struct, frozen=True, gc=False):
    """One content that is at the target: the keys of both objects, and their facts when they were compared.

    ``uuid`` is that of the leaf whose content it is, or was. ``kept``: it is that of a noncurrent version, and one of
    the keys is a path in the internal datasource ``versions``.
    """

    uuid: str
    source: str
    target: str
    source_facts: Facts
    target_facts: Facts
    kept: bool = False


class Journal:
    """A file that survives a kill at any point. Make it with ``open``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open or make the journal. Raises as ``Database.open``."""
        migrations = load_migrations("cellsmono.datasource.migration", APPLICATION_ID)
        return cls(await Database.open(path, migrations, readers=1, name="migration"))

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def add(self, copies: Sequence[Copy]) -> None:
        """Note copies that are on the disk; durable when this returns."""
        rows = [
            (
                pack_uuid(copy.uuid),
                copy.source,
                copy.target,
                copy.source_facts.size,
                _encode(copy.source_facts),
                _encode(copy.target_facts),
                copy.kept,
            )
            for copy in copies
        ]

        def insert(tx: Tx) -> None:
            tx.executemany("INSERT OR REPLACE INTO migration_content VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

        await self._database.write(insert)

    async def find(self, contents: Sequence[tuple[str, str]]) -> list[Copy | None]:
        """By UUID and source key: their copies, in their order."""
        found = await self.find_all([uuid for uuid, _ in contents])
        return [
            next((copy for copy in found.get(uuid, ()) if copy.source == source), None) for uuid, source in contents
        ]

    async def find_all(self, uuids: Sequence[str]) -> dict[str, list[Copy]]:
        """All copies of what these leaves hold and held, by UUID."""
        raw = list({pack_uuid(uuid) for uuid in uuids})

        def select(reader: Reader) -> dict[str, list[Copy]]:
            found: dict[str, list[Copy]] = {}
            for start in range(0, len(raw), _TOGETHER):
                some = raw[start : start + _TOGETHER]
                marks = ",".join("?" * len(some))
                for row in reader.execute(f"{_SELECT} WHERE uuid IN ({marks})", some):
                    copy = _unpack(row)
                    found.setdefault(copy.uuid, []).append(copy)
            return found

        return await self._database.read(select)

    async def remove(self, copies: Sequence[Copy]) -> None:
        """Forget copies."""
        rows = [(pack_uuid(copy.uuid), copy.source) for copy in copies]
        forget = "DELETE FROM migration_content WHERE uuid = ? AND source = ?"
        await self._database.write(lambda tx: tx.executemany(forget, rows))

    async def pages(self) -> AsyncGenerator[list[Copy], None]:
        """All copies. Those of a page may be removed before the next one is asked for."""
        after = (b"", "")
        where = " WHERE (uuid, source) > (?, ?) ORDER BY uuid, source LIMIT ?"
        while True:

            def select(reader: Reader, after: tuple[bytes, str] = after) -> list[Copy]:
                rows = reader.execute(_SELECT + where, (*after, PAGE))
                return [_unpack(row) for row in rows]

            page = await self._database.read(select)
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = (pack_uuid(page[-1].uuid), page[-1].source)

    async def total(self, *, with_kept: bool = True) -> tuple[int, int]:
        """How many contents were copied, and their bytes; those with a key in ``versions`` only if wanted."""

        def count(reader: Reader) -> tuple[int, int]:
            files, size = reader.execute(_COUNT, (with_kept,)).fetchone()
            return files, size

        return await self._database.read(count)


def _unpack(row: Sequence[Any]) -> Copy:
    uuid, source, target, source_facts, target_facts, kept = row
    return Copy(unpack_uuid(uuid), source, target, _decode(source_facts), _decode(target_facts), bool(kept))
