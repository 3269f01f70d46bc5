"""Resync over a memory store: import, no-op, repair."""

import pytest

from cellsmono.kernel.errors import NotFound, Unavailable


async def test_first_import_takes_everything_over(rig):
    rig.write("a/x", "a/b/y", "top", "ä b/ü")
    report = await rig.resync()
    assert await rig.paths() == ["a/", "a/b/", "a/b/y", "a/x", "top", "ä b/", "ä b/ü"]
    assert report.created == 7
    assert {kind for kind, _, _ in rig.told()} == {"reload"}


async def test_second_resync_changes_and_publishes_nothing(rig):
    rig.write("a/x", "a/b/y", "top")
    await rig.resync()
    rig.told()
    for full in (False, True, False):
        report = await rig.resync(full=full)
        assert report.changed == 0
    assert rig.told() == []


async def test_changes_are_found_and_each_is_one_event(rig):
    rig.write("a/x", "a/y", "b/z")
    await rig.resync()
    before = await rig.uuids()
    rig.told()
    rig.write("a/new")
    rig.write("a/y", data=b"other content")
    rig.remove("b")
    report = await rig.resync()
    assert (report.created, report.updated, report.deleted) == (1, 1, 2)
    assert sorted(rig.told()) == [
        ("create", "", "a/new"),
        ("delete", "", "b/"),
        ("update_content", "", "a/y"),
    ]
    after = await rig.uuids()
    assert after["a/y"] == before["a/y"]


async def test_rewriting_in_place_is_found_by_the_full_one(rig):
    rig.write("a/x")
    await rig.resync()
    rig.told()
    rig.clock.advance(1)
    rig.store.edit_behind("files", "a/x", b"new bytes")
    assert (await rig.resync()).changed == 0
    assert (await rig.resync(full=True)).updated == 1
    assert rig.told() == [("update_content", "", "a/x")]


async def test_resync_of_a_subtree_leaves_the_rest_alone(rig):
    rig.write("a/x", "b/y")
    await rig.resync()
    rig.write("a/x2", "b/y2")
    assert (await rig.resync("a")).created == 1
    assert await rig.paths() == ["a/", "a/x", "a/x2", "b/", "b/y"]


async def test_resync_of_what_is_not_known_scans_its_outermost_unknown_folder(rig):
    await rig.resync()
    rig.write("a/b/c/x", "other")
    assert (await rig.resync("a/b/c/x")).created == 4
    assert await rig.paths() == ["a/", "a/b/", "a/b/c/", "a/b/c/x"]


async def test_resync_of_nothing_raises_not_found(rig):
    with pytest.raises(NotFound):
        await rig.resync("nothing/here")


async def test_dry_run_tells_and_changes_nothing(rig):
    rig.write("a/x", "a/y", "d/moved", "gone")
    await rig.resync()
    before = await rig.uuids()
    rig.told()
    rig.write("a/new")
    rig.write("a/y", data=b"longer")
    rig.move("d", "e")
    rig.remove("gone")
    report = await rig.resync(dry_run=True)
    assert set(report.changes) == {"+ a/new", "~ a/y", "> d/ e/", "- gone"}
    assert (report.created, report.updated, report.moved, report.deleted) == (1, 1, 1, 1)
    assert report.dry_run
    assert await rig.uuids() == before
    assert rig.told() == []


async def test_a_missing_root_deletes_nothing_and_says_so(rig):
    rig.write("a/x")
    await rig.resync()
    rig.store.set_online("files", False)
    with pytest.raises(Unavailable):
        await rig.resync()
    assert await rig.paths() == ["a/", "a/x"]


async def test_an_unreadable_folder_keeps_its_rows(rig):
    rig.write("a/x", "b/y")
    await rig.resync()
    rig.store.set_readable("files", "a/", False)
    report = await rig.resync(full=True)
    assert report.deleted == 0
    assert [each.reason for each in report.skipped] == ["unreadable"]
    assert await rig.paths() == ["a/", "a/x", "b/", "b/y"]


async def test_a_lost_index_comes_back_with_the_same_folder_uuids(rig):
    rig.write("a/x", "a/b/y", "c/z")
    await rig.resync()
    before = await rig.uuids()
    root = (await rig.index.read_node("")).uuid
    rig.index = rig.new_index()
    rig.sync = rig.new_sync()
    await rig.resync()
    after = await rig.uuids()
    assert {path: uuid for path, uuid in after.items() if path.endswith("/")} == {
        path: uuid for path, uuid in before.items() if path.endswith("/")
    }
    assert (await rig.index.read_node("")).uuid == root
