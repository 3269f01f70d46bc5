"""The service that runs a synchronizer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cellsmono.datasource.alarm import Alarm
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.kernel.service import ServiceState, ServiceStatus


class SyncService:
    """``data.sync.NAME``: the synchronizer of one datasource."""

    tag = "datasource"

    def __init__(self, sync: Synchronizer, name: str, alarm: Alarm) -> None:
        self.name = f"data.sync.{name}"
        self._sync = sync
        self._alarm = alarm

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Holds the watcher and its loops running."""
        async with self._sync.lifespan():
            yield

    def status(self) -> ServiceStatus:
        """The synchronizer's own state in the words of the registry."""
        if self._alarm.reason:
            return ServiceStatus(ServiceState.DEGRADED, self._alarm.reason)
        status = self._sync.status()
        state = ServiceState.READY if status.state.is_fine else ServiceState.DEGRADED
        return ServiceStatus(state, f"{status.state}: {status.detail}" if status.detail else str(status.state))
