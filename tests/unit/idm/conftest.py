"""People over a real database in a temporary folder, with a clock that is moved by hand and cheap hashes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from cellsmono.idm.database import open_database
from cellsmono.idm.passwords import Passwords
from cellsmono.idm.people import PeopleStore
from cellsmono.interfaces.index import Usage
from cellsmono.interfaces.tree import ROOT_UUID, TreeNode
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import NotFound
from cellsmono.store.database import Database

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Tree(dict[str, str]):
    """``NodeLocator`` over a dict of UUIDs by tree path; ``sizes`` are the bytes in folders."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}

    async def identify(self, path: str) -> TreeNode:
        path = path.removeprefix("/")
        for each in (path, path + "/"):
            if each in self:
                return TreeNode(self[each], each)
        if not path:
            return TreeNode(ROOT_UUID, "")
        raise NotFound(f"There is no {path!r}")

    def sources(self) -> tuple[str, ...]:
        return tuple(sorted({path.partition("/")[0] for path in self}))

    async def measure(self, path: str) -> Usage:
        return Usage(0, 0, self.sizes.get(path, 0))

    async def locate(self, uuids: Sequence[str]) -> dict[str, str]:
        known = {uuid: path for path, uuid in self.items()} | {ROOT_UUID: ""}
        return {uuid: known[uuid] for uuid in uuids if uuid in known}


@pytest.fixture
def tree() -> Tree:
    return Tree()


@pytest.fixture
async def open_people(
    tmp_path: Path, clock: ManualClock, tree: Tree
) -> AsyncIterator[Callable[..., Awaitable[PeopleStore]]]:
    """Opens the store; opening it again closes the database before, as a restart does."""
    opened: list[Database] = []

    async def open_them(hasher: Any = CHEAP) -> PeopleStore:
        for each in opened:
            await each.close()
        opened.append(await open_database(tmp_path))
        return await PeopleStore.open(opened[-1], clock, tree, Passwords(hasher))

    yield open_them
    for each in opened:
        await each.close()


@pytest.fixture
async def people(open_people: Callable[..., Awaitable[PeopleStore]]) -> PeopleStore:
    return await open_people()
