"""D2 for migrations: killed at any point, the next run ends with everything as it was, at the new place.

In between nothing is lost: the datasource is at the old place or at the new one, or (--move) not served at all.
"""

import shutil

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import Format
from cellsmono.interfaces.migration import MigrationAction, MigrationOptions, MigrationPhase

FILES = 12
VERSIONS = 3
MOST_POINTS = 1000

CHILD = """
import asyncio, mmap, os, signal, struct, sys
from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.datasource.migration import copying
from cellsmono.interfaces.datasource import DatasourceConfig, Format, WriteOptions
from cellsmono.interfaces.migration import MigrationAction, MigrationOptions
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.errors import Unavailable

data, source, target, old, new, operation, board, kill_at = sys.argv[1:9]

async def body(part):
    yield part

async def seed(core):
    config = DatasourceConfig(name="docs", folder=source, format=old, watch="off", hash_content=False)
    await core.installation.add_datasource(config)
    store = core.datasources.triple("docs").store
    kept = os.path.join(os.path.dirname(source), "kept")
    os.mkdir(kept)
    await core.installation.add_datasource(DatasourceConfig(name="versions", folder=kept, format=Format.INTERNAL))
    await store.set_versioning(Versioning.ENABLED)
    for n in range(3):
        await store.put_node(f"tree/{n % 3}/k{n}", body(b"older %d" % n), PlainDigest(), WriteOptions())
    for n in range(12):
        options = WriteOptions(meta=NodeMeta(user={"n": str(n)}))
        await store.put_node(f"tree/{n % 3}/k{n}", body(b"%d" % n * 50), PlainDigest(), options)

async def main():
    flags = {"server.data_dir": (data, "--data-dir")}
    async with open_core(load_config(flags, environ={"HOME": data}), follow=False) as core:
        if operation == "seed":
            return await seed(core)
        action, moves = MigrationAction, operation == "move"
        if operation == "processes":
            copying.MANY_FILES, os.sched_getaffinity = 1, lambda pid: {0, 1}
        run = MigrationOptions(action.RUN, Format(new), target, {}, moves)
        with open(board, "r+b") as file:
            shared = mmap.mmap(file.fileno(), 4096)
        shared[0:12] = struct.pack("iii", 1, 0, int(kill_at))
        try:
            await core.installation.migrate("docs", run)
        except Unavailable as error:  # the point lay in a process that copies: then all are killed
            if error.reason != "copying":
                raise
            os.kill(os.getpid(), signal.SIGKILL)
        if not moves:
            await core.installation.migrate("docs", MigrationOptions(action.FINISH))
        shared[0:4] = struct.pack("i", 0)
        os.write(1, b"ack")

asyncio.run(main())
"""


class Place:
    """A datasource before its migration, brought to the same beginning for each point."""

    def __init__(self, root, run_to_point, old: Format, new: Format) -> None:
        self.run_to_point, self.new = run_to_point, new
        self.now, self.begin = root / "now", root / "begin"
        self.source, self.target, self.data = self.now / "source", self.now / "target", self.now / "data"
        for made in (self.source, self.data):
            made.mkdir(parents=True)
        self._formats = (str(old), str(new))
        self.run("seed", 0)
        shutil.copytree(self.now, self.begin)

    def run(self, operation: str, kill_at: int) -> tuple[bool, int]:
        places = (str(self.data), str(self.source), str(self.target))
        return self.run_to_point(CHILD, *places, *self._formats, operation, kill_at=kill_at)

    def reset(self) -> None:
        shutil.rmtree(self.now)
        shutil.copytree(self.begin, self.now)

    def open(self):
        flags = {"server.data_dir": (str(self.data), "--data-dir")}
        return open_core(load_config(flags, environ={"HOME": str(self.data)}), follow=False)

    async def check(self, operation: str) -> None:
        """Go on to the end after a kill, and look at everything."""
        async with self.open() as core:
            if not core.datasources.failure("docs"):
                await _check_tree(core)
            state = core.datasources.migration("docs").read()
            at_target = core.datasources.configs()[0].folder == str(self.target)
            if not at_target:
                begin = MigrationOptions(MigrationAction.RUN, self.new, str(self.target), {}, operation == "move")
                report = await core.installation.migrate("docs", begin if state is None else MigrationOptions())
                assert report.problems == ()
            state = core.datasources.migration("docs").read()
            if state is not None:
                assert state.phase is MigrationPhase.SWITCHED
                report = await core.installation.migrate("docs", MigrationOptions(MigrationAction.FINISH))
                assert report.left == ()
            await _check_tree(core)
            assert not self.source.exists()
            keeper = core.datasources.triple("versions").store
            assert (await keeper.index.stats()).files == (VERSIONS if self.new is Format.STRUCTURED else 0)
        async with self.open() as core:
            assert core.datasources.triple("docs").store.config.folder == str(self.target)
            await _check_tree(core)
            assert (await core.installation.check("docs")).is_fine
        left = {path.name for path in (self.data / "datasources" / "docs").iterdir()}
        assert left <= {"index.db", "index.db-wal", "index.db-shm", "flat"}


async def _check_tree(core) -> None:
    store = core.datasources.triple("docs").store
    assert await store.index.verify() == []
    assert (await store.index.stats()).files == FILES
    assert (await store.index.stats()).versions == VERSIONS
    for n in range(VERSIONS):
        (_, older) = await store.index.read_versions(f"tree/{n % 3}/k{n}")
        opened = await store.open_version(older.key, older.id)
        assert await opened.reader.read(0, 1000) == b"older %d" % n
        opened.reader.close()
    for n in range(FILES):
        opened = await store.open_node(f"tree/{n % 3}/k{n}")
        assert await opened.reader.read(0, 1000) == b"%d" % n * 50
        assert opened.node.meta.user == {"n": str(n)}
        opened.reader.close()


@pytest.fixture(
    params=[(Format.STRUCTURED, Format.FLAT), (Format.FLAT, Format.STRUCTURED), (Format.FLAT, Format.FLAT)],
    ids="-".join,
)
def place(tmp_path, run_to_point, request):
    return Place(tmp_path, run_to_point, *request.param)


async def run_points(place: Place, operation: str, step: int) -> int:
    """Kill at every ``step``-th point, at the first and at the last; how many points there are."""
    acknowledged, total = place.run(operation, 0)
    assert acknowledged
    assert 0 < total < MOST_POINTS
    await place.check(operation)
    for number in sorted({1, total, *range(1, total + 1, step)}):
        place.reset()
        place.run(operation, number)
        await place.check(operation)
    return total


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("operation", "step"), [("copy", 29), ("move", 31), ("processes", 37)])
async def test_d2_a_kill_at_some_points_of_a_migration(place, operation, step):
    total = await run_points(place, operation, step)
    assert total >= 60, f"only {total} points: the harness is blind"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operation", ["copy", "move", "processes"])
async def test_d2_a_kill_at_every_point_of_a_migration(place, operation):
    await run_points(place, operation, step=1)
