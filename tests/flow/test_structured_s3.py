"""A structured datasource in a bucket: storage and index never tell two stories, there either."""

import asyncio
import hashlib
import secrets
from contextlib import asynccontextmanager

import boto3
import pytest

from cellsmono.datasource.objects.s3 import copying, moves, requests, staging
from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.interfaces.datasource import Conditions, CopyOptions, DatasourceConfig, Watch, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.events import EventKind
from cellsmono.interfaces.node import FolderKind, NodeMeta
from cellsmono.interfaces.sync import ResyncOptions, SyncState
from cellsmono.kernel.errors import Conflict, Forbidden, NotFound, PreconditionFailed, Unavailable

PREFIX = "base/"


async def chunks(*parts):
    for part in parts:
        yield part


async def put(nodes, path, data=b"data", **options):
    return await nodes.put_node(path, chunks(data), PlainDigest(), WriteOptions(**options))


async def read(nodes, path):
    opened = await nodes.open_node(path)
    try:
        return await opened.reader.read(0, 1 << 30)
    finally:
        opened.reader.close()


async def keys(nodes):
    return [entry if isinstance(entry, str) else entry.path for entry in (await nodes.index.list_keys()).entries]


class Bucket:
    """The bucket as other programs see it."""

    def __init__(self, url, name):
        self.name = name
        self.client = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b" * 20, region_name="us-east-1"
        )
        self.client.create_bucket(Bucket=name)

    def list_keys(self):
        found = self.client.list_objects_v2(Bucket=self.name, Prefix=PREFIX).get("Contents", ())
        return [entry["Key"].removeprefix(PREFIX) for entry in found]

    def put(self, key, data=b"behind", **options):
        self.client.put_object(Bucket=self.name, Key=PREFIX + key, Body=data, **options)

    def get(self, key):
        return self.client.get_object(Bucket=self.name, Key=PREFIX + key)["Body"].read()

    def head(self, key):
        return self.client.head_object(Bucket=self.name, Key=PREFIX + key)

    def delete(self, key):
        self.client.delete_object(Bucket=self.name, Key=PREFIX + key)

    def move_folder(self, source, target):
        """As other programs do it: object by object, the markers like everything else."""
        for key in self.list_keys():
            if key.startswith(source):
                place = {"Bucket": self.name, "Key": PREFIX + key}
                self.client.copy_object(Bucket=self.name, Key=PREFIX + target + key[len(source) :], CopySource=place)
                self.delete(key)

    def uploads(self):
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])


@pytest.fixture
def bucket(moto_server):
    made = Bucket(moto_server, f"flow-{secrets.token_hex(6)}")
    yield made
    made.client.close()


class Events(list):
    """What the index published; ``arrived`` is set with each of it."""

    def __init__(self):
        super().__init__()
        self.arrived = asyncio.Event()

    def extend(self, events):
        super().extend(events)
        self.arrived.set()


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def open_nodes(open_over, moto_server, bucket):
    @asynccontextmanager
    async def open_it(name="index.db", **changes):
        config = DatasourceConfig(name="docs", folder="s3://flow", watch=Watch.OFF, durability="relaxed", **changes)
        objects = S3Store("data.objects.gateway1", Endpoint(moto_server, "us-east-1", "access", "secretsecret"))
        objects.add_bucket(Place("docs", bucket.name, PREFIX))
        async with open_over(config, objects, name) as store:
            yield store

    return open_it


@pytest.fixture
async def nodes(open_nodes):
    async with open_nodes() as store:
        yield store


async def test_a_write_is_in_the_bucket_and_in_the_index_at_once(nodes, bucket, events):
    meta = NodeMeta(content_type="text/plain", user={"mtime": "1600000000.5", "größe": "1"}, tags={"t": "1"})
    node = await put(nodes, "a/b/c.txt", b"hello", meta=meta, mtime_ns=1_600_000_000_500_000_000)
    assert bucket.get("a/b/c.txt") == b"hello"
    head = bucket.head("a/b/c.txt")
    assert head["ContentType"] == "text/plain"
    assert head["Metadata"]["mtime"] == "1600000000.5"
    assert node.etag == node.content_hash == hashlib.md5(b"hello").hexdigest()
    assert await nodes.read_node("a/b/c.txt") == node
    assert await read(nodes, "a/b/c.txt") == b"hello"
    assert await keys(nodes) == ["a/b/c.txt"]
    assert bucket.get("a/b/.pydio").decode() == (await nodes.index.read_node("a/b/")).uuid
    count = len(events)
    report = await nodes.sync.resync("", ResyncOptions(full=True))
    assert (report.changed, len(events)) == (0, count)


async def test_a_lost_index_is_rebuilt_with_the_same_folders_times_and_metadata(open_nodes):
    meta = NodeMeta(content_type="text/plain", user={"k": "v"}, tags={"t": "1"})
    async with open_nodes() as nodes:
        await put(nodes, "a/x", b"one", meta=meta, mtime_ns=1_500_000_000_123_456_789)
        before = await nodes.index.read_node("a/x"), await nodes.index.read_node("a/")
    async with open_nodes("other.db") as nodes:
        await nodes.sync.resync()
        leaf, folder = await nodes.index.read_node("a/x"), await nodes.index.read_node("a/")
        assert folder.uuid == before[1].uuid
        assert (leaf.mtime_ns, leaf.meta, leaf.etag) == (before[0].mtime_ns, meta, before[0].etag)


async def test_a_long_body_is_an_upload_at_its_key(nodes, bucket, monkeypatch):
    monkeypatch.setattr(staging, "PART_BYTES", 5 << 20)
    data = secrets.token_bytes((5 << 20) * 2 + 17)
    pieces = [data[at : at + 300_000] for at in range(0, len(data), 300_000)]
    options = WriteOptions(meta=NodeMeta(user={"k": "v"}), mtime_ns=10**18)
    node = await nodes.put_node("big", chunks(*pieces), PlainDigest(), options)
    assert node.etag == hashlib.md5(data).hexdigest()
    assert bucket.head("big")["ETag"].endswith('-3"')
    assert bucket.head("big")["Metadata"]["k"] == "v"
    assert await read(nodes, "big") == data
    assert await nodes.read_node("big") == node
    assert bucket.list_keys() == ["big"]
    assert (await nodes.sync.resync("", ResyncOptions(full=True))).changed == 0


async def test_a_long_body_that_breaks_off_leaves_nothing(nodes, bucket, monkeypatch):
    monkeypatch.setattr(staging, "PART_BYTES", 5 << 20)

    async def broken():
        for _ in range(12):
            yield b"x" * (1 << 20)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await nodes.put_node("big", broken(), PlainDigest(), WriteOptions())
    assert (bucket.list_keys(), bucket.uploads()) == ([], [])


async def test_changes_behind_the_back_are_found(nodes, bucket):
    await put(nodes, "a/x", b"one")
    old = await put(nodes, "a/y", b"two")
    bucket.put("a/x", b"new")
    bucket.put("n/m/z", b"deep", Metadata={"mtime": "1"}, ContentType="image/png")
    bucket.delete("a/y")
    report = await nodes.sync.resync()
    assert (report.created, report.updated, report.deleted) == (3, 1, 1)
    assert await read(nodes, "a/x") == b"new"
    found = await nodes.read_node("n/m/z")
    assert (found.meta.content_type, found.meta.user) == ("image/png", {"mtime": "1"})
    with pytest.raises(NotFound):
        await nodes.read_node(old.path)
    assert bucket.get("n/m/.pydio").decode() == (await nodes.index.read_node("n/m/")).uuid
    assert (await nodes.sync.resync()).changed == 0


async def test_folders_that_others_moved_keep_uuids_and_times(nodes, bucket, events):
    for key in ("a/x", "a/sub/deep", "b/y", "z/other"):
        await put(nodes, key, key.encode())
    paths = ["a/", "a/x", "a/sub/", "a/sub/deep", "b/", "b/y"]
    before = {node.path: node for node in await nodes.index.read_nodes(paths)}
    for source, target in (("a/", "aside/"), ("b/", "a/"), ("aside/", "b/"), ("z/", "y/")):
        bucket.move_folder(source, target)
    events.clear()
    report = await nodes.sync.resync()
    assert (report.created, report.deleted) == (0, 0)
    assert {event.kind for event in events} == {EventKind.UPDATE_PATH}
    goals = ["b/", "b/x", "b/sub/", "b/sub/deep", "a/", "a/y"]
    for node, old in zip(await nodes.index.read_nodes(goals), before.values(), strict=True):
        assert (node.uuid, node.etag, node.mtime_ns) == (old.uuid, old.etag, old.mtime_ns)
    assert (await nodes.sync.resync("", ResyncOptions(full=True))).changed == 0


async def test_a_marker_that_others_wrote_or_copied_takes_no_uuid_away(nodes, bucket):
    await put(nodes, "a/x")
    await put(nodes, "b/y")
    before = [node.uuid for node in await nodes.index.read_nodes(["a/", "a/x", "b/", "b/y"])]
    for text in (b"01890000-0000-7000-8000-000000000000", b"", before[2].encode()):
        bucket.put("a/.pydio", text)
        await nodes.sync.resync()
        assert [node.uuid for node in await nodes.index.read_nodes(["a/", "a/x", "b/", "b/y"])] == before
        assert bucket.get("a/.pydio").decode() == before[0]


async def test_the_next_read_sees_what_was_replaced_in_the_same_second(nodes, bucket):
    await put(nodes, "x", b"one")
    bucket.put("x", b"two")
    assert await read(nodes, "x") == b"two"
    assert (await nodes.read_node("x")).etag != hashlib.md5(b"one").hexdigest()


async def test_moving_a_folder_is_one_event_and_keeps_uuids(nodes, bucket, events):
    leaves = [await put(nodes, f"a/sub/{n}", str(n).encode(), mtime_ns=10**18) for n in range(20)]
    folder = await nodes.index.read_node("a/sub/")
    events.clear()
    moved = await nodes.move_node("a/", "b/")
    assert [(event.kind, event.path) for event in events] == [(EventKind.UPDATE_PATH, "b/")]
    assert moved.path == "b/"
    assert (await nodes.read_node("b/sub/7")).uuid == leaves[7].uuid
    assert (await nodes.read_node("b/sub/")).uuid == folder.uuid
    assert (await nodes.read_node("b/sub/7")).mtime_ns == 10**18
    assert not [key for key in bucket.list_keys() if key.startswith(("a/", ".cellsmono"))]
    assert await read(nodes, "b/sub/13") == b"13"
    assert (await nodes.sync.resync("", ResyncOptions(full=True))).changed == 0


async def test_a_move_that_broke_off_is_taken_up_at_the_next_start(open_nodes, bucket, monkeypatch):
    real = moves.copy_version
    async with open_nodes() as nodes:
        for number in range(6):
            await put(nodes, f"a/{number}", str(number).encode())
        uuid = (await nodes.index.read_node("a/")).uuid
        done = []

        async def copy_some(connection, version, *rest):
            if len(done) == 3:
                raise Unavailable("cut off")
            done.append(version.key)
            return await real(connection, version, *rest)

        monkeypatch.setattr(moves, "copy_version", copy_some)
        with pytest.raises(Unavailable):
            await nodes.move_node("a/", "b/")
        assert {f"a/{n}" for n in range(6)} <= set(bucket.list_keys())
    monkeypatch.setattr(moves, "copy_version", real)
    async with open_nodes() as nodes:
        await nodes.sync.resync()
        assert bucket.list_keys() == [".pydio", "b/.pydio", *(f"b/{n}" for n in range(6))]
        assert await keys(nodes) == [f"b/{n}" for n in range(6)]
        assert (await nodes.index.read_node("b/")).uuid == uuid


async def test_copies_conditions_and_metadata(nodes):
    first = await put(nodes, "x", b"one", meta=NodeMeta(user={"k": "v"}), mtime_ns=10**18)
    copied = await nodes.copy_node("x", "c/y", CopyOptions())
    assert (copied.etag, copied.mtime_ns, copied.meta) == (first.etag, first.mtime_ns, first.meta)
    assert await read(nodes, "c/y") == b"one"
    with pytest.raises(PreconditionFailed):
        await put(nodes, "x", b"two", conditions=Conditions(if_none_match="*"))
    changed = await nodes.copy_node("x", "x", CopyOptions(meta=NodeMeta(user={"n": "1"}), mtime_ns=2 * 10**18))
    assert (changed.mtime_ns, changed.meta.user, changed.uuid) == (2 * 10**18, {"n": "1"}, first.uuid)
    assert await nodes.read_node("x") == changed
    await nodes.update_meta("x", lambda meta: NodeMeta(tags={"t": "2"}))
    assert (await nodes.read_node("x")).meta.tags == {"t": "2"}


async def test_deleting_prunes_and_conflicts_are_told(nodes, bucket):
    await put(nodes, "a/b/x")
    with pytest.raises(Conflict):
        await put(nodes, "a/b")
    with pytest.raises(Conflict):
        await put(nodes, "a/b/x/y")
    assert await nodes.delete_node("a/b/x") is True
    assert bucket.list_keys() == []
    await nodes.create_folder("empty/")
    assert bucket.list_keys() == ["empty/.pydio"]
    await put(nodes, "many/1")
    await put(nodes, "many/2")
    assert await nodes.delete_nodes(["many/1", "many/2", "none"]) == [None, None, None]
    assert bucket.list_keys() == ["empty/.pydio"]


async def test_a_bucket_that_is_gone_is_offline_and_deletes_nothing(nodes, bucket):
    await put(nodes, "a/x")
    for key in bucket.list_keys():
        bucket.delete(key)
    bucket.client.delete_bucket(Bucket=bucket.name)
    with pytest.raises(Unavailable):
        await nodes.sync.resync()
    with pytest.raises(Unavailable):
        await nodes.read_node("a/x")
    with pytest.raises(Unavailable):
        await put(nodes, "a/y")
    assert nodes.sync._offline
    assert await keys(nodes) == ["a/x"]
    assert nodes.sync.status().state in (SyncState.OFFLINE, SyncState.STOPPED)


async def test_an_emptied_bucket_is_held(nodes, bucket):
    await nodes.sync.resync()
    await put(nodes, "a/x")
    for key in bucket.list_keys():
        bucket.delete(key)
    assert (await nodes.sync.resync()).held
    assert await keys(nodes) == ["a/x"]
    assert not (await nodes.sync.resync("", ResyncOptions(accept_deletes=True))).held
    assert await keys(nodes) == []


async def test_a_quiet_tree_is_compared_by_one_listing(nodes, bucket, monkeypatch):
    for number in range(30):
        await put(nodes, f"d{number}/sub/x", str(number).encode())
    await nodes.sync.resync()
    await nodes.sync.resync()
    asked = []
    real = requests.ask

    async def ask(connection, operation, *rest, **arguments):
        asked.append(operation)
        return await real(connection, operation, *rest, **arguments)

    monkeypatch.setattr(requests, "ask", ask)
    assert (await nodes.sync.resync()).changed == 0
    quiet = len(asked)
    assert quiet <= 3
    bucket.put("d7/sub/x", b"!")
    assert (await nodes.sync.resync()).updated == 1
    bucket.put("d8/new/y", b"!")
    bucket.delete("d9/sub/x")
    report = await nodes.sync.resync()
    assert (report.created, report.deleted) == (2, 1)
    bucket.delete("d10/.pydio")
    await nodes.sync.resync()
    assert bucket.get("d10/.pydio").decode() == (await nodes.index.read_node("d10/")).uuid


async def test_many_writers_at_once(nodes):
    await asyncio.gather(*(put(nodes, f"d{n % 3}/{n}", str(n).encode()) for n in range(30)))
    assert len(await keys(nodes)) == 30
    assert (await nodes.sync.resync("", ResyncOptions(full=True))).changed == 0
    with pytest.raises(Forbidden):
        await put(nodes, "d1/.pydio")


async def test_it_is_followed_by_the_schedule_alone(open_nodes, bucket, events):
    async with open_nodes(reconcile_seconds=0.2) as nodes:
        await put(nodes, "a/x", b"one")
        async with nodes.sync.lifespan():
            await nodes.sync.wait_until_followed()
            bucket.put("a/x", b"behind")
            bucket.put("b/y", b"behind")
            async with asyncio.timeout(20):
                while await keys(nodes) != ["a/x", "b/y"]:
                    await events.arrived.wait()
                    events.arrived.clear()
            assert await read(nodes, "a/x") == b"behind"
            assert nodes.sync.status().last_report is not None


async def test_what_is_too_large_for_one_copy_is_copied_range_by_range(nodes, monkeypatch):
    monkeypatch.setattr(copying, "MOST_AT_ONCE", 6 << 20)
    monkeypatch.setattr(copying, "RANGE_BYTES", 5 << 20)
    data = secrets.token_bytes((11 << 20) + 3)
    for number in range(3):
        await put(nodes, f"a/{number}", data, meta=NodeMeta(user={"k": "v"}), mtime_ns=10**18)
    await nodes.copy_node("a/0", "copy", CopyOptions())
    assert await read(nodes, "copy") == data
    await nodes.move_node("a/", "b/")
    for number in range(3):
        assert await read(nodes, f"b/{number}") == data
    assert (await nodes.read_node("b/1")).mtime_ns == 10**18
    assert (await nodes.read_node("b/1")).meta.user == {"k": "v"}


async def test_a_folder_has_the_time_when_it_was_made(nodes):
    """The storage tells none; it must not be shown as made in 1970."""
    await nodes.create_folder("made/", FolderKind.MARKER)
    made = (await nodes.index.read_node("made/")).mtime_ns
    assert made > 1_600_000_000 * 10**9
    await nodes.sync.resync("", ResyncOptions(full=True))
    assert (await nodes.index.read_node("made/")).mtime_ns == made
