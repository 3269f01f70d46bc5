"""D2: the process is killed at the K-th system call that changes the disk, counted over all its threads.

A small library that the process loads before any other (``points.c``) counts ``write``, ``fsync``, ``rename`` and their
kin and ends the process at the number it was told, before the call is made. One operation runs in a process of its own;
the points from 1 on until it survives are all the states that a crash can leave behind.
"""

import shutil
from pathlib import Path

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.datasource.flat.checking import Repair, check_blobs
from cellsmono.interfaces.operations import BlobProblem

BUCKET = "docs"
PART = 5 * 1024 * 1024
MOST_POINTS = 400

OPERATIONS_SOURCE = """
import asyncio, hashlib, mmap, os, struct, sys
from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.datasource import CopyOptions, WriteOptions

data, config, operation = sys.argv[1:4]
PART = 5 * 1024 * 1024

async def body(*parts):
    for part in parts:
        yield part

class PartDigest(PlainDigest):
    pass

async def put_small(store): await store.put_node("new/deep/k", body(b"n" * 3000), PlainDigest(), WriteOptions())
async def put_large(store): await store.put_node("tree/k1", body(*[b"n" * 50_000] * 6), PlainDigest(), WriteOptions())
async def copy(store): await store.copy_node("tree/k2", "copy/k2", CopyOptions())
async def move_folder(store): await store.move_node("tree/", "moved/tree/")
async def delete(store): await store.delete_node("alone/k")
async def delete_many(store): await store.delete_nodes(["tree/k0", "tree/k1", "alone/k"])
async def resync(store): await store.sync.resync()

async def complete(store):
    upload, parts = store.upload
    await store.complete_upload(upload, parts, "e" * 32 + "-2", WriteOptions())

async def prepare(store):
    if operation == "complete":
        upload = (await store.create_upload("parts", b"{}")).upload_id
        parts = [
            await store.put_part(upload, 1, body(b"1" * PART), PlainDigest(), PART),
            await store.put_part(upload, 2, body(b"2" * 1000), PlainDigest(), 1000),
        ]
        store.upload = (upload, parts)
    if operation == "resync":
        folder = store.config.folder
        os.makedirs(folder + "/behind/back")
        for n in range(5):
            open(f"{folder}/behind/back/f{n}", "w").write("x" * n)
        os.rename(folder + "/tree", folder + "/elsewhere")
        os.unlink(folder + "/alone/k")

async def seed(store):
    for n in range(4):
        await store.put_node(f"tree/k{n}", body(b"old%d" % n * 30_000), PlainDigest(), WriteOptions())
    await store.put_node("alone/k", body(b"old"), PlainDigest(), WriteOptions())
    if store.sync is not None:
        await store.sync.resync()

def open_it():
    flags = {"server.data_dir": (data, "--data-dir")}
    return open_core(load_config(flags, config_file=config, environ={"HOME": data}), follow=False)
"""

CHILD = (
    OPERATIONS_SOURCE
    + """
board, kill_at = sys.argv[4:6]

async def main():
    async with open_it() as core:
        store = core.datasources.triple("docs").store
        if operation == "seed":
            await seed(store)
            return
        await prepare(store)
        with open(board, "r+b") as file:
            shared = mmap.mmap(file.fileno(), 4096)
        shared[0:12] = struct.pack("iii", 1, 0, int(kill_at))
        await globals()[operation](store)
        if store.sync is None:
            await store.blobs.settle()  # what was replaced goes after the acknowledgement
        shared[0:4] = struct.pack("i", 0)
        os.write(1, b"ack")

asyncio.run(main())
"""
)

FLAT_OPERATIONS = ["put_small", "put_large", "copy", "move_folder", "delete", "delete_many", "complete"]
OPERATIONS = [*FLAT_OPERATIONS, "resync"]
OLD = {f"tree/k{n}": b"old%d" % n * 30_000 for n in range(4)} | {"alone/k": b"old"}


def expected_after(operation: str) -> dict[str, bytes]:
    """What the disk holds when the operation was done."""
    after = dict(OLD)
    if operation == "put_small":
        after["new/deep/k"] = b"n" * 3000
    elif operation == "put_large":
        after["tree/k1"] = b"n" * 300_000
    elif operation == "put_long":
        after["tree/k1"] = b"l" * (PART + 1000)
    elif operation == "copy":
        after["copy/k2"] = OLD["tree/k2"]
    elif operation == "move_folder":
        after = {key.replace("tree/", "moved/tree/"): body for key, body in OLD.items()}
    elif operation == "delete":
        del after["alone/k"]
    elif operation == "delete_many":
        after = {key: OLD[key] for key in ("tree/k2", "tree/k3")}
    elif operation == "complete":
        after["parts"] = b"1" * PART + b"2" * 1000
    elif operation == "resync":
        after = {key.replace("tree/", "elsewhere/"): body for key, body in OLD.items() if key != "alone/k"}
        after |= {f"behind/back/f{n}": b"x" * n for n in range(5)}
    return after


class Place:
    """A datasource that is brought to the same beginning for each point."""

    format = "structured"

    def __init__(self, root: Path, run_to_point) -> None:
        self.root, self.run_to_point = root, run_to_point
        self.now, self.begin = root / "now", root / "begin"
        self.folder, self.data, self.config = self.now / BUCKET, self.now / "data", root / "config.toml"
        self.config.write_text(
            f'[[datasource]]\nname = "{BUCKET}"\nfolder = "{self.folder}"\nwatch = "off"\nhash_content = false\n'
            f'format = "{self.format}"\n'
        )
        for made in (self.folder, self.data):
            made.mkdir(parents=True)
        self.run("seed", 0)
        self.uuids: dict[str, str] = {}

    def run(self, operation: str, kill_at: int) -> tuple[bool, int]:
        """Run it in a process of its own; whether it was acknowledged, and how many points were passed."""
        return self.run_to_point(CHILD, str(self.data), str(self.config), operation, kill_at=kill_at)

    def keep(self) -> None:
        """Remember this state as the beginning."""
        shutil.copytree(self.now, self.begin)

    def reset(self) -> None:
        """Back to the beginning. A copy has new inodes, which the first comparison takes over."""
        shutil.rmtree(self.now)
        shutil.copytree(self.begin, self.now)

    def disk(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file() and path.name != ".pydio" and ".cellsmono" not in path.parts
        }

    async def check(self, operation: str, *, acknowledged: bool) -> None:
        """The next start: old or new and whole, nothing left over, and the index follows without help."""
        disk, after = self.disk(), expected_after(operation)
        check_outcome(operation, disk, acknowledged=acknowledged)
        async with self.open() as core:
            store = core.datasources.triple(BUCKET).store
            await store.sync.wait_until_followed()
            assert await store.index.verify() == []
            page = await store.index.list_keys(limit=10_000)
            assert [node.path for node in page.entries if not node.path.endswith("/")] == sorted(disk)
            for key, body in disk.items():
                assert (await store.index.read_node(key)).size == len(body)
            uploads = await store.list_uploads("", "", "", 10)
            if operation == "complete" and disk == after:
                await self._abort_rest(core, uploads)
            elif operation != "complete":
                assert uploads == []
            report = await store.sync.resync()
            assert report.changed == 0, "the first comparison did not find everything"
        self.check_no_leftovers()

    def open(self):
        """The next start, in this process."""
        flags = {"server.data_dir": (str(self.data), "--data-dir")}
        return open_core(load_config(flags, config_file=str(self.config), environ={"HOME": str(self.data)}))

    def check_no_leftovers(self) -> None:
        left = [p.name for p in self.now.rglob("*") if p.name.startswith("t-") and ".cellsmono" in p.parts]
        assert left == []

    async def _abort_rest(self, core, uploads) -> None:
        """A client that never got the answer aborts; in time nothing is left of the upload, and the object stays."""
        triple = core.datasources.triple(BUCKET)
        for upload in uploads:
            await triple.store.abort_upload(upload.upload_id)
        assert await triple.store.list_uploads("", "", "", 10) == []
        # Killed between the register and the folder: the folder goes when it is as old as a stale upload.
        await triple.objects.remove_stale_uploads(core.clock.time_ns() + 10**9)
        assert [p for p in self.now.rglob("u-*") if ".cellsmono" in p.parts] == []
        opened = await triple.store.open_node("parts")
        assert await opened.reader.read(0, 2 * PART) == b"1" * PART + b"2" * 1000
        opened.reader.close()


def check_outcome(operation: str, found: dict[str, bytes], *, acknowledged: bool) -> None:
    """Every key is old or new and whole; new, once that was acknowledged."""
    after = expected_after(operation)
    if operation == "resync":
        assert found == after
    elif operation == "move_folder":
        assert found in ([after] if acknowledged else [OLD, after])
    else:
        assert set(found) <= set(OLD) | set(after)
        for key in set(OLD) | set(after):
            allowed = [after.get(key)] if acknowledged else [OLD.get(key), after.get(key)]
            assert found.get(key) in allowed, f"{key} is neither old nor new"


class FlatPlace(Place):
    """The same with a flat datasource: what is there is told by the index, and no blob may be missing or wrong."""

    format = "flat"

    async def check(self, operation: str, *, acknowledged: bool) -> None:
        """The next start: old or new and whole without help, and a check puts what is left over in order."""
        async with self.open() as core:
            store = core.datasources.triple(BUCKET).store
            assert await store.index.verify() == []
            found = {}
            for node in (await store.index.list_keys(limit=10_000)).entries:
                opened = await store.open_node(node.path)
                found[node.path] = await opened.reader.read(0, 2 * PART)
                opened.reader.close()
                assert len(found[node.path]) == node.size
            check_outcome(operation, found, acknowledged=acknowledged)
            uploads = await store.list_uploads("", "", "", 10)
            if operation == "complete" and "parts" in found:
                await self._abort_rest(core, uploads)
            elif operation != "complete":
                assert uploads == []
            report = await check_blobs(store, core.clock, repair=Repair.ALL, grace_seconds=0.0)
            assert report.count(BlobProblem.MISSING, BlobProblem.SIZE, BlobProblem.FOREIGN) == 0
            assert report.open_problems == 0
            assert report.count(*BlobProblem) <= (0 if acknowledged else 3)
            assert (await check_blobs(store, core.clock, grace_seconds=0.0)).counts == {}
        self.check_no_leftovers()


@pytest.fixture
def place(tmp_path, run_to_point, request):
    """A place in the format that the test's operation is for: ``flat-copy``."""
    is_flat = request.node.callspec.params["operation"].startswith("flat-")
    made = (FlatPlace if is_flat else Place)(tmp_path, run_to_point)
    made.keep()
    return made


async def run_points(place: Place, operation: str, step: int) -> int:
    """Kill at every ``step``-th point, at the first and at the last; how many points there are."""
    operation = operation.removeprefix("flat-")
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
@pytest.mark.parametrize("operation", [*OPERATIONS, *(f"flat-{each}" for each in FLAT_OPERATIONS)])
async def test_d2_a_kill_at_some_points_of_each_operation(place, operation):
    total = await run_points(place, operation, step=11)
    assert total >= 3, f"only {total} points: the harness is blind"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operation", [*OPERATIONS, *(f"flat-{each}" for each in FLAT_OPERATIONS)])
async def test_d2_a_kill_at_every_point_of_each_operation(place, operation):
    assert await run_points(place, operation, step=1) >= 3
