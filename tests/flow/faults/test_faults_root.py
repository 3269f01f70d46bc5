"""W5: a root that is away, is another one, or is suddenly much emptier never means "everything was deleted"."""

import asyncio
import os
import shutil
import subprocess

import pytest

from cellsmono.interfaces.sync import ResyncOptions, SyncState
from cellsmono.kernel.service import ServiceState

PATIENCE = 20


async def wait_for(app, state):
    async with asyncio.timeout(PATIENCE):
        await app.sync.wait_for_state(state)


async def fill(app, count=5):
    for number in range(count):
        await app.put(f"d{number % 2}/k{number}", b"%d" % number)
    return {node: (await app.store.index.read_node(node)).uuid for node in await app.keys()}


async def check_offline(app, before):
    """Requests about content get a 503, the listing and every row stay."""
    for method, more in (
        ("get_object", {}),
        ("put_object", {"Body": b"x"}),
        ("delete_object", {}),
        ("copy_object", {"CopySource": {"Bucket": "docs", "Key": "d0/k0"}, "MetadataDirective": "REPLACE"}),
    ):
        status, code, message = await app.refused(method, Key="d0/k0", **more)
        assert (status, code) == (503, "ServiceUnavailable"), method
        assert "mounted" in message
    assert (await app.refused("head_object", Key="d0/k0"))[0] == 503
    assert (await app.refused("delete_objects", Delete={"Objects": [{"Key": "d0/k0"}]}))[0] == 503
    assert await app.keys() == sorted(before)
    row = await app.service()
    assert row.state is ServiceState.DEGRADED
    assert "offline" in row.detail
    assert (await app.show()).state is ServiceState.DEGRADED


async def check_same(app, before):
    """Back, with the same nodes."""
    assert {key: (await app.store.index.read_node(key)).uuid for key in before} == before
    assert await app.read("d0/k0") == b"0"
    await app.put("d0/k0", b"again")
    await app.check_equal()


@pytest.mark.parametrize("watch", ["auto", "poll"])
async def test_w5_a_root_that_is_renamed_away_is_offline_and_recovers_by_itself(open_app, tmp_path, watch):
    async with open_app(watch=watch, reconcile_seconds=0.2) as app:
        before = await fill(app)
        app.folder.rename(tmp_path / "aside")
        await wait_for(app, SyncState.OFFLINE)
        await check_offline(app, before)
        assert not app.folder.exists(), "nothing may be written in the place of a mount point"
        (tmp_path / "aside").rename(app.folder)
        await wait_for(app, SyncState.WATCHING)
        await check_same(app, before)


async def test_w5_a_root_that_is_away_at_the_start_comes_by_itself(open_app, tmp_path):
    async with open_app(watch="auto", reconcile_seconds=0.2) as app:
        before = await fill(app)
        folder = app.folder
    folder.rename(tmp_path / "aside")
    with_empty_place = folder
    async with open_app(watch="auto", reconcile_seconds=0.2) as app:
        # The fixture makes the folder: an empty one stands where the disk is not mounted yet.
        assert with_empty_place.is_dir()
        await wait_for(app, SyncState.HELD)
        assert await app.keys() == sorted(before)
        folder.rename(tmp_path / "empty")
        await wait_for(app, SyncState.OFFLINE)
        (tmp_path / "aside").rename(folder)
        await wait_for(app, SyncState.WATCHING)
        await check_same(app, before)


async def test_w5_an_unmounted_disk_is_held_and_recovers_by_itself(open_app, mount_small):
    place = mount_small("4m")
    subprocess.run(["umount", str(place)], check=True)
    image = place.parent / "image"
    subprocess.run(["truncate", "-s", "8M", str(image)], check=True)
    made = subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], capture_output=True)
    mounted = made.returncode or subprocess.run(["mount", "-o", "loop", image, place], capture_output=True).returncode
    if mounted:
        pytest.skip("an image of ext4 can not be mounted here")
    async with open_app(folder=place, watch="auto", reconcile_seconds=0.2) as app:
        before = await fill(app)
        subprocess.run(["umount", "-l", str(place)], check=True)
        await wait_for(app, SyncState.HELD)
        assert "--accept-deletes" in (await app.service()).detail
        assert [key for key in await app.keys() if key in before] == sorted(before)
        assert (await app.refused("get_object", Key="d0/k0"))[0] == 503
        assert [key for key in await app.keys() if key in before] == sorted(before), "a look must not delete either"
        subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
        await wait_for(app, SyncState.WATCHING)
        await check_same(app, before)
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_w5_an_empty_disk_mounted_over_the_root_is_held(open_app, mount_small):
    async with open_app(watch="auto", reconcile_seconds=0.2) as app:
        before = await fill(app)
        mount_small("1m", place=app.folder)
        await wait_for(app, SyncState.HELD)
        assert await app.keys() == sorted(before)
        subprocess.run(["umount", "-l", str(app.folder)], check=True)
        await wait_for(app, SyncState.WATCHING)
        await check_same(app, before)


async def test_w5_deletes_are_accepted_when_somebody_says_so(open_app, tmp_path):
    async with open_app(reconcile_seconds=0.2) as app:
        await fill(app)
        app.folder.rename(tmp_path / "aside")
        app.folder.mkdir()
        await wait_for(app, SyncState.HELD)
        report = await app.core.installation.resync("docs", "", ResyncOptions(dry_run=True, accept_deletes=True))
        assert report.deleted
        report = await app.core.installation.resync("docs", "", ResyncOptions(accept_deletes=True))
        assert report.held == ""
        assert await app.keys() == []
        await app.put("new", b"1")
        await app.check_equal()


@pytest.mark.parametrize("watch", ["auto", "off"])
async def test_w5_a_mass_deletion_is_held_whether_watched_or_scanned(open_app, watch, tmp_path):
    limits = {"max_delete_nodes": 10, "max_delete_share": 0.5}
    async with open_app(watch=watch, reconcile_seconds=0.2 if watch == "off" else 3600.0, **limits) as app:
        for number in range(40):
            (app.folder / f"f{number}").write_bytes(b"x")
        report = await app.core.installation.resync("docs")
        assert not report.held
        before = await app.keys()
        assert len(before) == 40
        for number in range(30):
            os.unlink(app.folder / f"f{number}")
        await wait_for(app, SyncState.HELD)
        report = await app.core.installation.resync("docs")
        assert "mass-deletion guard" in report.held
        held = await app.keys()
        assert len(held) >= 20, "at most half may go before the guard holds"
        assert (await app.show()).state is ServiceState.DEGRADED
        await app.core.installation.resync("docs", "", ResyncOptions(accept_deletes=True))
        assert await app.keys() == sorted(f"f{number}" for number in range(30, 40))
        await app.check_equal()


async def test_w5_deletes_over_s3_are_meant_and_never_held(open_app):
    async with open_app(max_delete_nodes=10, max_delete_share=0.5) as app:
        for number in range(40):
            (app.folder / f"f{number}").write_bytes(b"x")
        await app.core.installation.resync("docs")
        objects = [{"Key": f"f{number}"} for number in range(39)]
        assert "Errors" not in await app.s3("delete_objects", Delete={"Objects": objects})
        assert await app.keys() == ["f39"]
        report = await app.core.installation.resync("docs")
        assert not report.held


async def test_a_lost_index_comes_back_with_the_same_folder_uuids(open_app, tmp_path):
    async with open_app() as app:
        await fill(app)
        folders = {path: (await app.store.index.read_node(path)).uuid for path in ("", "d0/", "d1/")}
        keys = await app.keys()
    shutil.rmtree(tmp_path / "data" / "datasources")
    async with open_app() as app:
        assert await app.keys() == keys
        assert {path: (await app.store.index.read_node(path)).uuid for path in folders} == folders


@pytest.mark.parametrize("is_noticed", [True, False])
async def test_w5_nothing_is_acknowledged_in_an_empty_place_of_the_root(open_app, tmp_path, is_noticed):
    """Whether or not the synchronizer noticed yet: what is written into a bare mount point is lost with the mount."""
    async with open_app(reconcile_seconds=0.2 if is_noticed else 3600.0) as app:
        before = await fill(app)
        await app.core.installation.resync("docs")
        app.folder.rename(tmp_path / "aside")
        app.folder.mkdir()
        if is_noticed:
            await wait_for(app, SyncState.HELD)
        for method, more in (
            ("get_object", {}),
            ("put_object", {"Body": b"x"}),
            ("delete_object", {}),
            ("create_multipart_upload", {}),
        ):
            status, code, message = await app.refused(method, Key="d0/k0", **more)
            assert (status, code) == (503, "ServiceUnavailable"), method
            assert "mounted" in message
        assert (await app.refused("head_object", Key="d0/k0"))[0] == 503
        assert (await app.refused("delete_objects", Delete={"Objects": [{"Key": "d0/k0"}]}))[0] == 503
        assert app.disk() == {}
        assert await app.keys() == sorted(before)
        app.folder.rename(tmp_path / "empty")
        (tmp_path / "aside").rename(app.folder)
        await check_same(app, before)


async def test_a_root_that_was_replaced_by_a_full_one_is_served(open_app, tmp_path):
    """A restored backup is another folder, too: it holds something."""
    async with open_app() as app:
        await fill(app)
        await app.core.installation.resync("docs")
        shutil.copytree(app.folder, tmp_path / "restored")
        app.folder.rename(tmp_path / "aside")
        (tmp_path / "restored").rename(app.folder)
        await app.put("d0/k0", b"again")
        assert await app.read("d1/k1") == b"1"
        await app.check_equal()
