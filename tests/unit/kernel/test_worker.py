import asyncio

import pytest

from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.service import ServiceState
from cellsmono.kernel.worker import Worker


class Pauses:
    """Records how long the worker wants to wait, and lets the test decide when it goes on."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[float | None] = asyncio.Queue()
        self.go = asyncio.Semaphore(0)

    async def __call__(self, event: asyncio.Event, seconds: float | None) -> None:
        self.asked.put_nowait(seconds)
        waiting = [asyncio.ensure_future(self.go.acquire()), asyncio.ensure_future(event.wait())]
        _, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in rest:
            each.cancel()


async def test_works_on_while_there_is_more_and_then_waits_for_the_interval() -> None:
    left = 3
    pauses = Pauses()

    async def step() -> bool:
        nonlocal left
        left -= 1
        return left > 0

    worker = Worker("w", step, interval=30, waiter=pauses, clock=ManualClock())
    async with worker.running():
        assert await pauses.asked.get() == 30
        assert left == 0
        assert worker.steps == 3
        assert worker.last_step_at == ManualClock().time()
        pauses.go.release()
        assert await pauses.asked.get() == 30
        assert worker.steps == 4


async def test_many_wakes_cost_one_step() -> None:
    pauses = Pauses()
    worker = Worker("w", _idle, waiter=pauses)
    async with worker.running():
        assert await pauses.asked.get() is None
        for _ in range(100):
            worker.wake()
        await pauses.asked.get()
        assert worker.steps == 2


async def test_a_wake_during_a_step_is_not_lost() -> None:
    pauses = Pauses()
    inside = asyncio.Event()
    go = asyncio.Event()

    async def step() -> bool:
        inside.set()
        await go.wait()
        return False

    worker = Worker("w", step, waiter=pauses)
    async with worker.running():
        await inside.wait()
        assert worker.is_working
        worker.wake()
        go.set()
        await pauses.asked.get()
        await pauses.asked.get()
        assert worker.steps == 2


async def test_errors_back_off_and_are_shown_and_forgotten() -> None:
    pauses = Pauses()
    broken = True

    async def step() -> bool:
        if broken:
            raise OSError("no space")
        return False

    worker = Worker("w", step, interval=5, waiter=pauses)
    async with worker.running():
        asked = []
        for _ in range(8):
            asked.append(await pauses.asked.get())
            worker.wake()  # waking does not shorten the wait after an error
            if len(asked) < 8:
                pauses.go.release()
        assert asked == [1, 2, 4, 8, 16, 32, 60, 60]
        assert worker.last_error == "OSError: no space"
        assert worker.status().state is ServiceState.DEGRADED
        broken = False
        pauses.go.release()
        assert await pauses.asked.get() == 5
        assert worker.last_error == ""
        assert worker.status().state is ServiceState.READY


async def test_stop_lets_a_running_step_finish() -> None:
    inside = asyncio.Event()
    go = asyncio.Event()
    finished = False

    async def step() -> bool:
        nonlocal finished
        inside.set()
        await go.wait()
        finished = True
        return True

    worker = Worker("w", step)
    worker.start()
    await inside.wait()
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    go.set()
    await stopping
    assert finished
    assert worker.steps == 1


async def test_stop_cancels_a_step_that_takes_too_long() -> None:
    inside = asyncio.Event()

    async def step() -> bool:
        inside.set()
        await asyncio.Event().wait()
        return False

    worker = Worker("w", step)
    worker.start()
    await inside.wait()
    await worker.stop(patience=0.01)
    assert worker.steps == 0
    assert not worker.is_working


async def test_stop_interrupts_the_wait_after_an_error() -> None:
    failed = asyncio.Event()

    async def step() -> bool:
        failed.set()
        raise OSError("no")

    async with Worker("w", step).running():
        await failed.wait()


async def test_a_worker_starts_once() -> None:
    worker = Worker("w", _idle)
    async with worker.running():
        with pytest.raises(RuntimeError, match="twice"):
            worker.start()


async def test_a_worker_that_never_started_can_be_stopped() -> None:
    await Worker("w", _idle).stop()


async def _idle() -> bool:
    return False
