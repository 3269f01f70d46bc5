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
_SELECT = "SELECT uuid, source, target, source_facts, target_facts FROM migration_copy"


class Copy(msgspec.Struct, frozen=True, gc=False):
    """One leaf whose content is at the target: the keys of both objects, and their facts when they were compared."""

    uuid: str
    source: str
    target: str
    source_facts: Facts
    target_facts: Facts


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
            )
            for copy in copies
        ]

        def insert(tx: Tx) -> None:
            tx.executemany("INSERT OR REPLACE INTO migration_copy VALUES (?, ?, ?, ?, ?, ?)", rows)

        await self._database.write(insert)

    async def find(self, uuids: Sequence[str]) -> list[Copy | None]:
        """The copies of these leaves, in their order."""

        raw = [pack_uuid(uuid) for uuid in uuids]

        def select(reader: Reader) -> list[Copy | None]:
            found: dict[bytes, Copy] = {}
            for start in range(0, len(raw), _TOGETHER):
                some = raw[start : start + _TOGETHER]
                marks = ",".join("?" * len(some))
                rows = reader.execute(f"{_SELECT} WHERE uuid IN ({marks})", some)
                found |= {row[0]: _unpack(row) for row in rows}
            return [found.get(uuid) for uuid in raw]

        return await self._database.read(select)

    async def remove(self, uuids: Sequence[str]) -> None:
        """Forget copies."""
        rows = [(pack_uuid(uuid),) for uuid in uuids]
        await self._database.write(lambda tx: tx.executemany("DELETE FROM migration_copy WHERE uuid = ?", rows))

    async def pages(self) -> AsyncGenerator[list[Copy], None]:
        """All copies. Those of a page may be removed before the next one is asked for."""
        after = b""
        while True:

            def select(reader: Reader, after: bytes = after) -> list[Copy]:
                rows = reader.execute(_SELECT + " WHERE uuid > ? ORDER BY uuid LIMIT ?", (after, PAGE))
                return [_unpack(row) for row in rows]

            page = await self._database.read(select)
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = pack_uuid(page[-1].uuid)

    async def total(self) -> tuple[int, int]:
        """How many leaves were copied, and their bytes."""

        def count(reader: Reader) -> tuple[int, int]:
            files, size = reader.execute("SELECT count(*), coalesce(sum(size), 0) FROM migration_copy").fetchone()
            return files, size

        return await self._database.read(count)


def _unpack(row: Sequence[Any]) -> Copy:
    uuid, source, target, source_facts, target_facts = row
    return Copy(unpack_uuid(uuid), source, target, _decode(source_facts), _decode(target_facts))
