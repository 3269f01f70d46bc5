"""rclone: sync and check both ways with times kept, server-side moves, and a mount where FUSE is there."""

import json
import os
import signal
import subprocess
import time
from functools import partial

import pytest

pytestmark = pytest.mark.client("rclone")


@pytest.fixture
def rclone(bench, client_path):
    # Two names that differ only in their Unicode form are two files here, as on the disk.
    return partial(bench.run, client_path("rclone"), "--no-unicode-normalization")


@pytest.fixture
def place(bench, request):
    """An own prefix of the bucket."""
    return f"cells:{bench.bucket}/{request.node.name}", bench.folder / request.node.name


def times_of(folder):
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".pydio"
    }


def test_sync_up_keeps_bytes_and_times_on_the_disk(rclone, place, photos, files_of):
    remote, folder = place
    rclone("sync", photos, remote)
    assert files_of(folder) == files_of(photos)
    assert times_of(folder) == times_of(photos)


def test_sync_down_keeps_bytes_and_times(rclone, place, photos, tmp_path, files_of):
    remote, _ = place
    rclone("sync", photos, remote)
    rclone("sync", remote, tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(photos)
    assert times_of(tmp_path / "back") == times_of(photos)


def test_check_agrees_by_hash_and_by_download(rclone, place, photos):
    remote, _ = place
    rclone("sync", photos, remote)
    assert "0 differences found" in rclone("check", photos, remote).stderr
    assert "0 differences found" in rclone("check", "--download", photos, remote).stderr


def test_check_notices_a_changed_byte(rclone, place, photos):
    remote, folder = place
    rclone("sync", photos, remote)
    path = folder / "1+1=2.txt"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    done = rclone("check", "--download", photos, remote, is_checked=False)
    assert done.returncode != 0
    assert "1 differences found" in done.stderr


def test_a_second_sync_has_nothing_to_do(rclone, place, photos):
    remote, _ = place
    rclone("sync", photos, remote)
    again = rclone("sync", photos, remote, "--stats-one-line", "-v").stderr
    assert "Copied" not in again
    assert "Deleted" not in again


def test_sync_follows_changes_and_deletions(rclone, place, photos, files_of):
    remote, folder = place
    rclone("sync", photos, remote)
    (photos / "100%.txt").unlink()
    (photos / "new 🌅.txt").write_bytes(b"new")
    (photos / "empty.txt").write_bytes(b"no longer")
    rclone("sync", photos, remote)
    assert files_of(folder) == files_of(photos)


def test_sync_of_files_that_lie_on_the_disk(rclone, place, photos, tmp_path, files_of):
    remote, folder = place
    subprocess.run(["cp", "-a", photos, folder], check=True)
    deadline = time.monotonic() + 30
    while len(rclone("lsf", "-R", "--files-only", remote).stdout.splitlines()) < len(files_of(photos)):
        assert time.monotonic() < deadline, "the copied folder is not listed"
    rclone("sync", remote, tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(photos)


def test_listing_tells_names_sizes_and_times(rclone, place, photos):
    remote, _ = place
    rclone("sync", photos, remote)
    listed = {
        entry["Path"]: entry["Size"] for entry in json.loads(rclone("lsjson", "-R", "--files-only", remote).stdout)
    }
    assert listed == {
        str(path.relative_to(photos)): path.stat().st_size for path in photos.rglob("*") if path.is_file()
    }


def test_move_of_a_folder_and_purge(rclone, place, photos, files_of):
    remote, folder = place
    rclone("sync", photos / "2024", f"{remote}/2024")
    before = files_of(folder / "2024")
    rclone("move", f"{remote}/2024", f"{remote}/moved/2024")
    assert files_of(folder / "moved" / "2024") == before
    rclone("purge", f"{remote}/moved")
    assert files_of(folder) == {}


def test_upload_by_parts_in_parallel(rclone, place, photos, files_of):
    remote, folder = place
    rclone("copy", "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M", photos / "video", f"{remote}/video")
    assert files_of(folder / "video") == files_of(photos / "video")


@pytest.mark.client("fusermount")
@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="FUSE is not there")
def test_mount_reads_and_writes(bench, rclone, client_path, place, tmp_path):
    remote, folder = place
    rclone("rcat", f"{remote}/there.txt", input="there")
    point = tmp_path / "mount"
    point.mkdir()
    command = [
        client_path("rclone"),
        "mount",
        remote,
        str(point),
        "--vfs-cache-mode",
        "writes",
        "--dir-cache-time",
        "1s",
    ]
    command += ["--vfs-write-back", "0s", "--cache-dir", str(tmp_path / "cache")]
    process = subprocess.Popen(command, env=bench.environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while not os.path.ismount(point):
            if process.poll() is not None:
                pytest.skip(f"rclone can not mount here: {process.stderr.read()[-200:]}")
            assert time.monotonic() < deadline
        assert (point / "there.txt").read_bytes() == b"there"
        (point / "made.txt").write_bytes(b"made")
        while not (folder / "made.txt").exists():
            assert time.monotonic() < deadline, "what was written to the mount never came to the folder"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stderr.close()
    assert (folder / "made.txt").read_bytes() == b"made"
