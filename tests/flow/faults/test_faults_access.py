"""N2: a folder that the server may not enter is reported; its rows stay, and the rest is served."""

import json
import os
import shutil
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

NOBODY = 65534


@pytest.fixture
def base():
    """A folder that everybody can reach; the test's own one belongs to root alone."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv, to run the server as somebody else")
    made = Path(f"/var/tmp/cellsmono-access-{os.getpid()}")
    made.mkdir(mode=0o755)
    yield made
    shutil.rmtree(made)


def test_n2_a_closed_folder_is_reported_and_the_rest_is_served(base, start_server):
    served = base / "parent" / "docs"
    for name in ("open", "closed/deep"):
        (served / name).mkdir(parents=True)
        (served / name / "f").write_text(name)
    for path in [base, *base.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    settings = {"HOME": str(base), "PYTHONDONTWRITEBYTECODE": "1"}
    server = start_server(base / "data", f"docs={served}", prefix=prefix, **settings)
    s3 = make_client(server)
    show(server, base, prefix, "ds", "resync", "docs")
    assert list_keys(s3) == ["closed/deep/f", "open/f"]

    os.chown(served / "closed", 0, 0)
    os.chmod(served / "closed", 0o700)
    result = show(server, base, prefix, "ds", "resync", "docs", "--full")
    assert result.returncode == 5, "something was skipped"
    report = json.loads(result.stdout)
    assert {(each["key"].rstrip("/"), each["reason"]) for each in report["skipped"]} == {
        ("closed", "unreadable"),
        ("closed/deep", "unreadable"),
    }
    assert report["deleted"] == 0
    assert list_keys(s3) == ["closed/deep/f", "open/f"], "its rows stay"
    shown = json.loads(show(server, base, prefix, "ds", "show", "docs").stdout)
    assert set(shown["sync"]["skipped"]) == {"unreadable"}
    assert refused(s3.get_object, Key="closed/deep/f") == (403, "AccessDenied")
    assert refused(s3.put_object, Key="closed/new", Body=b"x") == (403, "AccessDenied")
    assert refused(s3.delete_object, Key="closed/deep/f") == (403, "AccessDenied")
    assert list_keys(s3) == ["closed/deep/f", "open/f"]
    s3.put_object(Bucket="docs", Key="open/g", Body=b"x")
    assert s3.get_object(Bucket="docs", Key="open/f")["Body"].read() == b"open"

    os.chmod(served / "closed", 0o755)
    result = show(server, base, prefix, "ds", "resync", "docs")
    assert result.returncode == 0, result.stdout
    assert s3.get_object(Bucket="docs", Key="closed/deep/f")["Body"].read() == b"closed/deep"
    assert server.stop() == 0


def show(server, base, prefix, *arguments):
    """A command of the same user, as JSON."""
    import subprocess
    import sys

    command = [*prefix, sys.executable, "-m", "cellsmono", *arguments, "--data-dir", str(base / "data"), "-o", "json"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HOME": str(base)}, timeout=60)


def make_client(server):
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=config,
    )


def list_keys(s3):
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket="docs").get("Contents", [])]


def refused(method, **arguments):
    with pytest.raises(ClientError) as caught:
        method(Bucket="docs", **arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]
