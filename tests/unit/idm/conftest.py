"""People over a real database in a temporary folder, with a clock that is moved by hand and cheap hashes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from cellsmono.idm.passwords import Passwords
from cellsmono.idm.people import PeopleStore
from cellsmono.kernel.clock import ManualClock

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def open_people(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Callable[..., Awaitable[PeopleStore]]]:
    """Opens the store; opening it again closes the one before, as a restart does."""
    opened: list[PeopleStore] = []

    async def open_them(hasher: Any = CHEAP) -> PeopleStore:
        for each in opened:
            await each.close()
        opened.append(await PeopleStore.open(tmp_path, clock, Passwords(hasher)))
        return opened[-1]

    yield open_them
    for each in opened:
        await each.close()


@pytest.fixture
async def people(open_people: Callable[..., Awaitable[PeopleStore]]) -> PeopleStore:
    return await open_people()
