import os
import shutil
import subprocess

import pytest

from cellsmono.datasource.objects import ordering
from cellsmono.datasource.objects.ordering import keeps_order

LINE = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - %s /dev/root rw,%s\n"


@pytest.mark.parametrize(
    ("number", "kind", "options", "answer"),
    [
        (b"98:0", b"ext4", b"errors=continue", b"ext4"),
        (b"98:0", b"xfs", b"attr2", b"xfs"),
        (b"98:1", b"ext4", b"errors=continue", None),
        (b"98:0", b"ext4", b"nobarrier", b""),
        (b"98:0", b"ext4", b"barrier=0", b""),
    ],
)
def test_a_mount_is_read_and_one_without_barriers_is_not_trusted(number, kind, options, answer):
    assert ordering._read_mount(number, LINE % (kind, options)) == answer


def test_file_systems_without_a_log_are_flushed_file_by_file():
    assert not keeps_order(os.stat("/proc").st_dev)
    assert not keeps_order(os.stat("/dev/shm").st_dev)
    assert not keeps_order(0)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mkfs.ext4") is None, reason="needs root and mkfs.ext4")
@pytest.mark.parametrize(("feature", "answer"), [("has_journal", True), ("^has_journal", False)])
def test_ext4_counts_only_with_its_journal(tmp_path, feature, answer):
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-O", feature, image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, mounted], check=False, capture_output=True).returncode:
        pytest.skip("loop devices can not be mounted here")
    try:
        ordering._keeps_order.cache_clear()
        assert keeps_order(mounted.stat().st_dev) is answer
    finally:
        subprocess.run(["umount", mounted], check=True)
        ordering._keeps_order.cache_clear()
