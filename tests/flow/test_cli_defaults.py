"""The first start of the real command: what a quick start shows, lists and hides."""

import json
import re
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import ClientError

ON = {"CELLSMONO_SERVER__DEFAULT_DATASOURCES": "true"}


@pytest.fixture
def run(tmp_path):
    """A command on the data folder, to its end."""

    def run_it(*arguments):
        command = [sys.executable, "-m", "cellsmono", *arguments, "--data-dir", str(tmp_path / "data")]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return run_it


@pytest.fixture
def make_folder(tmp_path):
    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        return str(folder)

    return make


def test_a_quick_start_shows_its_folder_first_and_clients_see_nothing_internal(
    start_server, run, make_folder, tmp_path
):
    server = start_server(tmp_path / "data", make_folder("documents"), **ON)
    buckets = [line.split()[1] for line in server.banner if line.startswith("Bucket ")]
    assert buckets == ["documents", "cellsdata", "personal", "pydiods1"]
    keys = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
    client = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1", **keys)
    assert [each["Name"] for each in client.list_buckets()["Buckets"]] == sorted(buckets)
    for operation, code in (("list_objects_v2", "NoSuchBucket"), ("create_bucket", "BucketAlreadyExists")):
        with pytest.raises(ClientError) as caught:
            getattr(client, operation)(Bucket="versions")
        assert caught.value.response["Error"]["Code"] == code
    client.close()
    table = run("ds", "list").stdout
    for name, format_ in (("pydiods1", "flat"), ("thumbnails", "internal"), ("versions", "internal")):
        assert re.search(rf"(?m)^{name} +ready +0 +0 B +{format_} +data\.objects\.local\d ", table)
    rows = {row["name"]: row["serves"] for row in json.loads(run("ps", "-o", "json").stdout)}
    assert ["cellsdata", "personal", "pydiods1", "thumbnails", "versions"] in rows.values()
    assert run("ds", "remove", "personal", "--yes").returncode == 0
    assert server.stop() == 0
    again = start_server(tmp_path / "data", **ON)
    assert not any("personal" in line for line in again.banner)
    assert again.stop() == 0


def test_a_folder_with_an_internal_name_gets_a_clear_error_and_nothing_is_left_behind(run, make_folder):
    folder = make_folder("versions")
    quiet = ("--listen", "127.0.0.1:0", "--s3-listen", "off")
    failed = run("serve", folder, *quiet)
    assert failed.returncode == 2
    [line] = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert line == (
        f"error: The name 'versions' is kept for an internal datasource of the server. Give the datasource in {folder} "
        f"(command line) another name (my-versions={folder}), or do without default datasources: "
        "server.default_datasources = false"
    )
    listed = run("ds", "list")
    assert (listed.returncode, listed.stdout.count("\n")) == (0, 1), "the command line that failed is not remembered"


def test_the_flag_turns_them_off(start_server, make_folder, tmp_path):
    server = start_server(tmp_path / "data", make_folder("versions"), "--no-default-datasources", **ON)
    assert [line.split()[1] for line in server.banner if line.startswith("Bucket ")] == ["versions"]
    assert server.stop() == 0
