"""The object services of the process: which buckets each of them holds, and when they come and go.

One object service serves all buckets of one parent folder, or of one S3 endpoint and key pair. It is started with the
first datasource there and stopped with the last.
"""

import os
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.registry_database import DatabaseRegistry
from cellsmono.datasource.placing import bare_prefix
from cellsmono.datasource.sync.context import SyncStore
from cellsmono.interfaces.datasource import DatasourceConfig, Format, Markers, Storage, Symlinks
from cellsmono.interfaces.objects import Multipart
from cellsmono.interfaces.snapshots import SnapshotPlace
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import Unavailable
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.registry import Kind
from cellsmono.kernel.service import Service, ServiceStatus
from cellsmono.kernel.supervisor import Supervisor
from cellsmono.kernel.worker import Worker

log = get_logger("datasource")

TAG = "datasource"
_STALE_PERIOD = 3600.0
"""Seconds between two looks for uploads that nobody went on with."""


class Objects(SyncStore, Multipart, Protocol):
    """What a datasource needs of its object service."""

    def snapshots(self, bucket: str) -> SnapshotPlace:
        """Where the snapshots of a bucket lie. Raises NotFound for a bucket that is not served."""

    def forget_bucket(self, bucket: str) -> None:
        """Serve a bucket no longer."""


class ObjectsService:
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
        return ServiceStatus(detail=self.title, serves=tuple(sorted(self.buckets)))


class ObjectHosts:
    """The object services by what they serve."""

    def __init__(self, supervisor: Supervisor, uploads: DatabaseRegistry, clock: Clock, stale_hours: float) -> None:
        self._supervisor = supervisor
        self._uploads = uploads
        self._clock = clock
        self._stale_hours = stale_hours
        self._services: dict[Hashable, ObjectsService] = {}

    async def serve(self, config: DatasourceConfig, folder: Path | None) -> ObjectsService:
        """Put a datasource's bucket into its object service; ``folder`` is the resolved one, None for another server.

        Raises Unavailable when the service can not start, and what is wrong with the configuration.
        """
        try:
            service = await (self._serve_bucket(config) if folder is None else self._serve_folder(config, folder))
        except BaseException:
            await self._end_empty()
            raise
        service.buckets.add(config.name)
        if isinstance(service.store, LocalStore):
            await service.store.remove_finished_uploads(config.name)
        return service

    def find(self, bucket: str) -> Objects | None:
        """The object service that holds a bucket."""
        return next((service.store for service in self._services.values() if bucket in service.buckets), None)

    def list_buckets(self, bucket: str) -> tuple[str, ...]:
        """All buckets of the object service that holds this one, sorted."""
        service = next((service for service in self._services.values() if bucket in service.buckets), None)
        return () if service is None else tuple(sorted(service.buckets))

    async def _serve_folder(self, config: DatasourceConfig, folder: Path) -> ObjectsService:
        def make(name: str) -> LocalStore:
            return LocalStore(name, folder.parent, uploads=self._uploads, clock=self._clock)

        service = await self._find_service(folder.parent, "local", str(folder.parent), make)
        if not isinstance(service.store, LocalStore):
            raise TypeError(service.name)
        _add_folder(service.store, config, folder)
        return service

    async def _serve_bucket(self, config: DatasourceConfig) -> ObjectsService:
        # What it needs takes most of a second to import: servers with folders alone do without.
        from cellsmono.datasource.objects.s3.opening import make_endpoint, make_place
        from cellsmono.datasource.objects.s3.store import S3Store

        endpoint = make_endpoint(config, os.environ)

        def make(name: str) -> S3Store:
            return S3Store(name, endpoint, uploads=self._uploads, clock=self._clock)

        service = await self._find_service(endpoint, "gateway", endpoint.title, make)
        if not isinstance(service.store, S3Store):
            raise TypeError(service.name)
        service.store.add_bucket(make_place(config, bare_prefix(config.prefix)))
        return service

    async def _find_service(
        self, key: Hashable, kind: str, title: str, make: Callable[[str], Objects]
    ) -> ObjectsService:
        """The service of a parent folder or endpoint, started when it is the first bucket's."""
        known = self._services.get(key)
        if known is not None:
            return known
        taken = {service.name for service in self._services.values()}
        name = next(name for n in range(1, len(taken) + 2) if (name := f"data.objects.{kind}{n}") not in taken)
        service = ObjectsService(name, title, make, self._clock, self._stale_hours)
        await start_service(self._supervisor, service)
        self._services[key] = service
        return service

    async def leave(self, bucket: str) -> None:
        """Take a bucket out of its object service, which ends with its last bucket."""
        for service in self._services.values():
            if bucket in service.buckets:
                service.buckets.discard(bucket)
                service.store.forget_bucket(bucket)
        await self._end_empty()

    async def _end_empty(self) -> None:
        """Stop the services that hold no bucket."""
        for key, service in list(self._services.items()):
            if not service.buckets:
                del self._services[key]
                await stop_service(self._supervisor, service.name)


def _add_folder(store: LocalStore, config: DatasourceConfig, folder: Path) -> None:
    is_structured = config.format is Format.STRUCTURED
    store.add_bucket(
        config.name,
        folder.name,
        durability=config.durability,
        symlinks=config.symlinks if is_structured else Symlinks.IGNORE,
        markers=config.markers if is_structured else Markers.NONE,
    )


@asynccontextmanager
async def open_alone(name: str, config: DatasourceConfig) -> AsyncIterator[Objects]:
    """An object service of one's own, with the one bucket and no services around it. Raises what is wrong with it."""
    objects = _open_folder(name, config) if config.storage is Storage.LOCAL else _open_bucket(name, config)
    try:
        yield objects
    finally:
        await objects.close()


def _open_folder(name: str, config: DatasourceConfig) -> Objects:
    folder = Path(config.folder).resolve()
    store = LocalStore(name, folder.parent)
    _add_folder(store, config, folder)
    return store


def _open_bucket(name: str, config: DatasourceConfig) -> Objects:
    # See ``_serve_bucket``.
    from cellsmono.datasource.objects.s3.opening import make_endpoint, make_place
    from cellsmono.datasource.objects.s3.store import S3Store

    store = S3Store(name, make_endpoint(config, os.environ))
    store.add_bucket(make_place(config, bare_prefix(config.prefix)))
    return store


async def start_service(supervisor: Supervisor, service: Service) -> None:
    """Start a service of a datasource. Raises Unavailable with its reason when it can not."""
    if not await supervisor.start(service, kind=Kind.GRPC, optional=True):
        raise Unavailable(supervisor.registry.get(service.name).detail)


async def stop_service(supervisor: Supervisor, name: str) -> None:
    """Stop a service, or forget one that failed."""
    if supervisor.is_running(name):
        await supervisor.stop_service(name)
    else:
        supervisor.registry.remove(name)
