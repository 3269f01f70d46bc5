"""D2 for snapshots: killed in every phase of a dump and of a load.

After a dump the snapshot of that name is the old one or the new one, whole. After a load the index is the old one or
the new one, whole; and where it is the new one, the old one is in a snapshot, and subscribers hear that they must read
again.
"""

import shutil

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.events import EventKind
from cellsmono.interfaces.snapshots import SnapshotOrigin

BUCKET = "docs"
MOST_POINTS = 400

CHILD = """
import asyncio, mmap, os, struct, sys
from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.data.router.digest import PlainDigest
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.node import NodeMeta

data, config, operation, board, kill_at = sys.argv[1:6]

async def body(part):
    yield part

async def seed(core):
    store = core.datasources.triple("docs").store
    for n in range(30):
        options = WriteOptions(meta=NodeMeta(user={"v": "old"}))
        await store.put_node(f"tree/{n % 4}/k{n}", body(b"%d" % n), PlainDigest(), options)
    if store.sync is not None:
        await store.sync.resync()
    await core.installation.dump_snapshot("docs", "snapshot.db")
    for n in range(30):
        await store.update_meta(f"tree/{n % 4}/k{n}", lambda meta: NodeMeta(user={"v": "new"}))

async def dump(core): await core.installation.dump_snapshot("docs", "snapshot.db")
async def load(core): await core.installation.load_snapshot("docs", "snapshot.db")

async def main():
    flags = {"server.data_dir": (data, "--data-dir")}
    async with open_core(load_config(flags, config_file=config, environ={"HOME": data}), follow=False) as core:
        if operation == "seed":
            return await seed(core)
        with open(board, "r+b") as file:
            shared = mmap.mmap(file.fileno(), 4096)
        shared[0:12] = struct.pack("iii", 1, 0, int(kill_at))
        await globals()[operation](core)
        shared[0:4] = struct.pack("i", 0)
        os.write(1, b"ack")

asyncio.run(main())
"""


class Place:
    """A datasource with a snapshot, brought to the same beginning for each point."""

    def __init__(self, root, run_to_point, format_: str) -> None:
        self.run_to_point = run_to_point
        self.now, self.begin, self.config = root / "now", root / "begin", root / "config.toml"
        self.folder, self.data = self.now / BUCKET, self.now / "data"
        self.config.write_text(
            f'[[datasource]]\nname = "{BUCKET}"\nfolder = "{self.folder}"\nwatch = "off"\nhash_content = false\n'
            f'format = "{format_}"\n'
        )
        for made in (self.folder, self.data):
            made.mkdir(parents=True)
        self.run("seed", 0)
        shutil.copytree(self.now, self.begin)

    def run(self, operation: str, kill_at: int) -> tuple[bool, int]:
        return self.run_to_point(CHILD, str(self.data), str(self.config), operation, kill_at=kill_at)

    def reset(self) -> None:
        shutil.rmtree(self.now)
        shutil.copytree(self.begin, self.now)

    async def check(self, operation: str, *, acknowledged: bool) -> None:
        flags = {"server.data_dir": (str(self.data), "--data-dir")}
        loaded = load_config(flags, config_file=str(self.config), environ={"HOME": str(self.data)})
        async with open_core(loaded, follow=False) as core:
            index = core.datasources.triple(BUCKET).index
            assert await index.verify() == []
            nodes = [await index.read_node(f"tree/{n % 4}/k{n}") for n in range(30)]
            version = {node.meta.user["v"] for node in nodes}
            infos = {info.name: info for info in await core.installation.list_snapshots(BUCKET)}
            assert [info.problem for info in infos.values() if info.problem] == []
            if operation == "dump":
                assert version == {"new"}
                await core.installation.load_snapshot(BUCKET, "snapshot.db")
                saved = await core.datasources.triple(BUCKET).index.read_node("tree/0/k0")
                assert saved.meta.user["v"] in ({"new"} if acknowledged else {"old", "new"})
            else:
                assert version in ([{"old"}] if acknowledged else [{"old"}, {"new"}])
                if version == {"old"}:
                    await self._check_loaded(core, index, infos)
        left = [
            p.name
            for p in self.now.rglob("*")
            if p.name.startswith("t-") or ".loading" in p.name or ".dumping" in p.name
        ]
        assert left == []

    async def _check_loaded(self, core, index, infos) -> None:
        page = await index.changes(0)
        assert page.missed
        assert [event.seq for event in page.events] == list(range(page.events[0].seq, page.last + 1))
        assert EventKind.RELOAD in [event.kind for event in page.events]
        (safety,) = [name for name, info in infos.items() if info.header.origin is SnapshotOrigin.SAFETY]
        assert page.events[0].seq >= infos[safety].header.sequence
        await core.installation.load_snapshot(BUCKET, safety)
        assert (await core.datasources.triple(BUCKET).index.read_node("tree/0/k0")).meta.user == {"v": "new"}


@pytest.fixture(params=["structured", "flat"])
def place(tmp_path, run_to_point, request):
    return Place(tmp_path, run_to_point, request.param)


async def run_points(place: Place, operation: str, step: int) -> int:
    """Kill at every ``step``-th point, at the first and at the last; how many points there are."""
    acknowledged, total = place.run(operation, 0)
    assert acknowledged
    assert 0 < total < MOST_POINTS
    await place.check(operation, acknowledged=True)
    for number in sorted({1, total, *range(1, total + 1, step)}):
        place.reset()
        acknowledged, passed = place.run(operation, number)
        assert acknowledged == (passed < number), "the process did not die at its point"
        await place.check(operation, acknowledged=acknowledged)
    return total


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("operation", "step", "least"), [("dump", 3, 8), ("load", 13, 40)])
async def test_d2_a_kill_at_some_points_of_a_dump_and_a_load(place, operation, step, least):
    total = await run_points(place, operation, step)
    assert total >= least, f"only {total} points: the harness is blind"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operation", ["dump", "load"])
async def test_d2_a_kill_at_every_point_of_a_dump_and_a_load(place, operation):
    await run_points(place, operation, step=1)
