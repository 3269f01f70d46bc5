"""The same trees in a bucket that a client made and that keeps blobs: what goes in comes out, whoever asks."""

import pytest

EXACT = ("--no-unicode-normalization",)
"""Names that look alike are different files here; rclone takes them for one otherwise."""


@pytest.fixture(scope="module")
def flat(start_server, tmp_path_factory, bench):
    """A server whose new buckets are flat; calls clients as ``bench`` does."""
    root = tmp_path_factory.mktemp("flat")
    (root / "none").mkdir()
    server = start_server(root / "data", f"none={root}/none")
    made = type(bench)(server, "", root / "data" / "buckets", root)
    yield made
    assert server.stop() == 0, server.read_log()
    assert "Traceback" not in server.log.read_text(errors="replace")


@pytest.mark.client("rclone")
@pytest.mark.timeout(240)
def test_rclone_syncs_moves_and_finds_nothing_left_to_do(flat, photos, files_of, tmp_path):
    flat.run("rclone", "mkdir", "cells:by-rclone")
    flat.run("rclone", *EXACT, "sync", photos, "cells:by-rclone/photos")
    flat.run("rclone", *EXACT, "check", "--download", photos, "cells:by-rclone/photos")
    again = flat.run("rclone", *EXACT, "sync", "-v", photos, "cells:by-rclone/photos")
    assert "Copied" not in again.stderr
    flat.run("rclone", *EXACT, "moveto", "cells:by-rclone/photos/2024", "cells:by-rclone/moved/2024")
    flat.run("rclone", *EXACT, "sync", "cells:by-rclone/moved/2024", tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(photos / "2024")
    assert not list(flat.folder.rglob("*.jpg")), "no file has a name on the disk"
    flat.run("rclone", "purge", "cells:by-rclone")
    assert not (flat.folder / "by-rclone").exists()


@pytest.mark.client("restic")
@pytest.mark.timeout(240)
def test_restic_keeps_a_repository(flat, photos, files_of, tmp_path):
    environment = {"RESTIC_PASSWORD": "x", "RESTIC_REPOSITORY": f"s3:{flat.server.url}/by-restic/repository"}
    flat.run("restic", "init", env=environment)
    for _ in range(2):
        flat.run("restic", "backup", ".", env=environment, cwd=photos)
    flat.run("restic", "forget", "--keep-last", "1", "--prune", env=environment)
    assert "no errors were found" in flat.run("restic", "check", "--read-data", env=environment).stdout
    flat.run("restic", "restore", "latest", "--target", tmp_path / "back", env=environment)
    assert files_of(tmp_path / "back") == files_of(photos)


@pytest.mark.client("aws")
@pytest.mark.timeout(240)
def test_aws_syncs_there_and_back(flat, photos, files_of, tmp_path):
    flat.run("aws", "s3", "mb", "s3://by-aws")
    flat.run("aws", "s3", "sync", photos, "s3://by-aws/photos/", "--no-progress")
    flat.run("aws", "s3", "sync", "s3://by-aws/photos/", tmp_path / "back", "--no-progress")
    assert files_of(tmp_path / "back") == files_of(photos)
    flat.run("aws", "s3", "rb", "s3://by-aws", "--force")
    assert not (flat.folder / "by-aws").exists()
