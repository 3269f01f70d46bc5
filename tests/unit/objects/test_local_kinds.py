"""N2: links, fifos, sockets, devices and what can not be read."""

import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cellsmono.datasource.objects import beneath
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.interfaces.objects import Entry, Listing, Skipped
from cellsmono.kernel.errors import CellsError, Conflict, NotFound

Put = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["openat2", "walk"], autouse=True)
def resolution(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "walk":
        monkeypatch.setattr(beneath, "_has_openat2", False)
    elif not beneath.has_openat2():
        pytest.skip("this kernel has no openat2")


async def scan(store: LocalStore, bucket: str, folder: str = "") -> Listing:
    (listing,) = await store.scan(bucket, [(folder, b"")])
    return listing


def names(listing: Listing) -> set[str]:
    return {entry.name for entry in listing.entries or []}


async def read(store: LocalStore, bucket: str, key: str) -> bytes:
    reader = await store.open(bucket, key)
    try:
        return await reader.read(0, 1000)
    finally:
        reader.close()


async def test_n2_special_files_are_skipped_and_never_opened(local: LocalStore, tmp_path: Path, put: Put) -> None:
    docs = tmp_path / "docs"
    os.mkfifo(docs / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(docs / "socket"))
    expected = {"fifo": "fifo", "socket": "socket"}
    if os.geteuid() == 0:
        os.mknod(docs / "device", 0o600 | 0o020000, os.makedev(1, 3))
        expected["device"] = "device"
    await put(local, "plain")
    listing = await scan(local, "docs")
    assert {s.key: s.reason for s in listing.skipped} == expected
    assert names(listing) == {"plain"}
    assert listing.complete
    for name, reason in expected.items():
        with pytest.raises(NotFound):
            await local.open("docs", name)
        with pytest.raises(NotFound):
            await local.stat("docs", name)
        assert await local.hash_object("docs", name) is None
        assert await local.delete("docs", name) is False
        assert await local.stat_entries("docs", [name]) == [Skipped(name, reason)]
        assert (docs / name).exists()
    listener.close()


async def test_n2_links_are_not_served(local: LocalStore, tmp_path: Path, put: Put) -> None:
    docs = tmp_path / "docs"
    await put(local, "real/file", b"inside")
    (tmp_path / "secret").write_text("outside")
    for name, target in [("in", "real/file"), ("dir", "real"), ("out", "../secret"), ("gone", "nothing"), ("me", "me")]:
        (docs / name).symlink_to(target)
    listing = await scan(local, "docs")
    assert {s.key: s.reason for s in listing.skipped} == dict.fromkeys(["in", "dir", "out", "gone", "me"], "symlink")
    assert names(listing) == {"real/"}
    for key in ("in", "dir/file", "out", "gone", "me"):
        with pytest.raises(NotFound):
            await local.open("docs", key)
        assert await local.delete("docs", key) is False
    with pytest.raises(Conflict):
        await put(local, "dir/new")
    assert (await scan(local, "docs", "dir/")).missing
    await put(local, "out", b"a file of our own")
    assert (tmp_path / "secret").read_text() == "outside"
    assert await read(local, "docs", "out") == b"a file of our own"


async def test_n2_links_that_stay_inside(local: LocalStore, tmp_path: Path, put: Put) -> None:
    inside = tmp_path / "inside"
    await put(local, "real/sub/file", b"inside", "inside")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "f").write_text("outside")
    links = {
        "file": "real/sub/file",
        "dir": "real",
        "real/up": "../real/sub/file",
        "real/sub/loop": "..",
        "absolute": str(inside / "real"),
        "out": "../secret",
        "climb": "real/../../secret/f",
        "gone": "nothing",
        "me": "me",
    }
    for name, target in links.items():
        (inside / name).symlink_to(target)
    listing = await scan(local, "inside")
    assert names(listing) == {"real/", "file", "dir/"}
    assert {s.key for s in listing.skipped} == {"absolute", "out", "climb", "gone", "me"}
    for key in ("file", "dir/sub/file", "real/up", "dir/up"):
        assert await read(local, "inside", key) == b"inside"
    for key in ("absolute/sub/file", "out/f", "climb", "gone", "me"):
        with pytest.raises(NotFound):
            await local.open("inside", key)
    assert names(await scan(local, "inside", "dir/")) == {"sub/", "up"}
    below = await scan(local, "inside", "dir/sub/")
    assert names(below) == {"file"}
    assert below.skipped == (Skipped("dir/sub/loop", "symlink_loop"),)
    (entry,) = await local.stat_entries("inside", ["file"])
    assert isinstance(entry, Entry)
    assert entry.facts == (await local.stat("inside", "real/sub/file")).facts
    assert await local.delete("inside", "file") is True
    assert await read(local, "inside", "real/sub/file") == b"inside"
    await put(local, "dir/new", b"n", "inside")
    assert (inside / "real" / "new").read_bytes() == b"n"
    await put(local, "real/up", b"replaced", "inside")
    assert not (inside / "real" / "up").is_symlink()
    assert await read(local, "inside", "real/sub/file") == b"inside"


@pytest.mark.parametrize("bucket", ["docs", "inside"])
async def test_n2_a_folder_swapped_for_a_link(local: LocalStore, tmp_path: Path, put: Put, bucket: str) -> None:
    """Bounded form of the race; an escape would read, overwrite or delete the canary outside."""
    await put(local, "d/f", b"inside", bucket)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"CANARY")
    canary = (outside / "f").stat().st_ino
    root = tmp_path / bucket
    (root / "evil").symlink_to(outside)
    stop = threading.Event()

    exchange = ctypes.CDLL(None).renameat2
    here, there = os.fsencode(root / "d"), os.fsencode(root / "evil")

    def swap() -> None:
        while not stop.is_set():
            assert exchange(-100, here, -100, there, 2) == 0  # RENAME_EXCHANGE

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for turn in range(400):
            with contextlib.suppress(NotFound):
                assert await read(local, bucket, "d/f") in (b"inside", b"new")
            with contextlib.suppress(CellsError):
                (listing,) = await local.scan(bucket, [("d/", b"")])
                assert canary not in {entry.facts.ino for entry in listing.entries or []}
                if turn % 4 == 0:
                    await put(local, "d/f", b"new", bucket)
                    await local.delete(bucket, "d/g")
    finally:
        stop.set()
        thread.join()
    assert (outside / "f").read_bytes() == b"CANARY"
    assert sorted(os.listdir(outside)) == ["f"]


async def test_hard_links_are_files(local: LocalStore, tmp_path: Path, put: Put) -> None:
    await put(local, "one", b"same")
    os.link(tmp_path / "docs" / "one", tmp_path / "docs" / "two")
    assert await read(local, "docs", "two") == b"same"
    await put(local, "two", b"other")
    assert await read(local, "docs", "one") == b"same"


@pytest.mark.usefixtures("remove_deep_trees")
async def test_w9_deep_trees_are_seen_to_the_bottom(local: LocalStore, tmp_path: Path) -> None:
    depth, name = 700, b"d" * 9
    at = os.open(tmp_path / "docs", os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open(b"bottom", os.O_WRONLY | os.O_CREAT, dir_fd=at))
    os.close(at)
    folder, seen = "", 0
    while True:
        listing = await scan(local, "docs", folder)
        assert listing.complete
        (name_found,) = names(listing)
        if not name_found.endswith("/"):
            break
        folder += name_found
        seen += 1
    assert (seen, name_found) == (depth, "bottom")
    assert len(folder) > 4096
    assert await read(local, "docs", folder + "bottom") == b""
    assert (await local.stat_folders("docs", [folder]))[0] is not None
    assert isinstance((await local.stat_entries("docs", [folder + "bottom"]))[0], Entry)
    assert await local.delete("docs", folder + "bottom") is True


async def test_names_that_are_not_utf8(local: LocalStore, tmp_path: Path, put: Put) -> None:
    docs = os.fsencode(tmp_path / "docs")
    for raw in (b"caf\xe9", b"\xff\xfe", "\u201bE9".encode()):
        with open(docs + b"/" + raw, "wb") as file:
            file.write(raw)
    for key in names(await scan(local, "docs")):
        data = await read(local, "docs", key)
        assert os.path.exists(docs + b"/" + data)
        await put(local, key, data + b"!")
        await local.move("docs", key, "moved/" + key)
        assert os.path.exists(docs + b"/moved/" + data)
    assert len(names(await scan(local, "docs", "moved/"))) == 3
