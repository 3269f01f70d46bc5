"""Quotas: how much may lie in a folder, held against everybody who writes there at the same time.

What lies in a folder is a sum that the index has at hand. What is still on its way is not in it, so that whoever
writes first *holds* what is to come; a hold ends when the content is in the index, or will never be. Holds and the sum
together never exceed a limit. A look at both is made under a lock for each folder, and holds are read before the sum:
content that arrives in between counts twice, never not at all.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from cellsmono.interfaces.tree import Meter
from cellsmono.kernel.errors import QuotaExceeded

STEP = 1 << 20
"""How many bytes are held at once for a body of unknown length."""

Limits = Sequence[tuple[str, int]]
"""Folders (tree paths) and how many bytes may lie in each."""


async def _nothing() -> int:
    return 0


async def _nothing_to_reclaim() -> bool:
    return False


class _Ledger:
    """What is held in one folder. ``users`` counts who looks at it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.held = 0
        self.users = 0


class Quotas:
    """The holds of all writers."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._ledgers: dict[str, _Ledger] = {}
        self.reclaim: Callable[[], Awaitable[bool]] = _nothing_to_reclaim
        """Called before somebody is refused: ends holds of what is not there any more. Whether there were some."""

    @asynccontextmanager
    async def holding(
        self, limits: Limits, path: str, size: int, replaced: Callable[[], Awaitable[int]] = _nothing
    ) -> AsyncIterator["Hold"]:
        """Room for ``size`` bytes while the block runs; it can be asked for more. Raises QuotaExceeded.

        ``replaced`` tells how many bytes go when the new ones come; it is asked only where they would not fit.
        """
        hold = Hold(self, limits, path, replaced)
        try:
            await hold.take(size)
            yield hold
        finally:
            hold.release()

    async def grow(self, folder: str, limit: int, count: int, path: str) -> None:
        """Hold ``count`` more bytes in a folder. Raises QuotaExceeded."""
        ledger = self._ledgers.setdefault(folder, _Ledger())
        ledger.users += 1
        try:
            async with ledger.lock:
                while True:
                    held = ledger.held
                    used = (await self._meter.measure(folder)).bytes
                    if used + held + count <= limit:
                        ledger.held += count
                        return
                    if ledger.held == held:
                        raise _exceeded(path, limit, count)
        finally:
            ledger.users -= 1
            self._tidy(folder)

    def shrink(self, folder: str, count: int) -> None:
        """Give back what was held."""
        self._ledgers[folder].held -= count
        self._tidy(folder)

    def _tidy(self, folder: str) -> None:
        ledger = self._ledgers[folder]
        if not ledger.held and not ledger.users:
            del self._ledgers[folder]


class Hold:
    """What one writer holds in all the folders that a path is in."""

    def __init__(
        self, quotas: Quotas, limits: Limits, path: str, replaced: Callable[[], Awaitable[int]] = _nothing
    ) -> None:
        self.limits = limits
        self.size = 0
        """Bytes that were asked for."""
        self._quotas = quotas
        self._path = path
        self._replaced = replaced
        self._credit: int | None = None
        self._lock = asyncio.Lock()
        self._held: dict[str, int] = {}

    async def take(self, count: int) -> None:
        """Hold more, in all folders or in none. Raises QuotaExceeded."""
        if not self.limits or count <= 0:
            return
        async with self._lock:
            try:
                await self._reach(self.size + count)
            except QuotaExceeded:
                is_reclaimed = await self._quotas.reclaim()
                if self._credit is None:
                    self._credit = await self._replaced()
                    is_reclaimed = is_reclaimed or self._credit > 0
                if not is_reclaimed:
                    raise
                await self._reach(self.size + count)
            self.size += count

    async def give_back(self, count: int) -> None:
        """Hold less."""
        async with self._lock:
            self.size -= count
            self._shrink_to(max(self.size - (self._credit or 0), 0))

    def release(self) -> None:
        """Hold nothing any more."""
        self.size = 0
        self._shrink_to(0)

    async def _reach(self, size: int) -> None:
        wanted = max(size - (self._credit or 0), 0)
        before = dict(self._held)
        try:
            for folder, limit in self.limits:
                more = wanted - self._held.get(folder, 0)
                if more > 0:
                    await self._quotas.grow(folder, limit, more, self._path)
                    self._held[folder] = wanted
        except BaseException:
            for folder in self._held:
                self._cut(folder, before.get(folder, 0))
            raise

    def _shrink_to(self, wanted: int) -> None:
        for folder in self._held:
            self._cut(folder, wanted)

    def _cut(self, folder: str, wanted: int) -> None:
        if (surplus := self._held[folder] - wanted) > 0:
            self._held[folder] = wanted
            self._quotas.shrink(folder, surplus)


class MeteredBody:
    """A body that is held room for as it comes in, step by step; for what was ``announced`` there is room already."""

    def __init__(self, body: AsyncIterable[bytes], hold: Hold, announced: int) -> None:
        self._pieces = aiter(body)
        self._hold = hold
        self._spare = announced - hold.size
        self._arrived = 0

    def __aiter__(self) -> "MeteredBody":
        return self

    async def __anext__(self) -> bytes:
        piece = await anext(self._pieces)
        self._arrived += len(piece)
        missing = self._arrived - self._spare - self._hold.size
        if missing > 0:
            try:
                await self._hold.take(max(missing, STEP))
            except QuotaExceeded:
                await self._hold.take(missing)
        return piece


def _exceeded(path: str, limit: int, count: int) -> QuotaExceeded:
    """The refusal. It does not say how much is there: some of it may be kept from the user."""
    return QuotaExceeded(
        f"The quota of {limit} bytes is used up: {count} bytes more do not fit. "
        "Delete something, or ask an administrator for more.",
        reason="quota",
        path=path,
    )
