"""Lifecycle rules where versions are kept: what an expiry leaves, and which versions and delete markers go."""

import time

import pytest
from msgspec.structs import replace

from cellsmono.data.lifecycle.run import Run
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.flat.blobs import Blobs
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.memory import MemoryStore
from cellsmono.interfaces.bucket_settings import BucketSettings
from cellsmono.interfaces.datasource import DatasourceConfig, Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.lifecycle import LifecycleRule
from cellsmono.interfaces.locks import LockRule, ObjectLock
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.clock import ManualClock

DAY = 100.0


class Bucket:
    """A flat datasource in memory over a clock that is moved by hand, and its rules."""

    def __init__(self, store, clock):
        self.store, self.clock, self.rules = store, clock, ()

    def names(self):
        return ["docs"]

    def find(self, name):
        return BucketSettings(lifecycle=self.rules) if name == "rules" else self.store

    async def put(self, key, body=b"x", **meta):
        async def one():
            yield body

        options = WriteOptions(NodeMeta(**meta), mtime_ns=self.clock.time_ns())
        return await self.store.put_node(key, one(), PlainDigest(), options)

    async def run(self, *rules):
        class Rules:
            def find(self, name):
                return BucketSettings(lifecycle=rules)

        once = Run(self, Rules(), self.clock, DAY)
        async for _ in once.slices():
            pass
        return once.totals

    async def rows(self, key=""):
        """Size of each version, None for a delete marker."""
        page = await self.store.index.list_versions(prefix=key)
        return [None if each.node is None else each.node.size for each in page.entries]


@pytest.fixture
async def bucket(tmp_path):
    clock = ManualClock(time.time())
    config = DatasourceConfig(name="docs", folder=str(tmp_path), format=Format.FLAT)
    index = await SqliteIndex.open(tmp_path / "i.db", datasource="docs", durability="relaxed", clock=clock)
    objects = MemoryStore(buckets=["docs"])
    blobs = await Blobs.open(objects, "docs", index, clock)
    store = FlatStore(config, blobs, objects, index, Claims())
    store._clock = clock
    await store.set_versioning(Versioning.ENABLED)
    yield Bucket(store, clock)
    await blobs.close()
    await index.close()


EXPIRE = LifecycleRule("expire", days=2)
NONCURRENT = LifecycleRule("noncurrent", noncurrent_days=3)
MARKERS = LifecycleRule("markers", expires_markers=True)


async def test_an_object_that_expires_leaves_a_delete_marker(bucket, monkeypatch):
    await bucket.put("x")
    monkeypatch.setattr("cellsmono.interfaces.lifecycle.time_of_uuid", lambda uuid: None)
    assert (await bucket.run(EXPIRE)).expired == 0
    bucket.clock.jump(4 * DAY)
    totals = await bucket.run(EXPIRE)
    assert (totals.expired, totals.versions, totals.failed) == (1, 0, 0)
    assert await bucket.rows() == [None, 1]
    assert (await bucket.run(EXPIRE)).expired == 0, "a marker does not expire as long as it hides something"
    # Once nothing else is left of the key, days count for the marker.
    first = (await bucket.store.index.read_versions("x"))[-1]
    await bucket.store.delete_version("x", first.id)
    assert (await bucket.run(EXPIRE)).versions == 0
    bucket.clock.jump(4 * DAY)
    assert (await bucket.run(EXPIRE)).versions == 1
    assert await bucket.rows() == []


async def test_noncurrent_versions_go_by_the_time_since_something_newer_came(bucket):
    for body in (b"1", b"22", b"333"):
        await bucket.put("x", body)
        bucket.clock.jump(2 * DAY)
        assert (await bucket.run(NONCURRENT)).versions == (body == b"333")
    assert await bucket.rows() == [3, 2]
    bucket.clock.jump(9 * DAY)
    assert (await bucket.run(NONCURRENT)).versions == 1
    assert await bucket.rows() == [3], "what is current stays, however old it is"
    await bucket.store.delete_node("x")
    bucket.clock.jump(9 * DAY)
    assert (await bucket.run(NONCURRENT)).versions == 1
    assert await bucket.rows() == [None]
    assert (await bucket.run(NONCURRENT, MARKERS)).versions == 1
    assert await bucket.rows() == []


async def test_the_newest_noncurrent_versions_can_be_kept(bucket):
    for size in range(1, 7):
        await bucket.put("x", b"x" * size)
    await bucket.put("y")
    bucket.clock.jump(9 * DAY)
    rule = replace(NONCURRENT, keeps_newer=2)
    assert (await bucket.run(rule)).versions == 3
    assert await bucket.rows() == [6, 5, 4, 1]


async def test_counting_goes_on_from_page_to_page(bucket, monkeypatch):
    monkeypatch.setattr("cellsmono.data.lifecycle.run.PAGE", 2)
    for size in range(1, 7):
        await bucket.put("x", b"x" * size)
    for key in ("a", "z"):
        await bucket.put(key)
        for each in await bucket.store.index.read_versions(key):
            await bucket.store.delete_node(key)
            await bucket.store.delete_version(key, each.id)
    bucket.clock.jump(9 * DAY)
    assert (await bucket.run(replace(NONCURRENT, keeps_newer=3), MARKERS)).versions == 4
    assert await bucket.rows() == [6, 5, 4, 3]


async def test_rules_are_about_prefix_tags_and_size_of_each_version(bucket):
    await bucket.put("a/x", b"1", tags={"k": "v"})
    await bucket.put("a/x", b"22")
    await bucket.put("a/x", b"333", tags={"k": "v"})
    await bucket.store.delete_node("a/x")
    await bucket.put("a/x", b"4444")
    await bucket.put("b", b"1")
    await bucket.put("b", b"22")
    bucket.clock.jump(9 * DAY)
    assert (await bucket.run(replace(NONCURRENT, prefix="a/", tags={"k": "v"}))).versions == 2
    assert await bucket.rows() == [4, None, 2, 2, 1]
    assert (await bucket.run(replace(NONCURRENT, larger_than=1))).versions == 1
    assert await bucket.rows() == [4, None, 2, 1]
    assert (await bucket.run(replace(NONCURRENT, prefix="a/"))).versions == 1, "noncurrent markers go as well"
    assert await bucket.rows() == [4, 2, 1]


async def test_what_becomes_current_again_in_between_stays(bucket, monkeypatch):
    await bucket.put("x", b"1")
    newer = await bucket.put("x", b"22")
    bucket.clock.jump(9 * DAY)
    delete = bucket.store.delete_version

    async def delete_late(path, version, **options):
        if options:
            await delete(path, newer.version)
        return await delete(path, version, **options)

    monkeypatch.setattr(bucket.store, "delete_version", delete_late)
    totals = await bucket.run(NONCURRENT)
    assert (totals.versions, totals.failed) == (0, 0)
    assert await bucket.rows() == [1]


async def test_suspended_an_expiry_leaves_the_null_marker(bucket, monkeypatch):
    monkeypatch.setattr("cellsmono.interfaces.lifecycle.time_of_uuid", lambda uuid: None)
    await bucket.put("x", b"1")
    await bucket.store.set_versioning(Versioning.SUSPENDED)
    await bucket.put("x", b"22")
    bucket.clock.jump(9 * DAY)
    assert (await bucket.run(EXPIRE)).expired == 1
    versions = await bucket.store.index.read_versions("x")
    assert [(each.id == "", each.node is None) for each in versions] == [(True, True), (False, False)]


async def test_what_is_locked_meanwhile_is_kept_and_did_not_fail(bucket, monkeypatch):
    await bucket.store.set_object_lock(LockRule())
    for body in (b"1", b"22", b"333"):
        await bucket.put("x", body)
    bucket.clock.jump(9 * DAY)
    delete = bucket.store.delete_version

    async def delete_late(path, version, **options):
        found = await bucket.store.read_version(path, version)
        if found.node.size == 1:
            await bucket.store.update_lock(path, version, lambda _: ObjectLock(hold="ON"))
        return await delete(path, version, **options)

    monkeypatch.setattr(bucket.store, "delete_version", delete_late)
    totals = await bucket.run(NONCURRENT)
    assert (totals.versions, totals.kept, totals.failed) == (1, 1, 0)
    assert await bucket.rows() == [3, 1]
