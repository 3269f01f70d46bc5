import errno
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cellsmono.app.data_dir import (
    describe_exposure,
    is_data_dir_locked,
    lock_data_dir,
    mark_running,
    mark_stopped,
    prepare_data_dir,
    recall_folders,
    remember_folders,
)
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.errors import Invalid, Locked


def test_the_folder_is_made_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    prepare_data_dir(folder)
    prepare_data_dir(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert describe_exposure(folder) == ""
    folder.chmod(0o755)
    assert f"chmod 700 {folder}" in describe_exposure(folder)


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(Invalid, match="is a file"):
        prepare_data_dir(tmp_path / "data")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    assert not is_data_dir_locked(tmp_path)
    with lock_data_dir(tmp_path):
        assert is_data_dir_locked(tmp_path)
        with pytest.raises(Locked, match=rf"another cellsmono \(pid {os.getpid()}\) uses"), lock_data_dir(tmp_path):
            pass
        assert is_data_dir_locked(tmp_path), "the one that was refused must not release it"
    assert not is_data_dir_locked(tmp_path)
    with lock_data_dir(tmp_path):
        pass


def test_the_lock_goes_with_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from cellsmono.app.data_dir import lock_data_dir\n"
        "with lock_data_dir(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert is_data_dir_locked(tmp_path)
        with pytest.raises(Locked, match=f"pid {child.pid}"), lock_data_dir(tmp_path):
            pass
        child.kill()
        child.wait()
    assert not is_data_dir_locked(tmp_path)


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(Invalid, match="keep the data folder on a local disk"), lock_data_dir(tmp_path):
        pass


def test_an_unclean_end_is_noticed(tmp_path: Path) -> None:
    assert mark_running(tmp_path)
    assert not mark_running(tmp_path)
    mark_stopped(tmp_path)
    assert mark_running(tmp_path)


def test_folders_of_the_command_line_are_remembered(tmp_path: Path) -> None:
    sources = [DatasourceConfig(name="abc", folder="/x")]
    assert recall_folders(tmp_path) == []
    remember_folders(tmp_path, sources)
    assert recall_folders(tmp_path) == sources
    remember_folders(tmp_path, [])
    assert recall_folders(tmp_path) == []
    (tmp_path / "served.json").write_text("{")
    assert recall_folders(tmp_path) == []
