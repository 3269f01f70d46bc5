"""The steps of docs/recovery.md, executed for datasources that lie in buckets of another server."""

import os
import re
import secrets
import subprocess
import sys
import textwrap
from pathlib import Path

import boto3
import pytest

RECOVERY = (Path(__file__).parents[2] / "docs" / "recovery.md").read_text()
BLOCKS = {
    tag: textwrap.dedent(text)
    for tag, text in re.findall(r"^ *```\w+ run=(\S+)\n(.*?)^ *```", RECOVERY, re.MULTILINE | re.DOTALL)
}


class Site:
    """A home with a server whose two datasources lie in one bucket of another server."""

    def __init__(self, root: Path, start_server, other) -> None:
        self.home = root / "home"
        self.home.mkdir()
        (self.home / ".venv").symlink_to(sys.prefix)
        self.data = self.home / ".local" / "share" / "cellsmono"
        self.bucket = f"recovery-{secrets.token_hex(6)}"
        self._start_server, self._other = start_server, other
        make_client(other).create_bucket(Bucket=self.bucket)
        self.server = start_server(self.data)
        for name, format_ in (("documents", "structured"), ("archive", "flat")):
            self.run(f".venv/bin/cellsmono ds add {name}={self.place(name)} --format {format_}")

    def place(self, name: str) -> str:
        """What stands in the place of a folder."""
        return f"s3://{self.bucket}/{name} --endpoint {self._other.url}"

    def restart(self) -> None:
        self.server.stop()
        self.server = self._start_server(self.data)

    def follow(self, tag: str) -> str:
        """Run a block as it stands, with the places of buckets in it."""
        text = BLOCKS[tag]
        for folder, name in (("~/Documents", "documents"), ("~/blobs", "archive")):
            text = text.replace(folder, self.place(name))
        return self.run(text)

    def run(self, text: str) -> str:
        """Run commands with the keys of the other server in their environment; what they print."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "LC_ALL": "C.UTF-8",
                "AWS_ACCESS_KEY_ID": self._other.access_key,
                "AWS_SECRET_ACCESS_KEY": self._other.secret_key,
                "CELLSMONO_OWNER_ACCESS_KEY": self.server.access_key,
                "CELLSMONO_OWNER_SECRET_KEY": self.server.secret_key,
            },
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout


def make_client(server):
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )


@pytest.fixture
def site(tmp_path, start_server, own_server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", own_server.access_key)  # the server takes them from its environment
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", own_server.secret_key)
    return Site(tmp_path, start_server, own_server)


def read(s3, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


@pytest.mark.timeout(300)
def test_the_steps_bring_back_what_lies_in_buckets(site):
    s3 = make_client(site.server)
    for bucket in ("documents", "archive"):
        s3.put_object(Bucket=bucket, Key="a/kept", Body=b"kept", Metadata={"k": bucket})
    s3.put_object(Bucket="archive", Key="a//every key goes", Body=b"hello\n")
    assert re.search(r"(?m)^snapshot\.db .* ok$", site.follow("recovery-dump"))
    s3.put_object(Bucket="documents", Key="a/later", Body=b"later")
    # What was written in the last hour might be under way, and would be left alone.
    s3.put_object(Bucket="archive", Key="a/later", Body=b"later", Metadata={"mtime": "1600000000"})
    s3.close()

    for index in (site.data / "datasources").rglob("*.db"):
        index.write_bytes(b"not a database any more" * 1000)
    site.restart()
    site.follow("recovery-structured")
    site.follow("recovery-flat")
    s3 = make_client(site.server)
    for bucket in ("documents", "archive"):
        assert read(s3, bucket, "a/kept") == b"kept"
        assert s3.head_object(Bucket=bucket, Key="a/kept")["Metadata"] == {"k": bucket}
    assert read(s3, "documents", "a/later") == b"later"
    found = [entry["Key"] for entry in s3.list_objects_v2(Bucket="archive", Prefix="lost+found/")["Contents"]]
    assert [read(s3, "archive", key) for key in found if not key.endswith("/")] == [b"later"]
    s3.close()

    site.server.stop()
    (site.home / ".local").rename(site.home / "lost")
    listed = site.follow("recovery-machine")
    assert re.search(r"(?m)^documents +(ready|degraded) +[12]", listed), listed
    assert re.search(r"(?m)^archive +ready +2", listed), listed
    assert re.search(r"written +\d+ folders, 2 files", site.follow("recovery-export"))
    assert [path.read_text() for path in (site.home / "rescued").rglob("every key goes")] == ["hello\n"]
