"""Scans: stability, what races with them, and reading from the page cache."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cellsmono.datasource.objects import flushing
from cellsmono.datasource.objects.flushing import FolderFlusher
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.interfaces.node import NodeAttributes, NodeMeta
from cellsmono.kernel.clock import ManualClock

Put = Callable[..., Awaitable[Any]]
SECOND = 1_000_000_000


@pytest.fixture
async def aged(tmp_path: Path) -> Any:
    """A store whose clock is far ahead of the files."""
    (tmp_path / "docs").mkdir()
    clock = ManualClock((tmp_path / "docs").stat().st_mtime + 100)
    store = LocalStore("s", tmp_path, clock=clock)
    store.add_bucket("docs", "docs")
    yield store, clock
    await store.close()


async def test_a_folder_is_stable_when_its_times_are_settled(aged: tuple[LocalStore, ManualClock], put: Put) -> None:
    store, clock = aged
    await put(store, "x")
    (listing,) = await store.scan("docs", [("", b"")])
    assert listing.stable
    clock.jump(-100)
    (listing,) = await store.scan("docs", [("", b"")])
    assert not listing.stable


async def test_a_change_while_scanning_is_not_stable(
    aged: tuple[LocalStore, ManualClock], put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = aged
    for number in range(5):
        await put(store, f"f{number}")
    real = os.scandir

    class Meddling:
        def __init__(self, folder: int) -> None:
            self._found = real(folder)

        def __enter__(self) -> "Meddling":
            return self

        def __exit__(self, *_: object) -> None:
            self._found.close()

        def __iter__(self) -> Iterator[Any]:
            for number, entry in enumerate(self._found):
                if number == 0:
                    (tmp_path / "docs" / entry.name).unlink()
                yield entry

    monkeypatch.setattr(os, "scandir", Meddling)
    (listing,) = await store.scan("docs", [("", b"")])
    monkeypatch.undo()
    assert len(listing.entries or []) == 4
    assert listing.complete
    assert not listing.stable


async def test_a_listing_that_breaks_off_is_not_complete(
    local: LocalStore, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(local, "x")

    def broken(_: int) -> Any:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(os, "scandir", broken)
    (listing,) = await local.scan("docs", [("", b"")])
    monkeypatch.undo()
    assert not listing.complete
    assert not listing.missing
    assert not listing.stable
    assert [s.reason for s in listing.skipped] == ["unreadable"]


async def test_expected_fingerprints_give_the_same_entries(local: LocalStore, put: Put, tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / "docs" / f"n{number}").touch()
    (tmp_path / "docs" / "sub").mkdir()
    (tmp_path / "docs" / os.fsdecode(b"caf\xe9")).touch()
    (plain,) = await local.scan("docs", [("", b"")])
    (other,) = await local.scan("docs", [("", b"another")])
    assert plain.entries == other.entries
    assert plain.fingerprint == other.fingerprint
    (same,) = await local.scan("docs", [("", plain.fingerprint)])
    assert same.entries is None


async def test_garbage_in_markers(local: LocalStore, tmp_path: Path, put: Put) -> None:
    marker = tmp_path / "docs" / ".pydio"
    for content in (b"", b"garbage", b"\xff" * 36, b"0" * 10_000):
        marker.write_bytes(content)
        assert await local.read_marker("docs", "") == ""
    marker.write_bytes(b"01890000-0000-7000-8000-00000000ABCD\n")
    assert await local.read_marker("docs", "") == "01890000-0000-7000-8000-00000000abcd"
    marker.unlink()
    (tmp_path / "elsewhere").write_text("01890000-0000-7000-8000-00000000abcd")
    marker.symlink_to("../elsewhere")
    assert await local.read_marker("docs", "") == ""
    marker.unlink()
    marker.mkdir()
    assert await local.read_marker("docs", "") == ""
    assert await local.write_markers("docs", [("", "01890000-0000-7000-8000-00000000abcd")]) == [None]


async def test_cold_reads_go_through_a_thread(local: LocalStore, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 1000
    await put(local, "x", data)
    reader = await local.open("docs", "x")
    assert await reader.read(5, 100) == data[5:105]
    assert await reader.read(0, len(data)) == data

    def cold(*_: Any) -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", cold)
    assert await reader.read(5, 100) == data[5:105]
    assert await reader.read(len(data) - 3, 100) == data[-3:]
    descriptor = reader.fileno()
    assert descriptor is not None
    assert os.pread(descriptor, 3, 1) == data[1:4]
    reading = asyncio.create_task(reader.read(0, len(data)))
    await asyncio.sleep(0)
    reader.close()
    assert await reading == data
    assert reader.fileno() is None
    with pytest.raises(ValueError, match="closed"):
        await reader.read(0, 1)


async def test_attributes_that_are_too_large_are_left_out(local: LocalStore, put: Put, tmp_path: Path) -> None:
    if not local.capabilities("docs").attributes:
        pytest.skip("no extended attributes here")
    small = NodeMeta(user={"a": "b"})
    large = NodeMeta(user={"a": "b" * 100_000})
    await put(local, "x", attributes=lambda f: NodeAttributes(f.size, f.mtime_ns, "", large))
    assert await local.read_attributes("docs", ["x"]) == [None]
    kept = NodeAttributes(4, 1, "", small)
    await local.set_attributes("docs", "x", kept)
    assert await local.read_attributes("docs", ["x"]) == [kept]
    await local.set_attributes("docs", "x", NodeAttributes(4, 1, "", large))
    assert await local.read_attributes("docs", ["x"]) == [None], "an older value stayed"
    await local.set_attributes("docs", "x", kept)
    os.setxattr(tmp_path / "docs" / "x", "user.cellsmono", b"not json")
    assert await local.read_attributes("docs", ["x"]) == [None]


def test_flushes_are_shared_but_never_begin_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    begun = 0
    running = threading.Event()
    go = threading.Event()

    def slow(_: int) -> None:
        nonlocal begun
        begun += 1
        running.set()
        go.wait(10)

    monkeypatch.setattr(flushing.os, "fsync", slow)
    flusher = FolderFlusher()
    folder = os.open(tmp_path, os.O_RDONLY)
    first = threading.Thread(target=flusher.flush, args=([folder],))
    first.start()
    assert running.wait(10)
    others = [threading.Thread(target=flusher.flush, args=([folder],)) for _ in range(5)]
    for thread in others:
        thread.start()
    identity = (os.fstat(folder).st_dev, os.fstat(folder).st_ino)
    while flusher._folders[identity].users < 6:
        pass
    go.set()
    for thread in (first, *others):
        thread.join(10)
    assert begun == 2
    assert flusher._folders == {}
    os.close(folder)
