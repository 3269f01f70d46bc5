"""A flat datasource over a server that fails: what clients are told, and that no name loses its bytes."""

import secrets

import pytest

from cellsmono.datasource.flat.checking import Repair, check_blobs
from cellsmono.datasource.objects.s3 import staging
from cellsmono.interfaces.operations import BlobProblem
from cellsmono.kernel.clock import SystemClock

FAULTS = [
    ((500, "InternalError"), "SlowDown"),
    ((503, "SlowDown"), "SlowDown"),
    ("reset", "ServiceUnavailable"),
    ("hang", "SlowDown"),
    ("page", "ServiceUnavailable"),
    ((403, "InvalidAccessKeyId"), "ServiceUnavailable"),
    ((404, "NoSuchBucket"), "ServiceUnavailable"),
]


@pytest.fixture
async def app(open_app, proxy, behind, request):
    keys = {"access_key": "access", "secret_key": "secretsecret"}
    # Only who hangs is waited for to the end: whatever is well must be able to answer in time on a busy machine.
    seconds = 3.0 if "hang" in request.node.name else 60.0
    source = {"storage": "s3", "endpoint": proxy.url, "bucket": behind.name, "request_seconds": seconds, **keys}
    async with open_app(format="flat", **source) as app:
        yield app
        proxy.mend()


async def check(app, repair=Repair.NOTHING):
    return await check_blobs(app.store, SystemClock(), repair=repair, grace_seconds=0.0)


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=[str(fault) for fault, _ in FAULTS])
async def test_clients_are_told_to_come_back_and_find_everything_then(app, proxy, fault, code):
    for key in ("a//kept", "a//replaced", "a//deleted"):
        await app.put(key, key.encode())
    proxy.always = fault
    assert (await app.refused("get_object", Key="a//kept"))[:2] == (503, code)
    assert (await app.refused("put_object", Key="a//replaced", Body=b"lost?"))[:2] == (503, code)
    assert (await app.refused("put_object", Key="new", Body=b"lost?"))[:2] == (503, code)
    copied = {"Bucket": "docs", "Key": "a//kept"}
    assert (await app.refused("copy_object", Key="copy", CopySource=copied))[0] == 503
    # What the index alone decides goes on.
    await app.s3("delete_object", Key="a//deleted")
    await app.store.move_node("a//", "b//")
    assert await app.keys() == ["b//kept", "b//replaced"]
    proxy.mend()
    await app.store.blobs.settle()
    for key in ("b//kept", "b//replaced"):
        assert await app.read(key) == key.replace("b//", "a//").encode()
    await app.put("new", b"new")
    report = await check(app, Repair.ALL)
    assert report.count(BlobProblem.MISSING, BlobProblem.SIZE, BlobProblem.LOST, BlobProblem.FOREIGN) == 0
    assert await app.keys() == ["b//kept", "b//replaced", "new"]
    assert (await check(app)).counts == {}


@pytest.mark.parametrize("fault", [(503, "SlowDown"), "reset", "lost", 0])
async def test_what_fails_for_a_moment_is_not_noticed(app, proxy, fault, monkeypatch):
    monkeypatch.setattr(staging, "PART_BYTES", 5 << 20)
    large = secrets.token_bytes((5 << 20) + 7)
    for key, body in (("small", b"1"), ("small", b"2"), ("large", large), ("large", large[::-1])):
        proxy.plan.extend([fault, None, fault, None, fault])
        await app.put(key, body)
        proxy.mend()
        proxy.plan.extend([fault, None, fault])
        assert await app.read(key) == body
        proxy.mend()
    await app.store.blobs.settle()
    assert (await check(app)).counts == {}


async def test_a_long_body_that_fails_in_the_middle_leaves_what_was(app, proxy, behind, monkeypatch):
    monkeypatch.setattr(staging, "PART_BYTES", 5 << 20)
    await app.put("large", b"before")
    for passed in range(1, 4):
        proxy.plan.extend([None] * passed)
        proxy.always = (503, "SlowDown")
        assert (await app.refused("put_object", Key="large", Body=b"x" * (11 << 20)))[0] == 503
        proxy.mend()
        assert await app.read("large") == b"before"
        assert (await check(app, Repair.ALL)).count(BlobProblem.MISSING, BlobProblem.SIZE) == 0
    await app.put("large", b"y" * (11 << 20))
    assert await app.read("large") == b"y" * (11 << 20)


async def test_an_upload_in_parts_survives_a_server_that_fails_in_the_middle(app, proxy):
    upload = (await app.s3("create_multipart_upload", Key="big"))["UploadId"]
    data = secrets.token_bytes(6 << 20)
    part = {"Key": "big", "UploadId": upload}
    first = await app.s3("upload_part", PartNumber=1, Body=data, **part)
    proxy.always = (503, "SlowDown")
    assert (await app.refused("upload_part", PartNumber=2, Body=b"end", **part))[:2] == (503, "SlowDown")
    proxy.mend()
    second = await app.s3("upload_part", PartNumber=2, Body=b"end", **part)
    listed = [{"PartNumber": number + 1, "ETag": each["ETag"]} for number, each in enumerate((first, second))]
    for passed in range(3):
        proxy.plan.extend([None] * passed)
        proxy.always = (503, "SlowDown")
        assert (await app.refused("complete_multipart_upload", MultipartUpload={"Parts": listed}, **part))[0] == 503
        proxy.mend()
    await app.s3("complete_multipart_upload", MultipartUpload={"Parts": listed}, **part)
    assert await app.read("big") == data + b"end"
    await app.store.blobs.settle()
    assert (await check(app)).count(BlobProblem.MISSING, BlobProblem.SIZE) == 0
