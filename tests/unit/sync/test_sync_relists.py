"""How often large folders are listed, what is counted, and what is told about markers."""

from cellsmono.datasource.sync.polling import choose_pause
from cellsmono.datasource.sync.relists import LARGE_FOLDER, RELIST_FACTOR, Relists


def test_a_large_folder_rests_as_long_as_it_took():
    relists = Relists()
    assert relists.is_due("a/", 0.0)
    relists.note("a/", LARGE_FOLDER, 10.0, 14.0)
    assert relists.is_large("a/")
    assert not relists.is_due("a/", 14.0 + RELIST_FACTOR * 4 - 1)
    assert relists.is_due("a/", 14.0 + RELIST_FACTOR * 4)
    relists.note("a/", LARGE_FOLDER - 1, 20.0, 24.0)
    assert not relists.is_large("a/")
    assert relists.is_due("a/", 24.0)


def test_looking_takes_a_twentieth_of_the_time():
    assert choose_pause(0.01, 30.0) == 2.0
    assert choose_pause(0.5, 30.0) == 10.0
    assert choose_pause(60.0, 30.0) == 30.0
    assert choose_pause(0.0, 0.5) == 0.5


async def test_the_schedule_lists_a_large_folder_seldom_and_a_person_at_once(rig, monkeypatch):
    rig.write(*(f"big/f{number}" for number in range(LARGE_FOLDER)))
    await rig.resync()
    listed = []
    scan = rig.store.scan

    async def slow_scan(bucket, folders):
        listed.extend(path for path, _ in folders)
        rig.clock.advance(1)
        return await scan(bucket, folders)

    monkeypatch.setattr(rig.store, "scan", slow_scan)
    await rig.resync(full=True)
    for number in range(3):
        rig.write(f"big/new{number}")
        rig.clock.advance(10)
        listed.clear()
        await rig.sync._resync("", is_patient=True)
        assert listed == []
    rig.write("small/new")
    rig.clock.advance(10)
    await rig.sync._resync("", is_patient=True)
    assert "big/" not in listed
    await rig.resync()
    assert "big/" in listed
    assert "big/new2" in await rig.paths()


async def test_a_full_resync_counts_what_it_looked_at(rig):
    rig.write("a/x", "a/y", "b/z")
    await rig.resync()
    report = await rig.resync(full=True)
    assert (report.folders, report.entries) == (3, 5)
    assert report.changed == 0


async def test_folders_without_a_marker_are_shown(rig, monkeypatch):
    async def refuse(bucket, markers):
        return [None] * len(markers)

    monkeypatch.setattr(rig.store, "write_markers", refuse)
    rig.write("a/x", "b/y")
    await rig.resync()
    assert rig.sync.status().skipped == {"marker": 3}
