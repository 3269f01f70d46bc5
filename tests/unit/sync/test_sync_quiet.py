"""Watches are told of changes and not of reading."""

import os
import re
from pathlib import Path

import pytest
from watchfiles._rust_notify import RustNotify

from cellsmono.datasource.sync import quiet
from cellsmono.datasource.sync.notify import open_notify

OPEN = 0x20
USUAL = 0xFEE


def masks(*folders: Path) -> list[int]:
    """The masks of all watches that this process has on these folders."""
    inodes = {folder.stat().st_ino for folder in folders}
    found = []
    for instance in quiet._list_instances():
        text = Path(f"/proc/self/fdinfo/{instance}").read_text(encoding="ascii")
        watches = re.findall(r"inotify wd:\S+ ino:([0-9a-f]+) sdev:\S+ mask:([0-9a-f]+)", text)
        found += [int(mask, 16) for inode, mask in watches if int(inode, 16) in inodes]
    return found


def test_what_watchfiles_asks_for_but_opening_is_kept(tmp_path: Path) -> None:
    """Fails when a newer watchfiles asks for more: then ``quiet.MASK`` has to follow."""
    loud = RustNotify([str(tmp_path)], False, False, 0, False, False)
    assert masks(tmp_path) == [USUAL]
    loud.close()
    assert quiet.MASK == USUAL & ~OPEN


def test_every_watch_is_quiet(tmp_path: Path) -> None:
    folders = [tmp_path / f"{number}" for number in range(10)]
    for folder in folders:
        folder.mkdir()
    first = open_notify([str(folder) for folder in folders[:5]])
    second = open_notify([str(folder) for folder in folders[5:]])
    assert len(masks(*folders)) == 10
    assert all(mask & (USUAL | OPEN) == quiet.MASK for mask in masks(*folders))
    first.close()
    second.close()


def test_a_folder_that_was_replaced_meanwhile_gets_no_watch_that_nobody_knows(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    def begin() -> RustNotify:
        notify = RustNotify([str(folder)], False, False, 0, False, False)
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        return notify

    notify = quiet.open_quietly([str(folder)], begin)
    assert len(masks(tmp_path / "moved")) == 1
    assert masks(folder) == []
    notify.close()


def test_where_the_instance_can_not_be_told_all_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "_DESCRIPTORS", str(tmp_path / "nowhere"))
    notify = open_notify([str(tmp_path)])
    monkeypatch.undo()
    assert masks(tmp_path) == [USUAL]
    notify.close()


def test_changes_are_heard_of_and_reading_is_not(tmp_path: Path) -> None:
    (tmp_path / "read").write_bytes(b"x")
    notify = open_notify([str(tmp_path)])
    (tmp_path / "read").read_bytes()
    os.listdir(tmp_path)
    (tmp_path / "made").write_bytes(b"x")
    (tmp_path / "made").rename(tmp_path / "named")
    found: set[tuple[int, str]] = set()
    while not any(path.endswith("/named") for _, path in found):
        told = notify.watch(10, 5, 10_000, None)
        assert isinstance(told, set)
        found |= told
    notify.close()
    assert not any(path.endswith("/read") for _, path in found)
