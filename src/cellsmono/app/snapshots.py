"""Snapshots of the datasources of one installation: by hand, by schedule, and as a beginning of a new datasource."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from cellsmono.datasource.build import Datasources, Prepare
from cellsmono.datasource.flat.layout import key_of_leaf, read_record
from cellsmono.datasource.hosting import Objects
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.snapshots import catalog, load
from cellsmono.datasource.snapshots.dump import dump_index, ignore_progress
from cellsmono.datasource.snapshots.leaves import Compared, Content
from cellsmono.datasource.snapshots.load import Expected
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.snapshots import (
    LoadOptions,
    LoadReport,
    SnapshotInfo,
    SnapshotOrigin,
    SnapshotPlace,
    SnapshotProgress,
    check_basename,
)
from cellsmono.interfaces.sync import ResyncOptions, ResyncReport
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceState, ServiceStatus
from cellsmono.kernel.worker import Worker

log = get_logger("snapshots")

LOOK_SECONDS = 600.0
"""How often the schedule is looked at."""

Progress = Callable[[SnapshotProgress], None]


class Snapshots:
    """What ``Operations`` says about snapshots. One thing at a time for each datasource, the others wait."""

    def __init__(self, datasources: Datasources, clock: Clock) -> None:
        self._datasources = datasources
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self.failures: dict[str, str] = {}
        """Why the last scheduled dump of a datasource failed, by its name."""

    def exclusive(self, name: str) -> AbstractAsyncContextManager[None]:
        """Held by whatever must not meet a dump or load of this datasource."""
        return self._locks.setdefault(name, asyncio.Lock())

    # by hand

    async def dump(
        self,
        name: str,
        basename: str,
        progress: Progress | None = None,
        origin: SnapshotOrigin = SnapshotOrigin.MANUAL,
    ) -> SnapshotInfo:
        """See ``Operations.dump_snapshot``."""
        check_basename(basename)
        async with self.exclusive(name):
            return await self._dump(name, basename, progress, origin)

    async def _dump(self, name: str, basename: str, progress: Progress | None, origin: SnapshotOrigin) -> SnapshotInfo:
        triple, place = self._datasources.triple(name), self._datasources.snapshots(name)
        note = progress or ignore_progress
        return await self._dump_index(triple.index, triple.store.config, place, basename, note, origin)

    async def _dump_index(
        self,
        index: SqliteIndex,
        config: DatasourceConfig,
        place: SnapshotPlace,
        basename: str,
        note: Progress,
        origin: SnapshotOrigin,
    ) -> SnapshotInfo:
        path = self._datasources.index_path(config.name)
        info = await dump_index(index, path, place, basename, config, origin=origin, clock=self._clock, note=note)
        log.info("snapshot dumped", datasource=config.name, snapshot=basename, origin=origin, bytes=info.size)
        return info

    async def list_checked(self, name: str) -> list[SnapshotInfo]:
        """See ``Operations.list_snapshots``."""
        return await catalog.list_snapshots(self._datasources.snapshots(name))

    async def delete(self, name: str, basename: str) -> None:
        """See ``Operations.delete_snapshot``."""
        async with self.exclusive(name):
            await self._datasources.snapshots(name).delete(basename)
        log.info("snapshot deleted", datasource=name, snapshot=basename)

    async def delete_all(self, name: str) -> None:
        """Remove every snapshot of a datasource. For whoever holds ``exclusive``."""
        place = self._datasources.snapshots(name)
        for file in await place.list_files():
            await place.delete(file.name)

    async def load(
        self, name: str, basename: str, options: LoadOptions = LoadOptions(), progress: Progress | None = None
    ) -> LoadReport:
        """See ``Operations.load_snapshot``."""
        check_basename(basename)
        async with self.exclusive(name):
            report = await self._load(name, basename, options, progress or ignore_progress)
        log.info("snapshot loaded", datasource=name, snapshot=basename, absent=report.absent_total)
        return report

    async def _load(self, name: str, basename: str, options: LoadOptions, note: Progress) -> LoadReport:
        place, path = self._datasources.snapshots(name), self._datasources.index_path(name)
        config = next(config for config in self._datasources.configs() if config.name == name)
        root = ""
        if not self._datasources.failure(name):
            root = (await self._datasources.triple(name).index.read_node("")).uuid
        expected = Expected(config, root, options.force_foreign)
        header, loading = await load.unpack_snapshot(place.open(basename), basename, path, expected.check, note)
        try:
            content = await _find_content(self._datasources.objects(name), config)
            compared = await load.prepare_index(loading, basename, name, content, note)
            has_lock = await load.has_object_lock(loading, name)
            refusal = load.refuse_lost_locks(basename) if has_lock and not options.accept_lost_locks else None
            if refusal is not None and self._datasources.failure(name) and not await _is_readable(path, name):
                raise refusal
            safety, kept = await self._switch(config, loading, content, compared, note, refusal)
        finally:
            load.remove_leftovers(path)
        size = next(file.size for file in await place.list_files() if file.name == basename)
        return LoadReport(
            name,
            SnapshotInfo(basename, size, header),
            safety,
            kept,
            tuple(compared.absent),
            compared.absent_total,
            compared.adopted,
            await self._compare(name),
            has_lock and bool(kept),
        )

    async def _compare(self, name: str) -> ResyncReport | None:
        sync = self._datasources.triple(name).store.sync
        return None if sync is None else await sync.resync("", ResyncOptions(full=True))

    async def _switch(
        self,
        config: DatasourceConfig,
        loading: Path,
        content: Content,
        compared: Compared,
        note: Progress,
        refusal: Conflict | None,
    ) -> tuple[str, str]:
        """Put a prepared index in place, while nobody can change the old one: so its safety dump holds all of it.

        Returns the basename of that dump, or the path at which an index is kept that can not be read; ``refusal`` is
        raised instead of that.
        """
        name = config.name
        path, place = self._datasources.index_path(name), self._datasources.snapshots(name)
        stem = await self._new_stem(place, "before-load")
        safety, kept = f"{stem}.db", ""

        async def swap() -> None:
            nonlocal safety, kept
            last = 0
            try:
                last = await self._save_old(config, place, safety, note)
            except (Corrupt, Invalid) as error:
                log.warning("the old index can not be read", datasource=name, error=error.message)
                if refusal is not None:
                    raise refusal from error
                safety, kept = "", f"{path}.{stem}"
                await asyncio.to_thread(load.keep_damaged, path, Path(kept))
            old = None if kept else path
            await load.finish_index(loading, name, content, compared, last, note, old, self._clock)
            note(SnapshotProgress("putting in place"))
            await asyncio.to_thread(load.put_in_place, loading, path)

        await self._datasources.replace_index(name, swap)
        return safety, kept

    async def _save_old(self, config: DatasourceConfig, place: SnapshotPlace, basename: str, note: Progress) -> int:
        """Dump an index that is closed; the number of its last event. Raises Corrupt, Invalid when that can not be."""
        path = self._datasources.index_path(config.name)
        index = await SqliteIndex.open(path, datasource=config.name, durability=config.durability)
        try:
            await self._dump_index(index, config, place, basename, note, SnapshotOrigin.SAFETY)
            return (await index.stats()).last_sequence
        finally:
            await index.close()

    # a new datasource

    def adopting(self, config: DatasourceConfig, snapshot: str) -> Prepare:
        """What makes the index of a new datasource from a snapshot, see ``Operations.add_datasource``."""

        async def prepare(objects: Objects, path: Path) -> None:
            is_file = "/" in snapshot
            pieces = read_file(Path(snapshot)) if is_file else objects.snapshots(config.name).open(snapshot)
            expected = Expected(config, force_foreign=True)
            _, loading = await load.unpack_snapshot(pieces, snapshot, path, expected.check)
            await load.prepare_index(loading, snapshot, config.name, await _find_content(objects, config))
            await asyncio.to_thread(load.put_in_place, loading, path)
            log.info("datasource begins with a snapshot", datasource=config.name, snapshot=snapshot)

        return prepare

    # the schedule

    async def dump_due(self) -> bool:
        """Dump every datasource whose time has come, and remove what was kept long enough. A step of a worker."""
        for name in self._datasources.names():
            try:
                async with self.exclusive(name):
                    await self._follow_schedule(name)
            except Exception as error:  # the others have their turn all the same
                self.failures[name] = str(error)
                log.warning("scheduled snapshot failed", datasource=name, error=str(error))
            else:
                self.failures.pop(name, None)
        return False

    async def _follow_schedule(self, name: str) -> None:
        if self._datasources.find(name) is None:
            return
        triple, now = self._datasources.triple(name), self._clock.time()
        config = triple.store.config
        hours = catalog.hours_between(config)
        if not hours:
            return
        place = self._datasources.snapshots(name)
        scheduled = await catalog.list_scheduled(place)
        if catalog.is_due(scheduled.values(), now, hours, (await triple.index.stats()).last_sequence):
            basename = f"{await self._new_stem(place, 'scheduled')}.db"
            info = await self._dump(name, basename, None, SnapshotOrigin.SCHEDULE)
            if info.header is not None:
                scheduled[basename] = info.header
        await self._remove_expired(place, name, catalog.choose_expired(scheduled, now, config.snapshot_keep_days))

    async def _remove_expired(self, place: SnapshotPlace, name: str, expired: list[str]) -> None:
        for basename in expired:
            try:
                await place.delete(basename)
            except NotFound:
                continue
            log.info("old snapshot removed", datasource=name, snapshot=basename)

    async def _new_stem(self, place: SnapshotPlace, prefix: str) -> str:
        """A basename without its ending that tells the time and is not taken."""
        taken = {file.name for file in await place.list_files()}
        stem = f"{prefix}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(self._clock.time()))}"
        numbered = itertools.chain((stem,), (f"{stem}-{number}" for number in itertools.count(2)))
        return next(name for name in numbered if f"{name}.db" not in taken)


async def _is_readable(path: Path, name: str) -> bool:
    try:
        await load.has_object_lock(path, name)
    except (Corrupt, Invalid):
        return False
    return True


class SnapshotService:
    """``data.snapshots``: the schedule."""

    name = "data.snapshots"
    tag = "datasource"

    def __init__(self, snapshots: Snapshots, clock: Clock) -> None:
        self._snapshots = snapshots
        self._worker = Worker(self.name, snapshots.dump_due, interval=LOOK_SECONDS, clock=clock)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Dumps while entered."""
        async with self._worker.running():
            yield

    def status(self) -> ServiceStatus:
        """Degraded while a dump fails."""
        for name, why in self._snapshots.failures.items():
            return ServiceStatus(ServiceState.DEGRADED, f"{name}: {why}")
        return self._worker.status()


async def _find_content(objects: Objects, config: DatasourceConfig) -> Content:
    """Where the bytes of a datasource's leaves lie. Raises Unavailable for a flat store that is not there."""
    if config.format is Format.STRUCTURED:
        return Content(objects, config.name, key_of=_path_of)
    record = await read_record(objects, config.name)
    if record is None:
        raise Unavailable(
            f"{config.place} is no flat store; is its disk mounted, are bucket and prefix right? Nothing was changed.",
            reason="offline",
        )
    return Content(objects, config.name, key_of=partial(key_of_leaf, record.layout), prunes=True)


def _path_of(node: Node) -> str:
    return node.path


async def read_file(path: Path) -> AsyncGenerator[bytes, None]:
    """The bytes of a snapshot that is a file. Raises NotFound."""
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except OSError as error:
        raise NotFound(f"The snapshot {path} can not be read: {error.strerror}.", path=str(path)) from None
    try:
        while data := await asyncio.to_thread(file.read, 1024 * 1024):
            yield data
    finally:
        file.close()
