"""Versions of keys in datasources of blobs: the cases that are rare, and what a check makes of them."""

import asyncio

import pytest
from msgspec.structs import replace

from cellsmono.datasource.flat.checking import Repair, check_blobs
from cellsmono.interfaces.datasource import CopyOptions, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import NodeAttributes, NodeMeta
from cellsmono.interfaces.operations import BlobProblem
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.clock import ManualClock, SystemClock
from cellsmono.kernel.errors import Corrupt, Invalid, NotFound


async def chunks(*parts):
    for part in parts:
        yield part


async def put(flat, path, data=b"data", **options):
    return await flat.put_node(path, chunks(data), PlainDigest(), WriteOptions(**options))


async def read(flat, path, version=None):
    opened = await (flat.open_node(path) if version is None else flat.open_version(path, version))
    try:
        return await opened.reader.read(0, 1 << 24)
    finally:
        opened.reader.close()


async def rows(flat, **query):
    """(key, body or None for a marker, is latest) of all versions."""
    found = []
    for version in (await flat.index.list_versions(**query)).entries:
        body = None if version.node is None else await read(flat, version.key, version.id)
        found.append((version.key, body, version.is_latest))
    return found


async def stored(flat):
    await flat.blobs.settle()
    folders = await flat.blobs.list_folders()
    return sorted([blob.key for folder in folders for blob in await flat.blobs.list_blobs(folder)])


async def check(flat, repair=Repair.NOTHING):
    report = await check_blobs(flat, SystemClock(), repair=repair, grace_seconds=0.0)
    return [(found.problem, found.key, found.path) for found in report.findings]


@pytest.fixture
async def versioned(flat):
    await flat.set_versioning(Versioning.ENABLED)
    return flat


async def test_replaced_and_deleted_content_keeps_its_blob(versioned):
    first, second = await put(versioned, "x", b"1"), await put(versioned, "x", b"22")
    assert (first.uuid, first.version != second.version) == (second.uuid, True)
    assert await stored(versioned) == sorted([versioned.blobs.key_of(first), versioned.blobs.key_of(second)])
    removal = await versioned.remove_node("x")
    assert removal.existed
    assert removal.marker
    assert len(await stored(versioned)) == 2
    assert await rows(versioned) == [("x", None, True), ("x", b"22", False), ("x", b"1", False)]
    assert await check(versioned) == []
    await versioned.delete_version("x", first.version)
    assert await stored(versioned) == [versioned.blobs.key_of(second)]
    await versioned.delete_version("x", removal.marker)
    assert (await versioned.read_node("x")).version == second.version
    await versioned.delete_version("x", second.version)
    assert await stored(versioned) == []
    stats = await versioned.index.stats()
    assert (stats.files, stats.versions, stats.version_bytes) == (0, 0, 0)


async def test_a_node_that_was_moved_away_leaves_its_versions_behind_a_marker(versioned):
    await put(versioned, "a/x", b"1")
    current = await put(versioned, "a/x", b"22")
    moved = await versioned.move_node("a/x", "b/x")
    assert (moved.uuid, moved.version) == (current.uuid, current.version)
    assert await rows(versioned) == [("a/x", None, True), ("a/x", b"1", False), ("b/x", b"22", True)]
    # The version that shows now had the UUID of the node that was moved away: it gets one of its own.
    marker = (await versioned.index.read_versions("a/x"))[0]
    await versioned.delete_version("a/x", marker.id)
    back = await versioned.read_node("a/x")
    assert back.uuid != moved.uuid
    assert await rows(versioned) == [("a/x", b"1", True), ("b/x", b"22", True)]
    assert await check(versioned) == []
    assert len(await stored(versioned)) == 2


async def test_a_folder_that_moves_takes_what_is_shown_and_leaves_versions_with_their_keys(versioned, events):
    for name in ("x", "y"):
        await put(versioned, f"a/{name}", b"old " + name.encode())
        await put(versioned, f"a/{name}", b"new " + name.encode())
    await put(versioned, "a/once", b"once")
    events.clear()
    await versioned.move_node("a/", "b/")
    assert len(events) == (versioned.config.format != "internal"), "one event, whatever is in it"
    assert await rows(versioned, prefix="b/") == [
        ("b/once", b"once", True),
        ("b/x", b"new x", True),
        ("b/y", b"new y", True),
    ]
    assert await rows(versioned, prefix="a/") == [
        ("a/x", None, True),
        ("a/x", b"old x", False),
        ("a/y", None, True),
        ("a/y", b"old y", False),
    ]
    assert await versioned.index.verify() == []
    assert await check(versioned) == []


async def test_a_null_version_that_comes_beside_another_leaves_both(flat):
    for path in ("a/x", "b/x", "y"):
        await put(flat, path, path.encode())
    await flat.set_versioning(Versioning.ENABLED)
    await flat.remove_node("b/x")
    await flat.move_node("a/", "b/")
    assert await rows(flat, prefix="b/") == [("b/x", b"a/x", True), ("b/x", None, False), ("b/x", b"b/x", False)]
    assert [version.id == "" for version in await flat.index.read_versions("b/x")] == [True, False, False]
    await flat.move_node("y", "b/x")
    assert [version.id == "" for version in await flat.index.read_versions("b/x")] == [True, False, False, False]
    assert (await rows(flat, prefix="b/"))[:2] == [("b/x", b"y", True), ("b/x", b"a/x", False)]
    assert await flat.index.verify() == []


async def test_what_is_moved_onto_a_leaf_makes_it_a_version(versioned):
    await put(versioned, "x", b"old")
    await put(versioned, "y", b"new")
    await versioned.move_node("y", "x")
    assert await rows(versioned) == [("x", b"new", True), ("x", b"old", False)]


async def test_suspended_the_null_version_alone_is_replaced(versioned):
    kept = await put(versioned, "x", b"kept")
    await versioned.set_versioning(Versioning.SUSPENDED)
    for body in (b"1", b"22", b"3" * 100_000):
        assert (await put(versioned, "x", body)).version == ""
    assert await rows(versioned) == [("x", b"3" * 100_000, True), ("x", b"kept", False)]
    assert len(await stored(versioned)) == 2
    assert (await versioned.remove_node("x")).marker == ""
    assert await rows(versioned) == [("x", None, True), ("x", b"kept", False)]
    assert await stored(versioned) == [versioned.blobs.key_of(kept)]
    await put(versioned, "x", b"4")
    assert await rows(versioned) == [("x", b"4", True), ("x", b"kept", False)]
    with pytest.raises(Invalid):
        await versioned.set_versioning(Versioning.OFF)


async def test_a_copy_to_itself_is_a_version_of_its_own(versioned):
    first = await put(versioned, "x", b"body", meta=NodeMeta(user={"n": "1"}))
    copy = await versioned.copy_node("x", "x", CopyOptions(meta=NodeMeta(user={"n": "2"})))
    assert copy.version != first.version
    older = await versioned.read_version("x", first.version)
    assert (older.node.meta.user, copy.meta.user) == ({"n": "1"}, {"n": "2"})
    await versioned.delete_version("x", first.version)
    assert await read(versioned, "x") == b"body"


async def test_versions_say_what_is_not_there(versioned):
    first = await put(versioned, "x", b"1")
    marker = (await versioned.remove_node("x")).marker
    for path, version in (("x", "0" * 32), ("x", ""), ("y", first.version), ("\ud800", "")):
        for ask in (versioned.read_version, versioned.open_version, versioned.delete_version):
            with pytest.raises(NotFound) as error:
                await ask(path, version)
            assert error.value.reason == "version"
    with pytest.raises(Invalid) as error:
        await versioned.open_version("x", marker)
    assert error.value.reason == "marker"
    with pytest.raises(Invalid):
        await versioned.update_version_meta("x", marker, lambda meta: meta)


async def test_a_clock_that_was_set_back_neither_reuses_blobs_nor_turns_versions_around(versioned):
    clock = ManualClock()
    versioned.blobs._clock = versioned._clock = clock
    bodies = []
    for step in (0, 5, -100, 0, 7, -1000, 2000):
        clock.jump(step)
        versioned.blobs._last = 0  # as after a restart
        bodies.insert(0, b"%d" % len(bodies))
        await put(versioned, "x", bodies[0])
    assert [body for _, body, _ in await rows(versioned)] == bodies
    found = []
    after, version = "", None
    while True:
        page = await versioned.index.list_versions(after=after, after_version=version, limit=1)
        found += [entry.node.size for entry in page.entries]
        if not page.next_key:
            break
        after, version = page.next_key, page.next_version
    assert len(found) == len(bodies)
    assert await check(versioned) == []


async def test_writers_at_one_key_at_once_lose_no_version(versioned):
    bodies = [b"%d" % n * (n + 1) for n in range(12)]
    nodes = await asyncio.gather(*(put(versioned, "x", body) for body in bodies))
    assert len({node.version for node in nodes}) == len(bodies)
    assert sorted(body for _, body, _ in await rows(versioned)) == sorted(bodies)
    await asyncio.gather(
        *(versioned.delete_version("x", node.version) for node in nodes[:6]),
        *(versioned.remove_node("x") for _ in range(3)),
        put(versioned, "x", b"last"),
    )
    kept = [body for _, body, _ in await rows(versioned) if body is not None]
    assert sorted(kept) == sorted([*bodies[6:], b"last"])
    assert await versioned.index.verify() == []
    assert await check(versioned) == []


async def test_cancelled_writes_leave_neither_blobs_nor_halves(versioned, monkeypatch):
    await put(versioned, "x", b"old")
    monkeypatch.setattr(versioned.index, "recall_node", lambda path: None)
    for turns in range(1, 40):
        task = asyncio.ensure_future(put(versioned, "x", b"%d" % turns))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await check(versioned) == []
    stats = await versioned.index.stats()
    assert len(await stored(versioned)) == stats.files + stats.versions


async def test_a_check_tells_of_versions_without_content_and_keeps_those_with_it(versioned):
    first, second = await put(versioned, "x", b"1"), await put(versioned, "x", b"2")
    await put(versioned, "y", b"3")
    await versioned.remove_node("y")
    assert await check(versioned, Repair.ALL) == []
    key = versioned.blobs.key_of(first)
    versioned.blobs.drop(key)
    await versioned.blobs.settle()
    assert await check(versioned) == [(BlobProblem.MISSING, key, "x")]
    with pytest.raises(Corrupt):
        await read(versioned, "x", first.version)
    assert await read(versioned, "x") == b"2"
    # A blob that a crash left beside versions is removed, they are not.
    staged = await versioned.blobs.stage_copy(second)
    orphan = replace(second, blob=staged.seal or second.blob + 1)
    await versioned.blobs.commit(staged, versioned.blobs.key_of(orphan), None, NodeAttributes(0, 0, path="x"))
    found = await check(versioned, Repair.SUPERSEDED)
    assert [problem for problem, _, _ in found] == [BlobProblem.SUPERSEDED]
    assert [body for _, body, _ in await rows(versioned, prefix="y")] == [None, b"3"]
    assert versioned.blobs.key_of(orphan) not in await stored(versioned)


async def test_deleting_many_makes_a_marker_for_each(versioned):
    await put(versioned, "a/x")
    await versioned.create_folder("m/")
    answers = await versioned.delete_nodes(["a/x", "never", "m/"])
    assert [bool(answer) for answer in answers] == [True, True, False]
    assert [key for key, _, _ in await rows(versioned)] == ["a/x", "a/x", "never"]
    assert (await versioned.index.usage("")).folders == 0


async def test_markers_and_versions_know_since_when_they_are_not_shown(versioned):
    clock = ManualClock()
    versioned._clock = clock
    await put(versioned, "x", b"1")
    await versioned.remove_node("x")
    await put(versioned, "x", b"2")
    current, marker, first = await versioned.index.read_versions("x")
    assert (current.since_ns, current.is_latest) == (0, True)
    assert 0 < first.since_ns <= marker.since_ns


async def test_every_datasource_keeps_versions_alike(versioned_nodes):
    store = versioned_nodes
    meta = NodeMeta(user={"n": "1"}, content_type="text/x")
    first = await put(store, "a/x", b"1", meta=meta, mtime_ns=1_600_000_000_000_000_000)
    second = await put(store, "a/x", b"22")
    removal = await store.remove_node("a/x")
    assert await rows(store) == [("a/x", None, True), ("a/x", b"22", False), ("a/x", b"1", False)]
    kept = (await store.read_version("a/x", first.version)).node
    assert (kept.meta, kept.mtime_ns, kept.etag, kept.content_hash) == (
        meta,
        first.mtime_ns,
        first.etag,
        first.content_hash,
    )
    copy = await store.copy_node("a/x", "copy", CopyOptions(source_version=first.version))
    assert (await read(store, "copy"), copy.meta) == (b"1", meta)
    await store.delete_version("a/x", removal.marker)
    await store.delete_version("a/x", second.version)
    back = await store.read_node("a/x")
    assert (back.uuid, back.version, back.meta, back.etag) == (first.uuid, first.version, meta, first.etag)
    assert await read(store, "a/x") == b"1"
    await store.update_version_meta("a/x", first.version, lambda meta: NodeMeta(tags={"k": "v"}))
    assert (await store.read_node("a/x")).meta.tags == {"k": "v"}
    await store.move_node("copy", "a/x")
    assert await rows(store) == [("a/x", b"1", True), ("a/x", b"1", False)]
    assert [bool(marker) for marker in await store.delete_nodes(["a/x", "none"])] == [True, True]
    for version in await store.index.read_versions("a/x"):
        await store.delete_version("a/x", version.id)
    assert await rows(store) == [("none", None, True)]
    assert (await store.index.usage("")).folders == 0
    assert await store.index.verify() == []
