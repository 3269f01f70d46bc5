"""What a snapshot of the index costs, beside copying the database file and compressing it.

    PYTHONPATH=src python bench/bench_snapshot.py [--nodes 100000 1000000] [--folder DIR]

Every figure is CPU time of this process (all threads) and its children, and they are compared within one run: a dump
may cost at most four times what ``cp`` of the database and zlib over it cost together. The memory is what the process
grew by while it dumped, and the pause is the longest time that the event loop was held up.
"""

import argparse
import asyncio
import os
import resource
import subprocess
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench_index import load, make_tree, rss_mib, show
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.snapshots.catalog import list_snapshots
from cellsmono.datasource.snapshots.dump import dump_index
from cellsmono.datasource.snapshots.format import LEVEL
from cellsmono.datasource.snapshots.leaves import Content
from cellsmono.datasource.snapshots.load import Expected, prepare_index, unpack_snapshot
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.node import Facts, Node
from cellsmono.interfaces.snapshots import SnapshotOrigin
from cellsmono.kernel.clock import SystemClock

TARGET = 4.0


def cpu() -> float:
    mine, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime


async def cost(work: Awaitable[object]) -> float:
    begun = cpu()
    await work
    return cpu() - begun


async def copy_and_compress(path: Path, folder: Path) -> None:
    copy = folder / "copy.db"
    subprocess.run(["cp", path, copy], check=True)
    packer = zlib.compressobj(LEVEL)
    with copy.open("rb") as source, (folder / "copy.z").open("wb") as target:
        while data := source.read(1 << 20):
            target.write(packer.compress(data))
        target.write(packer.flush())


@asynccontextmanager
async def watched() -> AsyncIterator[dict[str, float]]:
    """The longest pause of the event loop, and the most memory, while inside."""
    found = {"pause": 0.0, "memory": 0.0}
    before = rss_mib()

    async def watch() -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.005)
            found["pause"] = max(found["pause"], time.monotonic() - begun - 0.005)
            found["memory"] = max(found["memory"], rss_mib() - before)

    task = asyncio.create_task(watch())
    yield found
    task.cancel()


class Everything(Content):
    """A storage that has all bytes, and costs nothing."""

    prunes = False

    def __init__(self) -> None:
        """Nothing to open."""

    async def look(self, leaves: Sequence[Node]) -> list[Facts | None]:
        return [node.facts for node in leaves]


async def measure(nodes: int, folder: Path) -> None:
    print(f"{nodes:,} nodes", flush=True)
    (folder / "docs").mkdir(exist_ok=True)
    path = folder / f"{nodes}.db"
    index = await SqliteIndex.open(path, datasource="docs")
    await load(index, make_tree(nodes))
    await index.close()
    index = await SqliteIndex.open(path, datasource="docs")
    store = LocalStore("objects", folder)
    store.add_bucket("docs", "docs")
    place, config = store.snapshots("docs"), DatasourceConfig(name="docs", folder=str(folder / "docs"))
    show("database", path.stat().st_size / 2**20, "MiB")
    plain = await cost(copy_and_compress(path, folder))
    async with watched() as found:
        dump = await cost(
            dump_index(index, path, place, "x", config, origin=SnapshotOrigin.MANUAL, clock=SystemClock())
        )
    show("snapshot", os.stat(folder / ".cellsmono/docs/snapshots/x").st_size / 2**20, "MiB")
    show("cp and zlib", plain, "s CPU")
    show("dump", dump, "s CPU")
    show(f"dump against cp and zlib (target: at most {TARGET:.0f})", dump / plain, "x")
    show("memory while dumping", found["memory"], "MiB")
    show("longest pause of the loop while dumping", found["pause"] * 1e3, "ms wall")
    show("list (checks everything)", await cost(list_snapshots(place)), "s CPU")
    expected = Expected(config, "")
    begun = cpu()
    _, loading = await unpack_snapshot(place.open("x"), "x", path, expected.check)
    show("unpack", cpu() - begun, "s CPU")
    show("check and compare before a load", await cost(prepare_index(loading, "x", "docs", Everything())), "s CPU")
    await index.close()
    await store.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, nargs="+", default=[100_000])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    for nodes in options.nodes:
        with tempfile.TemporaryDirectory(prefix="cellsmono-bench-", dir=options.folder) as place:
            await measure(nodes, Path(place))


asyncio.run(main())
