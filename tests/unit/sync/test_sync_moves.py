"""Moves behind the server's back: which evidence makes one, and that UUIDs follow."""


async def moved(rig, *moves):
    for source, target in moves:
        rig.move(source, target)
    before = await rig.uuids()
    rig.told()
    report = await rig.resync()
    return before, await rig.uuids(), report


async def test_a_folder_move_is_one_event(rig):
    rig.write("a/x", "a/b/y", "keep/z")
    await rig.resync()
    before, after, report = await moved(rig, ("a", "keep/a2"))
    assert rig.told() == [("update_path", "a/", "keep/a2/")]
    assert report.changed == report.moved == 1
    assert after["keep/a2/b/y"] == before["a/b/y"]
    assert after["keep/a2/"] == before["a/"]


async def test_a_file_move_is_one_event(rig):
    rig.write("a/x", "b/y")
    await rig.resync()
    before, after, _ = await moved(rig, ("a/x", "b/x2"))
    assert rig.told() == [("update_path", "a/x", "b/x2")]
    assert after["b/x2"] == before["a/x"]


async def test_swapped_folders_keep_their_uuids(rig):
    rig.write("a/x", "b/y")
    await rig.resync()
    before, after, report = await moved(rig, ("a", "t"), ("b", "a"), ("t", "b"))
    assert report.deleted == report.created == 0
    assert (after["a/"], after["b/"]) == (before["b/"], before["a/"])
    assert (after["a/y"], after["b/x"]) == (before["b/y"], before["a/x"])


async def test_a_cycle_of_three_folders(rig):
    rig.write("a/x", "b/y", "c/z")
    await rig.resync()
    before, after, report = await moved(rig, ("a", "t"), ("b", "a"), ("c", "b"), ("t", "c"))
    assert report.deleted == report.created == 0
    assert [after[p] for p in ("a/y", "b/z", "c/x")] == [before[p] for p in ("b/y", "c/z", "a/x")]


async def test_a_folder_moved_into_a_new_one_of_its_own_name(rig):
    rig.write("a/x")
    await rig.resync()
    before, after, _ = await moved(rig, ("a", "t"), ("t", "a/t"))
    assert after["a/t/"] == before["a/"]
    assert after["a/t/x"] == before["a/x"]
    assert after["a/"] != before["a/"]
    assert await rig.index.verify() == []
    assert (await rig.resync(full=True)).changed == 0


async def test_a_folder_taking_the_place_of_its_parent(rig):
    rig.write("a/t/x", "a/gone")
    await rig.resync()
    rig.move("a/t", "z")
    rig.remove("a")
    before, after, report = await moved(rig, ("z", "a"))
    assert report.deleted == 2
    assert after == {"a/": before["a/t/"], "a/x": before["a/t/x"]}


async def test_a_folder_moved_onto_a_deleted_one(rig):
    rig.write("a/x", "b/y")
    await rig.resync()
    rig.remove("b")
    before, after, _ = await moved(rig, ("a", "b"))
    assert after == {"b/": before["a/"], "b/x": before["a/x"]}
    assert sorted(rig.told()) == [("delete", "", "b/"), ("update_path", "a/", "b/")]


async def test_a_moved_folder_in_which_something_changed(rig):
    rig.write("a/x", "a/y", "a/sub/z")
    await rig.resync()
    rig.move("a", "b")
    rig.write("b/new")
    rig.remove("b/x")
    before, after, _ = await moved(rig, ("b/sub", "b/sub2"))
    assert after == {
        "b/": before["a/"],
        "b/y": before["a/y"],
        "b/new": after["b/new"],
        "b/sub2/": before["a/sub/"],
        "b/sub2/z": before["a/sub/z"],
    }


async def test_a_copied_folder_gets_a_uuid_of_its_own(rig):
    rig.write("a/x", "a/b/y")
    await rig.resync()
    before = await rig.uuids()
    rig.copy("a", "0copy")
    await rig.resync()
    after = await rig.uuids()
    assert {path: after[path] for path in before} == before
    assert len(set(after.values())) == len(after)
    assert await rig.store.read_marker("files", "0copy/") == after["0copy/"]
    assert await rig.store.read_marker("files", "a/") == after["a/"]
    assert (await rig.resync(full=True)).changed == 0


async def test_two_copies_of_one_folder_in_a_first_import(rig):
    rig.write("a/x")
    await rig.resync()
    rig.copy("a", "b")
    rig.copy("a", "c")
    rig.index = rig.new_index()
    rig.sync = rig.new_sync()
    await rig.resync()
    after = await rig.uuids()
    assert len(set(after.values())) == len(after) == 6


async def test_a_removed_marker_is_written_again(rig):
    rig.write("a/x")
    await rig.resync()
    uuid = (await rig.uuids())["a/"]
    for marker in ("", "01890000-0000-7000-8000-000000000000"):
        rig.clock.advance(1)
        await rig.store.write_markers("files", [("a/", marker)])
        await rig.resync()
        assert await rig.store.read_marker("files", "a/") == uuid
        assert (await rig.uuids())["a/"] == uuid


async def test_a_folder_moved_onto_one_that_moved_into_it(rig):
    rig.write("a/x", "b/y")
    await rig.resync()
    before, after, report = await moved(rig, ("b", "a/b2"), ("a", "b"))
    assert after == {"b/": before["a/"], "b/x": before["a/x"], "b/b2/": before["b/"], "b/b2/y": before["b/y"]}
    assert report.deleted == 0


async def test_a_foreign_folder_in_the_place_of_a_known_one_takes_its_uuid(rig):
    rig.write("a/x")
    await rig.resync()
    before = await rig.uuids()
    rig.remove("a")
    rig.store.make_folder_behind("files", "a", "01890000-0000-7000-8000-000000000000")
    rig.write("a/y")
    await rig.resync()
    after = await rig.uuids()
    assert after == {"a/": before["a/"], "a/y": after["a/y"]}
    assert await rig.store.read_marker("files", "a/") == before["a/"]
    assert (await rig.resync(full=True)).changed == 0


async def test_a_foreign_folder_arrives_while_the_known_one_moves_on(rig):
    rig.write("a/x")
    await rig.resync()
    foreign = "01890000-0000-7000-8000-000000000000"
    rig.move("a", "z")
    rig.store.make_folder_behind("files", "a", foreign)
    before, after, _ = await moved(rig)
    assert after == {"a/": foreign, "z/": before["a/"], "z/x": before["a/x"]}


async def test_moves_without_markers_follow_the_inode(make_rig):
    rig = make_rig(markers="none")
    rig.write("a/x", "b/y")
    await rig.resync()
    before, after, _ = await moved(rig, ("a", "b/a"))
    assert after["b/a/"] == before["a/"]
    assert rig.told() == [("update_path", "a/", "b/a/")]


async def test_file_replaced_by_folder_and_back(rig):
    rig.write("n", "keep")
    await rig.resync()
    rig.remove("n")
    rig.write("n/x")
    await rig.resync()
    assert await rig.paths() == ["keep", "n/", "n/x"]
    rig.remove("n")
    rig.write("n")
    await rig.resync()
    assert await rig.paths() == ["keep", "n"]
