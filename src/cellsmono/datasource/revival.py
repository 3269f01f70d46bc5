"""Datasources on another server that could not be opened: tried again until the server is there."""

import asyncio
from collections.abc import Awaitable, Callable

from cellsmono.kernel.tasks import cancel_and_wait, create_task

FIRST_SECONDS = 10.0
"""How long the start of the process waits for a server that does not answer; the others must not wait for it."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0

Attempt = Callable[[str], Awaitable[bool]]
"""Opens the datasource of this name. False: that failed and is to be tried again. Why is kept elsewhere."""


class Revival:
    """Opens datasources by name, again and again where that fails. With ``insists`` off it tries each one once."""

    def __init__(self, attempt: Attempt, *, insists: bool) -> None:
        self._attempt = attempt
        self._insists = insists
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, name: str) -> None:
        """Try now. Returns with the end of the first attempt, or when that takes long, while it goes on."""
        if not self._insists:
            await self._attempt(name)
            return
        tried = asyncio.Event()
        self._start(name, tried, 0.0)
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                await tried.wait()
        except TimeoutError:
            return

    def go_on(self, name: str) -> None:
        """Somebody else tried in vain; try again after a pause."""
        if self._insists and name not in self._tasks:
            self._start(name, asyncio.Event(), FIRST_PAUSE)

    def _start(self, name: str, tried: asyncio.Event, pause: float) -> None:
        task = create_task(self._insist(name, tried, pause), f"datasource-revival:{name}")
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name) if self._tasks.get(name) is task else None)

    async def _insist(self, name: str, tried: asyncio.Event, pause: float) -> None:
        try:
            await asyncio.sleep(pause)
            while not await self._attempt(name):
                tried.set()
                pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)
                await asyncio.sleep(pause)
        finally:
            tried.set()

    async def settled(self, name: str) -> None:
        """Return once this one is not tried any longer: mostly because it is open."""
        while name in self._tasks:
            await asyncio.wait([self._tasks[name]])

    async def end(self, name: str) -> None:
        """Try no longer; an attempt that is under way is broken off. Nothing happens for one that is not tried."""
        task = self._tasks.pop(name, None)
        if task is not None:
            await cancel_and_wait(task)

    async def close(self) -> None:
        """Try none any longer."""
        for name in list(self._tasks):
            await self.end(name)
