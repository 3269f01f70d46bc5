"""Random changes on datasources of every format, beside a dictionary: both must always tell the same."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsmono.datasource.flat.checking import check_blobs
from cellsmono.interfaces.datasource import Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import FolderKind
from cellsmono.kernel.clock import SystemClock
from cellsmono.kernel.errors import Conflict, NotFound

PLAIN = ["a", "b", "a-", "é"]
HARD = [*PLAIN, "", "..", "\uffee", "\U0001f600"]


def steps(names):
    leaves = st.lists(st.sampled_from(names), min_size=1, max_size=3).map("/".join).filter(lambda p: p and p[-1] != "/")
    folders = st.lists(st.sampled_from(names), min_size=1, max_size=2).map(lambda parts: "/".join(parts) + "/")
    step = st.one_of(
        st.tuples(st.just("put"), leaves, st.binary(max_size=4)),
        st.tuples(st.just("put"), leaves, st.just(b"x" * 70_000)),
        st.tuples(st.just("copy"), leaves, leaves),
        st.tuples(st.just("move"), leaves, leaves),
        st.tuples(st.just("move"), folders, folders),
        st.tuples(st.just("delete"), leaves | folders, st.none()),
        st.tuples(st.just("delete_many"), st.lists(leaves | folders, max_size=4).map(tuple), st.none()),
        st.tuples(st.just("mark"), folders, st.none()),
    )
    return st.lists(step, min_size=1, max_size=25)


class Model:
    """Leaves with their content, and markers. Folders are whatever these imply."""

    def __init__(self):
        self.leaves: dict[str, bytes] = {}
        self.markers: set[str] = set()

    def list_keys(self):
        return sorted([*self.leaves, *self.markers])

    def apply(self, what, first, second):
        if what == "put":
            self.leaves[first] = second
        elif what == "copy":
            self.leaves[second] = self.leaves[first]
        elif what == "delete":
            self._delete(first)
        elif what == "delete_many":
            for path in first:
                self._delete(path)
        elif what == "mark":
            self.markers.add(first)
        elif first.endswith("/"):
            self.leaves = {self._moved(path, first, second): data for path, data in self.leaves.items()}
            self.markers = {self._moved(path, first, second) for path in self.markers}
        else:
            self.leaves[second] = self.leaves.pop(first)

    def _delete(self, path):
        self.leaves.pop(path, None)
        self.markers.discard(path)

    @staticmethod
    def _moved(path, old, new):
        return new + path[len(old) :] if path.startswith(old) else path


async def change(store, what, first, second):
    if what == "put":
        await store.put_node(first, _once(second), PlainDigest(), WriteOptions())
    elif what == "copy":
        await store.copy_node(first, second)
    elif what == "move":
        await store.move_node(first, second)
    elif what == "delete":
        await store.delete_node(first)
    elif what == "mark":
        await store.create_folder(first, FolderKind.MARKER)
    else:
        for error in await store.delete_nodes(first):
            if error is not None and getattr(error, "reason", "") != "not_empty":
                raise error


async def _once(data):
    yield data


async def compare(store, model):
    page = await store.index.list_keys(limit=10_000)
    assert [node.path for node in page.entries] == model.list_keys()
    for path, data in model.leaves.items():
        opened = await store.open_node(path)
        assert await opened.reader.read(0, 100_000) == data
        opened.reader.close()
        assert opened.node.size == len(data)
    implied = {key[: at + 1] for key in model.list_keys() for at in range(len(key)) if key[at] == "/"}
    assert (await store.index.usage("")).folders == len(implied), "no folder is left that nothing implies"
    assert await store.index.verify() == []


async def run(open_any, kind, format_, steps_, servers):
    model = Model()
    with tempfile.TemporaryDirectory() as place:
        async with open_any(kind, format_, Path(place), [], servers) as store:
            for step in steps_:
                try:
                    await change(store, *step)
                except (NotFound, Conflict):
                    continue  # what is refused changes nothing: the next comparison tells
                model.apply(*step)
                await compare(store, model)
            await compare(store, model)
            if store.sync is None:
                report = await check_blobs(store, SystemClock(), grace_seconds=0.0)
                assert (report.blobs, report.counts) == (len(model.leaves), {})


EXAMPLES = {"memory": 60, "local": 25, "moto": 6, "own": 6}
"""How many courses are tried; where each step is some requests, fewer of them."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("format_", [Format.FLAT, Format.STRUCTURED])
def test_a_datasource_and_a_dictionary_agree(open_any, find_servers, kind, format_):
    names = HARD if format_ is Format.FLAT else PLAIN
    servers = find_servers(kind)

    @settings(max_examples=EXAMPLES[kind], deadline=None)
    @given(steps(names))
    def check(made):
        asyncio.run(run(open_any, kind, format_, made, servers))

    check()
