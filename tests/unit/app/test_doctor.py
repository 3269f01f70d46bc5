import errno
import os
from pathlib import Path

import pytest

from cellsmono.app.config_sources import load_config
from cellsmono.app.doctor import (
    Grade,
    count_folders,
    examine,
    examine_clock,
    examine_data_dir,
    examine_folder,
    examine_inotify,
    examine_sqlite,
    probe_abilities,
)


def test_a_sound_machine_has_no_problems(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    loaded = load_config({"server.data_dir": (str(tmp_path), "--data-dir")}, environ={"HOME": str(tmp_path)})
    findings = examine(loaded, [folder])
    assert [finding for finding in findings if finding.grade is Grade.PROBLEM] == []
    assert {"python", "sqlite", "open files", "clock", "inotify"} <= {finding.topic for finding in findings}
    assert list(folder.iterdir()) == [], "nothing is left behind"


@pytest.mark.parametrize(
    ("version", "grade"),
    [((3, 36, 0), Grade.PROBLEM), ((3, 40, 1), Grade.NOTE), ((3, 51, 2), Grade.NOTE), ((3, 51, 3), Grade.OK)],
)
def test_sqlite_versions(version: tuple[int, int, int], grade: Grade) -> None:
    [finding] = examine_sqlite(version)
    assert finding.grade is grade
    assert bool(finding.remedy) is (grade is not Grade.OK)


def test_a_clock_that_can_not_be_right() -> None:
    assert next(examine_clock(0)).grade is Grade.PROBLEM
    assert next(examine_clock(1_800_000_000)).grade is Grade.OK


def test_too_few_watches_name_the_sysctl_and_the_value(tmp_path: Path) -> None:
    tree, settings = tmp_path / "tree", tmp_path / "inotify"
    settings.mkdir()
    for number in range(20):
        (tree / str(number)).mkdir(parents=True)
    (settings / "max_user_watches").write_text("10\n")
    (settings / "max_queued_events").write_text("100\n")
    watches, queue = examine_inotify([tree], settings)
    assert watches.grade is Grade.WARNING
    assert "21 folders" in watches.text
    assert "sysctl fs.inotify.max_user_watches=524288" in watches.remedy
    assert "max_queued_events=" in queue.remedy
    (settings / "max_user_watches").write_text("1000\n")
    assert next(examine_inotify([tree], settings)).grade is Grade.OK
    assert "polling" in next(examine_inotify([tree], tmp_path / "none")).text


def test_folders_are_counted_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert count_folders([tmp_path, tmp_path / "missing"]) == (3, True)


def test_a_missing_folder_is_a_problem(tmp_path: Path) -> None:
    [finding] = examine_folder(tmp_path / "missing")
    assert finding.grade is Grade.PROBLEM
    assert finding.remedy


def test_an_open_data_folder_is_warned_of(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    findings = list(examine_data_dir(tmp_path))
    assert findings[0].grade is Grade.WARNING
    assert findings[0].remedy == f"chmod 700 {tmp_path}"
    assert next(examine_data_dir(tmp_path / "missing")).grade is Grade.NOTE


def test_what_a_file_system_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    assert probe_abilities(tmp_path)["extended attributes"] is False
    assert any("no extended attributes" in finding.text for finding in examine_folder(tmp_path))
    assert list(tmp_path.iterdir()) == []
