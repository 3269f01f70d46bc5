"""Files copied by processes of their own: the same outcomes as by this one, and nothing hangs when one of them ends."""

import asyncio
import os
import signal

import msgspec
import pytest

from cellsmono.datasource.objects import copy_pool
from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.copy_pool import open_pool
from cellsmono.datasource.objects.mass_copying import Changed, Damaged, FileCopied, FileJob
from cellsmono.interfaces.node import NodeAttributes, facts_of
from cellsmono.kernel.errors import Unavailable


@pytest.fixture
def buckets(tmp_path):
    made = []
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
        made.append(
            LocalBucket(name, os.fsencode(tmp_path / name), durable=False, follow=False, marked=False),
        )
    return made


@pytest.fixture(autouse=True)
def processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})


def make_job(folder, name, data=b"data", **changes):
    (folder / name).write_bytes(data)
    facts = facts_of((folder / name).stat())
    values = {
        "source": name, "target": f"copies/{name}", "mtime_ns": facts.mtime_ns, "facts": facts, "by_size": False,
        "md5": "", "attributes": NodeAttributes(facts.size, facts.mtime_ns), "keeps_mode": True,
    }  # fmt: skip
    return FileJob(**values | changes)


async def test_outcomes_are_those_of_copying_here(buckets, tmp_path):
    folder = tmp_path / "source"
    fine = make_job(folder, "fine", os.urandom(3_000_000))
    other = make_job(folder, "other", md5="0" * 32)
    gone = make_job(folder, "gone")
    (folder / "gone").unlink()
    changed = make_job(folder, "changed")
    (folder / "changed").write_bytes(b"longer than before")
    async with open_pool(*buckets) as pool:
        assert pool.size == 2
        jobs = [fine, other], [gone, changed]
        first, second = await asyncio.gather(*(pool.copy(some) for some in jobs))
    copy = tmp_path / "target" / "copies" / "fine"
    assert copy.read_bytes() == (folder / "fine").read_bytes()
    assert first[0] == FileCopied(fine.facts, facts_of(copy.stat()))
    assert isinstance(first[1], Damaged)
    assert second == [Changed(None), Changed(facts_of((folder / "changed").stat()))]
    assert sorted(os.listdir(tmp_path / "target" / "copies")) == ["fine"]


async def test_what_keeps_all_from_being_written_is_raised_and_the_process_goes_on(buckets, tmp_path):
    job = make_job(tmp_path / "source", "k")
    async with open_pool(*buckets) as pool:
        (tmp_path / "target").rmdir()
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                await pool.copy([job])
            assert caught.value.reason == "offline"
        (tmp_path / "target").mkdir()
        assert isinstance((await pool.copy([job]))[0], FileCopied)


async def test_a_process_that_is_killed_is_told(buckets, tmp_path, monkeypatch):
    started = []
    start = copy_pool._start

    async def note(places):
        started.append(await start(places))
        return started[-1]

    monkeypatch.setattr(copy_pool, "_start", note)
    job = make_job(tmp_path / "source", "k")
    async with open_pool(*buckets) as pool:
        for process in started:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        with pytest.raises(Unavailable) as caught:
            await pool.copy([job])
        assert "-9" in caught.value.message
    assert all(process.returncode == -signal.SIGKILL for process in started)


async def test_a_caller_that_is_cancelled_ends_its_process(buckets, tmp_path):
    first = make_job(tmp_path / "source", "k", os.urandom(60_000_000), target="0")
    jobs = [first, *(msgspec.structs.replace(first, target=str(n)) for n in range(1, 20))]
    async with open_pool(*buckets) as pool:
        task = asyncio.create_task(pool.copy(jobs))
        while not (tmp_path / "target" / "0").exists():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not (tmp_path / "target" / "19").exists()


async def test_where_no_process_can_be_started_there_is_no_pool(buckets, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    async with open_pool(*buckets) as pool:
        assert pool is None


async def test_one_processor_has_no_pool(buckets, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    async with open_pool(*buckets) as pool:
        assert pool is None
