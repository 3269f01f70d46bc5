"""The temporary folder, in which long bodies wait for the S3 server, is full or away: that costs those bodies alone."""

import os
import secrets
import tempfile

import boto3
import pytest

MIB = 1 << 20


@pytest.fixture
def spool(mount_small, monkeypatch):
    """A temporary folder of 48 MiB, and no room in memory for what is long."""
    monkeypatch.setattr("cellsmono.datasource.objects.s3.spool.ROOM_BYTES", 0)
    place = mount_small("48m") / "spool"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def behind(own_server):
    """The bucket, on a server that is a process of its own, with a temporary folder of its own."""
    client = boto3.client(
        "s3",
        endpoint_url=own_server.url,
        aws_access_key_id=own_server.access_key,
        aws_secret_access_key=own_server.secret_key,
        region_name="us-east-1",
    )
    client.name = f"spool-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=client.name)
    yield client
    client.close()


@pytest.fixture(params=["structured", "flat"])
async def app(open_app, spool, own_server, behind, request):
    keys = {"access_key": own_server.access_key, "secret_key": own_server.secret_key}
    source = {"storage": "s3", "endpoint": own_server.url, "bucket": behind.name, **keys}
    async with open_app(format=request.param, **source) as app:
        yield app


def fill(spool, leave):
    space = os.statvfs(spool)
    (spool / "filler").write_bytes(bytes(space.f_bavail * space.f_frsize - leave))


@pytest.mark.parametrize("size", [3 * MIB, 20 * MIB])
async def test_a_body_is_refused_with_the_name_of_the_folder(app, spool, behind, size):
    await app.put("kept", b"kept")
    fill(spool, 2 * MIB)
    for key in ("kept", "new"):
        status, code, message = await app.refused("put_object", Key=key, Body=b"x" * size)
        assert (status, code) == (507, "InsufficientStorage")
        assert str(spool) in message
        assert "TMPDIR" in message
    assert await app.read("kept") == b"kept"
    await app.put("short", b"s" * 500_000)
    assert "Uploads" not in behind.list_multipart_uploads(Bucket=behind.name)
    assert [path.name for path in spool.iterdir()] == ["filler"]
    (spool / "filler").unlink()
    await app.put("kept", b"y" * size)
    assert await app.read("kept") == b"y" * size
    assert await app.keys() == ["kept", "short"]


async def test_a_part_is_refused_and_the_upload_goes_on_once_there_is_room(app, spool):
    upload = {"Key": "big", "UploadId": (await app.s3("create_multipart_upload", Key="big"))["UploadId"]}
    sent = [await app.s3("upload_part", PartNumber=1, Body=b"1" * 5 * MIB, **upload)]
    fill(spool, 2 * MIB)
    assert (await app.refused("upload_part", PartNumber=2, Body=b"2" * 5 * MIB, **upload))[0] == 507
    (spool / "filler").unlink()
    sent.append(await app.s3("upload_part", PartNumber=2, Body=b"2" * 5 * MIB, **upload))
    parts = [{"PartNumber": number, "ETag": each["ETag"]} for number, each in enumerate(sent, 1)]
    await app.s3("complete_multipart_upload", MultipartUpload={"Parts": parts}, **upload)
    assert await app.read("big") == b"1" * 5 * MIB + b"2" * 5 * MIB


async def test_a_folder_that_is_not_there_is_named(app, spool, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(spool / "gone"))
    status, code, message = await app.refused("put_object", Key="x", Body=b"x" * 3 * MIB)
    assert (status, code) == (503, "ServiceUnavailable")
    assert str(spool / "gone") in message
