"""What only the stored index has: a file, a cache in front of it, and readers beside its writer."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import closing
from pathlib import Path

import pytest

from cellsmono.datasource.index.cache import NodeCache
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.node import Facts, Node
from cellsmono.interfaces.patch import DeleteNode, MoveNode, Patch, PutFolder, PutLeaf
from cellsmono.kernel.errors import Corrupt, Invalid, NotFound

ONE = Facts(1, 1)
TWO = Facts(2, 2)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SqliteIndex]:
    opened = await SqliteIndex.open(tmp_path / "i.db", datasource="photos")
    yield opened
    await opened.close()


def run_at_once(coroutine: Coroutine[object, object, Node]) -> Node:
    """Run a coroutine that must not give way."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        node: Node = stop.value
        return node
    coroutine.close()
    pytest.fail("the coroutine gave way")


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    index = await SqliteIndex.open(path, datasource="photos")
    await index.apply(Patch((PutLeaf("a/b", ONE, etag="x"),)))
    before = [await index.read_node(each) for each in ("", "a/", "a/b")]
    await index.close()
    index = await SqliteIndex.open(path, datasource="photos")
    assert [await index.read_node(each) for each in ("", "a/", "a/b")] == before
    (event,) = await index.apply(Patch((PutLeaf("a/c", ONE),)))
    assert event.seq == 3
    await index.close()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["garbage", "other", "truncated", "rootless"])
async def test_a_file_that_is_no_index_is_corrupt_and_says_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "i.db"
    if damage == "garbage":
        path.write_bytes(b"garbage " * 1000)
    elif damage == "other":
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE x (y)")
    else:
        index = await SqliteIndex.open(path, datasource="photos")
        await index.close()
        if damage == "truncated":
            path.write_bytes(path.read_bytes()[:8192])
        else:
            with closing(sqlite3.connect(path)) as other:
                other.execute("DELETE FROM index_node")
                other.commit()
    with pytest.raises(Corrupt, match=r"photos.*delete .*i\.db.*rebuilt"):
        await SqliteIndex.open(path, datasource="photos")


async def test_the_index_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    await (await SqliteIndex.open(path, datasource="photos")).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(Invalid, match="schema 99"):
        await SqliteIndex.open(path, datasource="photos")


async def test_the_event_of_a_bulk_that_was_cut_short_is_published_at_the_next_open(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    index = await SqliteIndex.open(path, datasource="photos")
    await index.apply(Patch((PutLeaf("a/b", ONE),), "resync", bulk=True, bulk_path="a/", more=True))
    await index.close()
    told: list[NodeEvent] = []
    for times in (1, 2):
        index = await SqliteIndex.open(path, datasource="photos", publish=told.extend)
        events = (await index.changes()).events
        await index.close()
        assert [(event.seq, event.kind, event.path) for event in told] == [(1, EventKind.RELOAD, "a/")], times
        assert events == tuple(told)


async def test_a_cached_node_costs_no_hop(index: SqliteIndex) -> None:
    await index.apply(Patch((PutLeaf("a/b", ONE),)))
    node = run_at_once(index.read_node("a/b"))
    assert node.facts == ONE
    await index.apply(Patch((PutLeaf("a/b", TWO),)))
    assert run_at_once(index.read_node("a/b")).facts == TWO
    await index.apply(Patch((MoveNode("a/", "c/"),)))
    assert run_at_once(index.read_node("c/")).path == "c/"
    with pytest.raises(NotFound):
        await index.read_node("a/b")
    assert (await index.read_node("c/b")).facts == TWO
    assert run_at_once(index.read_node("c/b")).facts == TWO
    await index.apply(Patch((DeleteNode("c/"),)))
    for path in ("c/", "c/b"):
        with pytest.raises(NotFound):
            await index.read_node(path)


async def test_a_read_that_was_overtaken_does_not_bring_the_old_node_back(index: SqliteIndex) -> None:
    await index.apply(Patch(tuple(PutLeaf(f"d/{n}", ONE) for n in range(100)), bulk=True))
    read = index._database.read
    found, go_on = asyncio.Event(), asyncio.Event()

    async def slow(function: object, *, page: bool = False) -> object:
        result = await read(function, page=page)  # type: ignore[arg-type, var-annotated]
        found.set()
        await go_on.wait()
        return result

    index._database.read = slow  # type: ignore[assignment, method-assign]
    reading = [asyncio.create_task(index.read_node(f"d/{number}")) for number in (1, 2)]
    await found.wait()
    index._database.read = read  # type: ignore[method-assign]
    await index.apply(Patch((PutLeaf("d/1", TWO), DeleteNode("d/2"))))
    go_on.set()
    await asyncio.gather(*reading)
    assert (await index.read_node("d/1")).facts == TWO
    with pytest.raises(NotFound):
        await index.read_node("d/2")


async def test_readers_beside_a_writer_always_see_a_whole_tree(index: SqliteIndex) -> None:
    """A folder is moved to and fro; a listing must show all of it at one place, never a part or both."""
    await index.apply(Patch((PutFolder("x/"), *(PutLeaf(f"a/{n // 10}/{n}", ONE) for n in range(40)))))
    is_done = asyncio.Event()

    async def move() -> None:
        for number in range(60):
            places = ("a/", "x/a/") if number % 2 == 0 else ("x/a/", "a/")
            await index.apply(Patch((MoveNode(*places), PutLeaf("x/count", Facts(number, number)))))
        is_done.set()

    async def look() -> int:
        looks = 0
        counts = {(40, 40), (40, 0)}
        while not is_done.is_set():
            page = await index.list_keys()
            paths = [entry.path for entry in page.entries if isinstance(entry, Node)]
            assert (sum("a/" in path for path in paths), sum(path.startswith("x/a/") for path in paths)) in counts
            assert (await index.usage("")).files in {40, 41}
            nodes = await index.read_nodes(["a/0/0", "x/a/0/0"])
            assert [node is None for node in nodes] in ([True, False], [False, True])
            looks += 1
        return looks

    _, *looks = await asyncio.gather(move(), look(), look())
    assert all(looks)


async def test_a_cancelled_caller_leaves_a_whole_patch_and_a_true_cache(index: SqliteIndex) -> None:
    await index.apply(Patch((PutLeaf("a/b", ONE),)))
    task = asyncio.create_task(index.apply(Patch((PutLeaf("a/b", TWO), MoveNode("a/", "c/")))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await index.apply(Patch((PutLeaf("z", ONE),)))
    assert (await index.read_node("c/b")).facts == TWO
    with pytest.raises(NotFound):
        await index.read_node("a/b")
    assert run_at_once(index.read_node("c/b")).facts == TWO


async def test_a_crowd_of_patches_is_one_transaction(index: SqliteIndex) -> None:
    statements: list[str] = []
    writer = index._database._writer
    assert writer is not None
    await writer.run(lambda connection: connection.set_trace_callback(statements.append))
    await asyncio.gather(*(index.apply(Patch((PutLeaf(f"a/{number}", ONE),))) for number in range(64)))
    assert statements.count("COMMIT") == 1
    statements.clear()
    await index.apply(Patch(tuple(PutLeaf(f"a/{number}", ONE) for number in range(64))))
    assert not [each for each in statements if each.startswith(("INSERT", "UPDATE", "DELETE"))]


async def test_a_page_does_not_read_what_it_rolls_up(index: SqliteIndex) -> None:
    """The steps of SQLite's machine for a page must not grow with what is below the common prefixes."""

    async def steps(delimiter: str) -> int:
        connection, _ = index._database._readers[-1]
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return 0

        await connection.run(lambda inner: inner.set_progress_handler(tick, 1))
        await index.list_keys("", delimiter)
        await connection.run(lambda inner: inner.set_progress_handler(None, 1))
        return count

    async def fill(files: int) -> None:
        await index.apply(Patch(tuple(PutLeaf(f"d{n % 4}-/x/{n}", ONE) for n in range(files))))

    await fill(40)
    few = await steps("/"), await steps("-")
    await fill(2000)
    assert (await steps("/"), await steps("-")) == few


async def test_verify_tells_of_damage(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    index = await SqliteIndex.open(path, datasource="photos")
    await index.apply(Patch((PutLeaf("a/b/c", ONE), PutLeaf("d/e", ONE))))
    await index.close()
    for statement, word in [
        ("UPDATE index_folder SET files = files + 1 WHERE name = 'b/'", "counters"),
        ("UPDATE index_folder SET lft = rgt + 1 WHERE name = 'b/'", "labels"),
        ("UPDATE index_folder SET parent = 1 WHERE name = 'b/'", "agrees"),
        ("DELETE FROM index_folder WHERE name = 'd/'", "not exist"),
        ("UPDATE index_node SET name = 'c/' WHERE name = 'c'", "does not fit"),
        ("DELETE FROM index_node WHERE name = 'd/'", "no node"),
        ("DELETE FROM index_change WHERE seq = 2", "gaps"),
    ]:
        copy = tmp_path / "copy.db"
        copy.write_bytes(path.read_bytes())
        with closing(sqlite3.connect(copy)) as other:
            other.execute(statement)
            other.commit()
        damaged = await SqliteIndex.open(copy, datasource="photos")
        assert any(word in sentence for sentence in await damaged.verify()), statement
        await damaged.close()
        copy.unlink()


def test_the_cache_keeps_what_is_used_and_no_more() -> None:
    cache = NodeCache(capacity=10)
    for number in range(100):
        cache.end_reading(cache.begin_reading(), [Node(f"f{number}", "u", ONE)])
        assert cache.find("f0") is not None
    assert len([number for number in range(100) if cache.find(f"f{number}")]) <= 10


def test_many_folders_at_once_clear_the_cache() -> None:
    cache = NodeCache()
    cache.end_reading(cache.begin_reading(), [Node("a/x", "u", ONE), Node("z", "u", ONE)])
    cache.take_effects([("a/", None), ("z", Node("z", "u", TWO))], keep_new=False)
    assert cache.find("a/x") is None
    assert cache.find("z") == Node("z", "u", TWO)
    cache.take_effects([(f"{number}/", None) for number in range(20)], keep_new=False)
    assert cache.find("z") is None
