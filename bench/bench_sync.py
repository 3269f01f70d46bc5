"""How fast the synchronizer compares a tree with the index, with `find -printf` on the same tree beside it.

    python bench/bench_sync.py [--folders 1000] [--files 1000] [--work DIR]

Makes folders x files empty files, then: first import, `find`, quick resync, full resync, a folder moved, one file
changed in place (full). Every figure is the shortest of its rounds; CPU is that of the process that did the work.
"""

import argparse
import asyncio
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from cellsmono.datasource.claims import Claims
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.sync import ResyncOptions, ResyncReport

NAME = "files"
ROUNDS = 3


def make_tree(root: Path, folders: int, files: int) -> None:
    """Empty files, dated back so that the folders are at rest."""
    for number in range(folders):
        folder = root / f"folder-{number:04}"
        folder.mkdir(parents=True)
        for name in range(files):
            os.close(os.open(f"{folder}/file-{name:06}.dat", os.O_CREAT | os.O_WRONLY))


def run_find(root: Path) -> tuple[float, float]:
    """Wall and CPU seconds of find printing what a scan needs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(["find", str(root), "-printf", "%p %s %T@ %i\\n"], stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def read_rss() -> float:
    """Resident memory of this process now, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def measure(run: Callable[[], Awaitable[ResyncReport]]) -> tuple[float, float, ResyncReport]:
    """Wall and CPU seconds of one resync."""
    began, cpu = time.perf_counter(), time.process_time()
    report = await run()
    return time.perf_counter() - began, time.process_time() - cpu, report


class Table:
    """Prints figures against find's."""

    def __init__(self, find: tuple[float, float]) -> None:
        self.find = find

    def line(self, name: str, wall: float, cpu: float, target: str = "") -> None:
        ratio, cpu_ratio = wall / self.find[0], cpu / self.find[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name:28} {wall:8.2f} s {cpu:8.2f} s CPU {ratio:7.3f} x find {cpu_ratio:7.3f} x find CPU"
            f"  RSS {read_rss():5.0f} peak {peak:5.0f} MiB  {target}",
            flush=True,
        )


async def run_bench(work: Path, folders: int, files: int) -> None:
    """All figures."""
    root = work / "parent" / NAME
    make_tree(root, folders, files)
    config = DatasourceConfig(name=NAME, folder=str(root), durability="relaxed", hash_content=False)
    store = LocalStore("data.objects.local1", root.parent)
    store.add_bucket(NAME, NAME)
    index = await SqliteIndex.open(work / "index.db", datasource=NAME, durability="fsync")
    sync = Synchronizer(config, store, index, Claims())
    await asyncio.sleep(3)
    table = Table(min(run_find(root) for _ in range(ROUNDS)))
    table.line("find -printf", *table.find)
    wall, cpu, report = await measure(sync.resync)
    table.line("first import", wall, cpu, f"target <= 6 ({report.created:,} nodes)")
    await sync.resync()
    for name, options, target in (
        ("quick resync, unchanged", ResyncOptions(), "target <= 0.2"),
        ("full resync, unchanged", ResyncOptions(full=True), "target <= 2"),
    ):
        found = [await measure(lambda options=options: sync.resync("", options)) for _ in range(ROUNDS)]
        assert all(report.changed == 0 for *_, report in found), found[0][2]
        table.line(name, min(each[0] for each in found), min(each[1] for each in found), target)
    (root / "folder-0000").rename(root / "moved")
    wall, cpu, report = await measure(sync.resync)
    assert (report.moved, report.changed) == (1, 1), report
    table.line("quick, one folder moved", wall, cpu)
    (root / "moved" / "file-000000.dat").write_bytes(b"x")
    wall, cpu, report = await measure(lambda: sync.resync("", ResyncOptions(full=True)))
    assert report.updated == 1, report
    table.line("full, one file changed", wall, cpu)
    await index.close()
    await store.close()


def main() -> None:
    """Parse, run, clean up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folders", type=int, default=1000)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-sync-", dir=options.work))
    try:
        asyncio.run(run_bench(work, options.folders, options.files))
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
