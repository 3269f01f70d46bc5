"""What happens when the S3 server, or the way to it, fails for a while or for good."""

import importlib.util
import secrets
from pathlib import Path

import pytest

from cellsmono.datasource.objects.s3 import staging
from cellsmono.datasource.objects.s3.endpoint import ATTEMPTS, Endpoint
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.kernel.errors import CellsError, Forbidden, Invalid, NotFound, Unavailable

BUCKET = "docs"
BUSY = [(500, "InternalError"), (503, "SlowDown"), "reset", (503, "ServiceUnavailable")]

_spec = importlib.util.spec_from_file_location("s3_proxy", Path(__file__).with_name("s3_proxy.py"))
s3_proxy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(s3_proxy)


async def chunks(*parts):
    for part in parts:
        yield part


@pytest.fixture
async def proxy(moto_server, monkeypatch):
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff._MAX_BACKOFF", 0.001)
    async with s3_proxy.FaultyProxy(moto_server).running() as made:
        yield made


@pytest.fixture
async def store(proxy):
    made = S3Store("data.objects.gateway1", Endpoint(proxy.url, "us-east-1", "access", "hush-hush-hush"))
    name = f"faults-{secrets.token_hex(6)}"
    await made.create_bucket(name)
    made.add_bucket(Place(BUCKET, name, "base/"))
    await made.scan(BUCKET, [("", b"")])
    proxy.seen.clear()
    yield made
    proxy.plan.clear()
    proxy.always = None
    await made.close()


async def put(store, key, data=b"data"):
    return await store.commit(await store.stage(BUCKET, chunks(data)), key)


async def get(store, key):
    reader = await store.open(BUCKET, key)
    try:
        return await reader.read(0, reader.info.facts.size)
    finally:
        reader.close()


@pytest.mark.parametrize("fault", BUSY)
async def test_what_fails_for_a_while_is_repeated(store, proxy, fault):
    for _ in range(3):
        proxy.plan.extend([fault] * 2)
        await put(store, "x", b"kept")
        proxy.plan.extend([fault] * 2)
        assert await get(store, "x") == b"kept"


async def test_parts_of_a_long_body_are_repeated(store, proxy, monkeypatch):
    monkeypatch.setattr(staging, "PART_BYTES", 5 << 20)
    data = secrets.token_bytes((5 << 20) * 2 + 5)
    proxy.plan.extend([None, *BUSY])
    staged = await store.stage(BUCKET, chunks(data))
    await store.commit(staged, "big")
    assert await get(store, "big") == data


@pytest.mark.parametrize("fault", BUSY)
async def test_what_fails_for_good_is_told_and_leaves_what_was(store, proxy, fault):
    await put(store, "x", b"before")
    proxy.always = fault
    proxy.seen.clear()
    with pytest.raises(Unavailable) as caught:
        await put(store, "x", b"after")
    assert len(caught.value.message) > 40
    assert len(proxy.seen) <= 2 * ATTEMPTS
    with pytest.raises(Unavailable):
        await store.open(BUCKET, "x")
    with pytest.raises(Unavailable):
        await store.scan(BUCKET, [("", b"")])
    proxy.always = None
    assert await get(store, "x") == b"before"


REFUSALS = [
    ((403, "InvalidAccessKeyId"), Unavailable, "credentials"),
    ((403, "SignatureDoesNotMatch"), Unavailable, "credentials"),
    ((403, "AccessDenied"), Forbidden, "permission"),
    ((403, "RequestTimeTooSkewed"), Unavailable, "clock"),
    ((404, "NoSuchBucket"), Unavailable, "offline"),
    ((400, "InvalidPart"), Unavailable, "part"),
    ((400, "BadDigest"), Unavailable, "io"),
    ((400, "AuthorizationHeaderMalformed"), Invalid, "region"),
]


@pytest.mark.parametrize(("answer", "error", "reason"), REFUSALS)
async def test_a_refusal_is_explained_and_not_repeated(store, proxy, answer, error, reason):
    await put(store, "x", b"before")
    proxy.seen.clear()
    proxy.always = answer
    with pytest.raises(error) as caught:
        await store.open(BUCKET, "x")
    assert caught.value.reason == reason
    assert len(proxy.seen) <= 2  # one more where the region is looked for
    assert "hush" not in str(caught.value)
    with pytest.raises(CellsError):
        await put(store, "x", b"after")
    proxy.always = None
    assert await get(store, "x") == b"before"


async def test_a_stream_that_breaks_off_is_taken_up_where_it_broke(store, proxy):
    data = secrets.token_bytes(3_000_000)
    await put(store, "x", data)
    proxy.plan.extend([1_000_000, 700_000, 50_000])
    assert await get(store, "x") == data
    proxy.always = 0
    with pytest.raises(CellsError):
        await get(store, "x")


async def test_a_version_that_is_gone_in_the_middle_is_told(store, proxy):
    await put(store, "x", b"a" * 3_000_000)
    proxy.plan.append(1_000_000)
    reader = await store.open(BUCKET, "x")
    assert await reader.read(0, 1000) == b"a" * 1000
    await put(store, "x", b"b" * 3_000_000)
    with pytest.raises(Unavailable) as caught:
        await reader.read(1000, 2_900_000)
    assert caught.value.reason == "changed"
    reader.close()


async def test_a_move_that_fails_in_the_middle_loses_nothing(store, proxy):
    keys = [f"a/{number}" for number in range(8)]
    for key in keys:
        await put(store, key, key.encode())
    proxy.plan.extend([None] * 12)
    proxy.always = (403, "AccessDenied")
    with pytest.raises(Forbidden):
        await store.move(BUCKET, "a/", "b/")
    proxy.always = None
    proxy.plan.clear()
    for key in keys:
        assert await get(store, key) == key.encode()
    store._settled.clear()
    await store.scan(BUCKET, [("", b"")])
    for key in keys:
        assert await get(store, "b" + key[1:]) == key.encode()
        with pytest.raises(NotFound):
            await get(store, key)
