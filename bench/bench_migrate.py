"""Migration from folder to folder beside ``cp -r``, interleaved in one run: the ratio of their rates.

.venv/bin/python bench/bench_migrate.py [--files 2000] [--bytes 4096] [--rounds 3]
"""

import argparse
import asyncio
import logging
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.interfaces.migration import MigrationAction, MigrationOptions

PER_FOLDER = 100


def make_tree(folder: Path, files: int, size: int) -> None:
    for number in range(files):
        inner = folder / f"d{number // PER_FOLDER}"
        inner.mkdir(parents=True, exist_ok=True)
        (inner / f"f{number}").write_bytes(os.urandom(size))


def time_copy(source: Path, target: Path) -> float:
    """``cp -r`` and a flush of what it wrote, which a migration does, too."""
    begun = time.perf_counter()
    subprocess.run(["cp", "-r", source, target], check=True)
    subprocess.run(["sync", "-f", target], check=True)
    seconds = time.perf_counter() - begun
    shutil.rmtree(target)
    return seconds


async def time_migration(root: Path, number: int, source: Path, format_: Format) -> float:
    data, target = root / f"data{number}", root / f"target{number}"
    data.mkdir()
    flags = {"server.data_dir": (str(data), "--data-dir")}
    async with open_core(load_config(flags, environ={"HOME": str(data)}), follow=False) as core:
        operations = core.installation
        await operations.add_datasource(DatasourceConfig(name="docs", folder=str(source), watch="off"))
        await operations.resync("docs")
        begun = time.perf_counter()
        report = await operations.migrate("docs", MigrationOptions(MigrationAction.RUN, format_, str(target)))
        seconds = time.perf_counter() - begun
        assert not report.problems
    shutil.rmtree(target)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = root / "source"
        make_tree(source, asked.files, asked.bytes)
        copies, migrations = [], []
        for number in range(asked.rounds):
            copies.append(time_copy(source, root / "copy"))
            migrations.append(asyncio.run(time_migration(root, number, source, Format.FLAT)))
    copy, migration = min(copies), min(migrations)
    print(f"{asked.files} files of {asked.bytes} bytes: cp -r {copy:.2f} s, migrate {migration:.2f} s")
    print(f"rate of migration: {copy / migration:.0%} of cp -r")


if __name__ == "__main__":
    main()
