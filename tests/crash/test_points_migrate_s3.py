"""D2 for migrations where a bucket of another server takes part: killed at any point, the next run comes to the end.

Points are the system calls that change the disk, and every request: before it is sent, and after its answer.
"""

import json
import secrets
import shutil

import boto3
import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import Format
from cellsmono.interfaces.migration import MigrationAction, MigrationOptions, MigrationPhase

FILES = 8
MOST_POINTS = 2000

CHILD = """
import asyncio, contextlib, json, mmap, os, struct, sys
import msgspec
from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.datasource import DatasourceConfig, WriteOptions
from cellsmono.interfaces.migration import MigrationAction, MigrationOptions
from cellsmono.interfaces.node import NodeMeta

data, source, wanted, operation, board, kill_at = sys.argv[1:7]

def point():
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/nonexistent/point")  # a system call that counts

def count_requests():
    from aiobotocore.client import AioBaseClient
    call = AioBaseClient._make_api_call

    async def counted(client, operation, arguments):
        point()
        answer = await call(client, operation, arguments)
        point()
        return answer

    AioBaseClient._make_api_call = counted

async def body(part):
    yield part

async def seed(core):
    await core.installation.add_datasource(msgspec.json.decode(source, type=DatasourceConfig))
    store = core.datasources.triple("docs").store
    for n in range(8):
        options = WriteOptions(meta=NodeMeta(user={"n": str(n)}))
        await store.put_node(f"tree/{n % 3}/k{n}", body(b"%d" % n * 50), PlainDigest(), options)
    await core.installation.dump_snapshot("docs", "good.db")

async def main():
    count_requests()
    flags = {"server.data_dir": (data, "--data-dir")}
    async with open_core(load_config(flags, environ={"HOME": data}), follow=False) as core:
        if operation == "seed":
            return await seed(core)
        with open(board, "r+b") as file:
            shared = mmap.mmap(file.fileno(), 4096)
        shared[0:12] = struct.pack("iii", 1, 0, int(kill_at))
        options = msgspec.json.decode(wanted, type=MigrationOptions)
        await core.installation.migrate("docs", options)
        if not options.move:
            await core.installation.migrate("docs", MigrationOptions(MigrationAction.FINISH))
        shared[0:4] = struct.pack("i", 0)
        os.write(1, b"ack")

asyncio.run(main())
"""


class Far:
    """A bucket of another server, with an old and a new prefix."""

    def __init__(self, endpoint: str) -> None:
        self.bucket = f"crash-{secrets.token_hex(6)}"
        self.keys = {"endpoint": endpoint, "access_key": "access", "secret_key": "hush-hush"}
        self._client = boto3.client(
            "s3", endpoint_url=endpoint, aws_access_key_id="access", aws_secret_access_key="hush-hush",
            region_name="us-east-1",
        )  # fmt: skip
        self._client.create_bucket(Bucket=self.bucket)
        self._kept: dict[str, dict[str, object]] = {}

    def list(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def keep(self) -> None:
        for key in self.list():
            answer = self._client.get_object(Bucket=self.bucket, Key=key)
            fields = {name: answer[name] for name in ("Metadata", "ContentType")}
            self._kept[key] = {"Body": answer["Body"].read(), **fields}

    def restore(self) -> None:
        for key in set(self.list()) - self._kept.keys():
            self._client.delete_object(Bucket=self.bucket, Key=key)
        for key, kept in self._kept.items():
            self._client.put_object(Bucket=self.bucket, Key=key, **kept)

    def close(self) -> None:
        self._client.close()


class Place:
    """A datasource before its migration, brought to the same beginning for each point."""

    def __init__(self, root, run_to_point, far: Far, way: tuple[str, Format, str, Format], *, moves: bool) -> None:
        old_place, old, new_place, self.new = way
        self.run_to_point, self.far = run_to_point, far
        self.now, self.begin = root / "now", root / "begin"
        self.folders, self.data = self.now / "folders", self.now / "data"
        for made in (self.folders / "old", self.data):
            made.mkdir(parents=True)
        in_bucket = {"storage": "s3", "bucket": far.bucket, "prefix": "old", **far.keys}
        source = {"name": "docs", "format": old, "watch": "off", "hash_content": False}
        source |= in_bucket if old_place == "bucket" else {"folder": str(self.folders / "old")}
        is_far = new_place == "bucket"
        target = f"s3://{far.bucket}/new" if is_far else str(self.folders / "new")
        self.wanted = MigrationOptions(MigrationAction.RUN, self.new, target, far.keys if is_far else {}, moves)
        asked = {"format": self.new, "target": target, "values": self.wanted.values, "move": moves}
        self._words = json.dumps(source), json.dumps(asked)
        self.run("seed", 0)
        shutil.copytree(self.now, self.begin)
        far.keep()

    def run(self, operation: str, kill_at: int) -> tuple[bool, int]:
        return self.run_to_point(CHILD, str(self.data), *self._words, operation, kill_at=kill_at)

    def reset(self) -> None:
        shutil.rmtree(self.now)
        shutil.copytree(self.begin, self.now)
        self.far.restore()

    def open(self):
        flags = {"server.data_dir": (str(self.data), "--data-dir")}
        return open_core(load_config(flags, environ={"HOME": str(self.data)}), follow=False)

    async def check(self) -> None:
        """Go on to the end after a kill, and look at everything."""
        async with self.open() as core:
            if not core.datasources.failure("docs"):
                await _check_tree(core)
            files = core.datasources.migration("docs")
            if not core.datasources.configs()[0].migrated_from:
                report = await core.installation.migrate("docs", MigrationOptions() if files.read() else self.wanted)
                assert report.problems == ()
            state = files.read()
            if state is not None:
                assert state.phase is MigrationPhase.SWITCHED
                assert (await core.installation.migrate("docs", MigrationOptions(MigrationAction.FINISH))).left == ()
            await _check_tree(core)
        async with self.open() as core:
            await _check_tree(core)
            assert (await core.installation.check("docs")).is_fine
            found = await core.installation.list_snapshots("docs")
            assert [(each.name, each.problem) for each in found] == [("good.db", "")]
        left = {path.name for path in (self.data / "datasources" / "docs").iterdir()}
        assert left <= {"index.db", "index.db-wal", "index.db-shm", "flat"}
        assert [key for key in self.far.list() if key.startswith("old/")] == []
        assert not (self.folders / "old" / "tree").exists()


async def _check_tree(core) -> None:
    store = core.datasources.triple("docs").store
    assert await store.index.verify() == []
    assert (await store.index.stats()).files == FILES
    for n in range(FILES):
        opened = await store.open_node(f"tree/{n % 3}/k{n}")
        assert await opened.reader.read(0, 1000) == b"%d" % n * 50
        assert opened.node.meta.user == {"n": str(n)}
        opened.reader.close()


WAYS = {
    "flat into a bucket": ("folder", Format.FLAT, "bucket", Format.FLAT),
    "structured out of one": ("bucket", Format.FLAT, "folder", Format.STRUCTURED),
    "inside one server": ("bucket", Format.STRUCTURED, "bucket", Format.FLAT),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["copy", "move"])
def place(tmp_path, run_to_point, moto_server, way, request):
    far = Far(moto_server)
    yield Place(tmp_path, run_to_point, far, way, moves=request.param)
    far.close()


async def run_points(place: Place, kills: int) -> int:
    """Kill at so many points, the first and the last among them; how many points there are."""
    acknowledged, total = place.run("run", 0)
    assert acknowledged
    assert 0 < total < MOST_POINTS
    await place.check()
    step = max(1, total // kills)
    for number in sorted({1, total, *range(step, total, step)}):
        place.reset()
        place.run("run", number)
        await place.check()
    return total


@pytest.mark.timeout(300)
async def test_d2_a_kill_at_some_points_of_a_migration_with_a_bucket(place):
    total = await run_points(place, kills=3)
    assert total >= 100, f"only {total} points: the harness is blind"


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_d2_a_kill_at_every_point_of_a_migration_with_a_bucket(place):
    await run_points(place, kills=MOST_POINTS)
