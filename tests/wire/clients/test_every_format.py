"""The same trees in buckets of every format on every storage: what goes in comes out, whichever client asks."""

from functools import partial

import boto3
import pytest

EXACT = ("--no-unicode-normalization",)
"""Names that look alike are different files here; rclone takes them for one otherwise."""

PLACES = ("flat", "flat-sealed", "flat-far", "structured-kept", "structured-far", "flat-kept")
"""One datasource each; the plain structured folder is what the other files of this folder are about."""

CONFIG = """
[[datasource]]
name = "flat"
folder = "{root}/flat"
format = "flat"

[[datasource]]
name = "flat-sealed"
folder = "{root}/flat-sealed"
format = "flat"
encryption = "aes256"

[[datasource]]
name = "flat-kept"
folder = "{root}/flat-kept"
format = "flat"
versions = true

[[datasource]]
name = "structured-kept"
folder = "{root}/structured-kept"
versions = true

[[datasource]]
name = "versions"
folder = "{root}/versions"
format = "internal"

[[datasource]]
name = "flat-far"
format = "flat"
storage = "s3"
endpoint = "{flat.url}"
access_key = "{flat.access_key}"
secret_key = "{flat.secret_key}"
bucket = "flat-far"

[[datasource]]
name = "structured-far"
storage = "s3"
endpoint = "{own.url}"
access_key = "{own.access_key}"
secret_key = "{own.secret_key}"
bucket = "structured-far"
prefix = "base/"
"""


@pytest.fixture(scope="module")
def every(start_server, tmp_path_factory, bench, own_server, flat_server):
    """A server with a datasource of each kind; ``every.run`` calls clients as ``bench`` does."""
    root = tmp_path_factory.mktemp("every")
    for server, bucket in ((own_server, "structured-far"), (flat_server, "flat-far")):
        make_s3(server).create_bucket(Bucket=bucket)
    for name in ("flat", "flat-sealed", "flat-kept", "structured-kept", "versions"):
        (root / name).mkdir()
    config = root / "config.toml"
    config.write_text(CONFIG.format(root=root, own=own_server, flat=flat_server))
    config.chmod(0o600)
    server = start_server(root / "data", "--config", str(config))
    yield type(bench)(server, "", root, root)
    assert server.stop() == 0, server.read_log()
    assert "Traceback" not in server.log.read_text(errors="replace")


@pytest.fixture(params=PLACES)
def bucket(request):
    return request.param


def make_s3(server):
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )


def count_keys(every, bucket, prefix):
    """How many files a third client sees there."""
    pages = make_s3(every.server).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return sum(not entry["Key"].endswith("/") for page in pages for entry in page.get("Contents", []))


@pytest.mark.client("rclone")
@pytest.mark.timeout(240)
def test_rclone_syncs_moves_and_finds_nothing_left_to_do(every, bucket, photos, files_of, tmp_path):
    rclone, place = partial(every.run, "rclone", *EXACT), f"cells:{bucket}/by-rclone"
    rclone("sync", "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M", photos, f"{place}/photos")
    rclone("check", "--download", photos, f"{place}/photos")
    again = rclone("sync", "-v", photos, f"{place}/photos")
    assert "Copied" not in again.stderr
    (photos / "100%.txt").unlink()
    (photos / "empty.txt").write_bytes(b"no longer")
    rclone("sync", photos, f"{place}/photos")
    rclone("moveto", f"{place}/photos", f"{place}/moved")
    rclone("sync", f"{place}/moved", tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(photos)
    rclone("purge", place)
    assert count_keys(every, bucket, "by-rclone/") == 0


@pytest.mark.client("restic")
@pytest.mark.timeout(240)
def test_restic_keeps_a_repository(every, bucket, photos, files_of, tmp_path):
    place = {"RESTIC_PASSWORD": "x", "RESTIC_REPOSITORY": f"s3:{every.server.url}/{bucket}/by-restic"}
    restic = partial(every.run, "restic", env={**place, "RESTIC_CACHE_DIR": str(tmp_path / "cache")})
    restic("init")
    restic("backup", ".", cwd=photos)
    (photos / "100%.txt").write_bytes(b"changed")
    restic("backup", ".", cwd=photos)
    restic("forget", "--keep-last", "1", "--prune")
    assert "no errors were found" in restic("check", "--read-data").stdout
    restic("restore", "latest", "--target", tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(photos)


@pytest.mark.client("aws")
@pytest.mark.timeout(240)
def test_aws_syncs_there_and_back(every, bucket, photos, files_of, tmp_path):
    aws, place = partial(every.run, "aws", "s3"), f"s3://{bucket}/by-aws"
    aws("sync", photos, place, "--no-progress")
    assert aws("sync", photos, place).stdout == ""
    (photos / "100%.txt").unlink()
    (photos / "one byte").write_bytes(b"two bytes")
    aws("sync", photos, place, "--delete", "--only-show-errors")
    aws("mv", f"{place}/2024", f"{place}/moved", "--recursive", "--only-show-errors")
    aws("sync", f"{place}/moved", tmp_path / "moved", "--no-progress")
    assert files_of(tmp_path / "moved") == files_of(photos / "2024")
    aws("sync", place, tmp_path / "back", "--no-progress", "--exclude", "moved/*")
    kept = {name: digest for name, digest in files_of(photos).items() if not name.startswith("2024/")}
    assert files_of(tmp_path / "back") == kept
    aws("rm", place, "--recursive", "--only-show-errors")
    assert count_keys(every, bucket, "by-aws/") == 0


@pytest.mark.client("s3cmd")
@pytest.mark.timeout(240)
def test_s3cmd_syncs_there_and_back(every, bucket, photos, files_of, tmp_path):
    server, place = every.server, f"s3://{bucket}/by-s3cmd"
    options = [f"--access_key={server.access_key}", f"--secret_key={server.secret_key}", "--no-ssl", "--no-progress"]
    options += [f"--host={server.host}", f"--host-bucket={server.host}", "--config=/dev/null"]
    s3cmd = partial(every.run, "s3cmd", *options)
    s3cmd("sync", "--multipart-chunk-size-mb=5", f"{photos}/", f"{place}/")
    assert "upload:" not in s3cmd("sync", "--multipart-chunk-size-mb=5", f"{photos}/", f"{place}/").stdout
    (tmp_path / "back").mkdir()
    s3cmd("sync", f"{place}/", f"{tmp_path}/back/")
    assert files_of(tmp_path / "back") == files_of(photos)
    s3cmd("mv", f"{place}/1+1=2.txt", f"{place}/sub/moved é.txt")
    s3cmd("get", f"{place}/sub/moved é.txt", tmp_path / "moved")
    assert (tmp_path / "moved").read_bytes() == (photos / "1+1=2.txt").read_bytes()
    s3cmd("del", "--recursive", "--force", f"{place}/")
    assert count_keys(every, bucket, "by-s3cmd/") == 0


@pytest.mark.client("rclone", "aws")
@pytest.mark.timeout(240)
def test_buckets_that_clients_make_are_theirs_to_remove(every, photos, files_of, tmp_path):
    every.run("rclone", "mkdir", "cells:made-by-rclone")
    every.run("rclone", *EXACT, "copy", photos / "2024", "cells:made-by-rclone/photos")
    assert not list((every.folder / "data" / "buckets").rglob("*.jpg")), "no file has a name on the disk"
    every.run("rclone", *EXACT, "copy", "cells:made-by-rclone/photos", tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(photos / "2024")
    every.run("rclone", "purge", "cells:made-by-rclone")
    assert not (every.folder / "data" / "buckets" / "made-by-rclone").exists()
    every.run("aws", "s3", "mb", "s3://made-by-aws")
    every.run("aws", "s3", "cp", photos / "empty.txt", "s3://made-by-aws/a//b")
    every.run("aws", "s3", "rb", "s3://made-by-aws", "--force")
    assert not (every.folder / "data" / "buckets" / "made-by-aws").exists()
