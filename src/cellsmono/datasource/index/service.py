"""The service that holds an index open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cellsmono.datasource.index.memory import Publish, ignore_events
from cellsmono.datasource.index.sqlite import FROM_BACKUP, FROM_FOLDER, SqliteIndex
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.service import ServiceStatus


class IndexService:
    """``data.index.NAME``: the database of one datasource. That of an internal one tells nobody of changes."""

    tag = "datasource"

    def __init__(self, config: DatasourceConfig, path: Path, clock: Clock, publish: Publish) -> None:
        self.name = f"data.index.{config.name}"
        self._config = config
        self._path = path
        self._clock = clock
        self._publish = ignore_events if config.format == Format.INTERNAL else publish
        self.index: SqliteIndex

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Holds the database open."""
        self.index = await SqliteIndex.open(
            self._path,
            datasource=self._config.name,
            durability=self._config.durability,
            clock=self._clock,
            publish=self._publish,
            remedy=FROM_FOLDER if self._config.format == Format.STRUCTURED else FROM_BACKUP,
        )
        try:
            yield
        finally:
            await self.index.close()

    def status(self) -> ServiceStatus:
        """The format of the datasource."""
        return ServiceStatus(detail=self._config.format)
