"""The whole application over a bucket of a server that fails: what clients are told, and that nothing is lost."""

import asyncio
import importlib.util
import secrets
from pathlib import Path

import pytest

from cellsmono.interfaces.sync import SyncState
from cellsmono.kernel.errors import CellsError

_spec = importlib.util.spec_from_file_location("s3_proxy", Path(__file__).with_name("s3_proxy.py"))
s3_proxy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(s3_proxy)

FAULTS = [
    ((500, "InternalError"), "SlowDown"),
    ((503, "SlowDown"), "SlowDown"),
    (s3_proxy.RESET, "ServiceUnavailable"),
    (s3_proxy.HANG, "SlowDown"),
    (s3_proxy.PAGE, "ServiceUnavailable"),
    ((403, "InvalidAccessKeyId"), "ServiceUnavailable"),
    ((403, "RequestTimeTooSkewed"), "ServiceUnavailable"),
    ((404, "NoSuchBucket"), "ServiceUnavailable"),
    ((400, "AuthorizationHeaderMalformed"), "ServiceUnavailable"),
]


@pytest.fixture
async def app(open_app, proxy, behind, request):
    keys = {"access_key": "access", "secret_key": "secretsecret"}
    # Only who hangs is waited for to the end: whatever is well must be able to answer in time on a busy machine.
    seconds = 3.0 if "hang" in request.node.name else 60.0
    source = {"storage": "s3", "endpoint": proxy.url, "bucket": behind.name, "request_seconds": seconds, **keys}
    async with open_app(**source) as app:
        yield app
        proxy.mend()


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=[str(fault) for fault, _ in FAULTS])
async def test_clients_are_told_to_come_back_and_find_everything_then(app, proxy, behind, fault, code):
    await app.put("a/kept", b"kept")
    await app.put("gone/behind", b"x")
    behind.delete_object(Bucket=behind.name, Key="gone/behind")
    uuid = (await app.store.read_node("a/kept")).uuid
    proxy.always = fault
    assert await app.refused("get_object", Key="a/kept") == (503, code, await read_message(app))
    status, said, _ = await app.refused("put_object", Key="a/new", Body=b"lost?")
    assert (status, said) == (503, code)
    status, _, _ = await app.refused("head_object", Key="a/never-heard-of")
    assert status == 503
    status, _, _ = await app.refused("delete_object", Key="a/kept")
    assert status == 503
    with pytest.raises(CellsError):
        await app.sync.resync()
    assert (await app.show()).sync.state is SyncState.OFFLINE
    assert await app.keys() == ["a/kept", "gone/behind"]
    proxy.mend()
    assert await app.read("a/kept") == b"kept"
    await app.put("a/new", b"new")
    await app.sync.resync()
    assert await app.keys() == ["a/kept", "a/new"]
    assert (await app.store.read_node("a/kept")).uuid == uuid


async def read_message(app):
    """What the client was told is what ``ds show`` would say: the sentence of the domain's error."""
    with pytest.raises(CellsError) as caught:
        await app.store.open_node("a/kept")
    return caught.value.message


async def test_a_bucket_that_comes_back_is_followed_again_by_itself(open_app, proxy, behind):
    keys = {"access_key": "access", "secret_key": "secretsecret"}
    source = {"storage": "s3", "endpoint": proxy.url, "bucket": behind.name, **keys}
    async with open_app(reconcile_seconds=0.1, **source) as app:
        await app.put("a", b"1")
        proxy.always = (503, "SlowDown")
        await wait_for(app, proxy, lambda state: state is SyncState.OFFLINE)
        behind.put_object(Bucket=behind.name, Key="b", Body=b"2")
        proxy.mend()
        await wait_for(app, proxy, lambda state: state is not SyncState.OFFLINE)
        await app.sync.resync()
        assert await app.keys() == ["a", "b"]


async def wait_for(app, proxy, is_wanted):
    """Wait until the synchronizer is in such a state, looking at it with every request that it makes."""
    async with asyncio.timeout(30):
        while not is_wanted(app.sync.status().state):
            await proxy.asked.wait()
            proxy.asked.clear()


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
    proxy.always = (503, "SlowDown")
    assert (await app.refused("complete_multipart_upload", MultipartUpload={"Parts": listed}, **part))[0] == 503
    proxy.mend()
    await app.s3("complete_multipart_upload", MultipartUpload={"Parts": listed}, **part)
    assert await app.read("big") == data + b"end"
