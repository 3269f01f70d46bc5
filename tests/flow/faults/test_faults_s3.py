"""What happens when the S3 server, or the way to it, fails for a while or for good."""

import asyncio
import importlib.util
import secrets
from pathlib import Path

import pytest

from cellsmono.datasource.objects.s3 import staging
from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.patience import ATTEMPTS, LONGEST_PAUSE, Patience, pause_before
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.kernel.errors import CellsError, Forbidden, NotFound, Unavailable

BUCKET = "docs"
BUSY = [(500, "InternalError"), (503, "SlowDown"), "reset", (503, "ServiceUnavailable"), (502, ""), (429, "")]

_spec = importlib.util.spec_from_file_location("s3_proxy", Path(__file__).with_name("s3_proxy.py"))
s3_proxy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(s3_proxy)


async def chunks(*parts):
    for part in parts:
        yield part


@pytest.fixture
async def proxy(moto_server):
    async with s3_proxy.FaultyProxy(moto_server).running() as made:
        yield made


@pytest.fixture
def pauses():
    """The pauses that would have been made."""
    return []


@pytest.fixture
async def store(proxy, pauses):
    async def note(seconds):
        pauses.append(seconds)

    made = S3Store("data.objects.gateway1", Endpoint(proxy.url, "us-east-1", "access", "hush-hush-hush"))
    made.connection.patience = Patience(pause=note)
    name = f"faults-{secrets.token_hex(6)}"
    await made.create_bucket(name)
    made.add_bucket(Place(BUCKET, name, "base/"))
    await made.scan(BUCKET, [("", b"")])
    proxy.seen.clear()
    yield made
    proxy.mend()
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
    proxy.plan.extend([None, *BUSY[:4]])
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
    ((400, "AuthorizationHeaderMalformed"), Unavailable, "region"),
    ((501, "NotImplemented"), Unavailable, "unsupported"),
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
    proxy.mend()
    for key in keys:
        assert await get(store, key) == key.encode()
    store._settled.clear()
    await store.scan(BUCKET, [("", b"")])
    for key in keys:
        assert await get(store, "b" + key[1:]) == key.encode()
        with pytest.raises(NotFound):
            await get(store, key)


async def test_pauses_grow_and_vary(store, proxy, pauses):
    proxy.plan.extend([(503, "SlowDown")] * 4)
    await put(store, "x")
    assert len(pauses) == 4
    assert all(later > earlier for earlier, later in zip(pauses, pauses[2:], strict=False))
    assert len({pause_before(3) for _ in range(20)}) > 1
    assert all(LONGEST_PAUSE / 2 <= pause_before(50) <= LONGEST_PAUSE for _ in range(20))


async def test_a_server_that_hangs_holds_nobody_for_longer_than_was_configured(store, proxy):
    await put(store, "x", b"before")
    store.connection.patience = Patience(0.2)
    proxy.always = "hang"
    proxy.seen.clear()
    for call in (put(store, "x", b"after"), store.open(BUCKET, "x"), store.scan(BUCKET, [("", b"")])):
        with pytest.raises(Unavailable) as caught:
            await call
        assert caught.value.reason == "busy"
    assert len(proxy.seen) <= 6
    proxy.mend()
    assert await get(store, "x") == b"before"


async def test_a_hold_is_given_back_although_the_answer_about_it_is_cut_off(store, proxy):
    other = S3Store("data.objects.gateway2", store.endpoint)
    other.add_bucket(store.place(BUCKET))
    await store.hold_bucket(BUCKET)
    proxy.only = "GET"
    proxy.plan.append(10)
    await store.holds.close()
    assert len(proxy.plan) == 0, "it was asked who holds"
    await other.hold_bucket(BUCKET)
    assert other.describe_loss(BUCKET) == ""
    await other.close()


async def test_a_hold_that_can_not_be_given_back_is_taken_over_at_once(store, proxy):
    other = S3Store("data.objects.gateway2", store.endpoint)
    other.add_bucket(store.place(BUCKET))
    await store.hold_bucket(BUCKET)
    proxy.always = 10
    await store.holds.close()
    proxy.mend()
    await other.hold_bucket(BUCKET)
    await other.close()


async def test_one_connection_that_hangs_is_given_up_for_another_one(store, proxy):
    store.connection.patience = Patience(2)
    proxy.plan.append("hang")
    await put(store, "x", b"kept")
    assert await get(store, "x") == b"kept"


async def test_a_body_that_stops_coming_is_asked_for_again_and_given_up_in_the_end(store, proxy):
    await put(store, "x", b"a" * 100_000)
    store.connection.patience = Patience(0.3)
    reader = await store.open(BUCKET, "x")

    class Stuck:
        async def read(self, length):
            await asyncio.Event().wait()

        def close(self):
            pass

    reader._drop()
    reader._stream = Stuck()
    assert await reader.read(0, 100_000) == b"a" * 100_000
    reader._drop()
    reader._stream = Stuck()
    reader._position = 0
    proxy.always = "hang"
    with pytest.raises(Unavailable):
        await reader.read(0, 100_000)
    reader.close()


NO_LISTINGS = ["empty", "page", 0, 100, (404, ""), (404, "NoSuchKey"), (500, ""), (301, "PermanentRedirect")]


@pytest.mark.parametrize("fault", NO_LISTINGS)
async def test_what_is_no_listing_is_never_taken_for_an_empty_one(store, proxy, fault):
    await put(store, "a/x")
    proxy.always = fault
    for call in (
        store.scan(BUCKET, [("a/", b"")]),
        store.stat_folders(BUCKET, ["", "a/"]),
        store.stat(BUCKET, "a/"),
        store.has_bucket(BUCKET),
    ):
        with pytest.raises(CellsError) as caught:
            await call
        assert not isinstance(caught.value, NotFound)


@pytest.mark.parametrize("fault", ["page", (404, ""), (404, "NoSuchBucket"), (403, "AccessDenied"), (503, ""), "reset"])
async def test_an_object_is_absent_only_when_the_bucket_says_so(store, proxy, fault):
    await put(store, "a/x", b"kept")
    proxy.always = fault
    for call in (
        store.stat(BUCKET, "a/x"),
        store.open(BUCKET, "a/x"),
        store.delete(BUCKET, "a/x"),
        store.stat_entries(BUCKET, ["a/x"]),
        store.hash_object(BUCKET, "a/x"),
        store.read_marker(BUCKET, "a/"),
        store.stage_copy(BUCKET, BUCKET, "a/x"),
    ):
        with pytest.raises((Unavailable, Forbidden)):
            await call
    proxy.mend()
    assert await get(store, "a/x") == b"kept"


async def test_an_answer_that_is_lost_is_asked_for_again(store, proxy):
    for _ in range(3):
        proxy.plan.append("lost")
        await put(store, "x", b"kept")
        assert await get(store, "x") == b"kept"
    proxy.plan.append("lost")
    assert await store.delete(BUCKET, "x") is True


@pytest.mark.parametrize("cut", [0, 5, 20])
async def test_a_marker_is_read_whole_or_not_at_all(store, proxy, cut):
    (made,) = await store.make_folder(BUCKET, "a/")
    store.folders._texts.clear()
    proxy.plan.append(cut)
    assert await store.read_marker(BUCKET, "a/") == made.uuid
    proxy.always = cut
    with pytest.raises(Unavailable):
        await store.read_marker(BUCKET, "a/")


async def test_a_foreign_empty_marker_is_none(store):
    await put(store, "a/x")
    await store.connection._client.put_object(**store.place(BUCKET).at("a/.pydio"), Body=b"")
    assert await store.read_marker(BUCKET, "a/") == ""
