"""How fast the local object service is: `python bench/bench_objects.py [--files N] [--folder DIR]`.

Small durable and relaxed writes with 1, 8 and 64 callers, a large write with its MD5, small reads, and scans beside
`find -printf` on the same folders. Wall time and CPU time of this process; run it on the disk that you care about.
"""

import argparse
import asyncio
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from cellsmono.datasource.objects.local import LocalStore
from cellsmono.interfaces.datasource import Durability

SMALL = os.urandom(4096)


async def one(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def many(total: int) -> AsyncIterator[bytes]:
    chunk = os.urandom(256 * 1024)
    for _ in range(total // len(chunk)):
        yield chunk


async def put(store: LocalStore, bucket: str, key: str) -> None:
    md5 = hashlib.md5(usedforsecurity=False)
    await store.commit(await store.stage(bucket, one(SMALL), [md5], len(SMALL)), key)


async def measure(name: str, count: int, callers: int, call: Callable[[int], Awaitable[object]]) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await call(number)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(callers)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:44} {count / wall:9.0f}/s  {cpu / count * 1e6:7.0f} us CPU each")


async def bench_small(store: LocalStore) -> None:
    for bucket in ("fsync", "relaxed"):
        for callers in (1, 8, 64):
            count = 400 * (1 if callers == 1 else 4) * (1 if bucket == "fsync" else 4)
            await measure(
                f"put 4 KiB {bucket}, {callers} callers, one folder",
                count,
                callers,
                lambda n, b=bucket, c=callers: put(store, b, f"small{c}/{n:06}"),
            )
    await measure(
        "put 4 KiB fsync, 64 callers, 100 folders", 1600, 64, lambda n: put(store, "fsync", f"f{n % 100}/{n}")
    )

    async def get(n: int) -> None:
        reader = await store.open("relaxed", f"small8/{n % 1000:06}")
        await reader.read(0, 4096)
        reader.close()

    await measure("get 4 KiB, 1 caller", 20000, 1, get)
    await measure("stat, 1 caller", 20000, 1, lambda n: store.stat("relaxed", f"small8/{n % 1000:06}"))


async def bench_large(store: LocalStore) -> None:
    total = 64 * 1024 * 1024
    for bucket in ("fsync", "relaxed"):
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(3):
            md5 = hashlib.md5(usedforsecurity=False)
            await store.commit(await store.stage(bucket, many(total), [md5], total), f"large{number}")
        wall, cpu = (time.perf_counter() - wall) / 3, (time.process_time() - cpu) / 3
        print(f"put 64 MiB {bucket} with MD5".ljust(44), f"{64 / wall:9.0f} MiB/s {cpu * 1000:7.0f} ms CPU")
    wall = time.perf_counter()
    staged, _ = await store.stage_copy("relaxed", "relaxed", "large0")
    await store.commit(staged, "copy")
    print("copy 64 MiB".ljust(44), f"{64 / (time.perf_counter() - wall):9.0f} MiB/s")


async def bench_scan(store: LocalStore, root: Path, files: int) -> None:
    folders = max(1, files // 1000)
    for folder in range(folders):
        (root / f"d{folder:04}").mkdir()
        for number in range(files // folders):
            (root / f"d{folder:04}" / f"file-{number:05}.txt").touch()
    keys = [f"d{folder:04}/" for folder in range(folders)]
    for _ in range(2):
        before = os.times()
        subprocess.run(["find", str(root), "-printf", "%p %s %T@ %i\n"], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
    find = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"find -printf, {files} files".ljust(44), f"{find / files * 1e6:9.2f} us CPU an entry")
    expected = dict.fromkeys(keys, b"")
    for name in ("first", "unchanged", "changed"):
        cpu = time.process_time()
        for key in keys:
            given = b"x" if name == "changed" else expected[key]
            (listing,) = await store.scan("scan", [(key, given)])
            expected[key] = listing.fingerprint
            assert (listing.entries is None) == (name == "unchanged")
        used = time.process_time() - cpu
        print(f"scan, {name}".ljust(44), f"{used / files * 1e6:9.2f} us CPU an entry, {used / find:.2f} of find")
    cpu = time.process_time()
    await store.stat_folders("scan", keys)
    print("stat_folders".ljust(44), f"{(time.process_time() - cpu) / folders * 1e6:9.2f} us CPU a folder")


async def run(parent: Path, files: int) -> None:
    store = LocalStore("bench", parent)
    for bucket, durability in (
        ("fsync", Durability.FSYNC),
        ("relaxed", Durability.RELAXED),
        ("scan", Durability.RELAXED),
    ):
        (parent / bucket).mkdir()
        store.add_bucket(bucket, bucket, durability=durability)
    try:
        await bench_small(store)
        await bench_large(store)
        await bench_scan(store, parent / "scan", files)
    finally:
        await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="files to scan")
    parser.add_argument("--folder", help="where to make a temporary folder")
    options = parser.parse_args()
    parent = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        asyncio.run(run(parent, options.files))
    finally:
        shutil.rmtree(parent)


if __name__ == "__main__":
    main()
