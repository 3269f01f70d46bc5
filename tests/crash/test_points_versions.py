"""The process is killed at the K-th system call that changes the disk, while a datasource keeps versions.

See ``test_points_core``. Whatever the point: every version that the index tells of has its bytes, nothing that was kept
is gone, and what is left over is removed by a check.
"""

import shutil
from pathlib import Path

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.datasource.flat.checking import Repair, check_blobs
from cellsmono.interfaces.operations import BlobProblem

MOST_POINTS = 400

CHILD = """
import asyncio, mmap, os, struct, sys
from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.datasource import CopyOptions, WriteOptions
from cellsmono.interfaces.version import Versioning

data, config, operation, board, kill_at = sys.argv[1:6]

async def body(data):
    yield data

async def put(store, path, data):
    await store.put_node(path, body(data), PlainDigest(), WriteOptions())

async def overwrite(store): await put(store, "k", b"new" * 100_000)
async def overwrite_small(store): await put(store, "k", b"new")
async def delete(store): await store.delete_node("k")
async def suspended(store):
    await put(store, "k", b"new" * 1000)
async def drop_current(store):
    current = (await store.index.read_versions("k"))[0]
    await store.delete_version("k", current.id)
async def drop_marker(store):
    marker = (await store.index.read_versions("moved"))[0]
    await store.delete_version("moved", marker.id)
async def restore(store):
    oldest = (await store.index.read_versions("k"))[-1]
    await store.copy_node("k", "k", CopyOptions(source_version=oldest.id))

async def main():
    flags = {"server.data_dir": (data, "--data-dir")}
    async with open_core(load_config(flags, config_file=config, environ={"HOME": data}), follow=False) as core:
        store = core.datasources.triple("docs").store
        if operation == "seed":
            await put(store, "k", b"0" * 3000)
            await store.set_versioning(Versioning.ENABLED)
            await put(store, "k", b"1" * 100_000)
            await put(store, "k", b"2")
            await put(store, "moved", b"m")
            await put(store, "moved", b"mm")
            await store.move_node("moved", "elsewhere")
            if store.sync is not None:
                await store.sync.resync()
            return
        if store.sync is not None:
            await store.sync.resync()  # the beginning is a copy, whose files have other inodes
        if operation == "suspended":
            await store.set_versioning(Versioning.SUSPENDED)
        with open(board, "r+b") as file:
            shared = mmap.mmap(file.fileno(), 4096)
        shared[0:12] = struct.pack("iii", 1, 0, int(kill_at))
        await globals()[operation](store)
        if store.sync is None:
            await store.blobs.settle()
        shared[0:4] = struct.pack("i", 0)
        os.write(1, b"ack")

asyncio.run(main())
"""

K = [b"2", b"1" * 100_000, b"0" * 3000]
MOVED = [None, b"m"]
AFTER = {
    "overwrite": {"k": [b"new" * 100_000, *K]},
    "overwrite_small": {"k": [b"new", *K]},
    "delete": {"k": [None, *K]},
    "suspended": {"k": [b"new" * 1000, *K[:2]]},
    "drop_current": {"k": K[1:]},
    "drop_marker": {"moved": [b"m"]},
    "restore": {"k": [K[-1], *K]},
}

BETWEEN = {
    "drop_current": {"k": [K[1], *K[1:]]},
    "drop_marker": {"moved": [b"m", *MOVED]},
}
"""What a structured datasource may also hold: the file is the version that comes back, unknown to the index."""


class Place:
    """A datasource with versions that is brought to the same beginning for each point."""

    def __init__(self, root: Path, run_to_point, format_: str) -> None:
        self.format = format_
        self.run_to_point = run_to_point
        self.now, self.begin = root / "now", root / "begin"
        self.folder, self.data, self.config = self.now / "docs", self.now / "data", root / "config.toml"
        self.config.write_text(
            f'[[datasource]]\nname = "docs"\nfolder = "{self.folder}"\nhash_content = false\nwatch = "off"\n'
            f'format = "{format_}"\nsnapshot_hours = 0\n'
            f'[[datasource]]\nname = "versions"\nfolder = "{self.now}/kept"\nhash_content = false\n'
            f'format = "internal"\nsnapshot_hours = 0\n'
        )
        for made in (self.folder, self.data, self.now / "kept"):
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
        async with open_core(
            load_config(flags, config_file=str(self.config), environ={"HOME": str(self.data)})
        ) as core:
            store = core.datasources.triple("docs").store
            if store.sync is not None:
                await store.sync.wait_until_followed()
            assert await store.index.verify() == []
            found = {}
            for version in (await store.index.list_versions()).entries:
                body = None
                if version.node is not None:
                    opened = await store.open_version(version.key, version.id)
                    body = await opened.reader.read(0, 1 << 20)
                    opened.reader.close()
                found.setdefault(version.key, []).append(body)
            before = {"k": K, "moved": MOVED, "elsewhere": [b"mm"]}
            after = before | AFTER[operation]
            between = [before | BETWEEN[operation]] if store.sync is not None and operation in BETWEEN else []
            assert found in ([after] if acknowledged else [before, after, *between])
            if store.sync is not None:
                assert (await store.sync.resync()).changed == 0
                return
            report = await check_blobs(store, core.clock, repair=Repair.ALL, grace_seconds=0.0)
            assert report.count(BlobProblem.MISSING, BlobProblem.SIZE, BlobProblem.FOREIGN) == 0
            assert report.count(*BlobProblem) <= (0 if acknowledged else 1)
            assert report.open_problems == 0
            assert (await check_blobs(store, core.clock, grace_seconds=0.0)).counts == {}


async def run_points(place: Place, operation: str, step: int) -> int:
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


FORMATS = ["flat", "structured"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("operation", AFTER)
async def test_a_kill_at_some_points_leaves_every_version_whole(tmp_path, run_to_point, operation, format_):
    assert await run_points(Place(tmp_path, run_to_point, format_), operation, step=5) >= 3


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("operation", AFTER)
async def test_a_kill_at_every_point_leaves_every_version_whole(tmp_path, run_to_point, operation, format_):
    assert await run_points(Place(tmp_path, run_to_point, format_), operation, step=1) >= 3
