"""s3cmd: sync, put and get by parts, copy, move, info."""

from functools import partial

import pytest

pytestmark = pytest.mark.client("s3cmd")


@pytest.fixture
def s3cmd(bench, client_path):
    server = bench.server
    options = [f"--access_key={server.access_key}", f"--secret_key={server.secret_key}", "--no-ssl", "--no-progress"]
    options += [f"--host={server.host}", f"--host-bucket={server.host}", "--config=/dev/null"]
    return partial(bench.run, client_path("s3cmd"), *options)


@pytest.fixture
def place(bench, request):
    """An own prefix of the bucket."""
    return f"s3://{bench.bucket}/{request.node.name}", bench.folder / request.node.name


def test_sync_brings_a_tree_there_and_back(s3cmd, place, photos, tmp_path, files_of):
    remote, folder = place
    s3cmd("sync", f"{photos}/", f"{remote}/")
    assert files_of(folder) == files_of(photos)
    (tmp_path / "back").mkdir()
    s3cmd("sync", f"{remote}/", f"{tmp_path}/back/")
    assert files_of(tmp_path / "back") == files_of(photos)


def test_a_second_sync_has_nothing_to_do(s3cmd, place, photos):
    remote, _ = place
    s3cmd("sync", f"{photos}/", f"{remote}/")
    again = s3cmd("sync", f"{photos}/", f"{remote}/")
    assert "upload:" not in again.stdout


def test_put_by_parts_and_get(s3cmd, place, photos, tmp_path):
    remote, folder = place
    source = photos / "video" / "large.mov"
    s3cmd("put", "--multipart-chunk-size-mb=5", source, f"{remote}/large.mov")
    assert (folder / "large.mov").read_bytes() == source.read_bytes()
    s3cmd("get", f"{remote}/large.mov", tmp_path / "back.mov")
    assert (tmp_path / "back.mov").read_bytes() == source.read_bytes()


def test_copy_move_and_delete(s3cmd, place):
    remote, folder = place
    folder.mkdir()
    (folder / "a b.txt").write_bytes(b"content")
    s3cmd("cp", f"{remote}/a b.txt", f"{remote}/copy é.txt")
    s3cmd("mv", f"{remote}/a b.txt", f"{remote}/sub/moved.txt")
    assert (folder / "copy é.txt").read_bytes() == b"content"
    assert (folder / "sub" / "moved.txt").read_bytes() == b"content"
    assert not (folder / "a b.txt").exists()
    s3cmd("del", "--recursive", "--force", f"{remote}/")
    assert [path.name for path in folder.rglob("*") if path.is_file() and path.name != ".pydio"] == []


def test_info_of_object_and_bucket(s3cmd, bench, place):
    remote, folder = place
    folder.mkdir()
    (folder / "five").write_bytes(b"12345")
    s3cmd("put", folder / "five", f"{remote}/put", "--add-header=x-amz-meta-colour: blue", "--mime-type=text/x-five")
    told = s3cmd("info", f"{remote}/put").stdout
    assert "File size: 5" in told
    assert "text/x-five" in told
    assert "blue" in told
    assert "us-east-1" in s3cmd("info", f"s3://{bench.bucket}").stdout


def test_bucket_is_made_and_removed(s3cmd):
    s3cmd("mb", "s3://made-by-s3cmd")
    assert "s3://made-by-s3cmd" in s3cmd("ls").stdout
    s3cmd("rb", "s3://made-by-s3cmd")
    assert "s3://made-by-s3cmd" not in s3cmd("ls").stdout
