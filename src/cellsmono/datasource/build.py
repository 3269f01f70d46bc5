"""Opens and closes datasources: which services a datasource needs, and which of them it shares.

One object service serves all buckets of one parent folder, or of one S3 endpoint and key pair. It is started with the
first datasource there and stopped with the last.
"""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from cellsmono.datasource.alarm import Alarm
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.registry_database import DatabaseRegistry
from cellsmono.datasource.placing import bare_prefix, check_bucket, check_place
from cellsmono.datasource.structured import StructuredStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.datasource.sync.context import SyncStore
from cellsmono.interfaces.datasource import DatasourceConfig, Storage, Watch
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.node import time_of_uuid
from cellsmono.interfaces.objects import Multipart
from cellsmono.interfaces.paths import ROOT
from cellsmono.interfaces.sync import SyncState
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, NotFound, Unavailable
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.registry import Kind
from cellsmono.kernel.service import ServiceState, ServiceStatus
from cellsmono.kernel.supervisor import Supervisor
from cellsmono.kernel.worker import Worker

log = get_logger("datasource")

TAG = "datasource"
_STALE_PERIOD = 3600.0
"""Seconds between two looks for uploads that nobody went on with."""

Publish = Callable[[tuple[NodeEvent, ...]], None]


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


class _IndexService:
    """``data.index.NAME``: the database of one datasource."""

    tag = TAG

    def __init__(self, config: DatasourceConfig, path: Path, clock: Clock, publish: Publish) -> None:
        self.name = f"data.index.{config.name}"
        self._config = config
        self._path = path
        self._clock = clock
        self._publish = publish
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
        )
        try:
            yield
        finally:
            await self.index.close()


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
        is_fine = status.state in (SyncState.WATCHING, SyncState.SCANNING, SyncState.STARTING)
        state = ServiceState.READY if is_fine else ServiceState.DEGRADED
        return ServiceStatus(state, f"{status.state}: {status.detail}" if status.detail else str(status.state))


class Triple(msgspec.Struct, frozen=True):
    """An open datasource and the name of the object service that holds its bytes."""

    store: StructuredStore
    objects_name: str
    objects: Objects


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
        self._clock = clock
        self._uploads = uploads
        self._publish = publish
        self._follow = follow
        self._stale_upload_hours = stale_upload_hours
        self._objects: dict[Hashable, _ObjectsService] = {}
        self._open: dict[str, Triple] = {}
        self._configs: dict[str, DatasourceConfig] = {}
        self._failed: dict[str, str] = {}

    async def open(self, config: DatasourceConfig) -> None:
        """Start the services of a datasource.

        Raises what ``check_place`` raises. A service that can not start (index corrupt, folder unreadable) does not
        raise: the datasource is kept as failed, with its reason, and the others go on.
        """
        folder: Path | None = None
        if config.storage is Storage.S3:
            check_bucket(config, self._configs.values())
        else:
            folder = check_place(config, self._configs.values(), {"The data folder": self._data_dir})
        self._configs[config.name] = config
        self._failed.pop(config.name, None)
        try:
            await self._start(config, folder)
        except CellsError as error:
            self._failed[config.name] = error.message
            log.error("datasource could not be opened", datasource=config.name, error=error.message)

    async def close(self, name: str) -> None:
        """Stop the services of a datasource; its files and its index stay. Raises NotFound."""
        if name not in self._configs:
            raise NotFound(f"There is no datasource {name!r}", reason="root", path=name)
        del self._configs[name]
        self._failed.pop(name, None)
        self._open.pop(name, None)
        for part in ("sync", "index"):
            await self._stop_service(f"data.{part}.{name}")
        await self._leave_objects(name)

    async def _start(self, config: DatasourceConfig, folder: Path | None) -> None:
        objects = await (self._serve_bucket(config) if folder is None else self._serve_folder(config, folder))
        objects.buckets.add(config.name)
        if folder is None and config.watch is Watch.AUTO:
            config = msgspec.structs.replace(config, watch=Watch.POLL)
        path = self.index_path(config.name)
        for folder_of_ours in (path.parent.parent, path.parent):  # the mode is not that of parents made along
            folder_of_ours.mkdir(mode=0o700, parents=True, exist_ok=True)
        index = _IndexService(config, path, self._clock, self._publish)
        if not await self._supervisor.start(index, kind=Kind.GRPC, optional=True):
            raise Unavailable(self._supervisor.registry.get(index.name).detail)
        if not config.created:
            # The root's UUID is kept in its marker, so this time outlives the index.
            root = await index.index.read_node(ROOT)
            config = msgspec.structs.replace(config, created=time_of_uuid(root.uuid) or self._clock.time())
        claims = Claims()
        sync = Synchronizer(config, objects.store, index.index, claims, clock=self._clock)
        store = StructuredStore(config, objects.store, objects.store, index.index, sync, claims)
        if self._follow:
            service = _SyncService(sync, config.name, store.alarm)
            if not await self._supervisor.start(service, kind=Kind.GRPC, optional=True):
                raise Unavailable(self._supervisor.registry.get(service.name).detail)
        self._open[config.name] = Triple(store, objects.name, objects.store)

    async def _serve_folder(self, config: DatasourceConfig, folder: Path) -> _ObjectsService:
        def make(name: str) -> LocalStore:
            return LocalStore(name, folder.parent, uploads=self._uploads, clock=self._clock)

        service = await self._find_objects(folder.parent, "local", str(folder.parent), make)
        if not isinstance(service.store, LocalStore):
            raise TypeError(service.name)
        service.store.add_bucket(
            config.name,
            folder.name,
            durability=config.durability,
            symlinks=config.symlinks,
            markers=config.markers,
        )
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
        if not await self._supervisor.start(service, kind=Kind.GRPC, optional=True):
            raise Unavailable(self._supervisor.registry.get(service.name).detail)
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
        return self._data_dir / "datasources" / name / "index.db"

    def note_failure(self, config: DatasourceConfig, why: str) -> None:
        """Keep a datasource that could not even be tried in the listings. A taken name is left alone."""
        if config.name not in self._configs:
            self._configs[config.name] = config
            self._failed[config.name] = why
        log.error("datasource is left out", datasource=config.name, error=why)

    def forget_index(self, name: str) -> None:
        """Delete the index database of a datasource that is closed."""
        shutil.rmtree(self.index_path(name).parent, ignore_errors=True)

    def find(self, name: str) -> StructuredStore | None:
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
