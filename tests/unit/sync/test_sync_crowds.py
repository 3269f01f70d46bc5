"""Many new files at once: taken over together, but for those of which something else is known."""

import asyncio

import pytest

from cellsmono.interfaces.node import Facts, NodeAttributes, NodeMeta
from cellsmono.interfaces.patch import Patch, PutFolder, PutLeaf, PutLeaves

META = NodeMeta(content_type="text/x-crowd")
NAMES = [f"{number:04}" for number in range(2500)]


async def read_children(rig, folder):
    return {node.path: node for node in await rig.index.list_children(folder, limit=10_000)}


@pytest.fixture
def patches(rig):
    """Every patch that the index gets."""
    found = []
    submit = rig.index.submit

    def take(patch):
        found.append(patch)
        return submit(patch)

    rig.index.submit = take
    return found


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_crowd_is_taken_over_whole(rig, patches, is_first):
    if not is_first:
        rig.write("a/0001~")
        await rig.resync()
    patches.clear()
    rig.write(*(f"a/{name}" for name in NAMES), "a/sub/x")
    await rig.store.set_attributes("files", "a/0007", NodeAttributes(4, 1, meta=META))
    report = await rig.resync()
    nodes = await read_children(rig, "a/")
    assert [path for path in nodes if path not in ("a/sub/", "a/0001~")] == [f"a/{name}" for name in NAMES]
    assert report.created == len(NAMES) + 2 + is_first
    assert [node.path for node in nodes.values() if node.meta == META] == ["a/0007"]
    operations = [operation for patch in patches for operation in patch.operations]
    assert [operation.path for operation in operations if isinstance(operation, PutLeaf)] == ["a/0007"]
    assert max(len(operation.names) for operation in operations if isinstance(operation, PutLeaves)) <= 1000
    assert (await rig.resync(full=True)).changed == 0
    assert await rig.index.verify() == []


async def test_a_folder_comes_before_its_crowd(rig, patches):
    await rig.resync()
    rig.write(*(f"a/{name}" for name in NAMES))
    await rig.resync()
    found = [operation for patch in patches for operation in patch.operations if operation.path == "a/"]
    assert isinstance(found[0], PutFolder)
    assert any(isinstance(operation, PutLeaves) for operation in found)


async def test_what_was_deleted_a_moment_ago_keeps_its_uuid_within_a_crowd(rig):
    rig.write("a/1", "a/2")
    await rig.resync()
    before = await rig.uuids()
    kept = rig.store._buckets["files"].children["a"].children.pop("2")
    rig.clock.advance(1)
    rig.write("a/0")
    await rig.resync()
    rig.store._buckets["files"].children["a"].put("2", kept, rig.clock.time_ns())
    rig.write("a/3", "a/4")
    await rig.resync()
    assert (await rig.uuids())["a/2"] == before["a/2"]
    assert await rig.paths() == ["a/", "a/0", "a/1", "a/2", "a/3", "a/4"]


async def test_moved_files_among_new_ones_keep_their_uuids(rig):
    rig.write("a/1", "a/2", "a/3")
    await rig.resync()
    before = await rig.uuids()
    rig.told()
    rig.move("a/2", "b/2")
    rig.write("b/1", "b/3")
    report = await rig.resync()
    assert (report.moved, report.deleted) == (1, 0)
    assert (await rig.uuids())["b/2"] == before["a/2"]
    assert sorted(rig.told()) == [
        ("create", "", "b/"),
        ("create", "", "b/1"),
        ("create", "", "b/3"),
        ("update_path", "a/2", "b/2"),
    ]


async def test_a_name_that_is_claimed_meanwhile_is_left_out_of_the_crowd(rig):
    rig.write("a/x")
    await rig.resync()
    rig.write("a/1", "a/2", "a/3")
    rig.clock.advance(10)
    rig.told()
    scan = rig.store.scan

    async def write_meanwhile(*arguments):
        listings = await scan(*arguments)
        async with rig.claims.claim("a/2"):
            facts = (await rig.store.stat("files", "a/2")).facts
            waiting = rig.index.submit(Patch((PutLeaf("a/2", facts, etag="e" * 32, meta=META),)))
        await waiting
        return listings

    rig.store.scan = write_meanwhile
    await asyncio.wait_for(rig.resync(), 10)
    rig.store.scan = scan
    nodes = await read_children(rig, "a/")
    assert list(nodes) == ["a/1", "a/2", "a/3", "a/x"]
    assert [(node.etag, node.meta) for node in nodes.values() if node.etag] == [("e" * 32, META)]
    assert sorted(rig.told()) == [("create", "", f"a/{name}") for name in "123"]


async def test_a_first_import_is_one_event(rig, patches):
    rig.write(*(f"{folder}/{name}" for folder in "abcd" for name in NAMES[:1500]))
    await rig.resync()
    assert len(patches) > 1
    assert rig.told() == [("reload", "", "")]
    assert (await rig.index.changes()).last == 1
    rig.write("a/new")
    await rig.resync()
    assert rig.told() == [("create", "", "a/new")]


async def test_a_first_import_that_is_cancelled_is_one_event(rig):
    rig.write("a/1", "b/1")
    rig.clock.advance(10)
    listed = rig.store.scan
    seen = asyncio.Event()

    async def stop_at_folders(bucket, folders):
        if any(path for path, _ in folders):
            seen.set()
            await asyncio.Event().wait()
        return await listed(bucket, folders)

    rig.store.scan = stop_at_folders
    rig.write("top")
    running = asyncio.create_task(rig.resync())
    await seen.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    rig.store.scan = listed
    assert rig.told() == [("reload", "", "")]
    assert await rig.paths() == ["top"]
    await rig.resync()
    assert sorted(rig.told()) == [("create", "", path) for path in ("a/", "a/1", "b/", "b/1")]


async def test_the_first_import_of_nothing_is_no_event(rig):
    await rig.resync()
    assert rig.told() == []


async def test_a_dry_run_names_every_file(rig):
    rig.write("a/x")
    await rig.resync()
    rig.write("a/1", "a/2")
    report = await rig.resync(dry_run=True)
    assert report.changes == ("+ a/1", "+ a/2")
    assert report.created == 2


def test_leaving_out_of_a_step():
    from cellsmono.datasource.sync.round import Step

    facts = Facts(1, 2)
    crowd = Step("a/", PutLeaves("a/", ("1", "2", "3"), (facts,) * 3), "created")
    assert crowd.weight == 3
    assert crowd.without({"a/4", "b/1"}) == (crowd, [])
    left, touched = crowd.without({"a/2"})
    assert left is not None
    assert (left.paths(), touched, left.count) == (["a/1", "a/3"], ["a/2"], "created")
    assert crowd.without({"a/1", "a/2", "a/3"}) == (None, ["a/1", "a/2", "a/3"])
    folder = Step("a/b/", PutFolder("a/b/"))
    assert folder.without({"a/b"}) == (None, ["a/b"])
    assert folder.without({"a/c"}) == (folder, [])
