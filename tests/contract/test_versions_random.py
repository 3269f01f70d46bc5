"""Random changes on datasources that keep versions, beside a simple model of S3's versioning: both always agree."""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsmono.datasource.flat.checking import check_blobs
from cellsmono.interfaces.datasource import CopyOptions, Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.version import Version, Versioning
from cellsmono.kernel.clock import SystemClock
from cellsmono.kernel.errors import Conflict, NotFound

HARD = ["a", "a-", "a/x", "a/y", "b", "b/x", "é/x"]
PLAIN = ["a", "a-", "c/x", "c/y", "b", "d/x", "é/x"]
BODIES = st.binary(max_size=3) | st.just("large")
LARGE = b"x" * 70_000


def step_of(names):
    keys = st.sampled_from(names)
    folders = st.sampled_from(sorted({name[: name.index("/") + 1] for name in names if "/" in name}))
    return st.one_of(_steps(keys, folders))


def _steps(keys, folders):
    return [
        st.tuples(st.just("put"), keys, BODIES),
        st.tuples(st.just("put"), keys, BODIES),
        st.tuples(st.just("delete"), keys, st.none()),
        st.tuples(st.just("delete_many"), st.lists(keys, max_size=3, unique=True).map(tuple), st.none()),
        st.tuples(st.just("delete_version"), keys, st.integers(0, 4)),
        st.tuples(st.just("delete_version"), keys, st.integers(0, 1)),
        st.tuples(st.just("copy"), st.tuples(keys, st.none() | st.integers(0, 3)), keys),
        st.tuples(st.just("tag"), keys, st.integers(0, 3)),
        st.tuples(st.just("move"), keys, keys),
        st.tuples(st.just("move"), folders, folders),
        st.tuples(st.just("set"), st.sampled_from([Versioning.ENABLED, Versioning.SUSPENDED]), st.none()),
    ]


UNKNOWN = "?"
"""An id that only the datasource knows yet."""


class Model:
    """By key its versions, newest first: [id, body or None for a delete marker, tags]."""

    def __init__(self):
        self.status = Versioning.OFF
        self.keys = {}

    def shows(self, key):
        return bool(self.keys.get(key)) and self.keys[key][0][1] is not None

    def put(self, key, version, body, tags):
        old = self.keys.get(key, [])
        if self.status is not Versioning.ENABLED:
            old = [each for each in old if each[0]]
        self.keys[key] = [[version, body, tags], *old]

    def delete(self, key, marker):
        if self.status is Versioning.OFF:
            self.keys.pop(key, None)
        else:
            self.put(key, marker, None, {})

    def move(self, source, path):
        if source == path:
            return
        moved, *left = self.keys[source]
        replaced = self.keys.get(path, [])
        if replaced and replaced[0][1] is not None and not replaced[0][0] and self.status is not Versioning.ENABLED:
            replaced = replaced[1:]
        if not moved[0]:
            replaced = [[each[0] or UNKNOWN, *each[1:]] for each in replaced]
        self.keys[path] = [moved, *replaced]
        if left and left[0][1] is not None:
            left = [[UNKNOWN, None, {}], *left]
        self.keys[source] = left

    def move_folder(self, source, path):
        for key in [key for key in self.keys if key.startswith(source) and self.shows(key)]:
            self.move(key, path + key[len(source) :])
        # Null versions below the new place make room, wherever one comes beside them or not.
        for key, versions in self.keys.items():
            if key.startswith(path):
                versions[1:] = [[each[0] or UNKNOWN, *each[1:]] for each in versions[1:]]
                if versions and versions[0][1] is None and not versions[0][0]:
                    versions[0][0] = UNKNOWN

    def rows(self):
        return [(key, *version) for key in sorted(self.keys) for version in self.keys[key]]


async def _once(data):
    yield data


async def change(store, model, what, first, second):
    if what == "put":
        second = LARGE if second == "large" else second
        node = await store.put_node(first, _once(second), PlainDigest(), WriteOptions())
        model.put(first, node.version, second, {})
    elif what == "delete":
        removal = await store.remove_node(first)
        assert removal.existed is model.shows(first)
        model.delete(first, removal.marker)
    elif what == "delete_many":
        for key, marker in zip(first, await store.delete_nodes(first), strict=True):
            model.delete(key, marker)
    elif what == "delete_version":
        versions = model.keys.get(first, [])
        if second < len(versions):
            gone = await store.delete_version(first, versions[second][0])
            assert (gone.node is None) is (versions[second][1] is None)
            del versions[second]
    elif what == "copy":
        await copy(store, model, *first, second)
    elif what == "tag":
        await tag(store, model, first, second)
    elif what == "set":
        await store.set_versioning(first)
        model.status = first
    else:
        await store.move_node(first, second)
        if first.endswith("/"):
            model.move_folder(first, second)
        else:
            model.move(first, second)


async def copy(store, model, source, at, path):
    versions = model.keys.get(source, [])
    if at is not None and (at >= len(versions) or versions[at][1] is None):
        return
    version = None if at is None else versions[at][0]
    node = await store.copy_node(source, path, CopyOptions(source_version=version))
    model.put(path, node.version, versions[at or 0][1], versions[at or 0][2])


async def tag(store, model, key, at):
    versions = model.keys.get(key, [])
    if at < len(versions) and versions[at][1] is not None:
        tags = {"n": str(len(versions))}
        await store.update_version_meta(key, versions[at][0], lambda meta: type(meta)(tags=tags))
        versions[at][2] = tags


async def list_all(index, limit):
    found, after, version = [], "", None
    while True:
        page = await index.list_versions(after=after, after_version=version, limit=limit)
        found += page.entries
        if not page.next_key:
            return found
        assert len(page.entries) == limit
        after, version = page.next_key, page.next_version


async def compare(store, model, *, thorough=False):
    model.keys = {key: versions for key, versions in model.keys.items() if versions}
    found = await list_all(store.index, 1000)
    for version, (_, mine) in zip(found, [(k, v) for k in sorted(model.keys) for v in model.keys[k]], strict=True):
        mine[0] = version.id if mine[0] == UNKNOWN else mine[0]
    shown = [(v.key, v.id, v.node and v.size, v.node and v.node.meta.tags) for v in found]
    assert shown == [(k, i, None if b is None else len(b), None if b is None else t) for k, i, b, t in model.rows()]
    firsts = {key: versions[0][0] for key, versions in model.keys.items()}
    assert [v.is_latest for v in found] == [firsts[v.key] == v.id for v in found]
    page = await store.index.list_keys(limit=10_000)
    assert [node.path for node in page.entries] == sorted(key for key in model.keys if model.shows(key))
    stats = await store.index.stats()
    assert stats.versions == len(found) - len(page.entries)
    if thorough:
        await compare_content(store, model, found)


async def compare_content(store, model, found):
    for limit in (1, 2, 3):
        assert await list_all(store.index, limit) == found
    rolled = (await store.index.list_versions(delimiter="/")).entries
    tops = [key for key in model.keys if "/" not in key]
    folders = {key[: key.index("/") + 1] for key in model.keys if "/" in key}
    assert [e.key if isinstance(e, Version) else e for e in rolled] == sorted(
        [*folders, *(key for key in tops for _ in model.keys[key])]
    )
    for key, version, body, _ in model.rows():
        if body is not None:
            opened = await store.open_version(key, version)
            assert await opened.reader.read(0, 100_000) == body
            opened.reader.close()
            assert (opened.node.path, opened.node.version) == (key, version)
    assert await store.index.verify() == []
    contents = sum(row[2] is not None for row in model.rows())
    if store.sync is None:
        report = await check_blobs(store, SystemClock(), grace_seconds=0.0)
        assert (report.blobs, report.counts) == (contents, {})
    else:
        assert (await store.kept.index.stats()).files == contents - sum(map(model.shows, model.keys))


async def run(open_any, kind, format_, steps):
    model = Model()
    with tempfile.TemporaryDirectory() as place:
        async with open_any(kind, format_, Path(place), []) as store:
            for step in steps:
                with suppress(NotFound, Conflict):  # what is refused changes nothing: the comparison tells
                    await change(store, model, *step)
                await compare(store, model)
            await compare(store, model, thorough=True)


@pytest.mark.parametrize("kind", ["memory", "local"])
@pytest.mark.parametrize("format_", [Format.FLAT, Format.STRUCTURED])
def test_a_datasource_and_a_model_of_versions_agree(open_any_versioned, kind, format_):
    step = step_of(HARD if format_ is Format.FLAT else PLAIN)

    @settings(max_examples=150 if kind == "memory" else 30, deadline=None)
    @given(st.sampled_from(list(Versioning)), st.lists(step, min_size=12, max_size=40))
    def check(first, steps):
        asyncio.run(run(open_any_versioned, kind, format_, [("set", first, None), *steps] if first else steps))

    check()
