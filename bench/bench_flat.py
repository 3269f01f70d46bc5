"""Flat beside structured: `python bench/bench_flat.py [--puts N] [--files N] [--folder DIR]`.

CPU time of this process, all threads together: small writes by 1 and 16 callers, overwrites, reads, deletes, and the
move of a folder that holds many files beside that of one that holds few. Each figure is the least of several turns, the
two formats taking turns; run it on the disk that you care about.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.flat.blobs import Blobs
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.structured import StructuredStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.interfaces.datasource import DatasourceConfig, Format, Markers, Watch, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import Facts
from cellsmono.interfaces.patch import Operation, Patch, PutLeaf
from cellsmono.kernel.clock import SystemClock

SMALL = os.urandom(4096)
TURNS = 5
FEW = 100
Store = FlatStore | StructuredStore


async def one(data: bytes) -> AsyncIterator[bytes]:
    yield data


@asynccontextmanager
async def open_store(place: Path, format_: Format, durability: str) -> AsyncIterator[Store]:
    name = f"{format_}-{durability}"
    (place / name).mkdir()
    config = DatasourceConfig(
        name=name, folder=str(place / name), format=format_, durability=durability, watch=Watch.OFF
    )
    objects = LocalStore("data.objects.local1", place)
    is_flat = format_ is Format.FLAT
    objects.add_bucket(name, name, durability=config.durability, markers=Markers.NONE if is_flat else Markers.FILE)
    index = await SqliteIndex.open(place / f"{name}.db", datasource=name, durability=durability)
    try:
        if is_flat:
            blobs = await Blobs.open(objects, name, index, SystemClock())
            for number in range(256):  # made once in the life of a flat store, so not on the clock
                await objects.make_folder(name, f"{number:02x}/")
            yield FlatStore(config, blobs, objects, index, Claims())
            await blobs.close()
        else:
            claims = Claims()
            sync = Synchronizer(config, objects, index, claims)
            yield StructuredStore(config, objects, objects, index, sync, claims)
    finally:
        await index.close()
        await objects.close()


async def cpu_us(count: int, callers: int, call: Callable[[int], Awaitable[object]]) -> float:
    """CPU time of each call."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await call(number)

    begun = time.process_time()
    await asyncio.gather(*(work() for _ in range(callers)))
    return (time.process_time() - begun) / count * 1e6


async def put(store: Store, path: str) -> None:
    await store.put_node(path, one(SMALL), PlainDigest(), WriteOptions(size=len(SMALL)))


async def get(store: Store, path: str) -> None:
    opened = await store.open_node(path)
    await opened.reader.read(0, len(SMALL))
    opened.reader.close()


def cases(puts: int) -> list[tuple[str, int, int, Callable[[Store, int, int], Awaitable[object]]]]:
    """Name, calls, callers and the call, given the store, the turn and the number of the call."""
    return [
        ("put 4 KiB, 1 caller", puts // 4, 1, lambda store, turn, n: put(store, f"a/{turn}/{n:06}")),
        ("put 4 KiB, 16 callers", puts, 16, lambda store, turn, n: put(store, f"b/{turn}/{n:06}")),
        ("overwrite 4 KiB, 16 callers", puts, 16, lambda store, turn, n: put(store, f"b/{turn}/{n:06}")),
        ("get 4 KiB, 1 caller", puts, 1, lambda store, turn, n: get(store, f"b/{turn}/{n:06}")),
        ("delete, 16 callers", puts, 16, lambda store, turn, n: store.delete_node(f"b/{turn}/{n:06}")),
    ]


async def measure_calls(place: Path, durability: str, puts: int) -> None:
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(open_store(place, format_, durability))
            for format_ in (Format.STRUCTURED, Format.FLAT)
        ]
        least: dict[tuple[str, str], float] = {}
        for turn in range(TURNS):
            for name, count, callers, call in cases(puts):
                for store in stores:
                    spent = await cpu_us(count, callers, lambda n: call(store, turn, n))  # noqa: B023 - used here only
                    key = (name, store.config.format)
                    least[key] = min(spent, least.get(key, spent))
        for name, *_ in cases(puts):
            plain, flat = least[name, Format.STRUCTURED], least[name, Format.FLAT]
            print(f"{durability:8} {name:30} structured {plain:6.0f} us, flat {flat:6.0f} us, {flat / plain:5.2f} x")


async def measure_moves(place: Path, files: int) -> None:
    async with open_store(place, Format.FLAT, "moves") as store:
        least = {}
        for held in (FEW, files):
            for start in range(0, held, 5000):
                rows: list[Operation] = [
                    PutLeaf(f"from-{held}/{n % 10}/{n:06}", Facts(1, n)) for n in range(start, min(start + 5000, held))
                ]
                await store.index.apply(Patch(tuple(rows), bulk=True))
        for held in (FEW, files):
            spent = []
            for turn in range(TURNS * 4):
                source, path = (f"from-{held}/", f"to/{held}/")[:: 1 if turn % 2 == 0 else -1]
                begun = time.process_time()
                await store.move_node(source, path)
                spent.append(time.process_time() - begun)
            least[held] = min(spent) * 1e3
        ratio = least[files] / least[FEW]
        print(f"move of {files:,} files {least[files]:.2f} ms, of {FEW} files {least[FEW]:.2f} ms, {ratio:.2f} x")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puts", type=int, default=800, help="calls a turn")
    parser.add_argument("--files", type=int, default=100_000, help="files in the folder that is moved")
    parser.add_argument("--folder", type=Path, help="where everything goes (a real disk); default: a temporary one")
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        for durability in ("fsync", "relaxed"):
            await measure_calls(place, durability, arguments.puts)
        await measure_moves(place, arguments.files)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    asyncio.run(main())
