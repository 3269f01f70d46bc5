"""Opens and closes datasources: which services a datasource needs, and which of them it shares.

One object service serves all buckets of one parent folder, or of one S3 endpoint and key pair. It is started with the
first datasource there and stopped with the last.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec

from cellsmono.datasource.alarm import Alarm
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.flat.layout import read_record, refuse_flat
from cellsmono.datasource.flat.service import BlobsService
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.datasource.index.files import IndexFiles
from cellsmono.datasource.index.service import IndexService
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.registry_database import DatabaseRegistry
from cellsmono.datasource.objects.workers import see_through
from cellsmono.datasource.placing import bare_prefix, check_bucket, check_place
from cellsmono.datasource.snapshots.load import remove_leftovers
from cellsmono.datasource.structured import StructuredStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.datasource.sync.context import SyncStore
from cellsmono.interfaces.datasource import DatasourceConfig, Format, Markers, Storage, Symlinks, Watch
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.node import time_of_uuid
from cellsmono.interfaces.objects import Multipart
from cellsmono.interfaces.paths import ROOT
from cellsmono.interfaces.snapshots import SnapshotPlace
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Invalid, NotFound, Unavailable
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.registry import Kind
from cellsmono.kernel.service import Service, ServiceState, ServiceStatus
from cellsmono.kernel.supervisor import Supervisor
from cellsmono.kernel.worker import Worker

log = get_logger("datasource")

TAG = "datasource"
_STALE_PERIOD = 3600.0
"""Seconds between two looks for uploads that nobody went on with."""

Publish = Callable[[tuple[NodeEvent, ...]], None]
Prepare = Callable[[LocalStore, Path], Awaitable[None]]
"""Makes the index file of a datasource that is about to open; its bucket is served already."""


class Objects(SyncStore, Multipart, Protocol):
    """What a datasource needs of its object service."""

    def forget_bucket(self, bucket: str) -> None:
        """Serve a bucket no longer."""


class _ObjectsService:
    """``data.objects.localN``, one parent folder and its buckets, or ``data.objects.gatewayN``, one S3 endpoint."""

    tag = TAG

    def __init__(self, name: str, title: str, make: Callable[[str], Objects], clock: Clock, stale_hours: float) -> None:
        self.name = name
        self.title = title
        self.buckets: set[str] = set()
        self._make = make
        self._clock = clock
        self._stale_ns = round(stale_hours * 3600e9)
        self.store: Objects

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Holds the store open, and removes uploads that nobody went on with."""
        self.store = self._make(self.name)
        try:
            stale = Worker(f"{self.name}:stale-uploads", self._remove_stale_uploads, interval=_STALE_PERIOD)
            async with stale.running():
                yield
        finally:
            await self.store.close()

    async def _remove_stale_uploads(self) -> bool:
        if self._stale_ns:
            try:
                removed = await self.store.remove_stale_uploads(self._clock.time_ns() - self._stale_ns)
            except Unavailable as error:  # it is tried again in an hour
                log.warning("stale uploads are not removed", service=self.name, error=error.message)
                return False
            if removed:
                log.info("stale uploads removed", service=self.name, uploads=removed)
        return False

    def status(self) -> ServiceStatus:
        """The folder or server that it serves, and which buckets are in it."""
        return ServiceStatus(detail=f"{self.title} ({', '.join(sorted(self.buckets))})")


class _SyncService:
    """``data.sync.NAME``: the synchronizer of one datasource."""

    tag = TAG

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


Store = StructuredStore | FlatStore


class Triple(msgspec.Struct, frozen=True):
    """An open datasource, its index, and the object service that holds its bytes."""

    store: Store
    objects_name: str
    objects: Objects
    index: SqliteIndex


class Datasources:
    """All datasources of the process, by name."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        data_dir: Path,
        clock: Clock,
        uploads: DatabaseRegistry,
        publish: Publish,
        follow: bool = True,
        stale_upload_hours: float = 168.0,
    ) -> None:
        self._supervisor = supervisor
        self._data_dir = data_dir
        self._files = IndexFiles(data_dir / "datasources")
        self._clock = clock
        self._uploads = uploads
        self._publish = publish
        self._follow = follow
        self._stale_upload_hours = stale_upload_hours
        self._objects: dict[Hashable, _ObjectsService] = {}
        self._open: dict[str, Triple] = {}
        self._configs: dict[str, DatasourceConfig] = {}
        self._failed: dict[str, str] = {}

    async def open(self, config: DatasourceConfig, prepare: Prepare | None = None) -> None:
        """Start the services of a datasource.

        Raises what ``check_place`` raises. A service that can not start (index corrupt, folder unreadable) does not
        raise: the datasource is kept as failed, with its reason, and the others go on. With ``prepare`` every failure
        is raised, and nothing of the datasource is kept.
        """
        folder: Path | None = None
        if config.storage is Storage.S3:
            check_bucket(config, self._configs.values())
        else:
            folder = check_place(config, self._configs.values(), {"The data folder": self._data_dir})
        if prepare is not None:
            self._files.refuse_only_tree(config.name)
        self._configs[config.name] = config
        self._failed.pop(config.name, None)
        try:
            await self._start(config, folder, prepare)
        except BaseException as error:
            if prepare is not None:
                await self.close(config.name)
                self.forget_index(config.name)
            if prepare is not None or not isinstance(error, CellsError):
                raise
            self._failed[config.name] = error.message
            log.error("datasource could not be opened", datasource=config.name, error=error.message)

    async def close(self, name: str) -> None:
        """Stop the services of a datasource; its files and its index stay. Raises NotFound."""
        if name not in self._configs:
            raise NotFound(f"There is no datasource {name!r}", reason="root", path=name)
        del self._configs[name]
        self._failed.pop(name, None)
        self._open.pop(name, None)
        await self._stop_parts(name)
        await self._leave_objects(name)

    async def _stop_parts(self, name: str) -> None:
        for part in ("sync", "blobs", "index"):
            await self._stop_service(f"data.{part}.{name}")

    async def replace_index(self, name: str, swap: Callable[[], Awaitable[None]]) -> None:
        """Stop a datasource and let ``swap`` change its index file; then start it again, whatever became of that.

        Meanwhile its users are told to try again. Goes on to its end when the caller is cancelled. Raises what ``swap``
        raises, Unavailable when it does not start again, NotFound.
        """
        if name not in self._configs:
            raise NotFound(f"There is no datasource {name!r}", reason="root", path=name)
        await see_through(asyncio.ensure_future(self._replace_index(self._configs[name], swap)))

    async def _replace_index(self, config: DatasourceConfig, swap: Callable[[], Awaitable[None]]) -> None:
        name = config.name
        self._failed[name] = "its index is being replaced; try again in a moment"
        self._open.pop(name, None)
        try:
            await self._stop_parts(name)
            await swap()
        finally:
            self.objects(name).forget_bucket(name)
            try:
                await self._start(config, await asyncio.to_thread(Path(config.folder).resolve))
                del self._failed[name]
            except Exception as error:
                self._failed[name] = error.message if isinstance(error, CellsError) else repr(error)
                raise

    async def _start(self, config: DatasourceConfig, folder: Path | None, prepare: Prepare | None = None) -> None:
        is_structured = config.format == Format.STRUCTURED
        objects = await (self._serve_bucket(config) if folder is None else self._serve_folder(config, folder))
        objects.buckets.add(config.name)
        if folder is None and config.watch is Watch.AUTO:
            config = msgspec.structs.replace(config, watch=Watch.POLL)
        path = self.index_path(config.name)
        if is_structured:
            self._files.refuse_only_tree(config.name)
        elif prepare is None:
            await self._take_index_back(config.name, objects.store)
        self._files.make_folder(config.name)
        remove_leftovers(path)
        if prepare is not None:
            await prepare(_local(config.name, objects.store), path)
        index = IndexService(config, path, self._clock, self._publish)
        await self._start_service(index)
        start = self._start_structured if is_structured else self._start_flat
        store = await start(config, objects.store, index.index)
        self._open[config.name] = Triple(store, objects.name, objects.store, index.index)

    async def _start_structured(
        self, config: DatasourceConfig, objects: Objects, index: SqliteIndex
    ) -> StructuredStore:
        with suppress(Unavailable):  # a disk that is away says so to whoever reads
            await refuse_flat(objects, config.name)
        config = await self._with_created(config, index)
        claims = Claims()
        sync = Synchronizer(config, objects, index, claims, clock=self._clock)
        store = StructuredStore(config, objects, objects, index, sync, claims)
        if self._follow:
            await self._start_service(_SyncService(sync, config.name, store.alarm))
        return store

    async def _start_flat(self, config: DatasourceConfig, objects: Objects, index: SqliteIndex) -> FlatStore:
        local = _local(config.name, objects)
        service = BlobsService(config, local, local, index, self._clock, sweep=self._follow)
        await self._start_service(service)
        service.store.config = await self._with_created(config, index)
        self._files.mark(config.name)
        return service.store

    async def _with_created(self, config: DatasourceConfig, index: SqliteIndex) -> DatasourceConfig:
        if not config.created:
            # The root's UUID is kept in its marker, so this time outlives the index.
            root = await index.read_node(ROOT)
            config = msgspec.structs.replace(config, created=time_of_uuid(root.uuid) or self._clock.time())
        return config

    async def _start_service(self, service: Service) -> None:
        if not await self._supervisor.start(service, kind=Kind.GRPC, optional=True):
            raise Unavailable(self._supervisor.registry.get(service.name).detail)

    async def _serve_folder(self, config: DatasourceConfig, folder: Path) -> _ObjectsService:
        def make(name: str) -> LocalStore:
            return LocalStore(name, folder.parent, uploads=self._uploads, clock=self._clock)

        is_structured = config.format is Format.STRUCTURED
        service = await self._find_objects(folder.parent, "local", str(folder.parent), make)
        if not isinstance(service.store, LocalStore):
            raise TypeError(service.name)
        service.store.add_bucket(
            config.name,
            folder.name,
            durability=config.durability,
            symlinks=config.symlinks if is_structured else Symlinks.IGNORE,
            markers=config.markers if is_structured else Markers.NONE,
        )
        await service.store.remove_finished_uploads(config.name)
        return service

    async def _serve_bucket(self, config: DatasourceConfig) -> _ObjectsService:
        # What it needs takes most of a second to import: servers with folders alone do without.
        from cellsmono.datasource.objects.s3.opening import make_endpoint, make_place
        from cellsmono.datasource.objects.s3.store import S3Store

        endpoint = make_endpoint(config, os.environ)

        def make(name: str) -> S3Store:
            return S3Store(name, endpoint, uploads=self._uploads, clock=self._clock)

        service = await self._find_objects(endpoint, "gateway", endpoint.title, make)
        if not isinstance(service.store, S3Store):
            raise TypeError(service.name)
        service.store.add_bucket(make_place(config, bare_prefix(config.prefix)))
        return service

    async def _find_objects(
        self, key: Hashable, kind: str, title: str, make: Callable[[str], Objects]
    ) -> _ObjectsService:
        """The service of a parent folder or endpoint, started when it is the first bucket's."""
        known = self._objects.get(key)
        if known is not None:
            return known
        taken = {service.name for service in self._objects.values()}
        name = next(name for n in range(1, len(taken) + 2) if (name := f"data.objects.{kind}{n}") not in taken)
        service = _ObjectsService(name, title, make, self._clock, self._stale_upload_hours)
        await self._start_service(service)
        self._objects[key] = service
        return service

    async def _leave_objects(self, bucket: str) -> None:
        """Take a bucket out of its object service, which ends with its last bucket."""
        for key, objects in list(self._objects.items()):
            if bucket not in objects.buckets:
                continue
            objects.buckets.discard(bucket)
            objects.store.forget_bucket(bucket)
            if not objects.buckets:
                del self._objects[key]
                await self._stop_service(objects.name)

    async def _stop_service(self, name: str) -> None:
        if self._supervisor.is_running(name):
            await self._supervisor.stop_service(name)
        else:
            self._supervisor.registry.remove(name)

    def index_path(self, name: str) -> Path:
        """Where the index database of a datasource lies."""
        return self._files.path(name)

    def note_failure(self, config: DatasourceConfig, why: str) -> None:
        """Keep a datasource that could not even be tried in the listings. A taken name is left alone."""
        if config.name not in self._configs:
            self._configs[config.name] = config
            self._failed[config.name] = why
        log.error("datasource is left out", datasource=config.name, error=why)

    async def find_only_tree(self, name: str) -> str | None:
        """What to call the index of an open datasource when it alone knows a tree: the root's UUID. None: it does not.

        Empty for one that could not be opened, so that nobody can tell.
        """
        if not self._files.is_only_tree(name):
            return None
        if name not in self._open:
            return ""
        index = self._open[name].store.index
        stats = await index.stats()
        return (await index.read_node(ROOT)).uuid if stats.files or stats.folders else None

    def forget_index(self, name: str, tree: str | None = None) -> None:
        """Delete the index database of a datasource that is closed; the only one to know a tree is set aside."""
        if tree is None:
            self._files.forget(name)
        elif tree:
            self._files.set_aside(name, tree)
            log.info("the index is kept until the same folder is added again", datasource=name)

    async def _take_index_back(self, name: str, objects: Objects) -> None:
        """Use the index that was set aside when this very flat store was served before."""
        with suppress(CellsError):  # what is wrong with the folder is told when the store is opened
            record = await read_record(objects, name)
            if record is not None:
                self._files.take_back(name, record.id)

    def objects(self, name: str) -> Objects:
        """The object service of a datasource, also of one whose index can not be opened.

        Raises NotFound, Unavailable.
        """
        for objects in self._objects.values():
            if name in objects.buckets:
                return objects.store
        return self.triple(name).objects  # says what is wrong

    def local_objects(self, name: str) -> LocalStore:
        """As ``objects``, for a datasource in a local folder. Raises Invalid for another one."""
        return _local(name, self.objects(name))

    def snapshots(self, name: str) -> SnapshotPlace:
        """Where the snapshots of a datasource lie. Raises as ``local_objects``."""
        return self.local_objects(name).snapshots(name)

    def find(self, name: str) -> Store | None:
        """The datasource of this name, None when there is none. Raises Unavailable for one that failed to start."""
        triple = self._open.get(name)
        if triple is not None:
            return triple.store
        if name in self._failed:
            raise Unavailable(f"The datasource {name!r} could not be opened: {self._failed[name]}", path=name)
        return None

    def triple(self, name: str) -> Triple:
        """An open datasource with its parts. Raises NotFound, Unavailable."""
        if self.find(name) is None:
            raise NotFound(f"There is no datasource {name!r}", reason="root", path=name)
        return self._open[name]

    def names(self) -> list[str]:
        """Names of all open datasources, sorted."""
        return sorted(self._open)

    def configs(self) -> list[DatasourceConfig]:
        """The configurations of all datasources, the failed ones included, by name."""
        return [self._configs[name] for name in sorted(self._configs)]

    def failure(self, name: str) -> str:
        """Why a datasource is not open; empty when it is."""
        return self._failed.get(name, "")


def _local(name: str, objects: Objects) -> LocalStore:
    """The object service of a datasource that needs one over local folders. Raises Invalid."""
    if not isinstance(objects, LocalStore):
        raise Invalid(
            f"The datasource {name!r} lies on another S3 server; snapshots of indexes are kept in local folders only. "
            "Save the data folder instead.",
            reason="storage",
            path=name,
        )
    return objects
