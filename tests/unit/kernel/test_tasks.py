import asyncio

import pytest

from cellsmono.kernel.tasks import cancel_and_wait, create_task, list_tasks


async def test_tasks_are_listed_by_their_owner() -> None:
    stop = asyncio.Event()
    names = ["data.sync.a", "data.sync.a:watch", "data.sync.ab", "data.sync.a.scan"]
    tasks = [create_task(_wait(stop), name) for name in names]
    await asyncio.sleep(0)
    assert list_tasks("data.sync.a") == ["data.sync.a", "data.sync.a.scan", "data.sync.a:watch"]
    stop.set()
    await asyncio.gather(*tasks)
    assert list_tasks("data.sync.a") == []


async def test_an_error_is_still_there_for_who_awaits() -> None:
    async def fail() -> None:
        raise ValueError("no")

    task = create_task(fail(), "x")
    with pytest.raises(ValueError, match="no"):
        await task


async def test_cancel_waits_until_the_task_has_cleaned_up() -> None:
    cleaned = False

    async def work() -> None:
        nonlocal cleaned
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True

    task = create_task(work(), "x")
    await asyncio.sleep(0)
    await cancel_and_wait(task)
    assert cleaned


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
