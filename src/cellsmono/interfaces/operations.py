"""What an administrator can do: the same operations in the running server and, offline, in the command itself."""

import enum
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from cellsmono.interfaces.credentials import AccessKey
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.encryption import EncryptionInfo, ImportReport, KeyBundle, RotationReport
from cellsmono.interfaces.hashes import RehashOptions, RehashProgress, RehashReport
from cellsmono.interfaces.index import IndexStats, Unhashed
from cellsmono.interfaces.migration import MigrationOptions, MigrationProgress, MigrationReport
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.people import People
from cellsmono.interfaces.snapshots import LoadOptions, LoadReport, SnapshotInfo, SnapshotProgress
from cellsmono.interfaces.sync import Progress, ResyncOptions, ResyncReport, SyncStatus
from cellsmono.interfaces.version import VersionPage
from cellsmono.interfaces.version_policy import PruneProgress, PruneReport
from cellsmono.kernel.errors import Invalid
from cellsmono.kernel.registry import ServiceRow
from cellsmono.kernel.service import ServiceState


class DatasourceInfo(msgspec.Struct, frozen=True):
    """What is told about one datasource.

    ``origin`` is ``config`` for one that the configuration names (only editing that removes it), ``store`` for one that
    was added at run time. ``objects`` is the name of its object service, ``objects_serves`` are the names of all
    datasources whose buckets that one serves. ``stats`` and ``sync`` are None when it could
    not start; ``error`` then says why, or why a datasource that runs is read-only. ``free`` and ``total`` are bytes of
    the file system below it, 0 if unknown. ``unhashed`` is what lacks a hash of its content.
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
    unhashed: Unhashed = Unhashed()
    objects_serves: tuple[str, ...] = ()


class BlobProblem(enum.StrEnum):
    """What is wrong with a blob of a flat datasource, or with content that is kept of a structured one's versions.

    LOST: it belongs to no node. SUPERSEDED: a newer one took its place. DELETED: its node was deleted. MISSING: the
    blob of a node is not there. SIZE: it has not the size that was written. FOREIGN: an object that is no blob at all;
    it is left alone and is no fault. LEFTOVER: it is kept for a version, and none names it.
    """

    LOST = "lost"
    SUPERSEDED = "superseded"
    DELETED = "deleted"
    MISSING = "missing"
    SIZE = "size"
    FOREIGN = "foreign"
    LEFTOVER = "leftover"


class BlobFinding(msgspec.Struct, frozen=True):
    """One blob with a problem. ``path`` is that of its node, or the name under which it was written."""

    problem: BlobProblem
    key: str
    size: int
    path: str = ""


class BlobReport(msgspec.Struct):
    """What a comparison of blobs and nodes found.

    ``counts`` holds the numbers by problem, ``findings`` the first 1,000 of all. ``young`` blobs were left alone
    because they are recent, ``unsure`` ones because they may belong to a datasource that is not open now or is being
    migrated. ``attached`` lost ones were given a name below ``lost+found/``; superseded, deleted and left over ones
    were ``removed``.
    """

    blobs: int = 0
    bytes: int = 0
    young: int = 0
    unsure: int = 0
    counts: dict[BlobProblem, int] = {}
    findings: list[BlobFinding] = []
    attached: int = 0
    removed: int = 0
    seconds: float = 0.0

    def count(self, *problems: BlobProblem) -> int:
        """How many blobs have one of these problems."""
        return sum(self.counts.get(problem, 0) for problem in problems)

    @property
    def open_problems(self) -> int:
        """How many problems there are still, after what was repaired."""
        orphans = self.count(BlobProblem.LOST, BlobProblem.SUPERSEDED, BlobProblem.DELETED, BlobProblem.LEFTOVER)
        return orphans - self.attached - self.removed + self.count(BlobProblem.MISSING, BlobProblem.SIZE)


class CheckReport(msgspec.Struct, frozen=True):
    """The result of a check of a datasource.

    ``violations`` are sentences about an index that contradicts itself. ``differences`` is the report of a complete
    comparison with the storage: a dry run, or, with ``repair``, one that also carried over what it found. A flat
    datasource has no such comparison and ``blobs`` instead. ``kept`` is about content of old versions of structured
    datasources: of this one, or, for the internal datasource that holds them, of all.
    """

    datasource: str
    violations: tuple[str, ...]
    differences: ResyncReport | None = None
    repaired: bool = False
    blobs: BlobReport | None = None
    kept: BlobReport | None = None

    @property
    def is_fine(self) -> bool:
        """Whether the index is valid and equals the storage now, if need be after the repair."""
        found = [report for report in (self.blobs, self.kept) if report is not None]
        if self.violations or any(report.open_problems for report in found):
            return False
        differences = self.differences
        return differences is None or not (differences.held or (differences.changed and not self.repaired))


def no_synchronizer(config: DatasourceConfig) -> Invalid:
    """The error for a resync of a datasource that has nothing to be synchronized with."""
    return Invalid(
        f"{config.name!r} is a {config.format} datasource: its tree is in the index alone, so there is nothing to "
        f"carry over from the storage. `cellsmono ds check {config.name}` compares blobs and index.",
        reason="format",
        path=config.name,
    )


class OriginValue(msgspec.Struct, frozen=True):
    """One effective value of the configuration and where it came from; secrets are hidden in ``value``."""

    key: str
    value: Any
    origin: str


class Operations(Protocol):
    """Administration. Raises the errors of ``kernel.errors``; names of datasources that do not exist: NotFound."""

    @property
    def people(self) -> People:
        """Users, groups, and what belongs to them."""

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
        folder that is inside another datasource's or holds one, NotFound for a folder that is missing, Unavailable with
        the reason why it can not be served, and what ``load_snapshot`` raises; then nothing was added.
        """

    async def remove_datasource(self, name: str, with_snapshots: bool = False, bypass: bool = False) -> None:
        """Stop serving a folder and forget its index. Files are never deleted, snapshots only when asked for.

        The index of a flat datasource that holds something is kept in the data folder: it comes back when the same
        folder is added under the same name again.

        Raises Conflict for one that the configuration file, environment or command line names, and (reason ``locked``)
        for one with locked versions; with ``bypass`` retentions in GOVERNANCE mode are no hindrance.
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

    async def migrate(
        self, name: str, options: MigrationOptions, progress: Callable[[MigrationProgress], None] | None = None
    ) -> MigrationReport:
        """Bring a datasource to another place or into another format; its tree, UUIDs and ETags stay as they are.

        While it runs the datasource takes no writes. Cancelling the awaiting task stops it, and what was copied stays:
        the next run goes on. A report with problems means that nothing was switched.

        Raises Conflict: reason ``in_place`` for a target that is the source, ``nested`` for one in or around it,
        ``not_empty``, ``sync`` while the synchronizer is at its first comparison or held, ``migration`` for what does
        not fit a migration that was begun. Raises Invalid; Unavailable, QuotaExceeded and Forbidden from the storages.
        """

    async def resync(
        self,
        name: str,
        path: str = "",
        options: ResyncOptions = ResyncOptions(),
        progress: Callable[[Progress], None] | None = None,
    ) -> ResyncReport:
        """See ``Syncer.resync``. Cancelling the awaiting task stops it.

        Raises Invalid (reason ``format``) for a datasource that has no synchronizer.
        """

    async def check(
        self, name: str, repair: bool = False, progress: Callable[[Progress], None] | None = None
    ) -> CheckReport:
        """Verify the index and compare it completely with the storage.

        ``repair`` carries over what differs; of a flat datasource it removes superseded and deleted blobs and gives
        names to lost ones. Content of versions that no version names is removed.
        """

    async def rehash(
        self,
        name: str,
        path: str = "",
        options: RehashOptions = RehashOptions(),
        progress: Callable[[RehashProgress], None] | None = None,
    ) -> RehashReport:
        """Hash content below a folder, or that of one file; what has a hash already is left out unless asked for.

        Content that contradicts a hash that is known is reported, and the known one stays unless ``force`` is given.
        Cancelling the awaiting task stops it; what was found stays. Raises NotFound, Invalid, and Unavailable when the
        storage is out of reach.
        """

    async def read_encryption(self) -> EncryptionInfo:
        """All keys of encrypted content, without their secrets."""

    async def rotate_key(
        self, name: str, rewrite: bool = False, progress: Callable[[Progress], None] | None = None
    ) -> RotationReport:
        """Give a datasource a new data key for what is sealed from now on; what was sealed before stays readable.

        With ``rewrite`` everything that an older key sealed is sealed anew with the newest one, and a new key is made
        only when all is sealed with that already, so that a run that was broken off goes on when it is repeated.
        Cancelling the awaiting task stops it; what was done stays. Raises NotFound, Invalid (reason ``format``) for a
        structured datasource, Unavailable.
        """

    async def import_keys(self, bundle: KeyBundle) -> ImportReport:
        """Take in keys that are not there, and open the datasources that can be opened with them."""

    async def list_versions(
        self, name: str, prefix: str = "", after: str = "", after_version: str | None = None, limit: int = 1000
    ) -> VersionPage:
        """A page of the versions of all keys that begin with ``prefix``, see ``NodeIndex.list_versions``."""

    async def restore_version(self, name: str, path: str, version: str | None = None) -> Node:
        """Make an older version of a key the newest again; None: the newest one that it does not show.

        Raises NotFound (reason ``version``), Invalid for a delete marker.
        """

    async def prune_versions(
        self, name: str, dry_run: bool = False, progress: Callable[[PruneProgress], None] | None = None
    ) -> PruneReport:
        """Remove the versions that the policy of a datasource does not keep. Cancelling the awaiting task stops it."""

    async def list_keys(self) -> list[AccessKey]:
        """All active keys, oldest first. The secrets are empty in what is returned."""

    async def create_key(self, description: str = "") -> AccessKey:
        """A new key pair, with its secret: the only time that it is shown."""

    async def revoke_key(self, access_key: str) -> None:
        """See ``Credentials.revoke_key``."""

    async def show_config(self) -> list[OriginValue]:
        """Every effective value of the configuration, secrets hidden."""
