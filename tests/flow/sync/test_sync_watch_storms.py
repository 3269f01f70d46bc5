"""Many changes at once, trees of odd shapes, and how fast and how cheap following is."""

import asyncio
import itertools
import os
import random
import shutil
import signal
import statistics
import subprocess
import time
from pathlib import Path

import pytest

from cellsmono.interfaces.sync import SyncState

PATIENCE = 60.0


def make_tree(root, folders, files):
    for number in range(folders):
        folder = root / f"d{number // 100}" / f"e{number}"
        folder.mkdir(parents=True)
        for each in range(files):
            (folder / f"f{each}").touch()


def make_deep(root, depth):
    """A chain of folders whose path is longer than the kernel takes in one call."""
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep-down", dir_fd=descriptor)
        inner = os.open("deep-down", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)


@pytest.mark.parametrize("count", [40_000])
async def test_w1_an_overflow_is_made_good_without_help(root, serve_folder, count):
    for number in range(40):
        (root / f"d{number}").mkdir()
    served = serve_folder()
    await served.wait_until_followed()
    os.kill(served.server.process.pid, signal.SIGSTOP)
    for number in range(count):
        (root / f"d{number % 40}" / f"f{number}").touch()
    os.kill(served.server.process.pid, signal.SIGCONT)
    spent = await served.wait(lambda info: info.stats.files == count)
    print(f"{count} files were all there after {spent:.1f} s")
    assert served.server.stop() == 0


async def test_w1_an_overflow_of_what_is_no_change_hides_none(root, serve_folder):
    """Reading fills the kernel's queue, too, and reports nothing: only the comparison finds what fell out of it."""
    for number in range(20):
        (root / f"f{number}").touch()
    (root / "last").mkdir()
    served = serve_folder()
    await served.wait_until_followed()
    os.kill(served.server.process.pid, signal.SIGSTOP)
    for _ in range(1000):
        for number in range(20):
            (root / f"f{number}").read_bytes()
    (root / "last" / "new").touch()
    os.kill(served.server.process.pid, signal.SIGCONT)
    await served.wait(lambda info: info.stats.files == 21)
    assert served.server.stop() == 0


async def test_w4_quick_chains_of_folders_are_all_found(open_followed):
    async with open_followed() as site:
        for number in range(300):
            (site.root / f"q{number}" / "r" / "s").mkdir(parents=True)
            (site.root / f"q{number}" / "r" / "s" / "file").write_bytes(b"x")
        await site.converge()
        assert len(await site.rows()) == 1200
        for number in range(300):
            (site.root / f"q{number}" / "r" / "s" / "later").write_bytes(b"x")
        await site.converge()


async def test_w5_in_and_out_many_times(tmp_path, root, open_followed):
    outside = tmp_path / "outside"
    make_tree(outside, 200, 2)
    count = 2 + 200 + 400
    async with open_followed(max_delete_nodes=100_000) as site:
        for _ in range(2):
            outside.rename(root / "in")
            await site.converge()
            assert len(await site.rows()) == count + 1
            (root / "in" / "d1" / "e150" / "seen").touch()
            await site.wait_for("in/d1/e150/seen")
            (root / "in" / "d1" / "e150" / "seen").unlink()
            (root / "in").rename(outside)
            await site.converge()
        kinds = [kind for kind, _, path in site.told() if path == "in/"]
        assert kinds.count("create") == kinds.count("delete") == 2


async def test_w5_the_root_is_deleted_and_made_anew(root, open_followed):
    (root / "a").mkdir()
    (root / "a" / "x").write_bytes(b"1")
    async with open_followed(reconcile_seconds=0.2) as site:
        shutil.rmtree(root)
        async with asyncio.timeout(PATIENCE):
            await site.sync.wait_for_state(SyncState.OFFLINE)
        root.mkdir()
        (root / "b").mkdir()
        await site.converge()
        (root / "b" / "y").write_bytes(b"2")
        await site.converge()
        assert set(await site.rows()) == {"b/", "b/y"}


async def test_w7_a_storm_of_renames_comes_to_rest(root, open_followed):
    names = [f"n{number}" for number in range(10)]
    (root / "a").mkdir()
    (root / "b").mkdir()
    pool = itertools.count()
    luck = random.Random(7)
    changes = 0
    async with open_followed() as site:
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            for _ in range(100):
                source = root / luck.choice("ab") / luck.choice(names)
                goal = root / luck.choice("ab") / luck.choice(names)
                if source.exists():
                    source.rename(goal)
                else:
                    source.write_bytes(b"%d" % next(pool))
                changes += 1
            await asyncio.sleep(0)
        await site.converge()
        assert len(site.events) <= changes
        assert await site.index.verify() == []


@pytest.mark.parametrize(
    "count", [100_000, pytest.param(1_000_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
async def test_w9_very_many_files_in_one_folder(root, open_any, count):
    for number in range(count):
        os.close(os.open(f"{root}/f{number}", os.O_CREAT))
    async with open_any(hash_content=False) as site:
        async with asyncio.timeout(600):
            await site.sync.wait_until_followed()
        assert (await site.index.usage("")).files == count
        (root / "f7").unlink()
        (root / "new").touch()
        await site.wait_for("new")
        report = await site.sync.resync()
        assert (await site.index.usage("")).files == count
        assert report.changed == 0


@pytest.fixture
def deep_root(root):
    """A tree a thousand folders deep, removed by what can: not every tool reaches so deep."""
    make_deep(root, 1000)
    yield root
    subprocess.run(["rm", "-rf", "--", str(root)], check=True)


async def test_w9_folders_a_thousand_deep(deep_root, open_any):
    async with open_any(hash_content=False) as site:
        async with asyncio.timeout(PATIENCE):
            await site.sync.wait_until_followed()
        assert (await site.index.usage("")).folders == 1000, site.sync.status()
        (deep_root / "deep-down" / "x").touch()
        await site.wait_for("deep-down/x")
        report = await site.sync.resync()
        assert (report.changed, report.skipped_total) == (0, 0)


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("folders", "seconds"), [(500, 3), pytest.param(10_000, 10, marks=[pytest.mark.soak, pytest.mark.timeout(300)])]
)
async def test_an_idle_server_rests(root, serve_folder, folders, seconds):
    make_tree(root, folders, 1)
    served = serve_folder(CELLSMONO_LOG__LEVEL="warning")
    await served.wait_until_followed()
    pid = served.server.process.pid
    await asyncio.sleep(3)
    before = processor_seconds(pid)
    await asyncio.sleep(seconds)
    share = (processor_seconds(pid) - before) / seconds
    print(f"idle with {folders} folders: {share:.2%} of a core")
    assert share < 0.02, "0.5 % on a quiet machine"
    assert served.server.stop() == 0


@pytest.mark.parametrize(
    ("folders", "files"), [(200, 10), pytest.param(10_000, 10, marks=[pytest.mark.soak, pytest.mark.timeout(300)])]
)
async def test_a_change_is_seen_within_a_second(root, open_followed, folders, files):
    make_tree(root, folders, files)
    luck = random.Random(1)
    delays = []
    async with open_followed() as site:
        for number in range(30):
            each = luck.randrange(folders)
            path = f"d{each // 100}/e{each}/new{number}"
            began = time.monotonic()
            (root / path).touch()
            await site.wait_for(path)
            delays.append(time.monotonic() - began)
    late = statistics.quantiles(delays, n=20)[-1]
    print(f"seen after {statistics.median(delays):.3f} s, p95 {late:.3f} s")
    assert late < 1.0
