"""D3, D4, D5: the power goes while clients write. A file system in an image is shut down in the middle of it.

``FS_IOC_SHUTDOWN`` without a flush of the log is as near to a power cut as a mounted file system comes: what did not
reach the disk is gone. Every run of the negative control, in which nothing is flushed, must be able to fail: else the
harness is blind.
"""

import contextlib
import fcntl
import hashlib
import os
import random
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.datasource.flat.checking import Repair, check_blobs
from cellsmono.interfaces.operations import BlobProblem
from cellsmono.kernel.errors import NotFound

SHUTDOWN, WITHOUT_LOG_FLUSH = 0x8004587D, 2
BUCKET, WORKERS, KEYS = "docs", 6, 12
ABSENT = "absent"
_FAULTS = frozenset({BlobProblem.MISSING, BlobProblem.SIZE, BlobProblem.FOREIGN})

CHILD = """
import asyncio, hashlib, random, sys, time
from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.datasource import CopyOptions, WriteOptions
from cellsmono.interfaces.node import FolderKind

data, config, seed = sys.argv[1:4]

def tell(*words):
    print(*words, time.monotonic_ns(), flush=True)

async def body(content):
    for at in range(0, len(content), 50_000) or [0]:
        yield content[at:at + 50_000]

async def work(store, worker, dice):
    known = {}
    for turn in range(10**9):
        key = f"w{worker}/{'abc'[dice.randrange(3)]}{turn % 40 // 10}/k{dice.randrange(KEYS)}"
        what = dice.random()
        if what < 0.15 and known:
            key = dice.choice(sorted(known))
            tell("begin", key, "absent")
            await store.delete_node(key)
            known.pop(key)
            tell("end", key, "absent")
        elif what < 0.3 and known:
            source = dice.choice(sorted(known))
            if source == key:
                continue
            tell("begin", key, known[source])
            await store.copy_node(source, key, CopyOptions())
            known[key] = known[source]
            tell("end", key, known[key])
        elif what < 0.4 and known:
            source = dice.choice(sorted(known))
            if source == key:
                continue
            tell("begin", source, "absent")
            tell("begin", key, known[source])
            await store.move_node(source, key)
            known[key] = known.pop(source)
            tell("end", source, "absent")
            tell("end", key, known[key])
        else:
            content = dice.randbytes(dice.choice([0, 10, 3000, 3000, 70_000, 400_000]))
            digest = hashlib.sha256(content).hexdigest()
            tell("begin", key, digest)
            await store.put_node(key, body(content), PlainDigest(), WriteOptions())
            known[key] = digest
            tell("end", key, digest)

async def main():
    flags = {"server.data_dir": (data, "--data-dir")}
    async with open_core(load_config(flags, config_file=config, environ={"HOME": data})) as core:
        store = core.datasources.triple("docs").store
        tell("ready", "-", "-")
        dice = random.Random(int(seed))
        await asyncio.gather(*(work(store, n, random.Random(dice.randrange(2**32))) for n in range(WORKERS)))

asyncio.run(main())
""".replace("KEYS", str(KEYS)).replace("WORKERS", str(WORKERS))


class Disk:
    """A file system in an image, with the datasource and the data folder on it."""

    def __init__(self, root: Path, durability: str, kind: str, format_: str) -> None:
        self.image, self.place, self.config = root / "image", root / "disk", root / "config.toml"
        self.place.mkdir()
        subprocess.run(["truncate", "-s", "512M" if kind == "xfs" else "192M", str(self.image)], check=True)
        command = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}[kind]
        try:
            made = subprocess.run([*command, str(self.image)], capture_output=True).returncode
        except FileNotFoundError:
            made = 1
        if made or not self.mount():
            pytest.skip(f"an image of {kind} can not be mounted here (needs root and loop devices)")
        self.folder, self.data = self.place / "parent" / BUCKET, self.place / "data"
        self.folder.mkdir(parents=True)
        self.data.mkdir()
        os.sync()
        lines = ["[[datasource]]", f'name = "{BUCKET}"', f'folder = "{self.folder}"', f'durability = "{durability}"']
        lines += ['watch = "off"', "hash_content = false", f'format = "{format_}"']
        self.config.write_text("\n".join(lines))
        self.may_hold: dict[str, set[str]] = {}

    def mount(self) -> bool:
        command = ["mount", "-o", "loop", str(self.image), str(self.place)]
        return subprocess.run(command, capture_output=True).returncode == 0

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.place)], capture_output=True)

    def cut(self) -> None:
        """The power goes."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def note(self, what: str, key: str, digest: str) -> None:
        if what == "begin":
            self.may_hold.setdefault(key, {ABSENT}).add(digest)
        elif what == "end":
            self.may_hold[key] = {digest}

    def load_and_cut(self, seed: int, acknowledged: int) -> None:
        """Clients write until so many writes were acknowledged; then the power goes, and comes back."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", CHILD, str(self.data), str(self.config), str(seed)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        ) as child:
            assert child.stdout is not None
            left, cut_at = acknowledged, 0
            for line in child.stdout:
                if not line.endswith("\n"):
                    break  # killed while it told
                what, key, digest, at = line.split()
                if cut_at and what == "end" and int(at) > cut_at:
                    continue  # a flush that races with the shutdown may be told a success: with the power, nobody hears
                self.note(what, key, digest)
                left -= what == "end"
                if left == 0 and not cut_at:
                    cut_at = time.monotonic_ns()
                    self.cut()
                    child.kill()
            child.wait()
        assert left <= 0, "the load ended by itself"
        self.unmount()
        assert self.mount()

    async def find_losses(self) -> list[str]:
        """Start again: first what the index says by itself, then after the comparison with the disk."""
        losses: list[str] = []
        flags = {"server.data_dir": (str(self.data), "--data-dir")}
        loaded = load_config(flags, config_file=str(self.config), environ={"HOME": str(self.data)})
        async with open_core(loaded, follow=False) as core:
            store = core.datasources.triple(BUCKET).store
            for key, held in self.may_hold.items():
                if len(held) == 1:
                    losses += await self._compare(store, key, held)
            # What was under way may have reached the disk without its row: the next start repairs that by itself.
            if store.sync is not None:
                await store.sync.resync()
            losses += await store.index.verify()
            for key, held in self.may_hold.items():
                losses += await self._compare(store, key, held)
            if store.sync is None:
                report = await check_blobs(store, core.clock, repair=Repair.ALL, grace_seconds=0.0)
                losses += [f"{found}" for found in report.findings if found.problem in _FAULTS]
                if report.open_problems:
                    losses.append(f"a repair left {report.open_problems} problems")
            temporary = [path.name for path in self.place.rglob("t-*")]
            losses += [f"left over: {name}" for name in temporary]
        return losses

    async def _read(self, store, key: str) -> bytes | None:
        if store.sync is not None:
            path = self.folder / key
            return path.read_bytes() if path.is_file() else None
        try:
            opened = await store.open_node(key)
        except NotFound:
            return None
        try:
            return await opened.reader.read(0, 1 << 20)
        finally:
            opened.reader.close()

    async def _compare(self, store, key: str, held: set[str]) -> list[str]:
        content = await self._read(store, key)
        digest = ABSENT if content is None else hashlib.sha256(content).hexdigest()
        if digest not in held:
            return [f"{key} holds {digest[:8]} and not one of {[each[:8] for each in held]}"]
        node = None
        with contextlib.suppress(NotFound):
            node = await store.index.read_node(key)
        if (node is None) != (content is None):
            return [f"{key} is {'not ' if node is None else ''}in the index"]
        if node is not None and content is not None:
            is_fresh = node.size == len(content) and node.etag in ("", hashlib.md5(content).hexdigest())
            if not is_fresh:
                return [f"the row of {key} is stale"]
        self.may_hold[key] = {digest} if len(held) > 1 else held
        return []


@pytest.fixture
def make_disk(tmp_path):
    made: list[Disk] = []

    def make(durability: str = "fsync", kind: str = "ext4", format_: str = "structured") -> Disk:
        made.append(Disk(tmp_path, durability, kind, format_))
        return made[-1]

    yield make
    for disk in made:
        disk.unmount()


async def run_cuts(disk: Disk, count: int, seed: int) -> list[str]:
    """Cut so often; the losses of the first cut that had any."""
    dice = random.Random(seed)
    for number in range(count):
        disk.load_and_cut(dice.randrange(2**32), dice.randint(3, 120))
        losses = await disk.find_losses()
        if losses:
            return [f"cut {number + 1}:", *losses]
    return []


@pytest.mark.timeout(240)
@pytest.mark.parametrize("format_", ["structured", "flat"])
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
async def test_d3_a_power_cut_loses_and_tears_nothing_acknowledged(make_disk, kind, format_):
    disk = make_disk(kind=kind, format_=format_)
    assert await run_cuts(disk, 8 if kind == "ext4" else 3, seed=20261122) == []


@pytest.mark.timeout(240)
async def test_d4_without_flushes_the_harness_finds_losses(make_disk):
    """The negative control: relaxed durability promises nothing about power, and the harness must see that."""
    assert await run_cuts(make_disk("relaxed"), 20, seed=1) != []


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("format_", ["structured", "flat"])
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
@pytest.mark.parametrize("seed", range(10))
async def test_d3_many_power_cuts(make_disk, kind, seed, format_):
    assert await run_cuts(make_disk(kind=kind, format_=format_), 100, seed=seed) == []
