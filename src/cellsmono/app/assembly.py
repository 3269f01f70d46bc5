"""The list of services, in the order in which they start. They stop in reverse."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from cellsmono.app.config import Address, parse_address
from cellsmono.app.config_sources import LoadedConfig
from cellsmono.app.defaults import make_defaults, refuse_taken_names
from cellsmono.app.figures import list_figures
from cellsmono.app.installation import Installation
from cellsmono.app.migration_target import choose_datasources
from cellsmono.app.notifications import Notifications
from cellsmono.app.requests import Counter
from cellsmono.app.settings import Settings
from cellsmono.app.signers import AllSigners
from cellsmono.app.snapshots import SnapshotService
from cellsmono.data.jobs.ground import Ground
from cellsmono.data.jobs.origins import Origins
from cellsmono.data.jobs.purge import RecyclePurge
from cellsmono.data.jobs.requests import JobRequests
from cellsmono.data.jobs.service import JobService
from cellsmono.data.jobs.store import JobStore
from cellsmono.data.keys.service import make_services
from cellsmono.data.keys.vault import Vault
from cellsmono.data.lifecycle.service import LifecycleService
from cellsmono.data.router.router import Router
from cellsmono.data.router.workspaces import WorkspaceRouter
from cellsmono.data.tree.files import FileRequests
from cellsmono.data.tree.locator import TreeLocator
from cellsmono.data.versions.service import VersionsService
from cellsmono.datasource.build import Datasources
from cellsmono.datasource.objects.registry_database import DatabaseRegistry
from cellsmono.idm.database import open_database
from cellsmono.idm.id_tokens import KeyRing
from cellsmono.idm.people import PeopleStore
from cellsmono.interfaces.bearers import Bearers
from cellsmono.interfaces.credentials import Signers
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.policies import Policies
from cellsmono.interfaces.router import Actor, NodeRouter
from cellsmono.interfaces.topics import INDEX_CHANGES
from cellsmono.kernel.bus import Bus
from cellsmono.kernel.clock import Clock, SystemClock
from cellsmono.kernel.errors import CellsError, Forbidden
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.metrics import Metrics
from cellsmono.kernel.registry import Kind, Registry
from cellsmono.kernel.supervisor import Supervisor
from cellsmono.kernel.tasks import cancel_and_wait, create_task

log = get_logger("assembly")


class Core(msgspec.Struct, frozen=True):
    """Everything but the gateways: what a command needs offline, and what a server stands on."""

    loaded: LoadedConfig
    supervisor: Supervisor
    registry: Registry
    bus: Bus
    clock: Clock
    settings: Settings
    datasources: Datasources
    installation: Installation
    router: NodeRouter
    signers: Signers
    bearers: Bearers
    policies: Policies
    jobs: JobService
    purge: RecyclePurge


class Server(msgspec.Struct, frozen=True):
    """A server that accepts requests. ``addresses`` holds the real ports, by listener; one that is off is not there."""

    core: Core
    metrics: Metrics
    addresses: dict[str, Address]

    @property
    def operations(self) -> Installation:
        """Administration of the running server."""
        return self.core.installation

    @property
    def supervisor(self) -> Supervisor:
        """Who notices when a needed service dies."""
        return self.core.supervisor


@asynccontextmanager
async def open_core(loaded: LoadedConfig, *, follow: bool = True, clock: Clock | None = None) -> AsyncIterator[Core]:
    """Start the stores and the datasources; ``follow`` says whether the synchronizers run by themselves.

    The caller holds the lock of the data folder. Raises Corrupt or Unavailable when the data folder can not be used,
    and, when it follows, Invalid for a configured datasource that has the name of a default one. A
    datasource that can not be opened is kept as failed, with its reason.
    """
    clock = clock or SystemClock()
    config, data_dir = loaded.config, loaded.data_dir
    registry, bus = Registry(), Bus()

    def publish(events: tuple[NodeEvent, ...]) -> None:
        people.views.note_changes(events)  # at once: rights must not lag behind a move
        for event in events:
            bus.publish(INDEX_CHANGES, event)

    async with AsyncExitStack() as stack:
        settings = await Settings.open(data_dir, clock, config.owner)
        stack.push_async_callback(settings.close)
        idm = await open_database(data_dir)
        stack.push_async_callback(idm.close)
        if follow:  # commands go on: they are what it is mended with
            refuse_taken_names(loaded, settings)
        uploads = await DatabaseRegistry.open(data_dir / "uploads.db")
        stack.push_async_callback(uploads.close)
        supervisor = await stack.enter_async_context(Supervisor(registry, stop_timeout=config.server.stop_timeout))
        vault = Vault(data_dir, clock)
        datasources = Datasources(
            supervisor,
            data_dir=data_dir,
            clock=clock,
            uploads=uploads,
            publish=publish,
            vault=vault,
            follow=follow,
            stale_upload_hours=config.s3.stale_upload_hours,
        )
        stack.push_async_callback(datasources.revival.close)
        locator = TreeLocator(datasources)
        people = await PeopleStore.open(idm, clock, locator)
        for service in people.services.in_order():
            await supervisor.start(service, kind=Kind.GRPC)
        sources = choose_datasources(config.datasource, settings.list_datasources())
        await settings.buckets.settle({source.name: source.place for source in reversed(sources)})
        for source in sources:
            try:
                await datasources.open(source)
            except CellsError as error:
                # Two sources of configuration can contradict each other; one bad row must not stop the rest.
                datasources.note_failure(source, error.message)
        for service in make_services(vault):
            await supervisor.start(service, kind=Kind.GRPC, optional=True)
        counter = Counter(people)
        installation = Installation(loaded, settings, counter, datasources, registry, clock, vault)
        router = WorkspaceRouter(Router(installation, settings.buckets), people.views, locator)
        jobs, purge = await _open_jobs(stack, loaded, counter, people, router, locator, clock)
        signers = AllSigners(settings.credentials, people.signers)
        yield Core(
            loaded,
            supervisor,
            registry,
            bus,
            clock,
            settings,
            datasources,
            installation,
            router,
            signers,
            people.signers,
            people.services.policy,
            jobs,
            purge,
        )


async def _open_jobs(
    stack: AsyncExitStack,
    loaded: LoadedConfig,
    counter: Counter,
    people: PeopleStore,
    router: WorkspaceRouter,
    locator: TreeLocator,
    clock: Clock,
) -> tuple[JobService, RecyclePurge]:
    """The jobs, and answers to what is asked about them and about files. The server alone runs them."""
    store = await JobStore.open(loaded.data_dir)
    stack.push_async_callback(store.close)
    ground = Ground(router, people.views, locator, Origins(store), clock)

    def find_actor(uuid: str, scopes: Sequence[str]) -> Actor:
        user = people.services.user.find_uuid(uuid)
        if user is None:
            raise Forbidden("The user was deleted")
        return Actor(user.login, "user", user=user.uuid, scopes=tuple(scopes))

    def find_user(login: str) -> str:
        return people.services.user.read(login).uuid

    jobs = JobService(store, ground, find_actor)
    counter.add(JobRequests(jobs, ground, find_user, find_actor).handlers())
    files = FileRequests(ground, people.views, lambda login, scopes: find_actor(find_user(login), scopes))
    counter.add(files.handlers())
    recycle = loaded.config.recycle
    return jobs, RecyclePurge(ground, locator, recycle.keep_days, recycle.max_bytes)


@asynccontextmanager
async def open_server(loaded: LoadedConfig, *, clock: Clock | None = None) -> AsyncIterator[Server]:
    """The core and all gateways: entered means that requests are accepted, exited that the last one was answered.

    The first one makes the default datasources. Raises what ``open_core`` raises, and Unavailable for an address that
    can not be had.
    """
    async with open_core(loaded, clock=clock) as core, _watched_loop(metrics := Metrics()):
        known = {source.name for source in core.datasources.configs()}
        await make_defaults(loaded, core.settings, known, core.installation.make_bucket)
        metrics.add_source(lambda: list_figures(core.datasources))
        day_seconds = loaded.config.s3.lifecycle_day_seconds
        for service in (
            LifecycleService(core.installation, core.settings.buckets, core.clock, day_seconds),
            SnapshotService(core.installation.snapshots, core.clock),
            VersionsService(core.installation, core.clock),
            core.jobs,
            core.purge,
        ):
            await core.supervisor.start(service, kind=Kind.GRPC, optional=True)
        yield Server(core, metrics, await _start_gateways(core, metrics))


async def _start_gateways(core: Core, metrics: Metrics) -> dict[str, Address]:
    # aiohttp is slow to import, and commands that only need the core do not pay for it.
    from cellsmono.gateway.control import ControlService
    from cellsmono.gateway.http import Limits
    from cellsmono.gateway.oidc.context import OidcContext
    from cellsmono.gateway.rest.call import RestContext
    from cellsmono.gateway.rest.server import RestGateway
    from cellsmono.gateway.s3.server import S3Gateway
    from cellsmono.gateway.s3.settings import S3Settings
    from cellsmono.gateway.serving import ListenerOptions, build_main_listener, build_s3_listener

    config, start = core.loaded.config, core.supervisor.start
    wanted = msgspec.structs.asdict(config.limits)
    xml_bytes = wanted.pop("xml_bytes")
    options = ListenerOptions(
        limits=Limits(**wanted),
        metrics=metrics,
        stop_seconds=config.server.stop_timeout,
        access_log=config.log.requests,
    )
    settings = S3Settings(
        region=config.s3.region,
        domains=config.s3.domains,
        sigv2=config.s3.sigv2,
        clock_skew_seconds=int(config.s3.clock_skew_seconds),
        max_object_bytes=config.s3.max_object_size,
        xml_bytes=xml_bytes,
        day_seconds=config.s3.lifecycle_day_seconds,
        insecure_client_keys=config.s3.client_keys_over_http,
    )
    s3 = S3Gateway(core.router, core.signers, settings, clock=core.clock)
    rest = RestGateway(
        RestContext(core.router, core.installation, core.bearers, core.policies, core.clock, config.s3.max_object_size)
    )
    oidc = OidcContext(
        core.installation.people,
        KeyRing(core.loaded.data_dir, core.clock),
        core.clock,
        config.oidc_client,
        config.server.external_url,
    )
    await start(ControlService(core.installation, core.loaded.data_dir))
    addresses: dict[str, Address] = {}
    if (address := parse_address(config.server.listen)) is not None:
        feed = Notifications(core.datasources)
        main = build_main_listener(
            s3.handle, rest.handle, oidc, core.registry, feed, address.host, address.port, options
        )
        await start(main)
        addresses["main"] = Address(address.host, main.port)
    if (address := parse_address(config.s3.listen)) is not None:
        endpoint = build_s3_listener(s3.handle, address.host, address.port, options)
        await start(endpoint)
        addresses["s3"] = Address(address.host, endpoint.port)
    return addresses


@asynccontextmanager
async def _watched_loop(metrics: Metrics) -> AsyncIterator[None]:
    task = create_task(metrics.watch_loop(), "metrics:loop")
    try:
        yield
    finally:
        await cancel_and_wait(task)
