"""What the stored index costs, and how that grows with the tree.

    PYTHONPATH=src python bench/bench_index.py [--nodes 10000 100000 1000000] [--folder DIR]

Every figure is CPU time of this process (all threads) unless it says wall; medians of several runs. Each tree has 80 %
of its files in folders of 100 at depth 6, 10 % in one flat folder, and 10 % with odd names.
"""

import argparse
import asyncio
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.interfaces.node import Facts
from cellsmono.interfaces.patch import MoveNode, Operation, Patch, PutFolder, PutLeaf
from cellsmono.store import database

SLICE = 5_000
MD5 = "0cc175b9c0f1b6a831c399e269772661"


def make_tree(nodes: int) -> Iterator[Operation]:
    """Parents first, the children of a folder together, as a first scan brings them."""
    ino = 1

    def leaf(path: str) -> PutLeaf:
        nonlocal ino
        ino += 1
        return PutLeaf(path, Facts(1000 + ino % 777, 1_700_000_000_000_000_000 + ino, ino, 64769, 0o100644))

    for number in range(nodes // 10):
        yield leaf(f"flat/file-{number:07}.bin")
    odd = ["a-b", ".", "0", "~", " ", "é"]
    for number in range(nodes // 10):
        yield leaf(f"odd/{number // 1000}/{odd[number % 6]}{number}")
    for number in range(nodes * 8 // 10):
        folder = number // 100
        parts = [str(folder // 2000), str(folder // 200 % 10), str(folder // 20 % 10), str(folder % 20)]
        yield leaf(f"deep/tree/{parts[0]}/{parts[1]}/{parts[2]}/{parts[3]}/photo-{number:08}.jpg")


async def cpu_ms(function: Callable[[], Awaitable[object]], runs: int = 7) -> float:
    """Median CPU milliseconds of one call."""
    found = []
    for _ in range(runs):
        begun = time.process_time()
        await function()
        found.append((time.process_time() - begun) * 1e3)
    return statistics.median(found)


def rss_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def load(index: SqliteIndex, operations: Iterator[Operation]) -> None:
    batch: list[Operation] = []
    for operation in operations:
        batch.append(operation)
        if len(batch) == SLICE:
            await index.apply(Patch(tuple(batch), "resync", bulk=True))
            batch = []
    await index.apply(Patch(tuple(batch), "resync", bulk=True))


def show(what: str, value: float, unit: str) -> None:
    print(f"  {what:<58} {value:>10.2f} {unit}", flush=True)


async def measure(nodes: int, folder: Path) -> None:
    print(f"{nodes:,} nodes", flush=True)
    path = folder / f"{nodes}.db"
    index = await SqliteIndex.open(path, datasource="bench")
    begun = time.process_time()
    await load(index, make_tree(nodes))
    took = time.process_time() - begun
    show("first import", took / nodes * 1e6, "us/node")
    await index.close()
    show("file", path.stat().st_size / nodes, "bytes/node")
    index = await SqliteIndex.open(path, datasource="bench")
    try:
        await measure_reads(index, nodes)
        await measure_writes(index, nodes)
        await measure_moves(index)
        begun = time.process_time()
        violations = await index.verify()
        show("verify", time.process_time() - begun, "s")
        if violations:
            sys.exit("\n".join(violations))
    finally:
        await index.close()


async def measure_reads(index: SqliteIndex, nodes: int) -> None:
    chance = random.Random(1)
    count = nodes * 8 // 10

    def deep(number: int) -> str:
        folder = number // 100
        return (
            f"deep/tree/{folder // 2000}/{folder // 200 % 10}/{folder // 20 % 10}/{folder % 20}/photo-{number:08}.jpg"
        )

    paths = [deep(chance.randrange(count)) for _ in range(3000)]

    async def look_up() -> None:
        for path in paths:
            await index.read_node(path)

    show("look-up, one by one, first time", await cpu_ms(look_up, 1) * 1e3 / len(paths), "us")
    show("look-up, cached", await cpu_ms(look_up) * 1e3 / len(paths), "us")
    more = [[deep(chance.randrange(count)) for _ in range(1000)] for _ in range(7)]
    show("look-up, 1,000 in one hop", await cpu_ms(lambda: index.read_nodes(more.pop())), "us")
    flat = nodes // 10
    tail = f"flat/file-{max(0, flat - 1001):07}.bin"
    show("S3 page, flat, first", await cpu_ms(lambda: index.list_keys(limit=1000)), "ms")
    late = deep(max(0, count * 9 // 10 - 1))
    show("S3 page, flat, deep", await cpu_ms(lambda: index.list_keys(after=late, limit=1000)), "ms")
    show("S3 page, flat folder, first", await cpu_ms(lambda: index.list_keys("flat/", "/")), "ms")
    show("S3 page, flat folder, last", await cpu_ms(lambda: index.list_keys("flat/", "/", tail)), "ms")
    show("S3 page, delimiter '-'", await cpu_ms(lambda: index.list_keys("", "-")), "ms")
    show("children, first 1,000", await cpu_ms(lambda: index.list_children("flat/")), "ms")
    show("children, last 1,000", await cpu_ms(lambda: index.list_children("flat/", tail[5:])), "ms")
    show("usage of all", await cpu_ms(lambda: index.usage("")), "ms")
    show("folder states, 5,000", await cpu_ms(index.list_folder_states), "ms")


async def measure_writes(index: SqliteIndex, nodes: int) -> None:
    chance = random.Random(2)
    serial = iter(range(10**9))

    def fresh() -> PutLeaf:
        number = next(serial)
        folder = chance.randrange(max(1, nodes * 8 // 1000))
        place = f"deep/tree/{folder // 2000}/{folder // 200 % 10}/{folder // 20 % 10}/{folder % 20}"
        return PutLeaf(f"{place}/new-{number}", Facts(5, number, number + 10**7, 64769, 0o100644), etag=MD5)

    async def one_by_one() -> None:
        for _ in range(200):
            await index.apply(Patch((fresh(),)))

    async def together() -> None:
        await asyncio.gather(*(index.apply(Patch((fresh(),))) for _ in range(64)))

    async def batch(size: int) -> None:
        await index.apply(Patch(tuple(fresh() for _ in range(size))))

    show("insert, one a transaction", await cpu_ms(one_by_one, 3) * 1e3 / 200, "us")
    show("insert, 64 at the same time", await cpu_ms(together) * 1e3 / 64, "us")
    show("insert, patch of 100", await cpu_ms(lambda: batch(100)) * 1e3 / 100, "us")
    show("insert, patch of 5,000", await cpu_ms(lambda: batch(5000), 3) * 1e3 / 5000, "us")
    rates: dict[int, list[float]] = {1: [], database.BATCH_UNITS: []}
    for _ in range(15):
        for units, found in rates.items():
            database.BATCH_UNITS = units
            begun = time.perf_counter()
            await together()
            found.append(64 / (time.perf_counter() - begun))
    apart, joined = (statistics.median(found) for found in rates.values())
    show("64 durable writes, one transaction each (wall)", apart, "/s")
    show("64 durable writes, committed together (wall)", joined, "/s")
    show("gain of committing together", joined / apart, "x")


async def measure_moves(index: SqliteIndex) -> None:
    for folders, files in ((1, 1_000), (10, 1_000), (10, 10_000), (1_000, 100_000), (1, 100_000)):
        name = f"move-{folders}-{files}"
        operations: list[Operation] = [PutFolder(f"{name}/")]
        operations += [
            PutLeaf(f"{name}/{number % folders}/{number}", Facts(1, number, number + 10**8)) for number in range(files)
        ]
        operations.sort(key=lambda operation: str(getattr(operation, "path", "")))
        await load(index, iter(operations))
        await index.apply(Patch((PutFolder("target/"), PutFolder("elsewhere/"))))
        places = [f"{name}/"] + [f"{place}/{name}/" for place in ("target", "elsewhere") * 4]
        steps = pairwise(places)

        async def move() -> None:
            source, path = next(steps)  # noqa: B023 - used in this turn only
            await index.apply(Patch((MoveNode(source, path),)))

        show(f"move of {folders:,} folders with {files:,} files", await cpu_ms(move), "ms")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where the databases go (a real disk); default: a temporary one")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        for nodes in arguments.nodes:
            await measure(nodes, folder)
        largest = folder / f"{max(arguments.nodes)}.db"
        pid = os.fork()
        if pid == 0:
            os.execv(sys.executable, [sys.executable, __file__, "--idle", str(largest)])
        os.waitpid(pid, 0)
    finally:
        shutil.rmtree(folder)


async def idle(path: Path) -> None:
    """The memory of a process that only holds the index open, after the first look at it."""
    index = await SqliteIndex.open(path, datasource="bench")
    show("memory of a process with it open", rss_mib(), "MiB")
    for _ in range(20):
        page = await index.list_keys(limit=1000)
        await index.list_keys(after=page.next_after)
    await index.usage("")
    show("memory after pages and a sum", rss_mib(), "MiB")
    await index.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--idle"]:
        asyncio.run(idle(Path(sys.argv[2])))
    else:
        asyncio.run(main())
