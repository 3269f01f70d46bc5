"""Object lock in datasources of blobs: what keeps a version, whoever wants it gone, and on every storage."""

import pytest
from msgspec.structs import replace

from cellsmono.data.lifecycle.run import Run
from cellsmono.data.versions.prune import Prune
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.flat.checking import Repair, check_blobs
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.datasource.index.memory import MemoryIndex
from cellsmono.datasource.locking import carry_over, list_locked, refuse_removal
from cellsmono.interfaces.bucket_settings import BucketSettings
from cellsmono.interfaces.datasource import CopyOptions, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.lifecycle import LifecycleRule
from cellsmono.interfaces.locks import LockRule, ObjectLock, change_hold, change_retention
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.version import Versioning
from cellsmono.interfaces.version_policy import DeletedStrategy, VersionPolicy
from cellsmono.kernel.clock import ManualClock, SystemClock
from cellsmono.kernel.errors import Conflict, Forbidden, Invalid, NotFound

NOW = 1_700_000_000
DAY = 86_400


async def chunks(*parts):
    for part in parts:
        yield part


async def put(store, path, data=b"data", **options):
    return await store.put_node(path, chunks(data), PlainDigest(), WriteOptions(**options))


def under(mode="", until=0, hold=""):
    return NodeMeta(lock=ObjectLock(mode, until, hold))


async def retain(store, clock, path, version, mode, until, *, bypass=False):
    return await store.update_lock(
        path, version, lambda lock: change_retention(lock, mode, until, clock.time_ns(), bypass=bypass)
    )


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
async def plain(flat, clock):
    """A datasource without versions, under a clock that stands still."""
    return FlatStore(flat.config, flat.blobs, flat.blobs.objects, flat.index, Claims(), clock)


@pytest.fixture
async def locking(plain):
    await plain.set_versioning(Versioning.ENABLED)
    await plain.set_object_lock(LockRule())
    return plain


async def refused(deletion):
    with pytest.raises(Forbidden) as error:
        await deletion
    assert error.value.reason == "locked"
    return True


async def test_object_lock_needs_versions_and_keeps_them(plain):
    with pytest.raises(Conflict, match="Versioning must be 'Enabled'"):
        await plain.set_object_lock(LockRule())
    with pytest.raises(Invalid) as error:
        await put(plain, "x", meta=under("GOVERNANCE", NOW + 1))
    assert error.value.reason == "object_lock"
    with pytest.raises(NotFound):
        await plain.read_node("x")
    with pytest.raises(Invalid):
        await plain.update_lock("x", None, lambda lock: ObjectLock())
    await plain.set_versioning(Versioning.ENABLED)
    assert plain.index.object_lock is None
    await plain.set_object_lock(LockRule("GOVERNANCE", days=1))
    assert (await plain.index.stats()).object_lock == LockRule("GOVERNANCE", days=1)
    with pytest.raises(Conflict, match="versioning state cannot be changed"):
        await plain.set_versioning(Versioning.SUSPENDED)
    await plain.set_versioning(Versioning.ENABLED)
    await plain.set_object_lock(LockRule())
    assert plain.index.object_lock == LockRule()


async def test_a_locked_version_stays_until_its_end(locking, clock):
    node = await put(locking, "x", meta=under("COMPLIANCE", NOW + DAY))
    for bypass in (False, True):
        assert await refused(locking.delete_version("x", node.version, bypass=bypass))
    removal = await locking.remove_node("x")
    assert removal.marker
    assert await refused(locking.delete_version("x", node.version, bypass=True))
    clock.jump(DAY - 1)
    assert await refused(locking.delete_version("x", node.version))
    clock.jump(1)
    await locking.delete_version("x", node.version)
    assert [version.node for version in await locking.index.read_versions("x")] == [None]


async def test_whoever_may_bypasses_governance_and_no_hold(locking):
    governed = await put(locking, "g", meta=under("GOVERNANCE", NOW + DAY))
    held = await put(locking, "h", meta=under("GOVERNANCE", NOW + DAY, "ON"))
    assert await refused(locking.delete_version("g", governed.version))
    await locking.delete_version("g", governed.version, bypass=True)
    assert await refused(locking.delete_version("h", held.version, bypass=True))
    await locking.update_lock("h", None, lambda lock: change_hold(lock, "OFF"))
    assert await refused(locking.delete_version("h", held.version))
    await locking.delete_version("h", held.version, bypass=True)


async def test_markers_and_newer_versions_are_always_allowed(locking):
    first = await put(locking, "x", b"1", meta=under("COMPLIANCE", NOW + DAY))
    second = await put(locking, "x", b"22")
    marker = (await locking.remove_node("x")).marker
    assert await locking.delete_nodes(["x", "y"]) != [None, None]
    assert await refused(locking.delete_version("x", first.version))
    await locking.delete_version("x", second.version)
    await locking.delete_version("x", marker)
    kept = await locking.read_version("x", first.version)
    assert kept.node.meta.lock == ObjectLock("COMPLIANCE", NOW + DAY)


async def test_a_version_that_becomes_current_again_keeps_its_lock(locking):
    first = await put(locking, "a/x", b"1", meta=under("GOVERNANCE", NOW + DAY, "ON"))
    second = await put(locking, "a/x", b"22")
    await locking.move_node("a/x", "b/x")  # takes the UUID along: what comes back below gets another one
    marker = (await locking.index.read_versions("a/x"))[0]
    await locking.delete_version("a/x", marker.id)
    back = await locking.read_node("a/x")
    assert (back.version, back.meta.lock, back.uuid != second.uuid) == (first.version, first.meta.lock, True)
    assert await refused(locking.delete_version("a/x", first.version, bypass=True))


async def test_the_null_version_can_be_locked(plain, clock):
    await put(plain, "x", b"1")
    await plain.set_versioning(Versioning.ENABLED)
    await plain.set_object_lock(LockRule())
    await retain(plain, clock, "x", "", "COMPLIANCE", NOW + DAY)
    await put(plain, "x", b"22")
    assert await refused(plain.delete_version("x", "", bypass=True))
    found = await plain.read_version("x", "")
    assert (found.is_latest, found.node.meta.lock) == (False, ObjectLock("COMPLIANCE", NOW + DAY))


@pytest.mark.parametrize("is_current", [True, False])
async def test_nothing_but_a_change_of_the_lock_changes_it(locking, clock, is_current):
    node = await put(locking, "x", b"1", meta=under("COMPLIANCE", NOW + DAY))
    if not is_current:
        await put(locking, "x", b"22")
    await locking.update_version_meta("x", node.version, lambda meta: NodeMeta(tags={"a": "b"}))
    if is_current:
        await locking.update_meta("x", lambda meta: replace(meta, lock=None, user={"c": "d"}))
    found = (await locking.read_version("x", node.version)).node
    assert found.meta.lock == ObjectLock("COMPLIANCE", NOW + DAY)
    assert found.meta.tags == {"a": "b"}
    assert await refused(retain(locking, clock, "x", node.version, "GOVERNANCE", NOW + DAY, bypass=True))
    longer = await retain(locking, clock, "x", node.version, "COMPLIANCE", NOW + 2 * DAY)
    assert longer.meta.lock.until == NOW + 2 * DAY
    assert (await locking.read_version("x", node.version)).node.meta == replace(found.meta, lock=longer.meta.lock)


async def test_copies_take_no_lock_along(locking):
    node = await put(locking, "x", b"1", meta=under("COMPLIANCE", NOW + DAY))
    copied = await locking.copy_node("x", "y")
    assert copied.meta.lock is None
    again = await locking.copy_node("x", "x", CopyOptions(meta=under(hold="ON")))
    assert (again.version != node.version, again.meta.lock) == (True, ObjectLock(hold="ON"))
    await locking.delete_version("y", copied.version)


async def test_what_is_new_gets_the_default_retention(locking, clock):
    await locking.set_object_lock(LockRule("GOVERNANCE", days=2))
    clock.jump(10)
    written = await put(locking, "x", b"1")
    assert written.meta.lock == ObjectLock("GOVERNANCE", NOW + 10 + 2 * DAY)
    copied = await locking.copy_node("x", "y")
    clock.jump(10)
    upload = await locking.create_upload("u", b"", WriteOptions())
    part = await locking.put_part(upload.upload_id, 1, chunks(b"1"), PlainDigest(), None)
    joined = await locking.complete_upload(upload.upload_id, [part], "e-1", WriteOptions())
    own = await put(locking, "z", meta=under("COMPLIANCE", NOW + DAY))
    locks = [node.meta.lock for node in (copied, joined, own)]
    assert locks == [
        ObjectLock("GOVERNANCE", NOW + 10 + 2 * DAY),
        ObjectLock("GOVERNANCE", NOW + 20 + 2 * DAY),
        ObjectLock("COMPLIANCE", NOW + DAY),
    ]
    assert [(await locking.read_node(key)).meta.lock for key in ("y", "u", "z")] == locks


async def test_a_locked_version_is_not_moved_away_from_its_key(locking, clock):
    await put(locking, "a/b/x", meta=under("GOVERNANCE", NOW + DAY))
    await put(locking, "c/x")
    for source, path in (("a/b/x", "y"), ("a/", "z/")):
        assert await refused(locking.move_node(source, path))
    await locking.move_node("c/x", "a/b/y")
    clock.jump(DAY)
    await locking.move_node("a/", "z/")
    assert (await locking.read_node("z/b/x")).meta.lock.until == NOW + DAY


async def test_lifecycle_and_checks_leave_locked_versions_alone(locking, clock):
    node = await put(locking, "x", b"1", meta=under("GOVERNANCE", NOW + 10 * DAY))
    clock.jump(5 * DAY)
    run = Run(Only(locking), Settings(LifecycleRule("all", True, date=NOW)), clock, DAY)
    async for _ in run.slices():
        pass
    assert (run.totals.expired, run.totals.failed) == (1, 0)
    assert (await locking.index.read_versions("x"))[0].node is None
    assert await refused(locking.delete_version("x", node.version))
    report = await check_blobs(locking, SystemClock(), repair=Repair.ALL, grace_seconds=0.0)
    assert report.findings == []
    opened = await locking.open_version("x", node.version)
    assert await opened.reader.read(0, 10) == b"1"
    opened.reader.close()


async def test_rules_and_policies_about_versions_pass_by_what_is_locked(locking, clock):
    """Locked versions are no failures, their delete marker stays above them, and they go once their lock has ended."""
    await put(locking, "x", b"1", meta=under("GOVERNANCE", NOW + DAY))
    await put(locking, "x", b"22")
    marker = (await locking.remove_node("x")).marker
    for policy in (VersionPolicy(deleted=DeletedStrategy.KEEP_NONE), VersionPolicy(max_total=1)):
        prune = Prune(locking, policy, clock)
        async for _ in prune.slices():
            pass
        assert prune.report.failed == 0
        assert await bodies(locking, "x") == [(marker, None), b"1"]
    await locking.update_lock("x", (await locking.index.read_versions("x"))[1].id, lambda lock: FAR)
    rule = LifecycleRule("all", True, noncurrent_days=1)
    clock.jump(FAR.until - NOW - 1)
    for expected, failed in (([(marker, None), b"1"], 0), ([(marker, None)], 0)):
        run = Run(Only(locking), Settings(rule), clock, DAY)
        async for _ in run.slices():
            pass
        assert run.totals.failed == failed
        assert await bodies(locking, "x") == expected
        clock.jump(1)


FAR = ObjectLock("GOVERNANCE", NOW + 20 * 365 * DAY)
"""Long after the index, which has the real time, saw any version."""


async def bodies(store, key):
    """Content of the versions of a key, newest first; of a delete marker its id."""
    found = []
    for version in await store.index.read_versions(key):
        if version.node is None:
            found.append((version.id, None))
            continue
        opened = await store.open_version(key, version.id)
        found.append(await opened.reader.read(0, 100))
        opened.reader.close()
    return found


class Only:
    """One datasource."""

    def __init__(self, store):
        self._store = store

    def names(self):
        return ["docs"]

    def find(self, name):
        return self._store


class Settings:
    """The rules of its bucket."""

    def __init__(self, *rules):
        self._rules = rules

    def find(self, name):
        return BucketSettings(lifecycle=self._rules)


async def test_what_is_locked_is_found_until_it_ends(locking, clock):
    for number in range(3):
        await put(locking, f"d/{number}")
    assert [found async for found in list_locked(locking.index, clock.time_ns())] == []
    await refuse_removal(locking.index, "docs", clock.time_ns(), bypass=False)
    governed = await put(locking, "d/1", meta=under("GOVERNANCE", NOW + DAY))
    await put(locking, "d/1")
    found = [each async for each in list_locked(locking.index, clock.time_ns())]
    assert [(each.key, each.id, each.is_latest, each.is_firm) for each in found] == [
        ("d/1", governed.version, False, False)
    ]
    assert [each async for each in list_locked(locking.index, clock.time_ns(), "e/")] == []
    with pytest.raises(Conflict, match="--bypass-governance"):
        await refuse_removal(locking.index, "docs", clock.time_ns(), bypass=False)
    await refuse_removal(locking.index, "docs", clock.time_ns(), bypass=True)
    await put(locking, "e/1", meta=under(hold="ON"))
    with pytest.raises(Conflict, match="legal hold"):
        await refuse_removal(locking.index, "docs", clock.time_ns(), bypass=True)
    await locking.update_lock("e/1", None, lambda lock: change_hold(lock, "OFF"))
    clock.jump(DAY)
    await refuse_removal(locking.index, "docs", clock.time_ns(), bypass=False)


async def test_no_other_index_can_take_the_place_of_one_that_has_locked_more(locking, clock):
    await put(locking, "x", meta=under("COMPLIANCE", NOW + DAY))
    other = MemoryIndex(datasource="docs")
    with pytest.raises(Conflict, match="would be lost or less locked"):
        await carry_over(locking.index, other, clock.time_ns())
    assert other.object_lock is None
    await carry_over(locking.index, locking.index, clock.time_ns())
    clock.jump(DAY)
    await carry_over(locking.index, other, clock.time_ns())
    assert (other.object_lock, other.versioning) == (LockRule(), Versioning.ENABLED)
