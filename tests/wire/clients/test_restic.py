"""restic keeps its repository in a bucket: init, backup, check with all data read, restore, forget and prune."""

from functools import partial

import pytest

pytestmark = pytest.mark.client("restic")


@pytest.fixture
def restic(bench, client_path, request, tmp_path):
    repository = f"s3:{bench.server.url}/{bench.bucket}/{request.node.name}"
    variables = {
        "RESTIC_PASSWORD": "secret",
        "RESTIC_REPOSITORY": repository,
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }
    return partial(bench.run, client_path("restic"), env=variables)


def test_backup_check_restore(restic, photos, tmp_path, files_of):
    restic("init")
    restic("backup", ".", cwd=photos)
    (photos / "100%.txt").write_bytes(b"changed")
    restic("backup", ".", cwd=photos)
    assert "no errors were found" in restic("check", "--read-data").stdout
    restic("restore", "latest", "--verify", "--target", tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(photos)
    assert "2 snapshots" in restic("snapshots").stdout


def test_prune_removes_what_nothing_needs(restic, photos, bench, request, tmp_path):
    restic("init")
    restic("backup", photos / "video")
    (photos / "video" / "large.mov").unlink()
    (photos / "video" / "small.mov").write_bytes(b"small")
    restic("backup", photos / "video")
    folder = bench.folder / request.node.name

    def size() -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    before = size()
    restic("forget", "--keep-last", "1", "--prune")
    assert before - size() > 15 * 1024 * 1024
    assert "no errors were found" in restic("check", "--read-data").stdout
