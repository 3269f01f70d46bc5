"""What it costs to find out what a user may do: 50 roles and 5,000 rows of rights in a tree of 100,000 nodes.

    PYTHONPATH=src python bench/bench_permissions.py [--nodes 100000] [--rows 5000] [--roles 50]

``compile`` is everything from the database to the marks that requests ask: reading the rows of all roles, finding out
where their nodes are, and choosing the strongest on each; rows of roles that were read before are remembered. ``rule
alone`` is the last of these steps. ``explain`` compiles and tells why. ``decide`` is one question about a node ten
folders deep. Times are the best of several, in CPU time of this process.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench_index import load, make_tree, show
from cellsmono.data.tree.locator import TreeLocator
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.idm.access import Access
from cellsmono.idm.database import open_database
from cellsmono.idm.people import PeopleStore
from cellsmono.interfaces.people import CreateRole, CreateUser, GiveRole
from cellsmono.interfaces.permissions import compile_marks, decide
from cellsmono.kernel.clock import SystemClock

TARGET_MS = 20.0
ROUNDS = 7


class OneStore:
    """A datasource of which only the index is asked."""

    def __init__(self, index: SqliteIndex) -> None:
        self.index = index

    def find(self, name: str) -> Any:
        return self if name == "docs" else None

    def names(self) -> list[str]:
        return ["docs"]


async def measure(work: Callable[[], Awaitable[object]]) -> float:
    """CPU milliseconds of the quickest of several runs."""
    times = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        await work()
        times.append((time.process_time() - begun) * 1000)
    return min(times)


async def fill(people: PeopleStore, uuids: list[str], roles: int) -> None:
    await people.perform(CreateUser("alice"))
    for number in range(roles):
        await people.perform(CreateRole(f"Role {number}"))
        await people.perform(GiveRole(f"Role {number}", "alice"))
    services = people.services
    for number, uuid in enumerate(uuids):
        role = services.role.read(f"Role {number % roles}")
        right = "deny" if number % 50 == 0 else "read"
        await services.acl.put(uuid, role.uuid, "", {right: "1"})


async def run(nodes: int, rows: int, roles: int, folder: Path) -> None:
    index = await SqliteIndex.open(folder / "index.db", datasource="docs", durability="relaxed")
    await load(index, make_tree(nodes))
    found = [node.uuid for node in await index.list_unhashed(limit=nodes)]
    random.Random(7).shuffle(found)
    database = await open_database(folder)
    people = await PeopleStore.open(database, SystemClock(), TreeLocator(OneStore(index)))
    await fill(people, found[:rows], roles)
    user = people.services.user.read("alice")
    access = Access(people.services.role, people.services.acl, TreeLocator(OneStore(index)))
    gathered = await access.gather(user)
    marks = compile_marks(gathered.grants)
    deep = "docs/" + "/".join(f"folder{number}" for number in range(10)) + "/file"

    async def compile_all() -> None:
        compile_marks((await access.gather(user)).grants)

    async def compile_alone() -> None:
        compile_marks(gathered.grants)

    async def decide_often() -> None:
        for _ in range(1000):
            decide(marks, deep)

    show(f"compile, {roles} roles, {rows} rows (at most {TARGET_MS:.0f} ms)", await measure(compile_all), "ms")
    show("rule alone", await measure(compile_alone), "ms")
    show("explain", await measure(lambda: access.explain(user, deep)), "ms")
    show("decide, ten folders deep", await measure(decide_often), "us")
    await database.close()
    await index.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--roles", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(options.nodes, options.rows, options.roles, Path(folder)))


if __name__ == "__main__":
    main()
