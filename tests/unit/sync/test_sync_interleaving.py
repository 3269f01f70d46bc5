"""Own writes that fall between a listing and its patch: the synchronizer must leave them to whoever claimed them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from cellsmono.interfaces.patch import DeleteNode, MoveNode, Patch, PutLeaf, SetHash


class Gate:
    """Stops a method of the store after it looked and before it answers."""

    def __init__(self, store, name):
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self._method = getattr(store, name)
        setattr(store, name, self)

    async def __call__(self, *arguments):
        result = await self._method(*arguments)
        self.reached.set()
        await self.open.wait()
        return result


async def bytes_of(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def put(rig, key, data, etag):
    """What the gateway does: stage, claim, commit, submit, release, await."""
    staged = await rig.store.stage("files", bytes_of(data))
    async with rig.claims.claim(key):
        done = await rig.store.commit(staged, key)
        waiting = rig.index.submit(Patch((PutLeaf(key, done.info.facts, etag=etag, content_hash=etag),)))
    await waiting


@pytest.fixture
async def listed(rig):
    """A resync that has listed ``a/`` and has not gone on yet."""
    rig.write("a/x", "a/y")
    await rig.resync()
    rig.clock.advance(10)
    rig.write("a/z")
    rig.clock.advance(10)
    rig.told()
    gate = Gate(rig.store, "scan")
    running = asyncio.create_task(rig.sync.resync())
    await gate.reached.wait()
    yield rig, gate, running
    gate.open.set()
    await running


async def test_a_write_during_the_listing_is_not_undone(listed):
    rig, gate, running = listed
    await put(rig, "a/x", b"written meanwhile", "e" * 32)
    gate.open.set()
    await running
    assert (await rig.index.read_node("a/x")).etag == "e" * 32
    assert sorted(rig.told()) == [("create", "", "a/z"), ("update_content", "", "a/x")]


async def test_a_new_object_during_the_listing_is_not_deleted(listed):
    rig, gate, running = listed
    await put(rig, "a/new", b"1", "f" * 32)
    gate.open.set()
    await running
    assert await rig.paths() == ["a/", "a/new", "a/x", "a/y", "a/z"]


async def test_a_deletion_during_the_listing_does_not_come_back(listed):
    rig, gate, running = listed
    async with rig.claims.claim("a/y"):
        await rig.store.delete("files", "a/y")
        waiting = rig.index.submit(Patch((DeleteNode("a/y"),)))
    await waiting
    gate.open.set()
    await running
    assert await rig.paths() == ["a/", "a/x", "a/z"]
    assert ("create", "", "a/y") not in rig.told()


async def test_a_folder_moved_during_its_listing_is_left_alone(listed):
    rig, gate, running = listed
    before = await rig.uuids()
    async with rig.claims.claim("a/", "b/"):
        await rig.store.move("files", "a/", "b/")
        waiting = rig.index.submit(Patch((MoveNode("a/", "b/"),)))
    await waiting
    gate.open.set()
    await running
    after = await rig.uuids()
    assert {path: after[path.replace("a/", "b/", 1)] for path in before} == before
    assert ("delete", "", "a/") not in rig.told()
    await rig.resync()
    assert await rig.paths() == ["b/", "b/x", "b/y", "b/z"]


async def test_an_ingest_waits_for_the_claim_and_sees_what_was_committed(rig):
    rig.write("x")
    await rig.resync()
    rig.told()
    rig.write("x", data=b"half of a replacement")
    async with rig.claims.claim("x"):
        ingest = asyncio.create_task(rig.sync.ingest(["x"]))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not ingest.done()
        staged = await rig.store.stage("files", bytes_of(b"final"))
        done = await rig.store.commit(staged, "x")
        waiting = rig.index.submit(Patch((PutLeaf("x", done.info.facts, etag="d" * 32),)))
    await waiting
    assert await ingest == 0
    assert rig.told() == [("update_content", "", "x")]


async def test_the_echo_of_an_own_write_changes_nothing(rig):
    await rig.resync()
    await put(rig, "x", b"data", "c" * 32)
    rig.told()
    assert await rig.sync.ingest(["x"]) == 0
    assert rig.told() == []


async def test_touching_a_file_is_one_metadata_event(rig):
    rig.write("x")
    await rig.resync()
    node = await rig.index.read_node("x")
    await rig.index.apply(Patch((SetHash("x", node.facts, hashlib.md5(b"data").hexdigest()),)))
    etag = (await rig.index.read_node("x")).etag
    rig.told()
    rig.clock.advance(5)
    rig.store.edit_behind("files", "x", b"data")
    assert await rig.sync.ingest(["x"]) == 1
    assert rig.told() == [("update_meta", "", "x")]
    assert (await rig.index.read_node("x")).etag == etag


async def test_mass_deletion_is_held_and_can_be_accepted(make_rig):
    rig = make_rig(max_delete_nodes=10, max_delete_share=0.5)
    rig.write(*(f"a/{number}" for number in range(20)), "keep")
    await rig.resync()
    rig.remove("a")
    rig.write("added")
    rig.told()
    report = await rig.resync()
    assert "--accept-deletes" in report.held
    assert report.deleted == 0
    assert rig.told() == [("create", "", "added")]
    assert (await rig.resync()).held
    report = await rig.resync(accept_deletes=True)
    assert report.deleted == 21
    assert await rig.paths() == ["added", "keep"]
    assert not (await rig.resync()).held


async def test_a_held_deletion_is_forgotten_when_the_files_come_back(make_rig):
    rig = make_rig(max_delete_nodes=10, max_delete_share=0.5)
    rig.write(*(f"a/{number}" for number in range(20)))
    await rig.resync()
    before = await rig.uuids()
    rig.store.make_folder_behind("files", "elsewhere")
    item = rig.store._buckets["files"].children.pop("a")
    rig.clock.advance(5)
    rig.store._buckets["files"].mtime_ns = rig.clock.time_ns()
    assert (await rig.resync()).held
    rig.store._buckets["files"].put("a", item, rig.clock.time_ns())
    assert not (await rig.resync()).held
    after = await rig.uuids()
    assert {path: after[path] for path in before} == before


async def test_a_deep_tree_with_others_at_work_in_every_folder_is_seen_to_its_end(rig, monkeypatch):
    """Another round that explores the same new tree holds each folder when this one gets there."""
    deepest = "d/" * 80
    rig.write(f"{deepest}x")
    was_held = set()
    is_claimed = rig.claims.is_claimed
    monkeypatch.setattr(
        rig.claims, "is_claimed", lambda path: is_claimed(path) or not (path in was_held or was_held.add(path))
    )
    await rig.resync()
    assert f"{deepest}x" in await rig.paths()


async def test_a_folder_that_is_busy_during_a_whole_resync_is_looked_at_afterwards(rig, monkeypatch):
    rig.write("a/x", "b/x")
    with monkeypatch.context() as patched:
        is_claimed = rig.claims.is_claimed
        patched.setattr(rig.claims, "is_claimed", lambda path: path == "a/" or is_claimed(path))
        await rig.resync()
    assert "a/x" not in await rig.paths()
    await rig.sync.settle()
    assert await rig.paths() == ["a/", "a/x", "b/", "b/x"]
