"""The AWS command-line interface: single copies, sync both ways, presigned addresses."""

import json
import os
from functools import partial
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.client("aws")


@pytest.fixture
def aws(bench, client_path):
    return partial(bench.run, client_path("aws"))


@pytest.fixture
def place(bench, request):
    """An own prefix of the bucket."""
    return f"s3://{bench.bucket}/{request.node.name}", bench.folder / request.node.name


def test_sync_brings_a_tree_there_and_back(aws, place, photos, tmp_path, files_of):
    remote, folder = place
    aws("s3", "sync", photos, remote, "--only-show-errors")
    assert files_of(folder) == files_of(photos)
    aws("s3", "sync", remote, tmp_path / "back", "--only-show-errors")
    assert files_of(tmp_path / "back") == files_of(photos)


def test_a_second_sync_has_nothing_to_do(aws, place, photos):
    remote, _ = place
    aws("s3", "sync", photos, remote, "--only-show-errors")
    again = aws("s3", "sync", photos, remote)
    assert again.stdout == ""


def test_sync_with_delete_follows_the_source(aws, place, photos, files_of):
    remote, folder = place
    aws("s3", "sync", photos, remote, "--only-show-errors")
    (photos / "100%.txt").unlink()
    (photos / "one byte").write_bytes(b"two bytes")
    aws("s3", "sync", photos, remote, "--delete", "--only-show-errors")
    assert files_of(folder) == files_of(photos)


def test_files_put_on_the_disk_are_copied_down(aws, place, tmp_path):
    remote, folder = place
    folder.mkdir()
    (folder / "from the disk.txt").write_bytes(b"behind its back")
    aws("s3", "cp", f"{remote}/from the disk.txt", tmp_path / "got.txt")
    assert (tmp_path / "got.txt").read_bytes() == b"behind its back"


def test_move_and_remove(aws, place):
    remote, folder = place
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"a")
    aws("s3", "mv", f"{remote}/a.txt", f"{remote}/sub/b.txt")
    assert not (folder / "a.txt").exists()
    assert (folder / "sub" / "b.txt").read_bytes() == b"a"
    aws("s3", "rm", remote + "/", "--recursive")
    assert not (folder / "sub" / "b.txt").exists()


def test_large_object_by_parts_has_the_etag_of_parts(aws, bench, place, photos):
    remote, folder = place
    aws("s3", "cp", photos / "video" / "large.mov", f"{remote}/large.mov", "--only-show-errors")
    key = f"{folder.name}/large.mov"
    head = json.loads(aws("s3api", "head-object", "--bucket", bench.bucket, "--key", key).stdout)
    assert head["ETag"].endswith('-3"')
    assert head["ContentLength"] == os.path.getsize(folder / "large.mov")


def test_streams_through_pipes(aws, bench, place):
    remote, folder = place
    bench.run("sh", "-c", f"printf streamed | {aws.args[0]} s3 cp - '{remote}/piped'")
    assert (folder / "piped").read_bytes() == b"streamed"
    assert aws("s3", "cp", f"{remote}/piped", "-").stdout == "streamed"


def test_presigned_address_needs_no_key(aws, place):
    remote, folder = place
    folder.mkdir()
    name = "été & 1+1 🌅.txt"
    (folder / name).write_bytes(b"for everyone")
    address = aws("s3", "presign", f"{remote}/{name}").stdout.strip()
    with urlopen(address) as answer:
        assert answer.read() == b"for everyone"


def test_listing_shows_folders_and_sizes(aws, place):
    remote, folder = place
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "x").write_bytes(b"x")
    (folder / "five").write_bytes(b"12345")
    aws("s3", "cp", f"{remote}/five", f"{remote}/six")
    aws("s3", "cp", f"{remote}/sub/x", f"{remote}/sub/y")
    lines = aws("s3", "ls", remote + "/").stdout.splitlines()
    assert "PRE sub/" in lines[0]
    assert any(line.endswith("5 six") for line in lines)


def test_an_empty_object_leaves_the_connection_as_it_should_be(aws, place, tmp_path):
    """Whoever announces a body with ``Expect: 100-continue`` waits for the 100 even when the body is empty."""
    remote, folder = place
    for number in range(30):
        path = tmp_path / "mixed" / f"{number:02d}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"" if number % 2 else b"content")
    done = aws("s3", "cp", tmp_path / "mixed", remote, "--recursive", "--debug")
    assert len(list(folder.iterdir())) >= 30
    assert "retry needed, retryable exception caught" not in done.stderr


def test_wrong_secret_is_refused(bench, client_path):
    done = bench.run(
        client_path("aws"), "s3", "ls", f"s3://{bench.bucket}/", env={"AWS_SECRET_ACCESS_KEY": "x"}, is_checked=False
    )
    assert done.returncode != 0
    assert "SignatureDoesNotMatch" in done.stderr
