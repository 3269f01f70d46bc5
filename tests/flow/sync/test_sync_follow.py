"""The synchronizer over a real folder, a real index and the real watcher: edits behind its back."""

import asyncio
import os
import shutil

import pytest

from cellsmono.interfaces.sync import SyncState

PATIENCE = 20.0


async def test_what_is_there_is_imported_and_followed(root, open_followed):
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "x").write_bytes(b"12345")
    async with open_followed() as site:
        (root / "a" / "new").write_bytes(b"1")
        await site.converge()
        assert site.told() == [("create", "", "a/new")]


async def test_a_change_in_place_is_one_update(root, open_followed):
    (root / "x").write_bytes(b"12345")
    async with open_followed() as site:
        with (root / "x").open("ab") as file:
            file.write(b"678")
        await site.converge()
        assert site.told() == [("update_content", "", "x")]


async def test_a_folder_moved_in_out_and_about(tmp_path, open_followed):
    async with open_followed() as site:
        outside = tmp_path / "outside"
        (outside / "deep" / "er").mkdir(parents=True)
        for number in range(50):
            (outside / "deep" / "er" / f"f{number}").write_bytes(b"x")
        outside.rename(site.root / "in")
        await site.converge()
        before = await site.rows()
        site.told()
        (site.root / "in").rename(site.root / "about")
        await site.converge()
        after = await site.rows()
        assert site.told() == [("update_path", "in/", "about/")]
        assert {p.replace("about/", "in/", 1): uuid for p, uuid in after.items()} == before
        (site.root / "about" / "deep").rename(tmp_path / "out")
        await site.converge()
        assert site.told() == [("delete", "", "about/deep/")]


@pytest.mark.parametrize("temporary", [".x.swp", "x~tmp", "x.part"])
async def test_w8_atomic_saves_keep_the_uuid_and_are_one_update(temporary, root, open_followed):
    (root / "x").write_bytes(b"old")
    async with open_followed() as site:
        before = await site.rows()
        (root / temporary).write_bytes(b"new content")
        os.replace(root / temporary, root / "x")
        await site.converge()
        assert site.told() == [("update_content", "", "x")]
        assert (await site.rows())["x"][0] == before["x"][0]


async def test_w5_the_root_vanishes_and_comes_back(tmp_path, root, open_followed):
    (root / "a").mkdir(parents=True)
    (root / "a" / "x").write_bytes(b"1")
    async with open_followed(reconcile_seconds=0.2) as site:
        before = await site.rows()
        aside = tmp_path / "aside"
        root.rename(aside)
        async with asyncio.timeout(PATIENCE):
            await site.sync.wait_for_state(SyncState.OFFLINE)
        assert await site.rows() == before
        aside.rename(root)
        (root / "a" / "y").write_bytes(b"2")
        await site.converge()
        assert {path: uuid for path, (uuid, _) in (await site.rows()).items() if path in before} == {
            path: uuid for path, (uuid, _) in before.items()
        }


async def test_an_empty_stranger_in_place_of_the_root_deletes_nothing(tmp_path, root, open_followed):
    (root / "a").mkdir(parents=True)
    (root / "a" / "x").write_bytes(b"1")
    async with open_followed(reconcile_seconds=0.2) as site:
        before = await site.rows()
        root.rename(tmp_path / "aside")
        root.mkdir()
        async with asyncio.timeout(PATIENCE):
            await site.sync.wait_for_state(SyncState.HELD)
        assert await site.rows() == before
        assert "--accept-deletes" in site.sync.status().detail
        shutil.rmtree(root)
        (tmp_path / "aside").rename(root)
        async with asyncio.timeout(PATIENCE):
            await site.sync.wait_for_state(SyncState.WATCHING)
        assert await site.rows() == before
