"""A server that is killed while it copies and moves goes on where it was: no file is lost, and none is there twice."""

import asyncio
import hashlib

import boto3
import pytest

from cellsmono.app.control_client import ControlClient
from cellsmono.interfaces.jobs import JobKind, JobState, ListJobs, TransferNodes
from cellsmono.interfaces.people import CreateUser, CreateWorkspace, GiveWorkspace

FILES = 600
KILLED_AT = (40, 200, 450)


class Site:
    """A folder with files, and a server that is started again and again."""

    def __init__(self, start_server, root):
        self.start_server = start_server
        self.root = root
        self.contents = {f"tree/{number % 7}/{number:03}": b"%d" % number for number in range(FILES)}
        for path, content in self.contents.items():
            (root / "docs" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "docs" / path).write_bytes(content)
        self.start()

    def start(self):
        on = {"CELLSMONO_SERVER__DEFAULT_DATASOURCES": "true"}
        self.server = self.start_server(self.root / "data", f"docs={self.root / 'docs'}", **on)

    def ask(self, request):
        return asyncio.run(ControlClient(self.root / "data").perform(request))

    def etags(self, bucket, prefix):
        keys = {"aws_access_key_id": self.server.access_key, "aws_secret_access_key": self.server.secret_key}
        client = boto3.client("s3", endpoint_url=self.server.url, region_name="us-east-1", **keys)
        page = client.list_objects_v2(Bucket=bucket, Prefix=prefix)
        client.close()
        return {each["Key"].removeprefix(prefix): each["ETag"].strip('"') for each in page.get("Contents", [])}


@pytest.mark.parametrize("kind", [JobKind.COPY, JobKind.MOVE])
def test_it_goes_on_after_kills(start_server, tmp_path, kind):
    site = Site(start_server, tmp_path)
    site.ask(CreateUser("alice"))
    site.ask(CreateWorkspace("docs", (("", "docs"),)))
    site.ask(GiveWorkspace("docs", "group:/", ("read", "write")))
    job = site.ask(TransferNodes("alice", kind, ("docs/tree",), "common-files"))
    kills = 0
    for at in KILLED_AT:
        while (found := site.ask(ListJobs(ids=(job.id,)))[0]).done < at and not found.state.is_over:
            pass
        kills += not found.state.is_over
        site.server.kill()
        site.start()
    assert kills, "the job was too quick to be killed"
    while not (found := site.ask(ListJobs(ids=(job.id,)))[0]).state.is_over:
        pass
    assert found.state is JobState.FINISHED, found
    wanted = {path: hashlib.md5(content).hexdigest() for path, content in site.contents.items()}
    copies = site.etags("pydiods1", "")
    assert copies.keys() == wanted.keys()
    assert {path: etag for path, etag in copies.items() if "-" not in etag} == wanted
    left = {str(path.relative_to(tmp_path / "docs")) for path in (tmp_path / "docs/tree").rglob("*") if path.is_file()}
    left = {path for path in left if not path.endswith(".pydio")}
    assert left == (wanted.keys() if kind is JobKind.COPY else set())
    assert site.server.stop() == 0
