"""The turn of whoever changes something about people: one at a time, and what was compiled before counts no more."""

import asyncio
from types import TracebackType


class Turn:
    """``async with turn`` around every change that may bear upon rights. ``changes`` grows with each."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        """For what changes nothing about rights, but must not come into a change."""
        self.changes = 0

    async def __aenter__(self) -> None:
        await self.lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.changes += 1
        self.lock.release()
