"""What is told of a path through a folder that was moved there, of which the index does not know yet.

Two folders change places, and a hint names something in one of them, or everything is told at once in any order.
"""

import pytest

from cellsmono.datasource.sync.aggregator import Hint


def swap(rig, one, other):
    rig.move(one, "aside")
    rig.move(other, one)
    rig.move("aside", other)


async def read_both(rig):
    """Facts of every file, as the index and as the storage has them."""
    paths = [path for path in await rig.paths() if not path.endswith("/")]
    rows = await rig.index.read_nodes(paths)
    entries = await rig.store.stat_entries("files", paths)
    return {row.path: row.facts for row in rows}, {
        path: entry.facts for path, entry in zip(paths, entries, strict=True) if entry
    }


@pytest.mark.parametrize("hints", [["ab/x"], ["a/x"], ["a/y"], ["ab/y"], ["ab/x", "a/y"], ["a/", "ab/x", "a/x"], []])
async def test_uuids_go_with_folders_that_changed_places(rig, hints):
    rig.write("a/x", "ab/y", "keep")
    await rig.resync()
    before = await rig.uuids()
    swap(rig, "a", "ab")
    rig.told()
    await rig.sync.ingest(hints)
    await rig.resync()
    assert await rig.uuids() == {
        "a/": before["ab/"],
        "a/y": before["ab/y"],
        "ab/": before["a/"],
        "ab/x": before["a/x"],
        "keep": before["keep"],
    }
    assert {kind for kind, _, _ in rig.told()} == {"update_path"}
    assert (await rig.resync(full=True)).changed == 0


async def test_a_file_of_the_same_name_in_both(rig):
    rig.write("a/x", data=b"one")
    rig.write("ab/x", data=b"other")
    await rig.resync()
    before = await rig.uuids()
    swap(rig, "a", "ab")
    await rig.sync.ingest(["ab/x"])
    await rig.resync()
    after = await rig.uuids()
    assert (after["a/x"], after["ab/x"]) == (before["ab/x"], before["a/x"])
    in_index, on_storage = await read_both(rig)
    assert in_index == on_storage


async def test_what_changed_in_folders_that_changed_places(rig):
    rig.write("a/x", "a/sub/deep", "ab/y", "ab/gone", "ab/n/old")
    await rig.resync()
    before = await rig.uuids()
    swap(rig, "a", "ab")
    rig.store.edit_behind("files", "ab/sub/deep", b"rewritten in place")
    rig.write("ab/new")
    rig.remove("a/gone", "a/n")
    rig.write("a/n")
    rig.sync.hint(Hint(key, True) for key in ["ab/sub/deep", "ab/new", "a/gone", "a/n", "a", "ab"])
    await rig.sync.settle()
    after = await rig.uuids()
    assert sorted(after) == ["a/", "a/n", "a/y", "ab/", "ab/new", "ab/sub/", "ab/sub/deep", "ab/x"]
    for path, old in [("a/y", "ab/y"), ("ab/x", "a/x"), ("ab/sub/", "a/sub/"), ("ab/sub/deep", "a/sub/deep")]:
        assert after[path] == before[old]
    in_index, on_storage = await read_both(rig)
    assert in_index == on_storage
    assert (await rig.resync(full=True)).changed == 0


async def test_a_folder_taken_into_a_place_that_was_emptied(rig):
    """Folders with equal times, of which only one file was told: no comparison of times shows what it did elsewhere."""
    rig.store.write_behind("files", "a/a", b"a/a")
    rig.store.write_behind("files", "a-", b"a-")
    await rig.resync()
    rig.move("a-", "ab/a/a")
    await rig.resync()
    before = await rig.uuids()
    rig.remove("ab/a")
    swap(rig, "a", "ab")
    await rig.sync.ingest(["ab/a"])
    await rig.resync()
    assert await rig.uuids() == {"a/": before["ab/"], "ab/": before["a/"], "ab/a": before["a/a"]}


async def test_a_copy_with_equal_times_is_compared_when_it_takes_the_place_of_what_it_was_copied_from(rig):
    rig.store.write_behind("files", "a/sub/x", b"data")
    await rig.sync.resync()
    before = await rig.uuids()
    rig.copy("a", "b")
    rig.remove("a")
    await rig.resync()
    after = await rig.uuids()
    assert (after["b/"], after["b/sub/"]) == (before["a/"], before["a/sub/"])
    in_index, on_storage = await read_both(rig)
    assert in_index == on_storage


async def test_a_hint_in_a_foreign_folder(rig):
    """An unknown folder stands where the index has one: it takes that one's UUID, and the hint counts."""
    rig.write("a/x", "a/sub/deep")
    await rig.resync()
    before = await rig.uuids()
    rig.remove("a")
    rig.write("a/sub/deep", "a/new")
    await rig.sync.ingest(["a/sub/deep"])
    after = await rig.uuids()
    assert sorted(after) == ["a/", "a/new", "a/sub/", "a/sub/deep"]
    assert after["a/"] == before["a/"]
    in_index, on_storage = await read_both(rig)
    assert in_index == on_storage


async def test_a_change_that_nobody_told_is_found_after_one_that_was_told_of_the_wrong_folder(rig):
    """The index itself forgets that it knew a folder, whoever changes what is in it."""
    rig.write("a/x", "ab/y")
    await rig.resync()
    (state,) = [each for each in await rig.index.list_folder_states() if each.path == "a/"]
    await rig.sync.ingest(["a/x"])
    assert await rig.index.read_folder_states(["a/"]) == [state]
    rig.remove("a/x")
    await rig.sync.ingest(["a/x"])
    (found,) = await rig.index.read_folder_states(["a/"])
    assert found.ctime_ns == 0
