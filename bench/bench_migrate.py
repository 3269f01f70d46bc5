"""Migration from folder to folder beside ``cp -r`` and ``rclone copy``: ratios of their rates, interleaved in one run.

.venv/bin/python bench/bench_migrate.py [--work FOLDER] [--files 20000] [--bytes 4096] [--large 0] [--rounds 3]

What is copied is in the page cache, and each of them ends with what it wrote on the disk. ``rclone`` compares what it
copied, as a migration does; ``cp`` does not.
"""

import argparse
import asyncio
import logging
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.interfaces.migration import MigrationAction, MigrationOptions, MigrationProgress

PER_FOLDER = 100
LARGE_BYTES = 256 * 1024 * 1024


def make_tree(folder: Path, files: int, size: int, large: int) -> None:
    for number in range(files):
        inner = folder / f"d{number // PER_FOLDER}"
        inner.mkdir(parents=True, exist_ok=True)
        (inner / f"f{number}").write_bytes(os.urandom(size))
    for number in range(large):
        inner = folder / "large"
        inner.mkdir(parents=True, exist_ok=True)
        with (inner / f"f{number}").open("wb") as file:
            for _ in range(LARGE_BYTES // 2**20):
                file.write(os.urandom(2**20))


def time_command(command: list[str], source: Path, target: Path) -> float:
    """A command that copies, and a flush of what it wrote, which a migration does, too."""
    begun = time.perf_counter()
    subprocess.run([*command, source, target], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["sync", "-f", target], check=True)
    seconds = time.perf_counter() - begun
    shutil.rmtree(target)
    return seconds


class Phases:
    """How long each phase of a migration took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._now = ("opening", time.perf_counter())

    def note(self, progress: MigrationProgress) -> None:
        phase, since = self._now
        if progress.phase != phase:
            self._now = (progress.phase, time.perf_counter())
            self.seconds[phase] = self._now[1] - since


async def time_migration(root: Path, number: int, source: Path, format_: Format) -> tuple[float, float]:
    """Seconds of all, and of copying alone."""
    data, target = root / f"data{number}", root / f"target{number}"
    data.mkdir()
    flags = {"server.data_dir": (str(data), "--data-dir")}
    async with open_core(load_config(flags, environ={"HOME": str(data)}), follow=False) as core:
        operations = core.installation
        await operations.add_datasource(
            DatasourceConfig(name="docs", folder=str(source), watch="off", hash_content=False)
        )
        await operations.resync("docs")
        subprocess.run(["sync", "-f", root], check=True)
        phases = Phases()
        begun = time.perf_counter()
        options = MigrationOptions(MigrationAction.RUN, format_, str(target))
        report = await operations.migrate("docs", options, phases.note)
        seconds = time.perf_counter() - begun
        assert not report.problems
    shutil.rmtree(target)
    shutil.rmtree(data)
    return seconds, phases.seconds["copying"]


def measure(root: Path, source: Path, rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}

    def take(name: str, seconds: float) -> None:
        found.setdefault(name, []).append(seconds)

    others: dict[str, Callable[[], float]] = {
        "cp -r": lambda: time_command(["cp", "-r"], source, root / "copy"),
    }
    if shutil.which("rclone"):
        others["rclone copy"] = lambda: time_command(["rclone", "copy"], source, root / "copy")
    for number in range(rounds):
        for name, run in others.items():
            take(name, run())
        for format_ in (Format.FLAT, Format.STRUCTURED):
            whole, copying = asyncio.run(time_migration(root, number, source, format_))
            take(f"to {format_}", whole)
            take(f"to {format_}, copying", copying)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", help="a folder on the disk that is to be measured")
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--large", type=int, default=0, help="so many files of 256 MiB beside them")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        root = Path(name)
        source = root / "source"
        make_tree(source, asked.files, asked.bytes, asked.large)
        subprocess.run(["sync", "-f", root], check=True)
        found = measure(root, source, asked.rounds)
    print(f"{asked.files} files of {asked.bytes} bytes, {asked.large} of 256 MiB; {asked.rounds} rounds, medians")
    for name, seconds in found.items():
        ratios = {
            other: statistics.median(theirs / ours for theirs, ours in zip(found[other], seconds, strict=True))
            for other in ("cp -r", "rclone copy")
            if other in found and other != name
        }
        shown = ", ".join(f"{ratio:.0%} of the rate of {other}" for other, ratio in ratios.items())
        print(f"{name}: {statistics.median(seconds):.2f} s; {shown}")


if __name__ == "__main__":
    main()
