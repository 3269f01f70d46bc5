"""What a structured datasource in a bucket asks of the server: which requests, and no more of them than are needed."""

import hashlib
from contextlib import asynccontextmanager

import pytest

from cellsmono.datasource.objects.registry_database import DatabaseRegistry
from cellsmono.datasource.objects.s3 import native
from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.interfaces.datasource import DatasourceConfig, Watch, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import NodeMeta
from cellsmono.kernel.errors import Conflict, Invalid, Unavailable

MIB = 1 << 20
PREFIX = "base/"


async def chunks(data):
    for at in range(0, len(data), 300_000):
        yield data[at : at + 300_000]


async def put(nodes, path, data=b"data", **options):
    return await nodes.put_node(path, chunks(data), PlainDigest(), WriteOptions(size=len(data), **options))


async def read(nodes, path):
    opened = await nodes.open_node(path)
    try:
        return await opened.reader.read(0, 1 << 30)
    finally:
        opened.reader.close()


@pytest.fixture
def open_nodes(open_over, proxy, behind, tmp_path):
    """Open the triple; uploads are registered in a database that outlives it."""

    @asynccontextmanager
    async def open_it(name="index.db"):
        config = DatasourceConfig(name="docs", folder="s3://x", watch=Watch.OFF, durability="relaxed")
        register = await DatabaseRegistry.open(tmp_path / "uploads.db")
        objects = S3Store("data.objects.gateway1", Endpoint(proxy.url, "us-east-1", "a", "secret"), uploads=register)
        objects.add_bucket(Place("docs", behind.name, PREFIX))
        try:
            async with open_over(config, objects, name) as store:
                yield store
        finally:
            await register.close()

    return open_it


@pytest.fixture
async def nodes(open_nodes, proxy):
    async with open_nodes() as store:
        await store.sync.resync()
        proxy.seen.clear()
        yield store


@pytest.fixture
def asked(proxy):
    """The methods of the requests that were made since the last call."""

    def tell():
        methods = proxy.methods
        proxy.seen.clear()
        return methods

    return tell


async def test_small_objects_cost_one_request(nodes, asked):
    await put(nodes, "first")
    assert asked() == ["PUT"]
    await put(nodes, "first", b"again")
    assert asked() == ["PUT"]
    await nodes.open_node("first")
    assert asked() == ["GET"]
    await nodes.read_node("first")
    assert asked() == ["HEAD"]
    await put(nodes, "folder/x")
    assert sorted(asked()) == ["GET", "HEAD", "PUT", "PUT"]  # is the folder there? Its marker, and the object
    await put(nodes, "folder/y")
    assert asked() == ["PUT"]
    await nodes.delete_node("folder/x")
    assert asked() == ["HEAD", "DELETE"]


async def test_many_objects_of_a_folder_are_looked_at_by_one_request_each_and_a_listing(nodes, asked, behind):
    for number in range(7):
        await put(nodes, f"a/{number}")
    behind.put_object(Bucket=behind.name, Key=PREFIX + "a/3/below", Body=b"x")
    asked()
    keys = [f"a/{number}" for number in range(8)]
    entries = await nodes._objects.stat_entries("docs", keys)
    # One that is absent is asked for once more by a listing, which alone can tell an absent bucket from it.
    assert sorted(asked()) == ["GET"] * 2 + ["HEAD"] * 7
    assert [entry and entry.name for entry in entries] == ["0", "1", "2", "3/", "4", "5", "6", None]


async def test_blobs_are_looked_at_by_one_request_each(behind, proxy):
    store = S3Store("data.objects.gateway1", Endpoint(proxy.url, "us-east-1", "a", "secret"))
    store.add_bucket(Place("blobs", behind.name, has_folders=False))
    for key in "xyz":
        behind.put_object(Bucket=behind.name, Key=key, Body=b"x")
    entries = await store.stat_entries("blobs", ["x", "y", "z"])
    assert proxy.methods == ["HEAD"] * 3
    assert [entry.name for entry in entries] == ["x", "y", "z"]
    proxy.always = (404, "NoSuchBucket")
    with pytest.raises(Unavailable):
        await store.stat_entries("blobs", ["x", "y", "z"])
    await store.close()


async def test_a_folder_is_not_written_over(nodes, behind, asked):
    await put(nodes, "made/here")
    with pytest.raises(Conflict):
        await put(nodes, "made")
    behind.put_object(Bucket=behind.name, Key=PREFIX + "made behind/x", Body=b"x")
    await nodes.sync.resync()
    with pytest.raises(Conflict):
        await put(nodes, "made behind")


async def begin(nodes, key, **options):
    return (await nodes.create_upload(key, b"", WriteOptions(**options))).upload_id


async def send(nodes, upload_id, bodies):
    sent = [
        await nodes.put_part(upload_id, number, chunks(data), PlainDigest(), len(data))
        for number, data in bodies.items()
    ]
    return sorted(sent, key=lambda part: part.number)


def list_keys(behind):
    """All keys but the marker of the root."""
    found = behind.list_objects_v2(Bucket=behind.name).get("Contents", [])
    return [entry["Key"] for entry in found if entry["Key"] != PREFIX + ".pydio"]


def etag_of(*bodies):
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    return f"{hashlib.md5(digests).hexdigest()}-{len(bodies)}"


async def complete(nodes, upload_id, parts, etag="abc-1", **options):
    return await nodes.complete_upload(upload_id, parts, etag, WriteOptions(**options))


A, B, C = (bytes([65 + number]) * size for number, size in enumerate((5 * MIB, 6 * MIB, 7)))


async def test_an_upload_in_parts_is_one_on_the_server(nodes, behind, asked):
    meta = NodeMeta(content_type="image/png", user={"k": "v"})
    upload_id = await begin(nodes, "big", meta=meta, mtime_ns=10**18)
    parts = await send(nodes, upload_id, {1: A, 2: B, 3: C})
    node = await complete(nodes, upload_id, parts, etag_of(A, B, C), meta=meta, mtime_ns=10**18)
    assert asked() == ["POST", "PUT", "PUT", "PUT", "GET", "POST"]  # the GET: is a folder at the key?
    assert node.etag == etag_of(A, B, C)
    head = behind.head_object(Bucket=behind.name, Key=PREFIX + "big")
    assert (head["ETag"], head["ContentType"]) == (f'"{node.etag}"', "image/png")
    assert (head["Metadata"]["k"], head["Metadata"]["cellsmono-mtime"]) == ("v", str(10**18))
    assert await read(nodes, "big") == A + B + C
    assert "Uploads" not in behind.list_multipart_uploads(Bucket=behind.name)
    assert (await nodes.sync.resync()).changed == 0


async def test_a_lost_index_is_rebuilt_from_what_was_said_at_the_beginning(open_nodes):
    meta = NodeMeta(content_type="image/png", user={"k": "v"}, tags={"t": "1"})
    async with open_nodes() as nodes:
        upload_id = await begin(nodes, "big", meta=meta)
        parts = await send(nodes, upload_id, {1: A, 2: C})
        before = await complete(nodes, upload_id, parts, etag_of(A, C), meta=meta)
    async with open_nodes("other.db") as nodes:
        await nodes.sync.resync()
        found = await nodes.index.read_node("big")
        assert (found.etag, found.mtime_ns, found.meta) == (before.etag, before.mtime_ns, meta)


async def test_the_last_part_may_come_first_and_a_part_twice_and_some_are_left_out(nodes, behind, asked):
    upload_id = await begin(nodes, "big")
    parts = await send(nodes, upload_id, {9: C, 2: B, 5: A, 1: B})
    (again,) = await send(nodes, upload_id, {1: A})
    await complete(nodes, upload_id, [again, parts[1], parts[3]])
    assert await read(nodes, "big") == A + B + C
    assert len(list_keys(behind)) == 1
    assert "Uploads" not in behind.list_multipart_uploads(Bucket=behind.name)


async def test_small_parts_alone_become_an_object_all_the_same(nodes, behind):
    upload_id = await begin(nodes, "small", meta=NodeMeta(user={"k": "v"}))
    parts = await send(nodes, upload_id, {1: b"one", 2: b"two", 3: b"three"})
    await complete(nodes, upload_id, parts, meta=NodeMeta(user={"k": "v"}))
    assert await read(nodes, "small") == b"onetwothree"
    assert behind.head_object(Bucket=behind.name, Key=PREFIX + "small")["Metadata"]["k"] == "v"
    assert len(list_keys(behind)) == 1
    assert "Uploads" not in behind.list_multipart_uploads(Bucket=behind.name)


async def test_a_small_part_in_the_middle_is_refused_as_s3_does(nodes):
    upload_id = await begin(nodes, "big")
    parts = await send(nodes, upload_id, {1: A, 2: C, 3: B})
    with pytest.raises(Invalid) as caught:
        await complete(nodes, upload_id, parts)
    assert caught.value.reason == "part_size"
    await complete(nodes, upload_id, [parts[0], parts[2]])
    assert await read(nodes, "big") == A + B


async def test_very_large_parts_do_not_wait_here(nodes, monkeypatch, behind, asked):
    monkeypatch.setattr(native, "MOST_WAITING_BYTES", MIB)
    monkeypatch.setattr("cellsmono.datasource.objects.s3.uploads.MOST_WAITING_BYTES", MIB)
    monkeypatch.setattr("cellsmono.datasource.objects.s3.staging.PART_BYTES", 5 * MIB)
    upload_id = await begin(nodes, "big")
    parts = await send(nodes, upload_id, {1: A, 2: B, 3: C})
    await complete(nodes, upload_id, parts)
    assert await read(nodes, "big") == A + B + C
    assert len(list_keys(behind)) == 1


async def test_an_aborted_upload_leaves_nothing(nodes, behind):
    upload_id = await begin(nodes, "big")
    await send(nodes, upload_id, {3: C, 1: A})
    await nodes.abort_upload(upload_id)
    assert "Uploads" not in behind.list_multipart_uploads(Bucket=behind.name)
    assert list_keys(behind) == []


async def test_parts_and_a_completion_outlive_the_process(open_nodes, behind, monkeypatch):
    async with open_nodes() as nodes:
        upload_id = await begin(nodes, "big")
        parts = await send(nodes, upload_id, {1: A, 2: C})
    async with open_nodes() as nodes:

        async def fail(*_):
            raise Unavailable("killed before the index was changed")

        monkeypatch.setattr(nodes, "_apply", fail)
        with pytest.raises(Unavailable):
            await complete(nodes, upload_id, parts)
        assert behind.head_object(Bucket=behind.name, Key=PREFIX + "big")
    async with open_nodes() as nodes:
        await complete(nodes, upload_id, parts, etag_of(A, C))
        assert await read(nodes, "big") == A + C
        assert await nodes.list_uploads("", "", "", 10) == []


async def test_a_completion_whose_answer_is_lost_is_known_to_have_happened(nodes, proxy):
    upload_id = await begin(nodes, "big")
    parts = await send(nodes, upload_id, {1: A, 2: C})
    proxy.only = "POST"
    proxy.plan.extend(["lost", (404, "NoSuchUpload")])
    await complete(nodes, upload_id, parts, etag_of(A, C))
    assert await read(nodes, "big") == A + C


async def test_an_upload_that_the_server_forgot_is_told(nodes, proxy):
    await put(nodes, "big", b"before")
    upload_id = await begin(nodes, "big")
    parts = await send(nodes, upload_id, {1: A, 2: C})
    proxy.only, proxy.always = "POST", (404, "NoSuchUpload")
    with pytest.raises(Unavailable) as caught:
        await complete(nodes, upload_id, parts)
    assert caught.value.reason == "part"
    assert await read(nodes, "big") == b"before"
