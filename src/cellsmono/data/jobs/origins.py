"""Where nodes in recycle bins came from, by UUID."""

from collections.abc import Mapping, Sequence

import msgspec

from cellsmono.data.jobs.store import JobStore
from cellsmono.store.units import Tx

_COLUMNS = "uuid, origin, bin, login, size, at"


class Origin(msgspec.Struct, frozen=True):
    """One deleted node. ``origin`` is the tree path where it was, ``bin`` that of the bin, ``size`` all its bytes."""

    uuid: str
    origin: str
    bin: str
    login: str
    size: int
    at: float


class Origins:
    """The table."""

    def __init__(self, store: JobStore) -> None:
        self._database = store.database

    async def add(self, origin: Origin) -> None:
        """A node is about to be moved into a bin."""

        def upsert(tx: Tx) -> None:
            tx.execute(
                f"INSERT OR REPLACE INTO recycle_origin ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
                msgspec.structs.astuple(origin),
            )

        await self._database.write(upsert)

    async def forget(self, uuids: Sequence[str]) -> None:
        """Nodes that are in no bin any more."""

        def delete(tx: Tx) -> None:
            tx.executemany("DELETE FROM recycle_origin WHERE uuid = ?", [(uuid,) for uuid in uuids])

        if uuids:
            await self._database.write(delete)

    async def find(self, uuids: Sequence[str]) -> Mapping[str, Origin]:
        """Those of these nodes that were deleted, by UUID."""
        found: dict[str, Origin] = {}
        for uuid in uuids:
            row = await self._database.read(
                lambda reader, uuid=uuid: reader.execute(  # type: ignore[misc]
                    f"SELECT {_COLUMNS} FROM recycle_origin WHERE uuid = ?",  # noqa: S608
                    (uuid,),
                ).fetchone()
            )
            if row is not None:
                found[uuid] = Origin(*row)
        return found

    async def list_oldest(self, limit: int, offset: int) -> list[Origin]:
        """The nodes that were deleted first."""
        rows = await self._database.read(
            lambda reader: reader.execute(
                f"SELECT {_COLUMNS} FROM recycle_origin ORDER BY at, uuid LIMIT ? OFFSET ?",  # noqa: S608
                (limit, offset),
            ).fetchall()
        )
        return [Origin(*row) for row in rows]
