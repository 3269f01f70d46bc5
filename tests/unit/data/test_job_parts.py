"""Walks that go on from anywhere, and names that are free."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellsmono.data.jobs import walking
from cellsmono.data.jobs.names import Names, find_free, number_path
from cellsmono.data.jobs.transfer import is_copy_of
from cellsmono.datasource.index.memory import MemoryIndex
from cellsmono.interfaces.node import Facts, Node
from cellsmono.interfaces.patch import Patch, PutFolder, PutLeaf

SEGMENTS = st.sampled_from(["a", "b", "ab", "a!", ""])
FOLDERS = st.lists(SEGMENTS, max_size=3).map(lambda names: "".join(f"{each}/" for each in names))
KEYS = st.lists(st.builds(str.__add__, FOLDERS, st.sampled_from(["a", "x", "a.b"])), max_size=20, unique=True)


async def fill(keys):
    index = MemoryIndex(datasource="ds")
    made = tuple(PutLeaf(f"top/{key}", facts=Facts(1, 1)) for key in keys)
    await index.apply(Patch((PutFolder("top/"), PutFolder("top/empty/"), *made)))
    return index


async def collect(index, cursor=""):
    return [node.path async for node in walking.walk(index.list_children, "top/", cursor)]


@given(KEYS)
async def test_a_walk_goes_on_from_wherever_it_was(keys):
    index = await fill(keys)
    whole = await collect(index)
    assert whole == sorted(whole, key=str.encode)
    assert {path for path in whole if not path.endswith("/")} == {f"top/{key}" for key in keys}
    for at, cursor in enumerate(whole):
        assert await collect(index, cursor) == whole[at + 1 :]


async def test_pages_are_followed(monkeypatch):
    monkeypatch.setattr(walking, "PAGE", 2)
    index = await fill(["a", "b/1", "b/2", "b/3", "c", "d", "e/1"])
    assert await collect(index) == [
        "top/a", "top/b/", "top/b/1", "top/b/2", "top/b/3", "top/c", "top/d", "top/e/", "top/e/1", "top/empty/",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "numbered"),
    [("a.txt", "a-2.txt"), ("x/a", "x/a-2"), ("x.y/a/", "x.y/a-2/"), ("v1.0/", "v1.0-2/"), (".hidden", ".hidden-2")],
)
def test_numbers_stand_before_the_suffix(path, numbered):
    assert number_path(path, 2) == numbered


async def test_the_first_free_name_is_taken():
    taken = {"a.txt", "a-1.txt"}

    async def is_taken(path):
        return path in taken

    assert await find_free("a.txt", is_taken) == "a-2.txt"
    assert await find_free("b", is_taken) == "b"


async def test_one_at_a_time_chooses_in_a_folder():
    names, order = Names(), []

    async def choose(folder, name):
        async with names.choosing(folder):
            order.append(name)

    async with names.choosing("x/"):
        waiting = choose("x/", "second")
        task = asyncio.ensure_future(waiting)
        await choose("y/", "other")
        order.append("first")
    await task
    assert order == ["other", "first", "second"]
    assert not names._locks


def node(size=1, mtime=1, content_hash=""):
    return Node("a", "uuid", Facts(size, mtime), content_hash=content_hash)


@pytest.mark.parametrize(
    ("copy", "is_one"),
    [
        (node(), True),
        (node(content_hash="a"), True),
        (node(content_hash="b"), False),
        (node(size=2), False),
        (node(mtime=2), False),
    ],
)
def test_what_counts_as_the_copy_of_a_file(copy, is_one):
    original = node(content_hash="a")
    assert is_copy_of(copy, original) is is_one
