"""Names that the watcher can not tell of, and links that it must not follow."""

import asyncio
import os

import structlog

from cellsmono.datasource.sync import notify
from cellsmono.interfaces.sync import SyncState

BYTE = "‛FF"
PATIENCE = 30.0


def make_bad(folder, name=b"bad\xff"):
    path = os.fsencode(folder) + b"/" + name
    os.mkdir(path)
    return path


def watched_folders():
    """How many folders this process watches with inotify, as the kernel tells."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{number}") == "anon_inode:inotify":
                with open(f"/proc/self/fdinfo/{number}", encoding="ascii") as file:
                    count += sum(line.startswith("inotify") for line in file)
        except FileNotFoundError:
            continue
    return count


async def test_w2_a_bad_name_that_was_there_before_stops_nothing(root, open_followed):
    (root / "good" / "deep").mkdir(parents=True)
    (root / "odd").mkdir()
    bad = make_bad(root / "odd")
    os.mkdir(bad + b"/below")
    with structlog.testing.capture_logs() as logs:
        async with open_followed(reconcile_seconds=3600.0) as site:
            assert [line["folder"] for line in logs if "can not be watched" in line["event"]] == [f"{root}/odd"]
            assert "polled" in site.sync.status().detail
            (root / "good" / "deep" / "x").write_bytes(b"1")
            (root / "top").write_bytes(b"1")
            await site.wait_for("good/deep/x", "top")
            with open(bad + b"/below/y\xfe", "wb") as file:
                file.write(b"1")
            (root / "odd" / "z").write_bytes(b"1")
            await site.wait_for(f"odd/bad{BYTE}/below/y‛FE", "odd/z")
    assert [line for line in logs if "broke off" in line["event"] or "missed" in line["event"]] == []


async def test_w2_a_bad_name_that_appears_costs_its_folder_only(root, open_followed):
    (root / "odd").mkdir()
    (root / "good").mkdir()
    with structlog.testing.capture_logs() as logs:
        async with open_followed() as site:
            for number in range(20):
                with open(os.fsencode(root / "odd") + b"/bad\xff%d" % number, "wb") as file:
                    file.write(b"x")
            (root / "good" / "x").write_bytes(b"1")
            await site.wait_for("good/x", *(f"odd/bad{BYTE}{number}" for number in range(20)))
            (root / "good" / "later").write_bytes(b"1")
            (root / "odd" / "later").write_bytes(b"1")
            await site.wait_for("good/later", "odd/later")
            assert site.sync.status().state is SyncState.WATCHING
            # What is rewritten in place in such a folder shows in no folder's times.
            (root / "odd" / "later").write_bytes(b"longer")
            await site.converge()
    assert len([line for line in logs if line["log_level"] in ("warning", "error")]) == 1


async def test_a_quiet_while_beside_a_bad_name_ends_nothing(root, open_followed, monkeypatch):
    monkeypatch.setattr(notify, "RECHECK_SECONDS", 0.01)
    looked, loop, often = [], asyncio.get_running_loop(), asyncio.Event()
    look_again = notify.TreeFeeds._look_again

    def note(feeds):
        looked.append(len(feeds.blind))
        if len(looked) == 4:
            loop.call_soon_threadsafe(often.set)
        return look_again(feeds)

    monkeypatch.setattr(notify.TreeFeeds, "_look_again", note)
    (root / "good").mkdir()
    os.mkdir(make_bad(root) + b"/plain")
    with structlog.testing.capture_logs() as logs:
        async with open_followed(reconcile_seconds=3600.0) as site:
            async with asyncio.timeout(PATIENCE):
                await often.wait()
            (root / "good" / "x").write_bytes(b"1")
            await site.wait_for("good/x")
    assert set(looked) == {3}, "a folder below a bad name is no better for having plain names in it"
    assert len([line for line in logs if "can not be watched" in line["event"]]) == 1


async def test_a_folder_that_appears_beside_a_bad_name_is_watched(root, open_followed, monkeypatch):
    monkeypatch.setattr(notify, "RECHECK_SECONDS", 0.1)
    make_bad(root)
    async with open_followed(reconcile_seconds=3600.0) as site:
        (root / "new" / "deep").mkdir(parents=True)
        (root / "new" / "deep" / "x").write_bytes(b"1")
        await site.wait_for("new/deep/x")
        (root / "new" / "deep" / "x").write_bytes(b"rewritten in place: no folder's time tells of it")
        await site.converge()


async def test_links_lead_the_watcher_nowhere(tmp_path, root, open_followed):
    outside = tmp_path / "outside"
    for number in range(50):
        (outside / f"d{number}").mkdir(parents=True)
    (root / "in").mkdir()
    (root / "before").symlink_to(outside)
    (root / "in" / "disk").symlink_to("/")
    moved = tmp_path / "moved"
    (moved / "sub").mkdir(parents=True)
    (moved / "link").symlink_to(outside)
    async with open_followed() as site:
        assert watched_folders() == 2
        (root / "later").symlink_to(outside)
        moved.rename(root / "moved")
        (root / "moved" / "sub" / "x").write_bytes(b"1")
        await site.wait_for("moved/sub/x")
        assert watched_folders() == 4
        assert not [path for path in await site.rows() if path.startswith(("before", "later", "in/disk"))]


async def test_folders_are_watched_at_their_new_paths(root, open_followed):
    (root / "was" / "deep").mkdir(parents=True)
    async with open_followed() as site:
        (root / "was").rename(root / "open")
        await site.wait_for("open/deep/")
        (root / "open" / "deep" / "x").write_bytes(b"1")
        await site.wait_for("open/deep/x")
        (root / "was" / "deep").mkdir(parents=True)
        await site.wait_for("was/deep/")
        (root / "was" / "deep" / "y").write_bytes(b"1")
        await site.wait_for("was/deep/y")
