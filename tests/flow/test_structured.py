"""A structured datasource as gateways see it, on a disk and in a bucket: storage and index never tell two stories."""

import asyncio
import hashlib
from contextlib import asynccontextmanager

import pytest

from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.interfaces.datasource import Conditions, CopyOptions, DatasourceConfig, Watch, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import Checksum, FolderKind, NodeMeta
from cellsmono.kernel.errors import CellsError, Conflict, Forbidden, Invalid, NotFound, PreconditionFailed


class Disk:
    """The folder of the datasource as other programs see it."""

    def __init__(self, folder, open_nodes, work_files):
        self.open_nodes, self.leftovers = open_nodes, work_files
        self._folder = folder

    def read(self, key):
        return (self._folder / key).read_bytes()

    def write(self, key, data):
        (self._folder / key).write_bytes(data)

    def remove(self, key):
        (self._folder / key).unlink()

    def make_folder(self, key):
        (self._folder / key).mkdir()

    def has_folder(self, key):
        return (self._folder / key).is_dir()

    def mtime_ns(self, key):
        return (self._folder / key).stat().st_mtime_ns

    def version(self, key):
        """What is another one when content is written anew."""
        return (self._folder / key).stat().st_ino

    def keys(self):
        """Every file that is no work of the server."""
        found = (path for path in self._folder.rglob("*") if path.is_file() and path.name != ".pydio")
        return sorted(path.relative_to(self._folder).as_posix() for path in found if ".cellsmono" not in path.parts)

    def names(self):
        """Names at the top."""
        return sorted(path.name for path in self._folder.iterdir() if path.name not in (".pydio", ".cellsmono"))


class Bucket:
    """The bucket of the datasource as other programs see it."""

    prefix = "base/"

    def __init__(self, url, client, open_over):
        self._url, self._client, self._open_over = url, client, open_over

    @asynccontextmanager
    async def open_nodes(self):
        config = DatasourceConfig(name="docs", folder="s3://flow", watch=Watch.OFF, durability="relaxed")
        objects = S3Store("data.objects.gateway1", Endpoint(self._url, "us-east-1", "access", "secretsecret"))
        objects.add_bucket(Place("docs", self._client.name, self.prefix))
        async with self._open_over(config, objects) as store:
            yield store

    def _at(self, key):
        return {"Bucket": self._client.name, "Key": self.prefix + key}

    def _list(self, folder=""):
        found = self._client.list_objects_v2(Bucket=self._client.name, Prefix=self.prefix + folder)
        return [entry["Key"].removeprefix(self.prefix) for entry in found.get("Contents", ())]

    def read(self, key):
        return self._client.get_object(**self._at(key))["Body"].read()

    def write(self, key, data):
        self._client.put_object(**self._at(key), Body=data)

    def remove(self, key):
        self._client.delete_object(**self._at(key))

    def make_folder(self, key):
        self.write(key + "/", b"")

    def has_folder(self, key):
        return bool(self._list(key + "/"))

    def mtime_ns(self, key):
        return int(self._client.head_object(**self._at(key))["Metadata"]["cellsmono-mtime"])

    def version(self, key):
        return self._client.head_object(**self._at(key))["ETag"]

    def keys(self):
        return [key for key in self._list() if not key.endswith((".pydio", "/")) and ".cellsmono/" not in key]

    def names(self):
        return sorted({key.split("/")[0] for key in self._list()} - {".pydio", ".cellsmono"})

    def leftovers(self):
        uploads = self._client.list_multipart_uploads(Bucket=self._client.name).get("Uploads", ())
        return [*self._list(".cellsmono/"), *(upload["Key"] for upload in uploads)]


@pytest.fixture(params=["disk", "bucket"])
def storage(request, open_over):
    """The storage behind the datasource's back."""
    if request.param == "bucket":
        return Bucket(request.getfixturevalue("moto_server"), request.getfixturevalue("behind"), open_over)
    return Disk(*(request.getfixturevalue(name) for name in ("folder", "open_nodes", "work_files")))


@pytest.fixture
async def nodes(storage):
    """An empty structured datasource."""
    async with storage.open_nodes() as store:
        yield store


async def chunks(*parts):
    for part in parts:
        yield part


async def put(nodes, path, data=b"data", **options):
    return await nodes.put_node(path, chunks(data), PlainDigest(), WriteOptions(**options))


async def read(nodes, path):
    opened = await nodes.open_node(path)
    try:
        return await opened.reader.read(0, 1 << 20)
    finally:
        opened.reader.close()


async def keys(nodes, **query):
    page = await nodes.index.list_keys(**query)
    return [entry if isinstance(entry, str) else entry.path for entry in page.entries]


async def test_a_write_is_on_the_storage_in_the_index_and_in_the_listing_at_once(nodes, storage):
    node = await put(nodes, "a/b/c.txt", b"hello", meta=NodeMeta(user={"k": "v"}), mtime_ns=1_600_000_000_123_456_789)
    assert storage.read("a/b/c.txt") == b"hello"
    assert storage.mtime_ns("a/b/c.txt") == 1_600_000_000_123_456_789
    assert node.etag == hashlib.md5(b"hello").hexdigest() == node.content_hash
    assert await nodes.read_node("a/b/c.txt") == node
    assert node.meta.user == {"k": "v"}
    assert await read(nodes, "a/b/c.txt") == b"hello"
    assert await keys(nodes) == ["a/b/c.txt"]
    assert storage.read("a/b/.pydio").decode() == (await nodes.index.read_node("a/b/")).uuid


async def test_a_refused_digest_leaves_the_old_object_and_no_temporary_file(nodes, storage):
    await put(nodes, "x", b"old")

    class Refusing(PlainDigest):
        def verify(self):
            raise Invalid("wrong", reason="bad_digest")

    with pytest.raises(Invalid):
        await nodes.put_node("x", chunks(b"new"), Refusing(), WriteOptions())
    assert await read(nodes, "x") == b"old"
    assert storage.leftovers() == []


async def test_a_body_that_breaks_off_leaves_nothing(nodes, storage):
    async def broken():
        yield b"x" * 200_000
        raise Invalid("cut", reason="incomplete")

    with pytest.raises(Invalid):
        await nodes.put_node("n/x", broken(), PlainDigest(), WriteOptions(size=400_000))
    assert await keys(nodes) == []
    assert not storage.has_folder("n")
    assert storage.leftovers() == []


@pytest.mark.parametrize("key", ["a//b", "/a", "../a", "a/../b", "./a", "a/./b", "nul\0", "é" * 128, "x/" + "k" * 1030])
async def test_keys_that_no_folder_can_hold_are_refused_for_writing_and_absent_for_reading(nodes, storage, key):
    with pytest.raises(CellsError) as caught:
        await put(nodes, key)
    assert caught.value.code in ("invalid", "too_large")
    with pytest.raises(NotFound):
        await nodes.read_node(key)
    with pytest.raises(NotFound):
        await nodes.open_node(key)
    assert await nodes.delete_node(key) is False
    assert storage.names() == []


@pytest.mark.parametrize("key", [".pydio", "a/.pydio", ".cellsmono/x", "a/.pydio/b"])
async def test_reserved_names_are_hidden_and_can_not_be_written(nodes, key):
    await put(nodes, "a/x")
    with pytest.raises(Forbidden):
        await put(nodes, key)
    with pytest.raises(NotFound):
        await nodes.open_node(key)
    assert await keys(nodes) == ["a/x"]


async def test_a_file_where_a_folder_is_needed_is_a_conflict_both_ways(nodes):
    await put(nodes, "foo")
    with pytest.raises(Conflict) as caught:
        await put(nodes, "foo/bar")
    assert caught.value.reason == "parent_is_object"
    await put(nodes, "dir/x")
    with pytest.raises(Conflict) as caught:
        await put(nodes, "dir")
    assert caught.value.reason == "is_folder"
    assert await keys(nodes) == ["dir/x", "foo"]


async def test_conditions_are_checked_against_what_is_there(nodes, storage):
    with pytest.raises(NotFound):
        await put(nodes, "x", conditions=Conditions(if_match="*"))
    node = await put(nodes, "x", b"1", conditions=Conditions(if_none_match="*"))
    with pytest.raises(PreconditionFailed):
        await put(nodes, "x", b"2", conditions=Conditions(if_none_match="*"))
    with pytest.raises(PreconditionFailed):
        await put(nodes, "x", b"2", conditions=Conditions(if_match="0" * 32))
    await put(nodes, "x", b"2", conditions=Conditions(if_match=node.etag))
    storage.write("fresh", b"behind the back")
    with pytest.raises(PreconditionFailed):
        await put(nodes, "fresh", b"2", conditions=Conditions(if_none_match="*"))
    assert storage.read("fresh") == b"behind the back"


async def test_racing_writers_of_one_key_leave_index_and_storage_equal(nodes, storage):
    await asyncio.gather(*(put(nodes, "k", b"v%d" % n * (n + 1)) for n in range(24)))
    node = await nodes.index.read_node("k")
    data = storage.read("k")
    assert node.size == len(data)
    assert node.etag == hashlib.md5(data).hexdigest()


async def test_a_change_behind_the_back_is_seen_by_the_next_read(nodes, storage):
    node = await put(nodes, "x", b"by s3", meta=NodeMeta(checksum=Checksum("CRC32", "AAAA")))
    storage.write("x", b"by somebody else")
    seen = await nodes.read_node("x")
    assert seen.uuid == node.uuid
    assert seen.size == 16
    assert seen.effective_etag != node.etag
    assert seen.meta.checksum is None
    assert await read(nodes, "x") == b"by somebody else"
    storage.write("y", b"new")
    assert (await nodes.read_node("y")).size == 3
    storage.remove("x")
    with pytest.raises(NotFound):
        await nodes.open_node("x")
    assert await keys(nodes) == ["y"]


async def test_deleting_takes_the_folders_along_that_only_the_key_implied(nodes, storage):
    storage.make_folder("mine")
    await nodes.sync.ingest(["mine"])
    await put(nodes, "mine/a/b/x")
    await put(nodes, "mine/a/y")
    assert await nodes.delete_node("mine/a/b/x") is True
    assert not storage.has_folder("mine/a/b")
    assert storage.has_folder("mine/a")
    assert await nodes.delete_node("mine/a/y") is True
    assert not storage.has_folder("mine/a")
    assert storage.has_folder("mine"), "a folder that somebody made stays"
    assert await keys(nodes) == ["mine/"]
    assert await nodes.delete_node("mine/a/y") is False


async def test_deleting_many_at_once(nodes, storage):
    for n in range(30):
        await put(nodes, f"d{n % 3}/f{n}")
    paths = [f"d{n % 3}/f{n}" for n in range(30)] + ["absent", "a//b", "d0/.pydio"]
    outcome = await nodes.delete_nodes(paths)
    assert outcome[:32] == [None] * 32
    assert isinstance(outcome[32], Forbidden)
    assert await keys(nodes) == []
    assert storage.names() == []


async def test_a_marker_is_a_key_until_it_is_deleted(nodes, storage):
    await nodes.create_folder("m/", FolderKind.MARKER, NodeMeta(user={"a": "b"}))
    assert storage.has_folder("m")
    await put(nodes, "m/x")
    assert await keys(nodes) == ["m/", "m/x"]
    assert (await nodes.read_node("m/")).meta.user == {"a": "b"}
    assert await nodes.delete_node("m/") is True
    assert await keys(nodes) == ["m/x"]
    assert await nodes.delete_node("m/x") is True
    assert not storage.has_folder("m")


async def test_copying_keeps_content_time_and_metadata_under_a_new_uuid(nodes, storage):
    node = await put(nodes, "a", b"x" * 100_000, meta=NodeMeta(user={"k": "v"}), mtime_ns=1_500_000_000_000_000_007)
    copy = await nodes.copy_node("a", "deep/b")
    assert copy.uuid != node.uuid
    assert (copy.etag, copy.meta, copy.mtime_ns, copy.size) == (node.etag, node.meta, node.mtime_ns, node.size)
    assert storage.read("deep/b") == b"x" * 100_000
    with pytest.raises(PreconditionFailed):
        await nodes.copy_node("a", "c", CopyOptions(source_etag="0" * 32))
    with pytest.raises(NotFound):
        await nodes.copy_node("nothing", "c")


async def test_copying_onto_itself_changes_metadata_and_time_only(nodes, storage, events):
    node = await put(nodes, "a", b"xyz", meta=NodeMeta(user={"k": "v"}))
    version = storage.version("a")
    events.clear()
    options = CopyOptions(meta=NodeMeta(user={"n": "w"}), mtime_ns=1_400_000_000_000_000_001)
    new = await nodes.copy_node("a", "a", options)
    assert (new.uuid, new.etag, new.meta.user) == (node.uuid, node.etag, {"n": "w"})
    assert new.mtime_ns == storage.mtime_ns("a") == 1_400_000_000_000_000_001
    assert storage.version("a") == version
    assert [event.kind for event in events] == ["update_meta"]


async def test_moving_a_folder_is_one_event(nodes, storage, events):
    for n in range(20):
        await put(nodes, f"old/{n % 4}/f{n}", b"%d" % n)
    before = {f"old/{n % 4}/f{n}": (await nodes.index.read_node(f"old/{n % 4}/f{n}")).uuid for n in range(20)}
    uuid = (await nodes.index.read_node("old/")).uuid
    events.clear()
    moved = await nodes.move_node("old/", "new/place/")
    assert moved.uuid == uuid
    assert [e.kind for e in events if e.kind == "update_path"] == ["update_path"]
    assert not storage.has_folder("old")
    for path, old_uuid in before.items():
        node = await nodes.read_node(path.replace("old/", "new/place/", 1))
        assert node.uuid == old_uuid
    with pytest.raises(NotFound):
        await nodes.read_node("old/0/f0")
    assert await nodes.index.verify() == []


async def test_moving_a_file_replaces_the_target_and_prunes(nodes, storage):
    a = await put(nodes, "x/a", b"A")
    await put(nodes, "b", b"B")
    moved = await nodes.move_node("x/a", "b")
    assert moved.uuid == a.uuid
    assert storage.read("b") == b"A"
    assert not storage.has_folder("x")
    with pytest.raises(Conflict):
        await nodes.create_folder("b/")
    await nodes.create_folder("f/")
    with pytest.raises(Conflict):
        await nodes.move_node("f/", "f/g/")


async def test_one_write_publishes_one_event_and_its_echo_none(nodes, events):
    await put(nodes, "x", b"1")
    await put(nodes, "x", b"22")
    await nodes.sync.ingest(["x"])
    await nodes.delete_node("x")
    await nodes.sync.ingest(["x"])
    assert [event.kind for event in events] == ["create", "update_content", "delete"]
    assert [event.seq for event in events] == list(range(events[0].seq, events[0].seq + 3))


async def test_writes_racing_a_full_resync_and_edits_leave_index_and_storage_equal(nodes, storage):
    async def writer(n):
        for i in range(8):
            await put(nodes, f"d{n % 2}/k{n}", b"%d-%d" % (n, i))
            if i % 3 == 2:
                await nodes.delete_node(f"d{n % 2}/k{n}")

    async def resync():
        for _ in range(4):
            await nodes.sync.resync()

    await asyncio.gather(*(writer(n) for n in range(6)), resync())
    await nodes.sync.resync()
    there = storage.keys()
    assert [k for k in await keys(nodes) if not k.endswith("/")] == there
    for key in there:
        node = await nodes.index.read_node(key)
        assert node.etag in ("", hashlib.md5(storage.read(key)).hexdigest())
    assert await nodes.index.verify() == []


async def test_an_upload_in_parts_becomes_one_object(nodes, storage):
    upload = await nodes.create_upload("big/file", b"{}")
    parts = []
    for number, data in [(2, b"b" * 5_000_000), (1, b"a" * 5_242_880), (3, b"c")]:
        parts.append(await nodes.put_part(upload.upload_id, number, chunks(data), PlainDigest(), len(data)))
    parts.sort(key=lambda part: part.number)
    assert [p.number for p in await nodes.list_parts(upload.upload_id, 0, 10)] == [1, 2, 3]
    assert [u.key for u in await nodes.list_uploads("", "", "", 10)] == ["big/file"]
    assert await keys(nodes) == []
    node = await nodes.complete_upload(upload.upload_id, parts, "abc-3", WriteOptions(meta=NodeMeta(user={"k": "v"})))
    assert node.etag == "abc-3"
    assert storage.read("big/file") == b"a" * 5_242_880 + b"b" * 5_000_000 + b"c"
    assert await nodes.list_uploads("", "", "", 10) == []
    with pytest.raises(NotFound):
        await nodes.read_upload(upload.upload_id)


async def test_an_aborted_upload_leaves_nothing(nodes, storage):
    upload = await nodes.create_upload("k", b"")
    await nodes.put_part(upload.upload_id, 1, chunks(b"x" * 100_000), PlainDigest(), 100_000)
    await nodes.abort_upload(upload.upload_id)
    assert storage.leftovers() == []
    with pytest.raises(NotFound):
        await nodes.abort_upload(upload.upload_id)


async def test_what_others_change_just_before_a_move_takes_no_old_etag_along(nodes, storage, monkeypatch):
    await put(nodes, "a", b"old")
    look, looks = nodes.read_node, []

    async def look_and_change(path):
        node = await look(path)
        if not looks:
            storage.write("a", b"other")
        looks.append(path)
        return node

    monkeypatch.setattr(nodes, "read_node", look_and_change)
    node = await nodes.move_node("a", "b")
    assert looks == ["a", "a"], "it was looked at again"
    assert node.etag != hashlib.md5(b"old").hexdigest()
    assert await read(nodes, "b") == b"other"
