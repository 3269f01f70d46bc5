"""Opens and closes datasources: which services a datasource needs, and which of them it shares.

One object service serves all buckets of one parent folder, or of one S3 endpoint and key pair. It is started with the
first datasource there and stopped with the last.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.flat.layout import read_record, refuse_flat
from cellsmono.datasource.flat.service import BlobsService
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.datasource.hashing.service import HashService
from cellsmono.datasource.hosting import ObjectHosts, Objects, start_service, stop_service
from cellsmono.datasource.index.files import IndexFiles
from cellsmono.datasource.index.service import IndexService
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.state import MigrationFiles, describe_hold, is_withheld
from cellsmono.datasource.objects.registry_database import DatabaseRegistry
from cellsmono.datasource.objects.workers import see_through
from cellsmono.datasource.placing import check_bucket, check_place
from cellsmono.datasource.revival import Revival
from cellsmono.datasource.sealing.store import SealedStore
from cellsmono.datasource.snapshots.load import remove_leftovers
from cellsmono.datasource.structured import StructuredStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.datasource.sync.service import SyncService
from cellsmono.datasource.versions.keeper import VERSIONS, Keeper
from cellsmono.interfaces.datasource import DatasourceConfig, Encryption, Format, Storage, Watch
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.node import time_of_uuid
from cellsmono.interfaces.paths import ROOT
from cellsmono.interfaces.sealing import KeyVault
from cellsmono.interfaces.snapshots import SnapshotPlace
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Invalid, NotFound, Unavailable
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.supervisor import Supervisor

log = get_logger("datasource")

Publish = Callable[[tuple[NodeEvent, ...]], None]
_NO_ANSWER = "its S3 server has not answered yet; check the datasource's 'endpoint' and the network. It is tried again."

Prepare = Callable[[Objects, Path], Awaitable[None]]
"""Makes the index file of a datasource that is about to open; its bucket is served already."""


Store = StructuredStore | FlatStore


class Triple(msgspec.Struct, frozen=True):
    """An open datasource, its index, the object service that holds its bytes, and who hashes them."""

    store: Store
    objects_name: str
    objects: Objects
    index: SqliteIndex
    hashes: HashService


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
        vault: KeyVault,
        follow: bool = True,
        stale_upload_hours: float = 168.0,
    ) -> None:
        self._supervisor = supervisor
        self._data_dir = data_dir
        self._files = IndexFiles(data_dir / "datasources")
        self._clock = clock
        self._publish = publish
        self._vault = vault
        self._follow = follow
        self._hosts = ObjectHosts(supervisor, uploads, clock, stale_upload_hours)
        self._open: dict[str, Triple] = {}
        self._configs: dict[str, DatasourceConfig] = {}
        self._failed: dict[str, str] = {}
        self._withheld: dict[str, str] = {}
        self.revival = Revival(self._revive, insists=follow)

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
        if folder is None and prepare is None:
            self._failed[config.name] = _NO_ANSWER
            await self.revival.begin(config.name)
            return
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

    async def _revive(self, name: str) -> bool:
        """Open a datasource on another server, from whatever an attempt before left. True: leave it at that."""
        try:
            await self._stop_parts(name)
            await self._hosts.leave(name)
            await self._start(self._configs[name], None)
        except CellsError as error:
            if self._failed.get(name) != error.message:
                log.error("datasource could not be opened", datasource=name, error=error.message)
            self._failed[name] = error.message
            return isinstance(error, Invalid)  # the configuration is wrong, and stays so
        self._failed.pop(name, None)
        return True

    async def close(self, name: str) -> None:
        """Stop the services of a datasource; its files and its index stay. Raises NotFound."""
        if name not in self._configs:
            raise NotFound(f"There is no datasource {name!r}", reason="root", path=name)
        await self.revival.end(name)
        del self._configs[name]
        self._failed.pop(name, None)
        self._withheld.pop(name, None)
        self._open.pop(name, None)
        await self._stop_parts(name)
        await self._hosts.leave(name)

    async def _stop_parts(self, name: str) -> None:
        for part in ("hashes", "sync", "blobs", "index"):
            await stop_service(self._supervisor, f"data.{part}.{name}")

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
        await self.revival.end(name)
        self._failed[name] = "its index is being replaced; try again in a moment"
        self._open.pop(name, None)
        try:
            await self._stop_parts(name)
            await swap()
        finally:
            self.objects(name).forget_bucket(name)
            await self._start_again(config)

    async def _start_again(self, config: DatasourceConfig) -> None:
        try:
            is_local = config.storage is Storage.LOCAL
            await self._start(config, await asyncio.to_thread(Path(config.folder).resolve) if is_local else None)
            del self._failed[config.name]
        except Exception as error:
            self._failed[config.name] = error.message if isinstance(error, CellsError) else repr(error)
            if config.storage is Storage.S3:
                self.revival.go_on(config.name)
            raise

    # migrations

    def migration(self, name: str) -> MigrationFiles:
        """The files of a datasource's migration."""
        return MigrationFiles(self.index_path(name))

    def inner(self, name: str) -> Triple:
        """An open datasource with its parts, also one that is withheld. Raises NotFound, Unavailable."""
        return self._open[name] if name in self._open else self.triple(name)

    def is_open(self, triple: Triple) -> bool:
        """Whether this datasource was not closed or opened anew since."""
        return self._open.get(triple.store.config.name) is triple

    def check_target(self, config: DatasourceConfig) -> None:
        """Raise what keeps a datasource from being at another place: see ``check_place``, ``check_bucket``.

        Its present place counts as one that is taken.
        """
        others = [
            msgspec.structs.replace(known, name=f"{known.name}, where it is now")
            if known.name == config.name
            else known
            for known in self._configs.values()
        ]
        if config.storage is Storage.S3:
            check_bucket(config, others)
        else:
            check_place(config, others, {"The data folder": self._data_dir})

    async def hold(self, name: str, reason: str, *, withhold: bool) -> Triple:
        """Stop the synchronizer of an open datasource and forbid writing, until it is opened anew.

        With ``withhold`` nothing of it is served. Raises Unavailable for one that is not open.
        """
        triple = self.inner(name)
        triple.store.alarm.held = reason
        if withhold:
            self._withheld[name] = reason
        for part in ("hashes", "sync"):
            await stop_service(self._supervisor, f"data.{part}.{name}")
        return triple

    async def release(self, name: str) -> None:
        """Open a datasource anew that was held, as a start of the server would."""
        await self.replace_index(name, _do_nothing)

    async def switch(self, name: str, config: DatasourceConfig, commit: Callable[[], Awaitable[None]]) -> None:
        """Close a datasource and let ``commit`` decide that it has another configuration from now on.

        It is opened again with that one, or, when ``commit`` raises, as it was. Meanwhile its users are told to try
        again. Goes on to its end when the caller is cancelled. Raises what ``commit`` raises; Unavailable when it does
        not start again.
        """
        await see_through(asyncio.ensure_future(self._switch(name, config, commit)))

    async def _switch(self, name: str, config: DatasourceConfig, commit: Callable[[], Awaitable[None]]) -> None:
        await self.revival.end(name)
        self._failed[name] = f"it is just moving to {config.place}; try again in a moment"
        self._open.pop(name, None)
        try:
            await self._stop_parts(name)
            await self._hosts.leave(name)
            await commit()
            self._configs[name] = config
        finally:
            await self._start_again(self._configs[name])

    async def _start(self, config: DatasourceConfig, folder: Path | None, prepare: Prepare | None = None) -> None:
        is_structured = config.format == Format.STRUCTURED
        if is_structured and config.encryption is not Encryption.NONE:
            raise Invalid(
                f"The files of a structured datasource are plain files: {config.name!r} can not be encrypted. Take "
                'format = "flat", or encryption = "none".',
                reason="encryption",
            )
        objects = await self._hosts.serve(config, folder)
        if folder is None and config.watch is Watch.AUTO:
            config = msgspec.structs.replace(config, watch=Watch.POLL)
        path = self.index_path(config.name)
        migrating = self.migration(config.name).settle(config, self._files)
        self._withheld.pop(config.name, None)
        if is_withheld(migrating) and migrating is not None:
            self._withheld[config.name] = describe_hold(migrating)
        if is_structured:
            self._files.refuse_only_tree(config.name)
        elif prepare is None:
            await self._take_index_back(config.name, objects.store)
        if prepare is not None:  # what is there belongs to none: a beginning that was cut short left it
            self._files.forget(config.name)
        self._files.make_folder(config.name)
        remove_leftovers(path)
        if prepare is not None:
            await prepare(objects.store, path)
        index = IndexService(config, path, self._clock, partial(self._tell, config.name))
        await start_service(self._supervisor, index)
        start = self._start_structured if is_structured else self._start_flat
        store = await start(config, objects.store, index.index)
        hashes = HashService(store, self._clock, fills=self._follow and config.hash_content)
        await start_service(self._supervisor, hashes)
        self._open[config.name] = Triple(store, objects.name, objects.store, index.index, hashes)

    def _tell(self, name: str, events: tuple[NodeEvent, ...]) -> None:
        """Publish what an index tells, and have new content hashed."""
        self._publish(events)
        if name in self._open:
            self._open[name].hashes.hear(events)

    async def _start_structured(
        self, config: DatasourceConfig, objects: Objects, index: SqliteIndex
    ) -> StructuredStore:
        with suppress(Unavailable):  # a disk that is away says so to whoever reads
            await refuse_flat(objects, config.name)
        config = await self._with_created(config, index)
        claims = Claims()
        sync = Synchronizer(config, objects, index, claims, clock=self._clock)
        store = StructuredStore(config, objects, objects, index, sync, claims, self.make_keeper(config.name))
        if self._follow and config.name not in self._withheld:
            await start_service(self._supervisor, SyncService(sync, config.name, store.alarm))
        return store

    def make_keeper(self, name: str) -> Keeper:
        """What keeps versions of a datasource that is structured, or is to become so."""
        return Keeper(partial(self._find_keeper, name), self._clock)

    def _find_keeper(self, name: str) -> Store | None:
        """The internal datasource that holds versions of others. Raises Unavailable when it is there and not open."""
        found = self.find(VERSIONS)
        return found if found is not None and found.config.format == Format.INTERNAL and name != VERSIONS else None

    async def _start_flat(self, config: DatasourceConfig, objects: Objects, index: SqliteIndex) -> FlatStore:
        is_writable = objects.capabilities(config.name).writable
        sealed = SealedStore(objects, config.name, self._vault)
        service = BlobsService(config, sealed, sealed, index, self._clock, sweep=self._follow and is_writable)
        await start_service(self._supervisor, service)
        service.store.config = await self._with_created(config, index)
        self._files.mark(config.name)
        return service.store

    async def _with_created(self, config: DatasourceConfig, index: SqliteIndex) -> DatasourceConfig:
        if not config.created:
            # The root's UUID is kept in its marker, so this time outlives the index.
            root = await index.read_node(ROOT)
            config = msgspec.structs.replace(config, created=time_of_uuid(root.uuid) or self._clock.time())
        return config

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
        return (await index.read_node(ROOT)).uuid if stats.files or stats.folders or stats.versions else None

    def has_index(self, name: str) -> bool:
        """Whether the data folder has an index of this name, in use or set aside."""
        return self._files.exists(name)

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
        return self._hosts.find(name) or self.triple(name).objects  # says what is wrong

    def list_sharing(self, name: str) -> tuple[str, ...]:
        """The datasources whose buckets are served by the object service of this one, itself among them, sorted."""
        return self._hosts.list_buckets(name)

    def snapshots(self, name: str) -> SnapshotPlace:
        """Where the snapshots of a datasource lie. Raises as ``objects``."""
        return self.objects(name).snapshots(name)

    def find(self, name: str) -> Store | None:
        """The datasource of this name, None when there is none. Raises Unavailable for one that failed to start."""
        if name in self._withheld:
            raise Unavailable(self._withheld[name], reason="migration", path=name)
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
        return sorted(self._open.keys() - self._withheld.keys())

    def is_internal(self, name: str) -> bool:
        """Whether a datasource of this name is for the server itself, so that no client is to see it."""
        config = self._configs.get(name)
        return config is not None and config.format == Format.INTERNAL

    def configs(self) -> list[DatasourceConfig]:
        """The configurations of all datasources, the failed ones included, by name."""
        return [self._configs[name] for name in sorted(self._configs)]

    def closed(self) -> list[str]:
        """What has an index in the data folder, or is configured, and is not open: nobody can ask it anything."""
        return sorted((self._configs.keys() | set(self._files.names())) - self._open.keys())

    def failure(self, name: str) -> str:
        """Why a datasource is not open; empty when it is."""
        return self._failed.get(name, "") or self._withheld.get(name, "")


async def _do_nothing() -> None:
    """The index stays as it is."""
