"""The installation: what an administrator can do with the datasources and keys of one data folder."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from cellsmono.app.config_sources import LoadedConfig
from cellsmono.app.defaults import refuse_reserved
from cellsmono.app.encryption import EncryptionKeys
from cellsmono.app.kept_checks import KeptChecks
from cellsmono.app.migration import Migrations
from cellsmono.app.settings import Settings
from cellsmono.app.snapshots import Snapshots
from cellsmono.data.keys.vault import Vault
from cellsmono.data.versions.prune import Prune
from cellsmono.data.versions.restoring import restore_version
from cellsmono.data.versions.service import enable_as_configured
from cellsmono.datasource.build import Datasources, Prepare, Triple
from cellsmono.datasource.flat.checking import Repair, check_blobs
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.datasource.locking import refuse_removal
from cellsmono.interfaces.credentials import AccessKey
from cellsmono.interfaces.datasource import DatasourceConfig, Encryption, Format, NodeStore, Storage
from cellsmono.interfaces.encryption import EncryptionInfo, ImportReport, KeyBundle, RotationReport
from cellsmono.interfaces.hashes import RehashOptions, RehashProgress, RehashReport
from cellsmono.interfaces.migration import MigrationOptions, MigrationProgress, MigrationReport
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.operations import CheckReport, DatasourceInfo, OriginValue, no_synchronizer
from cellsmono.interfaces.people import People
from cellsmono.interfaces.snapshots import LoadOptions, LoadReport, SnapshotInfo, SnapshotProgress, snapshots_inside
from cellsmono.interfaces.sync import Progress, ResyncOptions, ResyncReport
from cellsmono.interfaces.version import VersionPage
from cellsmono.interfaces.version_policy import PruneProgress, PruneReport
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import AlreadyExists, CellsError, Conflict, Invalid, NotFound, Unavailable
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.registry import Registry, ServiceRow
from cellsmono.kernel.service import ServiceState

log = get_logger("installation")


class Installation:
    """``Operations``, and the ``Roots`` of the router."""

    def __init__(
        self,
        loaded: LoadedConfig,
        settings: Settings,
        people: People,
        datasources: Datasources,
        registry: Registry,
        clock: Clock,
        vault: Vault,
    ) -> None:
        self.people = people
        self._loaded = loaded
        self._settings = settings
        self._datasources = datasources
        self._registry = registry
        self._clock = clock
        self.snapshots = Snapshots(datasources, clock)
        self._kept = KeptChecks(datasources, clock)
        self.encryption = EncryptionKeys(datasources, vault, clock)
        self.migrations = Migrations(datasources, settings, self.snapshots, clock, vault)

    # roots of the router

    def find(self, name: str) -> NodeStore | None:
        """See ``Roots``. Internal datasources are the server's own matter and no roots."""
        return None if self._datasources.is_internal(name) else self._datasources.find(name)

    def names(self) -> list[str]:
        """See ``Roots``."""
        return [name for name in self._datasources.names() if not self._datasources.is_internal(name)]

    async def create(self, name: str) -> NodeStore:
        """See ``Roots``."""
        if self._datasources.is_internal(name):
            raise AlreadyExists(f"The name {name!r} is kept for the server itself", reason="reserved", path=name)
        await self.make_bucket(name, self._loaded.config.s3.bucket_format)
        store = self._datasources.find(name)
        if store is None:
            raise NotFound(f"The bucket {name!r} was removed while it was made", reason="root", path=name)
        return store

    async def make_bucket(self, name: str, format_: Format) -> None:
        """Make a datasource that is a new folder in the bucket root, and a row of the settings.

        Raises AlreadyExists (reason ``root``) for a name or a folder that is taken, Invalid (reason ``name``).
        """
        folder = self.bucket_root / name
        config = self._make_config(name, folder, format_)
        if folder.exists() and any(folder.iterdir()):
            raise AlreadyExists(
                f"There is a folder {name!r} with files in the bucket root already. Serve it with `cellsmono ds add`, "
                "or choose another name.",
                reason="root",
                path=name,
            )
        folder.mkdir(parents=True, exist_ok=True)
        await self._add(config)

    async def delete(self, name: str) -> None:
        """See ``Roots``. The folder goes too when nothing but markers is left in it."""
        triple = self._datasources.triple(name)
        if triple.store.sync is not None:
            await triple.store.sync.resync()
        page = await triple.store.index.list_keys(limit=1)
        if page.entries or (await triple.store.index.stats()).versions:
            raise Conflict(f"The bucket {name!r} is not empty", reason="not_empty", path=name)
        self._check_stored(name)
        if await self._datasources.snapshots(name).keeps_bucket():
            raise snapshots_inside(name)
        if isinstance(triple.store, FlatStore):
            await triple.store.blobs.dismantle()
        await triple.objects.remove_bucket(name)
        await self.remove_datasource(name)

    @property
    def bucket_root(self) -> Path:
        """The folder in which new buckets are made."""
        return Path(self._loaded.config.s3.bucket_root or self._loaded.data_dir / "buckets")

    def _make_config(self, name: str, folder: Path, format_: Format) -> DatasourceConfig:
        is_plain = format_ is Format.STRUCTURED
        try:
            table = {
                "name": name,
                "folder": str(folder),
                "format": format_,
                "encryption": Encryption.NONE if is_plain else self._loaded.config.s3.bucket_encryption,
                "created": self._clock.time(),
            }
            return msgspec.convert(table, DatasourceConfig)
        except msgspec.ValidationError as error:
            raise Invalid(
                f"{name!r} is no bucket name: 3 to 63 lower-case letters, digits, dots and hyphens, with a letter or "
                "digit at both ends",
                reason="name",
                path=name,
            ) from error

    # operations

    async def list_services(self) -> list[ServiceRow]:
        """See ``Operations``."""
        return self._registry.list_rows()

    async def list_datasources(self) -> list[DatasourceInfo]:
        """See ``Operations``."""
        return [await self._describe(config) for config in self._datasources.configs()]

    async def read_datasource(self, name: str) -> DatasourceInfo:
        """See ``Operations``."""
        return await self._describe(self._config_of(name))

    async def add_datasource(self, config: DatasourceConfig, snapshot: str = "") -> DatasourceInfo:
        """See ``Operations``."""
        refuse_reserved(self._loaded, self._settings, config)
        is_local = config.storage is Storage.LOCAL
        if is_local and not os.path.isdir(config.folder):  # noqa: ASYNC240 - one stat, for an administrator's command
            raise NotFound(f"There is no folder {config.folder}. Make it first, or check the path.", path=config.folder)
        config = msgspec.structs.replace(config, created=config.created or self._clock.time())
        await self._add(config, self.snapshots.adopting(config, snapshot) if snapshot else None)
        return await self.read_datasource(config.name)

    async def _add(self, config: DatasourceConfig, prepare: Prepare | None = None) -> None:
        is_new = config.name not in {known.name for known in self._datasources.configs()}
        if is_new and self._settings.buckets.find(config.name) is not None:
            # An older bucket of this name may have left the configuration: what was set for it was not meant for this.
            await self._settings.buckets.forget(config.name)
        had_index = self._datasources.has_index(config.name)
        await self._datasources.open(config, prepare)
        try:
            failure = self._datasources.failure(config.name)
            if failure:
                raise Unavailable(failure, path=config.name)
            if config.storage is Storage.S3:
                await self._try_bucket(config)
            if config.versions:
                await enable_as_configured(self._datasources.triple(config.name).store)
            await self._settings.add_datasource(config)
        except BaseException:
            await self._datasources.close(config.name)
            if not had_index:
                self._datasources.forget_index(config.name)
            raise
        log.info("datasource added", datasource=config.name, place=config.place)

    async def _try_bucket(self, config: DatasourceConfig) -> None:
        """Raise what is wrong with server, keys or bucket now, while somebody is there to mend it."""
        if not await self._datasources.triple(config.name).objects.has_bucket(config.name):
            raise NotFound(
                f"There is no bucket for {config.place}. Make it first, or check its name.",
                path=config.bucket,
            )

    async def remove_datasource(self, name: str, with_snapshots: bool = False, bypass: bool = False) -> None:
        """See ``Operations``."""
        self._config_of(name)
        self._check_stored(name)
        self.migrations.refuse_busy(name)
        async with self.snapshots.exclusive(name):
            if not self._datasources.failure(name):  # of one that is not open the index stays
                index = self._datasources.triple(name).index
                await refuse_removal(index, name, self._clock.time_ns(), bypass=bypass)
            tree = await self._datasources.find_only_tree(name)
            if with_snapshots:
                await self.snapshots.delete_all(name)
            await self._datasources.close(name)
            await self._settings.remove_datasource(name)
            self._datasources.forget_index(name, tree)
        log.info("datasource removed", datasource=name)

    async def dump_snapshot(
        self, name: str, basename: str, progress: Callable[[SnapshotProgress], None] | None = None
    ) -> SnapshotInfo:
        """See ``Operations``."""
        return await self.snapshots.dump(name, basename, progress)

    async def list_snapshots(self, name: str) -> list[SnapshotInfo]:
        """See ``Operations``."""
        return await self.snapshots.list_checked(name)

    async def load_snapshot(
        self,
        name: str,
        basename: str,
        options: LoadOptions = LoadOptions(),
        progress: Callable[[SnapshotProgress], None] | None = None,
    ) -> LoadReport:
        """See ``Operations``."""
        self.migrations.refuse_busy(name)
        return await self.snapshots.load(name, basename, options, progress)

    async def delete_snapshot(self, name: str, basename: str) -> None:
        """See ``Operations``."""
        await self.snapshots.delete(name, basename)

    async def migrate(
        self, name: str, options: MigrationOptions, progress: Callable[[MigrationProgress], None] | None = None
    ) -> MigrationReport:
        """See ``Operations``."""
        return await self.migrations.migrate(name, options, progress)

    async def resync(
        self,
        name: str,
        path: str = "",
        options: ResyncOptions = ResyncOptions(),
        progress: Callable[[Progress], None] | None = None,
    ) -> ResyncReport:
        """See ``Operations``."""
        store = self._datasources.triple(name).store
        if store.sync is None:
            raise no_synchronizer(store.config)
        report = await store.sync.resync(path, options, progress)
        if not path.strip("/") and not options.dry_run:
            store.alarm.silence()
        return report

    async def check(
        self, name: str, repair: bool = False, progress: Callable[[Progress], None] | None = None
    ) -> CheckReport:
        """See ``Operations``."""
        store = self._datasources.triple(name).store
        violations = await store.index.verify()
        kept = await self._kept.check(name, repair=repair)
        if isinstance(store, FlatStore):
            wanted = Repair.ALL if repair else Repair.NOTHING
            found = await check_blobs(store, self._clock, repair=wanted, note=progress)
            store.alarm.silence()
            return CheckReport(name, tuple(violations), None, repair, found, kept)
        options = ResyncOptions(full=True, dry_run=not repair)
        differences = await store.sync.resync("", options, progress)
        return CheckReport(name, tuple(violations), differences, repair, None, kept)

    async def list_versions(
        self, name: str, prefix: str = "", after: str = "", after_version: str | None = None, limit: int = 1000
    ) -> VersionPage:
        """See ``Operations``."""
        index = self._datasources.triple(name).index
        return await index.list_versions(prefix, "", after, after_version, limit)

    async def restore_version(self, name: str, path: str, version: str | None = None) -> Node:
        """See ``Operations``."""
        return await restore_version(self._datasources.triple(name).store, path, version)

    async def prune_versions(
        self, name: str, dry_run: bool = False, progress: Callable[[PruneProgress], None] | None = None
    ) -> PruneReport:
        """See ``Operations``."""
        store = self._datasources.triple(name).store
        prune = Prune(store, store.config.version_policy, self._clock, dry_run=dry_run)
        async for done in prune.slices():
            if progress is not None:
                progress(done)
        return prune.report

    async def rehash(
        self,
        name: str,
        path: str = "",
        options: RehashOptions = RehashOptions(),
        progress: Callable[[RehashProgress], None] | None = None,
    ) -> RehashReport:
        """See ``Operations``."""
        return await self._datasources.triple(name).hashes.rehash(path, options, progress)

    async def read_encryption(self) -> EncryptionInfo:
        """See ``Operations``."""
        return await self.encryption.read()

    async def rotate_key(
        self, name: str, rewrite: bool = False, progress: Callable[[Progress], None] | None = None
    ) -> RotationReport:
        """See ``Operations``."""
        self.migrations.refuse_busy(name)
        return await self.encryption.rotate(name, rewrite, progress)

    async def import_keys(self, bundle: KeyBundle) -> ImportReport:
        """See ``Operations``."""
        return await self.encryption.take(bundle)

    async def list_keys(self) -> list[AccessKey]:
        """See ``Operations``."""
        return [msgspec.structs.replace(key, secret="") for key in await self._settings.credentials.list_keys()]

    async def create_key(self, description: str = "") -> AccessKey:
        """See ``Operations``."""
        return await self._settings.credentials.create_key(description)

    async def revoke_key(self, access_key: str) -> None:
        """See ``Operations``."""
        await self._settings.credentials.revoke_key(access_key)

    async def show_config(self) -> list[OriginValue]:
        """See ``Operations``."""
        return self._loaded.list_values()

    def _config_of(self, name: str) -> DatasourceConfig:
        for config in self._datasources.configs():
            if config.name == name:
                return config
        raise NotFound(f"There is no datasource {name!r}", reason="root", path=name)

    def _is_configured(self, name: str) -> bool:
        return any(config.name == name for config in self._loaded.config.datasource)

    def _check_stored(self, name: str) -> None:
        if self._is_configured(name):
            raise Conflict(
                f"The datasource {name!r} is named by the configuration or the command line; remove it there",
                reason="configured",
                path=name,
            )

    async def _describe(self, config: DatasourceConfig) -> DatasourceInfo:
        shown = config.without_secrets()
        origin = "config" if self._is_configured(config.name) else "store"
        error = self._datasources.failure(config.name)
        if error:
            return DatasourceInfo(shown, origin, "", ServiceState.FAILED, error=error)
        triple = self._datasources.triple(config.name)
        sync = None if triple.store.sync is None else triple.store.sync.status()
        state = ServiceState.READY if sync is None or sync.state.is_fine else ServiceState.DEGRADED
        alarm = triple.store.trouble
        if alarm:
            state = ServiceState.DEGRADED
        free, total = await self._measure_space(triple)
        stats, unhashed = await triple.index.stats(), await triple.index.count_unhashed()
        return DatasourceInfo(
            shown,
            origin,
            triple.objects_name,
            state,
            stats,
            sync,
            alarm,
            free,
            total,
            unhashed,
            self._datasources.list_sharing(config.name),
        )

    async def _measure_space(self, triple: Triple) -> tuple[int, int]:
        try:
            return await triple.objects.used_space(triple.store.config.name)
        except CellsError:
            return 0, 0
