"""The half of the stored index that is about versions."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from cellsmono.datasource.index import reading, rules, version_reading
from cellsmono.datasource.index.lock_state import read_object_lock, write_object_lock
from cellsmono.datasource.index.rows import parse_uuid
from cellsmono.datasource.index.writer import PatchWriter
from cellsmono.interfaces.locks import LockRule
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.version import Version, Versioning, VersionPage
from cellsmono.kernel.clock import Clock
from cellsmono.store.database import Database, Reader, Tx

T = TypeVar("T")


class StoredVersions:
    """Versions in a database, and whether they are kept; that is at hand without waiting."""

    def __init__(self, database: Database, datasource: str, clock: Clock, kept_events: int) -> None:
        self._database = database
        self._writer = PatchWriter(datasource, clock, kept_events)
        self._versioning = Versioning.OFF
        self._object_lock: LockRule | None = None

    async def read_state(self) -> None:
        """Look up whether versions are kept, and object lock is on; once, before anything else."""
        self._versioning = await self._database.read(version_reading.read_versioning)
        self._object_lock = await self._database.read(read_object_lock)

    async def _page(self, function: Callable[[Reader], T]) -> T:
        return await self._database.read(function, page=True)

    @property
    def versioning(self) -> Versioning:
        """See ``NodeIndex.versioning``."""
        return self._versioning

    async def set_versioning(self, versioning: Versioning) -> None:
        """See ``NodeIndex.set_versioning``."""

        def note() -> None:
            self._versioning = versioning

        def write(tx: Tx) -> None:
            self._writer.set_versioning(tx, versioning)
            tx.after_commit(note)

        await self._database.write(write)

    @property
    def object_lock(self) -> LockRule | None:
        """See ``NodeIndex.object_lock``."""
        return self._object_lock

    async def set_object_lock(self, rule: LockRule) -> None:
        """See ``NodeIndex.set_object_lock``."""

        def note() -> None:
            self._object_lock = rule

        def write(tx: Tx) -> None:
            write_object_lock(tx, rule)
            tx.after_commit(note)

        await self._database.write(write)

    async def list_versions(
        self,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str | None = None,
        limit: int = 1000,
    ) -> VersionPage:
        """See ``NodeIndex.list_versions``."""
        for text in (prefix, delimiter, after):
            rules.check_text(text)
        return await self._page(
            lambda reader: version_reading.list_versions(reader, prefix, delimiter, after, after_version, limit)
        )

    async def find_version(self, path: str, version: str) -> Version | None:
        """See ``NodeIndex.find_version``."""
        if not reading.is_text(path):
            return None
        return await self._database.read(lambda reader: version_reading.find_version(reader, path, version))

    async def read_versions(self, path: str, limit: int = 1000) -> list[Version]:
        """See ``NodeIndex.read_versions``."""
        if not reading.is_text(path):
            return []
        return await self._page(lambda reader: version_reading.read_versions(reader, path, limit))

    async def find_blobs(self, blobs: Sequence[tuple[str, int]]) -> list[Node | None]:
        """See ``NodeIndex.find_blobs``."""
        raw = [(parse_uuid(uuid), blob) for uuid, blob in blobs]
        return await self._database.read(lambda reader: version_reading.find_blobs(reader, raw)) if raw else []

    async def count_contents(self) -> int:
        """How many noncurrent versions have content of their own: all but delete markers. Costs a look at each."""
        return await self._page(version_reading.count_contents)

    async def find_kept(self, uuids: Sequence[str]) -> set[str]:
        """Which of these UUIDs belong, or belonged, to a node that a version holds content of."""
        raw = {parsed: uuid for uuid in uuids if (parsed := parse_uuid(uuid)) is not None}
        found = await self._database.read(lambda reader: version_reading.find_kept(reader, list(raw)))
        return {raw[uuid] for uuid in found}
