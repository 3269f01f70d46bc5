"""Commits on the event loop: which they are, and that they come to the same as those in threads."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cellsmono.datasource.objects.lane import BATCH_JOBS
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.interfaces.datasource import Durability
from cellsmono.kernel.calm import STALL_SECONDS, Calm
from cellsmono.kernel.errors import Conflict

Put = Callable[..., Awaitable[Any]]


@pytest.fixture(params=list(Durability))
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[LocalStore]:
    opened = LocalStore("data.objects.local1", tmp_path)
    (tmp_path / "docs").mkdir()
    opened.add_bucket("docs", "docs", durability=request.param)
    yield opened
    await opened.close()


@pytest.fixture
def hops(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is handed to threads."""
    calls: list[str] = []
    run = store.workers.run

    async def note(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        calls.append(call.__name__)
        return await run(call, *args, **options)

    monkeypatch.setattr(store.workers, "run", note)
    return calls


async def test_a_small_file_in_a_known_folder_waits_for_the_disk_alone(
    store: LocalStore, put: Put, hops: list[str]
) -> None:
    await put(store, "a/first")
    assert hops == ["publish"]
    hops.clear()
    committed = await put(store, "a/second", b"more")
    is_durable = store.bucket("docs").durable
    assert hops == (["finish"] if is_durable else [])
    assert committed.folders == ()
    assert committed.info.facts.size == 4
    assert await (await store.open("docs", "a/second")).read(0, 10) == b"more"


async def test_a_folder_that_has_to_be_made_is_made_in_a_thread(store: LocalStore, put: Put, hops: list[str]) -> None:
    await put(store, "first")
    hops.clear()
    results = await asyncio.gather(*(put(store, key) for key in ("known", "new/one", "new/two", "also")))
    assert hops == ["finish"]
    assert [folder.key for result in results for folder in result.folders] == ["new/"]
    for key in ("known", "new/one", "new/two", "also"):
        assert (await store.stat("docs", key)).facts.size == 4


async def test_a_large_file_is_committed_in_a_thread(store: LocalStore, put: Put, hops: list[str]) -> None:
    await put(store, "first")
    hops.clear()
    await put(store, "large", bytes(200_000))
    assert hops[-1] == "publish"


async def test_a_slow_disk_sends_everything_to_threads(
    store: LocalStore, put: Put, hops: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, "first")
    hops.clear()
    now = 1000.0

    def monotonic() -> float:
        nonlocal now
        now += STALL_SECONDS * 2
        return now

    monkeypatch.setattr(store.lane(store.bucket("docs")), "_calm", Calm(monotonic))
    for key in ("one", "two"):
        await put(store, key)
    is_durable = store.bucket("docs").durable
    assert hops == (["finish", "publish"] if is_durable else ["publish"])


async def test_a_crowd_is_committed_in_order_and_one_error_harms_nobody_else(store: LocalStore, put: Put) -> None:
    await put(store, "folder/in/it")
    await put(store, "plain")
    keys = [f"file {number}" for number in range(40)]
    results = await asyncio.gather(
        *(put(store, key) for key in keys),
        put(store, "folder/in"),
        put(store, "plain/below"),
        return_exceptions=True,
    )
    assert [isinstance(result, Conflict) for result in results] == [False] * 40 + [True, True]
    for key in keys:
        assert (await store.stat("docs", key)).facts.size == 4


async def test_nothing_is_left_behind_when_a_commit_on_the_loop_fails(
    store: LocalStore, put: Put, tmp_path: Path, work_files: Callable[[Path], list[str]]
) -> None:
    await put(store, "folder/x")
    for _ in range(3):
        with pytest.raises(Conflict):
            await put(store, "folder")
    assert work_files(tmp_path) == []


async def test_commits_that_no_thread_takes_are_told_and_the_next_ones_go_on(
    store: LocalStore,
    put: Put,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    work_files: Callable[[Path], list[str]],
) -> None:
    await put(store, "first")

    async def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(store.workers, "run", refuse)
        crowd = [put(store, f"new/{number}", bytes(10)) for number in range(BATCH_JOBS + 5)]
        results = await asyncio.gather(*crowd, return_exceptions=True)
    assert all(isinstance(result, RuntimeError) for result in results)
    assert len(os.listdir("/proc/self/fd")) == before
    assert work_files(tmp_path) == []
    await put(store, "second")
