"""Lifecycle rules over a real datasource: what goes, when, and what stays whatever happens in between."""

import os
import time

import pytest

from cellsmono.data.lifecycle.run import Run, outermost
from cellsmono.data.lifecycle.service import LifecycleService
from cellsmono.interfaces.bucket_settings import BucketSettings
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.lifecycle import LifecycleRule, end_of_days
from cellsmono.interfaces.node import FolderKind, NodeMeta
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import DISK_FAILED, NotFound, Unavailable

DAY = 100.0


class OneBucket:
    """A datasource as the roots of the process, and its rules."""

    def __init__(self, store):
        self.store = store
        self.rules = ()

    def names(self):
        return ["docs"]

    def find(self, name):
        return self.store

    class _Settings:
        def __init__(self, owner):
            self.owner = owner

        def find(self, bucket):
            return BucketSettings(lifecycle=self.owner.rules) if self.owner.rules else None

    @property
    def settings(self):
        return self._Settings(self)


@pytest.fixture
def clock():
    return ManualClock(time.time())


@pytest.fixture
def bucket(nodes):
    return OneBucket(nodes)


@pytest.fixture
def run(bucket, clock):
    async def run_once():
        once = Run(bucket, bucket.settings, clock, DAY)
        slices = [None async for _ in once.slices()]
        return once.totals, len(slices)

    return run_once


async def put(store, key, data=b"data", mtime_ns=None, **meta):
    async def body():
        yield data

    return await store.put_node(key, body(), PlainDigest(), WriteOptions(NodeMeta(**meta), mtime_ns=mtime_ns))


async def keys(store):
    return [entry.path for entry in (await store.index.list_keys()).entries]


async def test_objects_go_after_their_days_one_event_each(bucket, nodes, run, clock, events):
    for key in ("tmp/a", "tmp/sub/b", "keep/c"):
        await put(nodes, key)
    bucket.rules = (LifecycleRule("r", prefix="tmp/", days=2),)
    assert (await run())[0].expired == 0
    clock.advance(1.9 * DAY)
    assert (await run())[0].expired == 0
    clock.advance(1.2 * DAY)
    before = len(events)
    totals, _ = await run()
    assert (totals.looked_at, totals.expired, totals.failed) == (2, 2, 0)
    assert await keys(nodes) == ["keep/c"]
    gone = [event.path for event in events[before:] if event.kind == "delete" and not event.path.endswith("/")]
    assert sorted(gone) == ["tmp/a", "tmp/sub/b"]
    totals, _ = await run()
    assert (totals.looked_at, totals.expired) == (0, 0)


async def test_rules_look_at_tags_and_sizes(bucket, nodes, run, clock):
    await put(nodes, "tagged", tags={"a": "b", "c": "d"})
    await put(nodes, "other", tags={"a": "x"})
    await put(nodes, "large", b"x" * 100)
    await put(nodes, "small", b"x")
    bucket.rules = (
        LifecycleRule("t", tags={"a": "b"}, days=1),
        LifecycleRule("s", larger_than=50, smaller_than=101, days=1),
        LifecycleRule("off", is_enabled=False, days=1),
    )
    clock.advance(3 * DAY)
    await run()
    assert await keys(nodes) == ["other", "small"]


async def test_a_date_lets_all_go_from_then_on(bucket, nodes, run, clock):
    await put(nodes, "x")
    bucket.rules = (LifecycleRule("r", date=int(clock.time() + 50)),)
    totals, slices = await run()
    assert (totals.expired, slices) == (0, 0), "nothing is looked at before its time"
    clock.advance(51)
    await put(nodes, "new")
    assert (await run())[0].expired == 2


async def test_an_old_modification_time_does_not_make_an_upload_old(bucket, nodes, run):
    await put(nodes, "holiday.jpg", mtime_ns=1_000_000_000 * 10**9)
    bucket.rules = (LifecycleRule("r", days=2),)
    assert (await run())[0].expired == 0
    assert await keys(nodes) == ["holiday.jpg"]


async def test_what_is_replaced_meanwhile_stays(bucket, nodes, run, clock, folder):
    await put(nodes, "x", b"old")
    await put(nodes, "y", b"old")
    bucket.rules = (LifecycleRule("r", days=1),)
    clock.advance(3 * DAY)
    (folder / "x").write_bytes(b"new, behind the back of the index")
    later = clock.time_ns()
    os.utime(folder / "x", ns=(later, later))
    totals, _ = await run()
    assert (totals.expired, totals.failed) == (1, 0)
    assert (folder / "x").read_bytes().startswith(b"new")
    assert not (folder / "y").exists()


async def test_markers_go_and_folders_stay(bucket, nodes, run, clock, folder):
    await nodes.create_folder("marker/", FolderKind.MARKER)
    (folder / "found").mkdir()
    await nodes.sync.resync()
    bucket.rules = (LifecycleRule("r", days=1),)
    clock.advance(3 * DAY)
    await run()
    assert not (folder / "marker").exists()
    assert (folder / "found").is_dir()


async def test_uploads_that_nobody_completes_are_aborted(bucket, nodes, run, clock):
    old = await nodes.create_upload("tmp/x", b"")
    other = await nodes.create_upload("keep/x", b"")
    bucket.rules = (LifecycleRule("r", prefix="tmp/", abort_days=2),)
    assert (await run())[0].aborted == 0
    clock.advance(4 * DAY)
    assert (await run())[0].aborted == 1
    with pytest.raises(NotFound):
        await nodes.read_upload(old.upload_id)
    assert await nodes.read_upload(other.upload_id)


async def test_a_run_goes_page_by_page_and_can_be_left_and_begun_again(bucket, nodes, clock, monkeypatch, run):
    monkeypatch.setattr("cellsmono.data.lifecycle.run.PAGE", 2)
    for number in range(7):
        await put(nodes, f"k{number}")
    bucket.rules = (LifecycleRule("r", days=1),)
    clock.advance(3 * DAY)
    left = Run(bucket, bucket.settings, clock, DAY).slices()
    await anext(left)
    await left.aclose()
    assert len(await keys(nodes)) == 5
    totals, slices = await run()
    assert (totals.expired, slices) == (5, 3)
    assert await keys(nodes) == []


async def test_a_disk_that_failed_is_left_alone_and_told_of(bucket, nodes, run, clock, caplog):
    await put(nodes, "x")
    nodes.alarm.hear(Unavailable("the disk failed a flush", reason=DISK_FAILED))
    bucket.rules = (LifecycleRule("r", days=1),)
    clock.advance(3 * DAY)
    totals, _ = await run()
    assert (totals.expired, totals.failed) == (0, 1)
    assert await keys(nodes) == ["x"]


async def test_the_service_says_what_it_did(bucket, nodes, clock):
    service = LifecycleService(bucket, bucket.settings, clock, DAY)
    assert await service.step() is False
    assert service.status().detail == "no bucket has rules"
    await put(nodes, "x")
    bucket.rules = (LifecycleRule("r", days=1),)
    clock.advance(3 * DAY)
    assert await service.step() is True
    assert service.status().detail.startswith("running: 1 objects")
    assert await service.step() is False
    assert (
        service.status().detail
        == "last run: 1 objects in 1 buckets, 1 expired, 0 versions removed, 0 kept by locks, 0 uploads aborted, "
        "0 failed"
    )


def test_days_end_at_the_beginning_of_one():
    assert end_of_days(1_421_317_800, 3) == 1_421_625_600, "the example of AWS: noon of the 15th and 3 days"
    assert end_of_days(86_400, 1) == 2 * 86_400


def test_prefixes_that_others_hold_are_left_out():
    assert outermost(["b/", "a/b", "a/", "a/b/c", "b/"]) == ["a/", "b/"]
    assert outermost(["", "x"]) == [""]


@pytest.mark.parametrize("layout", ["structured", "flat"])
async def test_rules_run_over_every_format(open_it, make_source, clock, layout):
    async with open_it(make_source("docs", format=layout)) as core:
        store = core.installation.find("docs")
        for key in ("tmp/a", "keep/b"):
            await put(store, key)
        rule = LifecycleRule("r", prefix="tmp/", days=1)
        await core.settings.buckets.change("docs", lambda _: BucketSettings(lifecycle=(rule,)))
        clock.advance(3 * DAY)
        run = Run(core.installation, core.settings.buckets, clock, DAY)
        assert [None async for _ in run.slices()]
        assert (run.totals.expired, run.totals.failed) == (1, 0)
        assert await keys(store) == ["keep/b"]
