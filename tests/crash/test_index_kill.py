"""D1 for the index alone: a process killed while it writes; what it had acknowledged must be there afterwards."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from cellsmono.datasource.index.sqlite import SqliteIndex

WRITER = """
import asyncio, sys
from pathlib import Path
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.interfaces.node import Facts
from cellsmono.interfaces.patch import DeleteNode, MoveNode, Patch, PutLeaf

async def main(path, turn):
    index = await SqliteIndex.open(Path(path), datasource="d")

    async def work(worker):
        for number in range(10**9):
            base = f"{turn}/{worker}/"
            leaf = f"{base}{number % 7}/f{number}"
            await index.apply(Patch((PutLeaf(leaf, Facts(number, number)),)))
            print(f"+ {leaf}", flush=True)
            if number % 10 == 9:
                await index.apply(Patch((MoveNode(f"{base}{number % 7}/", f"{base}m/{number}/"),)))
                print(f"> {base}{number % 7}/ {base}m/{number}/", flush=True)
            if number % 15 == 14:
                await index.apply(Patch((DeleteNode(leaf),)))
                print(f"- {leaf}", flush=True)

    await asyncio.gather(*(work(worker) for worker in range(6)))

asyncio.run(main(*sys.argv[1:]))
"""
LINES = (40, 400)


def expected_leaves(told: list[str], kept: set[str]) -> set[str]:
    """What must be there after everything that was acknowledged."""
    for line in told:
        what, *paths = line.split(" ")
        if what == "+":
            kept.add(paths[0])
        elif what == "-":
            kept.discard(paths[0])
        else:
            for path in [path for path in kept if path.startswith(paths[0])]:
                kept.discard(path)
                kept.add(paths[1] + path[len(paths[0]) :])
    return kept


async def test_acknowledged_patches_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    chance = random.Random(7)
    kept: set[str] = set()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for turn in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(turn)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(chance.randint(*LINES))]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        kept = expected_leaves([line.rstrip("\n") for line in told if line.endswith("\n")], kept)
        kept = await check(path, kept, turn)


async def check(path: Path, kept: set[str], turn: int) -> set[str]:
    """Reopen; returns what is there now, for each worker may have had one more patch under way than it told of."""
    index = await SqliteIndex.open(path, datasource="d")
    try:
        assert await index.verify() == []
        found = {node.path for node in await index.list_unhashed(limit=10**6)}
        workers = 6
        missing, extra = kept - found, found - kept
        begun = {leaf.split("/")[1] for leaf in missing | extra}
        assert all(leaf.startswith(f"{turn}/") for leaf in missing | extra)
        assert len(begun) <= workers
        for worker in begun:
            prefix = f"{turn}/{worker}/"
            gone = {leaf for leaf in missing if leaf.startswith(prefix)}
            new = {leaf for leaf in extra if leaf.startswith(prefix)}
            is_one_move = len(gone) == len(new) and {p.rsplit("/", 1)[1] for p in gone} == {
                p.rsplit("/", 1)[1] for p in new
            }
            assert is_one_move or len(gone) + len(new) == 1
        page = await index.changes(limit=10**6)
        assert [event.seq for event in page.events] == list(range(1, len(page.events) + 1))
        return found
    finally:
        await index.close()
