"""A stand-in for the installation, and a control socket in front of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cellsmono.gateway.control import ControlService
from cellsmono.interfaces.credentials import AccessKey
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.hashes import (
    HashFinding,
    HashProblem,
    RehashOptions,
    RehashProgress,
    RehashReport,
)
from cellsmono.interfaces.operations import CheckReport, DatasourceInfo, OriginValue
from cellsmono.interfaces.snapshots import LoadOptions, LoadReport, SnapshotInfo, SnapshotProgress
from cellsmono.interfaces.sync import Progress, ResyncOptions, ResyncReport
from cellsmono.kernel.errors import Conflict, NotFound
from cellsmono.kernel.registry import Kind, ServiceRow
from cellsmono.kernel.service import ServiceState


class FakeOperations:
    """Operations on two lists, with a resync that goes on until it is released."""

    def __init__(self) -> None:
        self.sources = {"abc": DatasourceConfig(name="abc", folder="/x")}
        self.keys = [AccessKey("ONE", "never-shown", "first", 5.0)]
        self.asked: list[object] = []
        self.begun = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()

    def _describe(self, config: DatasourceConfig) -> DatasourceInfo:
        return DatasourceInfo(config, "store", "data.objects.local1", ServiceState.READY)

    async def list_services(self) -> list[ServiceRow]:
        return [ServiceRow("data.index.abc", "datasource", Kind.GRPC, ServiceState.DEGRADED, "why")]

    async def list_datasources(self) -> list[DatasourceInfo]:
        return [self._describe(config) for config in self.sources.values()]

    async def read_datasource(self, name: str) -> DatasourceInfo:
        if name not in self.sources:
            raise NotFound(f"There is no datasource {name!r}", reason="root", path=name)
        return self._describe(self.sources[name])

    async def add_datasource(self, config: DatasourceConfig, snapshot: str = "") -> DatasourceInfo:
        self.asked.append(snapshot)
        self.sources[config.name] = config
        return self._describe(config)

    async def remove_datasource(self, name: str, with_snapshots: bool = False, bypass: bool = False) -> None:
        await self.read_datasource(name)
        self.asked.append(with_snapshots)
        raise Conflict("it is configured", reason="configured")

    async def resync(
        self,
        name: str,
        path: str = "",
        options: ResyncOptions = ResyncOptions(),
        progress: Callable[[Progress], None] | None = None,
    ) -> ResyncReport:
        self.asked.append((name, path, options))
        if path == "missing":
            raise NotFound("no such path", path=path)
        if path == "broken":
            raise RuntimeError("a fault")
        if progress is not None:
            progress(Progress(1, 2, 3, 4.0, 5.0, "a/"))
        self.begun.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return ResyncReport(path, created=7)

    async def dump_snapshot(
        self, name: str, basename: str, progress: Callable[[SnapshotProgress], None] | None = None
    ) -> SnapshotInfo:
        if progress is not None:
            progress(SnapshotProgress("packing", 1, 2))
        await self.release.wait()
        return SnapshotInfo(basename, 5)

    async def list_snapshots(self, name: str) -> list[SnapshotInfo]:
        return [SnapshotInfo("x.db", 5, problem="cut short")]

    async def load_snapshot(
        self,
        name: str,
        basename: str,
        options: LoadOptions = LoadOptions(),
        progress: Callable[[SnapshotProgress], None] | None = None,
    ) -> LoadReport:
        self.asked.append((name, basename, options))
        return LoadReport(name, SnapshotInfo(basename, 5), absent=("gone",), absent_total=1)

    async def delete_snapshot(self, name: str, basename: str) -> None:
        raise NotFound(f"There is no snapshot {basename!r}.", reason="snapshot", path=basename)

    async def check(
        self, name: str, repair: bool = False, progress: Callable[[Progress], None] | None = None
    ) -> CheckReport:
        return CheckReport(name, ("a violation",), ResyncReport(""), repair)

    async def rehash(
        self,
        name: str,
        path: str = "",
        options: RehashOptions = RehashOptions(),
        progress: Callable[[RehashProgress], None] | None = None,
    ) -> RehashReport:
        self.asked.append((name, path, options))
        if progress is not None:
            progress(RehashProgress(1, 2, 3, 4, 5.0, None, "a"))
        await self.release.wait()
        return RehashReport(path, counts={HashProblem.ROT: 1}, findings=[HashFinding(HashProblem.ROT, "a", "why")])

    async def list_keys(self) -> list[AccessKey]:
        return self.keys

    async def create_key(self, description: str = "") -> AccessKey:
        return AccessKey("NEW", "shown-once", description, 6.0)

    async def revoke_key(self, access_key: str) -> None:
        if access_key != "ONE":
            raise NotFound("no such key")
        self.keys.clear()

    async def show_config(self) -> list[OriginValue]:
        return [OriginValue("s3.region", "here", "default")]


@pytest.fixture
async def operations() -> FakeOperations:
    """What the control socket is asked for."""
    return FakeOperations()


@pytest.fixture
async def control(operations: FakeOperations, tmp_path: Path) -> AsyncIterator[Path]:
    """A data folder with a live control socket; its path is longer than the kernel takes."""
    folder = tmp_path / ("long-" * 20) / "data"
    folder.mkdir(parents=True)
    async with ControlService(operations, folder).lifespan():
        yield folder
