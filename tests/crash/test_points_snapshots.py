"""D2 for snapshots: killed in every phase of a dump, of a load, and of a beginning with a snapshot.

After a dump the snapshot of that name is the old one or the new one, whole. After a load the index is the old one or
the new one, whole; and where it is the new one, the old one is in a snapshot, and subscribers hear that they must read
again. A datasource that was to begin with a snapshot is there with all of it, or can be added again.

Points are the system calls that change the disk, and, where the datasource lies in a bucket, every request: before it
is sent, and after its answer.
"""

import json
import secrets
import shutil

import boto3
import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config, read_datasource
from cellsmono.interfaces.events import EventKind
from cellsmono.interfaces.snapshots import SnapshotOrigin
from cellsmono.kernel.errors import Conflict

BUCKET = "docs"
MOST_POINTS = 400
FILES = 12

CHILD = """
import asyncio, contextlib, json, mmap, os, struct, sys
from pathlib import Path
from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config, read_datasource
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.node import NodeMeta

data, config, operation, files, source, board, kill_at = sys.argv[1:8]
names = [f"tree/{n % 4}/k{n}" for n in range(int(files))]

def point():
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/nonexistent/point")  # a system call that counts

def count_requests():
    from aiobotocore.client import AioBaseClient
    from cellsmono.datasource.objects.s3 import requests
    call = AioBaseClient._make_api_call

    async def counted(client, operation, arguments):
        point()
        answer = await call(client, operation, arguments)
        point()
        return answer

    AioBaseClient._make_api_call = counted
    requests.REQUESTS_AT_ONCE = 1  # so that their order is always the same

async def body(part):
    yield part

async def seed(core):
    store = core.datasources.triple("docs").store
    for n, name in enumerate(names):
        options = WriteOptions(meta=NodeMeta(user={"v": "old"}))
        await store.put_node(name, body(b"%d" % n), PlainDigest(), options)
    if store.sync is not None:
        await store.sync.resync()
    await core.installation.dump_snapshot("docs", "snapshot.db")
    for name in names:
        await store.update_meta(name, lambda meta: NodeMeta(user={"v": "new"}))

async def dump(core): await core.installation.dump_snapshot("docs", "snapshot.db")
async def load(core): await core.installation.load_snapshot("docs", "snapshot.db")
async def add(core):
    made = read_datasource(json.loads(source), "test", Path("/"))
    await core.installation.add_datasource(made, "snapshot.db")

async def main():
    if "endpoint" in source:
        count_requests()
    flags = {"server.data_dir": (data, "--data-dir")}
    async with open_core(load_config(flags, config_file=config, environ={"HOME": data}), follow=False) as core:
        if operation == "seed":
            return await seed(core)
        with open(board, "r+b") as file:
            shared = mmap.mmap(file.fileno(), 4096)
        shared[0:12] = struct.pack("iii", 1, 0, int(kill_at))
        await globals()[operation](core)
        shared[0:4] = struct.pack("i", 0)
        os.write(1, b"ack")

asyncio.run(main())
"""


class Folder:
    """Where a datasource lies: in a folder of this machine."""

    def __init__(self, root, now) -> None:
        self.now = now
        self.settings = {"folder": str(now / BUCKET)}
        (now / BUCKET).mkdir(parents=True)

    def keep(self) -> None:
        """Remember what is there; it lies with the rest."""

    def restore(self) -> None:
        """Put it back."""


class Far:
    """In a bucket of an S3 server."""

    def __init__(self, endpoint: str) -> None:
        self.bucket = f"crash-{secrets.token_hex(6)}"
        keys = {"access_key": "access", "secret_key": "hush-hush"}
        self.settings = {"storage": "s3", "endpoint": endpoint, "bucket": self.bucket, "prefix": "in/here", **keys}
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="access",
            aws_secret_access_key="hush-hush",
            region_name="us-east-1",
        )
        self._client.create_bucket(Bucket=self.bucket)
        self._kept: dict[str, dict[str, object]] = {}

    def _list(self) -> dict[str, str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])}

    def keep(self) -> None:
        for key, etag in self._list().items():
            answer = self._client.get_object(Bucket=self.bucket, Key=key)
            self._kept[key] = {"Body": answer["Body"].read(), "Metadata": answer["Metadata"], "etag": etag}

    def restore(self) -> None:
        there = self._list()
        for key in there.keys() - self._kept.keys():
            self._client.delete_object(Bucket=self.bucket, Key=key)
        for key, kept in self._kept.items():
            if there.get(key) != kept["etag"]:
                self._client.put_object(Bucket=self.bucket, Key=key, Body=kept["Body"], Metadata=kept["Metadata"])

    def close(self) -> None:
        for upload in self._client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []):
            raise AssertionError(f"an upload was left: {upload['Key']}")
        self._client.close()


class Place:
    """A datasource with a snapshot, brought to the same beginning for each point."""

    def __init__(self, root, run_to_point, format_: str, endpoint: str = "") -> None:
        self.run_to_point = run_to_point
        self.now, self.begin = root / "now", root / "begin"
        self.data = self.now / "data"
        self.data.mkdir(parents=True)
        self.storage = Far(endpoint) if endpoint else Folder(root, self.now)
        self.source = {
            "name": BUCKET, "watch": "off", "hash_content": False, "format": format_, **self.storage.settings
        }  # fmt: skip
        lines = [f"{name} = {json.dumps(value)}" for name, value in self.source.items()]
        self.config, self.bare = root / "config.toml", root / "bare.toml"
        self.config.write_text("\n".join(["[[datasource]]", *lines]))
        self.bare.touch()
        self.run("seed", 0)
        shutil.copytree(self.now, self.begin)
        self.storage.keep()

    def run(self, operation: str, kill_at: int) -> tuple[bool, int]:
        config = self.bare if operation == "add" else self.config
        words = (str(self.data), str(config), operation, str(FILES), json.dumps(self.source))
        return self.run_to_point(CHILD, *words, kill_at=kill_at)

    def reset(self, operation: str) -> None:
        shutil.rmtree(self.now)
        shutil.copytree(self.begin, self.now)
        self.storage.restore()
        if operation == "add":
            shutil.rmtree(self.data)
            self.data.mkdir()

    def open(self, config):
        flags = {"server.data_dir": (str(self.data), "--data-dir")}
        loaded = load_config(flags, config_file=str(config), environ={"HOME": str(self.data)})
        return open_core(loaded, follow=False)

    async def check(self, operation: str, *, acknowledged: bool) -> None:
        if operation == "add":
            await self._check_added(acknowledged=acknowledged)
        else:
            await self._check_configured(operation, acknowledged=acknowledged)
        left = [
            path.name
            for path in self.now.rglob("*")
            if path.name.startswith("t-") or ".loading" in path.name or ".dumping" in path.name
        ]
        assert left == []

    async def _check_configured(self, operation: str, *, acknowledged: bool) -> None:
        async with self.open(self.config) as core:
            index = core.datasources.triple(BUCKET).index
            assert await index.verify() == []
            version = await read_version(index)
            infos = {info.name: info for info in await core.installation.list_snapshots(BUCKET)}
            assert [info.problem for info in infos.values() if info.problem] == []
            if operation == "dump":
                assert version == "new"
                await core.installation.load_snapshot(BUCKET, "snapshot.db")
                saved = await read_version(core.datasources.triple(BUCKET).index)
                assert saved in ({"new"} if acknowledged else {"old", "new"})
            else:
                assert version in ({"old"} if acknowledged else {"old", "new"})
                if version == "old":
                    await self._check_loaded(core, index, infos)

    async def _check_loaded(self, core, index, infos) -> None:
        page = await index.changes(0)
        assert page.missed
        assert [event.seq for event in page.events] == list(range(page.events[0].seq, page.last + 1))
        assert EventKind.RELOAD in [event.kind for event in page.events]
        (safety,) = [name for name, info in infos.items() if info.header.origin is SnapshotOrigin.SAFETY]
        assert page.events[0].seq >= infos[safety].header.sequence
        await core.installation.load_snapshot(BUCKET, safety)
        assert await read_version(core.datasources.triple(BUCKET).index) == "new"

    async def _check_added(self, *, acknowledged: bool) -> None:
        async with self.open(self.bare) as core:
            known = [info.config.name for info in await core.installation.list_datasources()]
            assert known in ([[BUCKET]] if acknowledged else [[], [BUCKET]])
            if not known:
                made = read_datasource(self.source, "test", self.now)
                if (self.data / "datasources" / BUCKET / "flat").exists():
                    with pytest.raises(Conflict, match="without --from-snapshot"):
                        await core.installation.add_datasource(made, "snapshot.db")
                    await core.installation.add_datasource(made)
                else:
                    await core.installation.add_datasource(made, "snapshot.db")
            index = core.datasources.triple(BUCKET).index
            assert await index.verify() == []
            assert await read_version(index) == "old"


async def read_version(index) -> str:
    """What the metadata of all files says; they must agree."""
    nodes = [await index.read_node(f"tree/{number % 4}/k{number}") for number in range(FILES)]
    (version,) = {node.meta.user["v"] for node in nodes}
    return version


@pytest.fixture(params=["structured", "flat", "far-structured"])
def place(tmp_path, run_to_point, request):
    where, _, format_ = request.param.rpartition("-")
    made = Place(tmp_path, run_to_point, format_, request.getfixturevalue("moto_server") if where else "")
    yield made
    if where:
        made.storage.close()


async def run_points(place: Place, operation: str, most: int = MOST_POINTS) -> int:
    """Kill at so many points (the first and the last, and others between them evenly); how many points there are."""
    place.reset(operation)
    acknowledged, total = place.run(operation, 0)
    assert acknowledged
    assert 0 < total < MOST_POINTS
    await place.check(operation, acknowledged=True)
    for number in sorted({1, total, *range(1, total + 1, -(-total // (most - 1)))}):
        place.reset(operation)
        acknowledged, passed = place.run(operation, number)
        assert acknowledged == (passed < number), "the process did not die at its point"
        await place.check(operation, acknowledged=acknowledged)
    return total


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("operation", "most", "least"), [("dump", 7, 8), ("load", 8, 40), ("add", 5, 20)])
async def test_d2_a_kill_at_some_points_of_a_dump_and_a_load(place, operation, most, least):
    total = await run_points(place, operation, most)
    assert total >= least, f"only {total} points: the harness is blind"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operation", ["dump", "load", "add"])
async def test_d2_a_kill_at_every_point_of_a_dump_and_a_load(place, operation):
    await run_points(place, operation)
