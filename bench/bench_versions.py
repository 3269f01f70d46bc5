"""The price of versions: `python bench/bench_versions.py [--puts N] [--folder DIR]`.

CPU and wall time of overwriting the same keys, small and large ones, with versioning off and on. A flat datasource
keeps the blob that was replaced, a structured one copies the file into another datasource before. Each figure is the
least of several turns, which the four datasources take in turn; run it on the disk that you care about.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.flat.blobs import Blobs
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.structured import StructuredStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.datasource.versions.keeper import Keeper
from cellsmono.interfaces.datasource import DatasourceConfig, Format, Markers, Watch, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.clock import SystemClock

TURNS = 5
KEYS = 50
CASES = (("4 KiB, 16 callers", 4096, 16, 1), ("1 MiB, 4 callers", 1 << 20, 4, 8))
"""Name, bytes, callers, and by how much fewer the calls are."""
Store = FlatStore | StructuredStore


async def one(data: bytes) -> AsyncIterator[bytes]:
    yield data


@asynccontextmanager
async def open_store(place: Path, name: str, format_: Format, *, keeps: bool) -> AsyncIterator[Store]:
    """A datasource, and the one in which it keeps versions if that is another one."""
    config = DatasourceConfig(name=name, folder=str(place / name), format=format_, watch=Watch.OFF)
    async with AsyncExitStack() as stack:
        objects = LocalStore(f"data.objects.{name}", place)
        stack.push_async_callback(objects.close)
        index = await SqliteIndex.open(place / f"{name}.db", datasource=name)
        stack.push_async_callback(index.close)
        (place / name).mkdir()
        markers = Markers.FILE if format_ is Format.STRUCTURED else Markers.NONE
        objects.add_bucket(name, name, durability=config.durability, markers=markers)
        store: Store
        if format_ is Format.STRUCTURED:
            kept = await stack.enter_async_context(open_store(place, f"{name}-kept", Format.INTERNAL, keeps=False))
            claims, keeper = Claims(), Keeper(lambda: kept, SystemClock())
            sync = Synchronizer(config, objects, index, claims)
            store = StructuredStore(config, objects, objects, index, sync, claims, keeper)
        else:
            blobs = await Blobs.open(objects, name, index, SystemClock())
            stack.push_async_callback(blobs.close)
            for number in range(256):  # made once in the life of a flat store, so not on the clock
                await objects.make_folder(name, f"{number:02x}/")
            store = FlatStore(config, blobs, objects, index, Claims())
        if keeps:
            await store.set_versioning(Versioning.ENABLED)
        yield store


async def overwrite(store: Store, data: bytes, callers: int, count: int) -> tuple[float, float]:
    """CPU and wall seconds of each call."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            path = f"{len(data)}/{number % KEYS:03}"
            await store.put_node(path, one(data), PlainDigest(), WriteOptions(size=len(data)))

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(callers)))
    return (time.process_time() - cpu) / count, (time.perf_counter() - wall) / count


async def measure(place: Path, puts: int) -> None:
    kinds = [(format_, keeps) for format_ in (Format.FLAT, Format.STRUCTURED) for keeps in (False, True)]
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(open_store(place, f"{format_}-{int(keeps)}", format_, keeps=keeps))
            for format_, keeps in kinds
        ]
        for name, size, callers, fewer in CASES:
            data, count = os.urandom(size), max(KEYS, puts // fewer)
            least = [(float("inf"), float("inf"))] * len(stores)
            for turn in range(TURNS + 1):
                for at, store in enumerate(stores):
                    spent = await overwrite(store, data, callers, count)
                    if turn:  # the first one makes the keys
                        least[at] = (min(least[at][0], spent[0]), min(least[at][1], spent[1]))
            for at in (0, 2):
                off, on = least[at], least[at + 1]
                print(
                    f"overwrite {name:18} {kinds[at][0]:10} CPU {off[0] * 1e6:6.0f} -> {on[0] * 1e6:6.0f} us "
                    f"({on[0] / off[0]:.2f} x), wall {off[1] * 1e6:6.0f} -> {on[1] * 1e6:6.0f} us "
                    f"({on[1] / off[1]:.2f} x)"
                )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puts", type=int, default=800, help="calls a turn")
    parser.add_argument("--folder", type=Path, help="where everything goes (a real disk); default: a temporary one")
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        await measure(place, arguments.puts)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    asyncio.run(main())
