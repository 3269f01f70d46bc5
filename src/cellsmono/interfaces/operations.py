"""What an administrator can do: the same operations in the running server and, offline, in the command itself."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from cellsmono.interfaces.credentials import AccessKey
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.index import IndexStats
from cellsmono.interfaces.snapshots import LoadOptions, LoadReport, SnapshotInfo, SnapshotProgress
from cellsmono.interfaces.sync import Progress, ResyncOptions, ResyncReport, SyncStatus
from cellsmono.kernel.registry import ServiceRow
from cellsmono.kernel.service import ServiceState


class DatasourceInfo(msgspec.Struct, frozen=True):
    """What is told about one datasource.

    ``origin`` is ``config`` for one that the configuration names (only editing that removes it), ``store`` for one that
    was added at run time. ``objects`` is the name of its object service. ``stats`` and ``sync`` are None when it could
    not start; ``error`` then says why, or why a datasource that runs is read-only. ``free`` and ``total`` are bytes of
    the file system below it, 0 if unknown.
    """

    config: DatasourceConfig
    origin: str
    objects: str
    state: ServiceState
    stats: IndexStats | None = None
    sync: SyncStatus | None = None
    error: str = ""
    free: int = 0
    total: int = 0


class CheckReport(msgspec.Struct, frozen=True):
    """The result of a check of a datasource.

    ``violations`` are sentences about an index that contradicts itself. ``differences`` is the report of a complete
    comparison with the storage: a dry run, or, with ``repair``, one that also carried over what it found.
    """

    datasource: str
    violations: tuple[str, ...]
    differences: ResyncReport
    repaired: bool = False

    @property
    def is_clean(self) -> bool:
        """Whether the index is valid and equals the storage."""
        return not self.violations and not self.differences.changed and not self.differences.held


class OriginValue(msgspec.Struct, frozen=True):
    """One effective value of the configuration and where it came from; secrets are hidden in ``value``."""

    key: str
    value: Any
    origin: str


class Operations(Protocol):
    """Administration. Raises the errors of ``kernel.errors``; names of datasources that do not exist: NotFound."""

    async def list_services(self) -> list[ServiceRow]:
        """Every service with its state, by kind, tag and name."""

    async def list_datasources(self) -> list[DatasourceInfo]:
        """All datasources by name, also those that could not start."""

    async def read_datasource(self, name: str) -> DatasourceInfo:
        """One datasource."""

    async def add_datasource(self, config: DatasourceConfig, snapshot: str = "") -> DatasourceInfo:
        """Serve one more folder, from now on and after a restart.

        ``snapshot`` is one to begin with: the absolute path of a file, or the basename of one on the datasource's own
        storage; also of a datasource of another name. Raises AlreadyExists for a name that is taken, Conflict for a
        folder that is inside another datasource's or holds one, NotFound for a folder that is missing, and what
        ``load_snapshot`` raises; then nothing was added.
        """

    async def remove_datasource(self, name: str, with_snapshots: bool = False) -> None:
        """Stop serving a folder and forget its index. Files are never deleted, snapshots only when asked for.

        Raises Conflict for one that the configuration file, environment or command line names.
        """

    async def dump_snapshot(
        self, name: str, basename: str, progress: Callable[[SnapshotProgress], None] | None = None
    ) -> SnapshotInfo:
        """Dump the index as it is now; one of this basename is replaced. Raises Corrupt, Invalid, QuotaExceeded."""

    async def list_snapshots(self, name: str) -> list[SnapshotInfo]:
        """All snapshots of a datasource by name, checked; also of one that could not be opened."""

    async def load_snapshot(
        self,
        name: str,
        basename: str,
        options: LoadOptions = LoadOptions(),
        progress: Callable[[SnapshotProgress], None] | None = None,
    ) -> LoadReport:
        """Put the index of a snapshot in the place of the present one, which is dumped before.

        All or nothing, also when the process is killed. Raises NotFound; Corrupt for one that was altered; Invalid for
        a newer one; Conflict (reasons ``foreign``, ``format``) for one that does not fit. Then nothing was changed.
        """

    async def delete_snapshot(self, name: str, basename: str) -> None:
        """Remove a snapshot. Raises NotFound."""

    async def resync(
        self,
        name: str,
        path: str = "",
        options: ResyncOptions = ResyncOptions(),
        progress: Callable[[Progress], None] | None = None,
    ) -> ResyncReport:
        """See ``Syncer.resync``. Cancelling the awaiting task stops it."""

    async def check(
        self, name: str, repair: bool = False, progress: Callable[[Progress], None] | None = None
    ) -> CheckReport:
        """Verify the index and compare it completely with the storage."""

    async def list_keys(self) -> list[AccessKey]:
        """All active keys, oldest first. The secrets are empty in what is returned."""

    async def create_key(self, description: str = "") -> AccessKey:
        """A new key pair, with its secret: the only time that it is shown."""

    async def revoke_key(self, access_key: str) -> None:
        """See ``Credentials.revoke_key``."""

    async def show_config(self) -> list[OriginValue]:
        """Every effective value of the configuration, secrets hidden."""
