"""What only datasources of blobs promise: which blobs there are, and what a check makes of them."""

import asyncio
import hashlib

import msgspec
import pytest

from cellsmono.datasource.flat import blobs as blobs_module
from cellsmono.datasource.flat.blobs import Blobs
from cellsmono.datasource.flat.checking import Repair, check_blobs
from cellsmono.datasource.flat.layout import Layout, blob_key, parse_key
from cellsmono.interfaces.datasource import CopyOptions, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import NO_META, NodeAttributes, NodeMeta, is_sealed, new_uuid
from cellsmono.interfaces.objects import Target
from cellsmono.interfaces.operations import BlobProblem
from cellsmono.kernel.clock import ManualClock, SystemClock
from cellsmono.kernel.errors import Conflict, Corrupt, NotFound, Unavailable


async def chunks(*parts):
    for part in parts:
        yield part


async def put(flat, path, data=b"data", **options):
    return await flat.put_node(path, chunks(data), PlainDigest(), WriteOptions(**options))


async def read(flat, path):
    opened = await flat.open_node(path)
    try:
        return await opened.reader.read(0, 1 << 24)
    finally:
        opened.reader.close()


async def stored(flat):
    """The keys of all blobs, once nothing is under way."""
    await flat.blobs.settle()
    return sorted(
        [blob.key for folder in await flat.blobs.list_folders() for blob in await flat.blobs.list_blobs(folder)]
    )


async def plant(flat, uuid, number=0, data=b"planted", path="old/name.txt", meta=NO_META):
    """A blob that the index knows nothing of, as a crash leaves it."""
    key = flat.blobs.key(uuid, number)
    target = Target(key) if is_sealed(number) else None
    staged = await flat.blobs.objects.stage(flat.blobs.bucket, chunks(data), target=target)
    await flat.blobs.commit(staged, key, None, NodeAttributes(0, 0, "", meta, path))
    return key


async def check(flat, repair=Repair.NOTHING, clock=None, grace=0.0):
    report = await check_blobs(flat, clock or SystemClock(), repair=repair, grace_seconds=grace)
    return report, [(found.problem, found.key, found.path) for found in report.findings]


def test_names_of_blobs_lead_there_and_back():
    uuid = "01a211b7-4f66-748f-b310-f546d4bc218f"
    assert blob_key(Layout.SHARDED, uuid, 0) == f"4f/{uuid}"
    assert blob_key(Layout.PLAIN, uuid, 1_764_000_000_000) == f"{uuid}.19ab697e800"
    for layout in Layout:
        for number in (0, 1, 255, 2**48):
            assert parse_key(layout, blob_key(layout, uuid, number)) == (uuid, number)
    for key in (f"00/{uuid}", uuid, f"4f/{uuid}.0", f"4f/{uuid}.01", f"4f/{uuid}.A", f"4f/{uuid.upper()}", "4f/x", ""):
        assert parse_key(Layout.SHARDED, key) is None


async def test_a_node_has_the_one_blob_that_its_uuid_names(flat):
    node = await put(flat, "a/x")
    assert node.blob == 0 or is_sealed(node.blob)
    assert await stored(flat) == [flat.blobs.key_of(node)]
    newer = await put(flat, "a/x", b"newer")
    assert newer.blob
    assert await stored(flat) == [flat.blobs.key(node.uuid, newer.blob)]
    await flat.move_node("a/", "b/c/")
    assert await stored(flat) == [flat.blobs.key(node.uuid, newer.blob)]
    copy = await flat.copy_node("b/c/x", "copy", CopyOptions())
    assert await stored(flat) == sorted([flat.blobs.key_of(newer), flat.blobs.key_of(copy)])
    await flat.move_node("copy", "b/c/x")
    assert await stored(flat) == [flat.blobs.key_of(copy)]
    await flat.copy_node("b/c/x", "b/c/x", CopyOptions(meta=NodeMeta(user={"k": "v"}), mtime_ns=5))
    assert await stored(flat) == [flat.blobs.key_of(copy)]
    await flat.delete_nodes(["b/c/x"])
    assert await stored(flat) == []


async def test_replacing_a_node_that_is_not_at_hand_is_like_any_other_replacing(flat, monkeypatch):
    node = await put(flat, "x", b"1")
    monkeypatch.setattr(flat.index, "recall_node", lambda path: None)
    for data in (b"22", b"3" * 100_000, b"444"):
        newer = await put(flat, "x", data)
        assert newer.uuid == node.uuid
        assert await read(flat, "x") == data
        assert await stored(flat) == [flat.blobs.key_of(newer)]
        assert (await flat.blobs.read_attributes(flat.blobs.key_of(newer))).path == "x"
    await asyncio.gather(*(put(flat, "y", b"%d" % n * (n + 1)) for n in range(12)))
    data = await read(flat, "y")
    assert (await flat.read_node("y")).etag == hashlib.md5(data).hexdigest()
    assert len(await stored(flat)) == 2
    assert (await check(flat))[1] == []


async def test_numbers_of_blobs_never_repeat_whatever_the_clock_says(flat):
    clock = ManualClock()
    flat.blobs._clock = clock
    node = await put(flat, "x")
    seen = {0}
    for step in (0, 0, -100, 10, -1000):
        clock.jump(step)
        node = await put(flat, "x")
        assert node.blob not in seen
        seen.add(node.blob)


async def test_a_number_that_is_just_being_removed_is_not_used_again(flat):
    node = await put(flat, "x")
    clock = ManualClock()
    flat.blobs._clock, now = clock, clock.time_ns() // 1_000_000
    flat.blobs.drop(flat.blobs.key(node.uuid, now), flat.blobs.key(node.uuid, now + 1))
    newer = await put(flat, "x", b"new")
    assert newer.blob > now + 1
    assert await stored(flat) == [flat.blobs.key_of(newer)]
    assert await read(flat, "x") == b"new"


async def test_cancelled_writes_leave_no_blobs_behind(flat, monkeypatch):
    await put(flat, "x", b"old")
    monkeypatch.setattr(flat.index, "recall_node", lambda path: None)
    for path in ("x", "new"):
        for turns in range(1, 40):
            task = asyncio.ensure_future(put(flat, path, b"%d" % turns))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            report, found = await check(flat)
            assert found == []
            assert report.blobs == (await flat.index.stats()).files


async def test_a_blob_tells_its_name_and_more_without_the_index(flat):
    meta = NodeMeta(content_type="image/png", user={"größe": "1"})
    node = await put(flat, "a//b", b"12345", meta=meta, mtime_ns=10**18)
    kept = await flat.blobs.read_attributes(flat.blobs.key_of(node))
    assert kept == NodeAttributes(5, 10**18, node.etag, meta, "a//b")
    plain = await put(flat, "plain/é")
    assert (await flat.blobs.read_attributes(flat.blobs.key_of(plain))).path == "plain/é"


async def test_where_there_are_no_attributes_a_record_lies_beside_each_blob(flat, monkeypatch):
    flat.blobs._has_attributes = False
    node = await put(flat, "a/x", b"1", meta=NodeMeta(user={"k": "v"}))
    monkeypatch.setattr(flat.index, "recall_node", lambda path: None)
    for _ in range(2):
        node = await put(flat, "a/x", b"22", meta=NodeMeta(user={"k": "v"}))
    key = flat.blobs.key_of(node)
    assert await flat.blobs.read_attributes(key) == NodeAttributes(2, 0, node.etag, node.meta, "a/x")
    assert await stored(flat) == [key], "records are not taken for blobs"
    await plant(flat, other := new_uuid(), path="a/x", meta=NodeMeta(user={"k": "v"}))
    report, _ = await check(flat, Repair.ALL)
    assert report.attached == 1
    assert (await flat.read_node("lost+found/a/x")).uuid == other
    assert (await flat.read_node("lost+found/a/x")).meta.user == {"k": "v"}
    await flat.delete_nodes(["lost+found/a/x", "a/x"])
    assert await stored(flat) == []
    listing = (await flat.blobs.objects.scan("docs", [(key.rpartition("/")[0] + "/", b"")]))[0]
    assert not listing.entries


async def test_a_clean_store_has_nothing_to_report(flat):
    for n in range(40):
        await put(flat, f"d{n % 3}/f{n}", b"x" * n)
        await put(flat, f"d{n % 3}/f{n % 7}")
    report, found = await check(flat, Repair.ALL)
    assert found == []
    assert report.blobs == (await flat.index.stats()).files
    assert report.bytes == (await flat.index.stats()).bytes
    assert report.open_problems == 0


async def test_lost_content_gets_its_name_back_below_lost_and_found(flat):
    uuids = [new_uuid() for _ in range(4)]
    keys = [await plant(flat, uuid, data=b"%d" % n, path="a/b") for n, uuid in enumerate(uuids[:3])]
    keys.append(await plant(flat, uuids[3], path="", meta=NodeMeta(user={"k": "v"})))
    report, found = await check(flat)
    assert sorted(found) == sorted(
        (BlobProblem.LOST, k, p) for k, p in zip(keys, ["a/b"] * 3 + [uuids[3]], strict=True)
    )
    assert report.open_problems == 4
    report, _ = await check(flat, Repair.ALL)
    assert (report.attached, report.open_problems) == (4, 0)
    page = await flat.index.list_keys("lost+found/")
    assert {node.uuid for node in page.entries} == set(uuids)
    for node in page.entries:
        data = await read(flat, node.path)
        assert (node.size, node.etag) == (len(data), hashlib.md5(data).hexdigest())
    assert "lost+found/a/b" in [node.path for node in page.entries]
    assert (await flat.read_node(f"lost+found/{uuids[3]}")).meta.user == {"k": "v"}
    assert sorted(await stored(flat)) == sorted(keys), "their bytes stayed where they were"
    assert (await check(flat))[1] == []


async def test_checks_that_come_together_bring_back_everything_once(flat):
    keys = sorted([await plant(flat, new_uuid(), data=b"%d" % n, path=f"d/{n}") for n in range(5)])
    reports = await asyncio.gather(*(check(flat, Repair.ALL) for _ in range(3)))
    assert [report.attached for report, _ in reports] == [5, 0, 0]
    assert await stored(flat) == keys
    for n in range(5):
        assert await read(flat, f"lost+found/d/{n}") == b"%d" % n


async def test_the_blob_of_a_node_is_never_given_to_another(flat):
    node = await put(flat, "x")
    (found,) = await flat.blobs.list_blobs(flat.blobs.key_of(node).rpartition("/")[0] + "/")
    with pytest.raises(Conflict):
        await flat.attach_blob("lost+found/x", found, node.etag, node.meta)
    assert await stored(flat) == [found.key]


async def test_what_a_newer_version_replaced_is_removed_and_nothing_else(flat):
    node = await put(flat, "x", b"now")
    older = await plant(flat, node.uuid, 77, b"before")
    lost = await plant(flat, new_uuid())
    _, found = await check(flat)
    assert sorted(found) == sorted([(BlobProblem.SUPERSEDED, older, "x"), (BlobProblem.LOST, lost, "old/name.txt")])
    report, found = await check(flat, Repair.SUPERSEDED)
    assert (report.removed, report.attached) == (1, 0)
    assert found == [(BlobProblem.SUPERSEDED, older, "x")], "the quiet look does not judge what is lost"
    assert sorted(await stored(flat)) == sorted([flat.blobs.key_of(node), lost])
    assert await read(flat, "x") == b"now"


async def test_what_was_deleted_and_is_still_there_is_removed_and_not_brought_back(flat):
    node = await put(flat, "x", b"deleted")
    await flat.delete_node("x")
    await flat.blobs.settle()
    left = await plant(flat, node.uuid, 0, b"deleted")
    assert (await check(flat))[1] == [(BlobProblem.DELETED, left, "")]
    report, _ = await check(flat, Repair.SUPERSEDED)
    assert (report.removed, report.open_problems) == (1, 0)
    assert await stored(flat) == []


async def test_another_version_of_a_node_whose_own_blob_is_missing_is_not_thrown_away(flat):
    node = await put(flat, "x", b"named by the index")
    flat.blobs.drop(flat.blobs.key_of(node))
    await flat.blobs.settle()
    other = await plant(flat, node.uuid, 5, b"another version", path="x")
    report, found = await check(flat, Repair.SUPERSEDED)
    assert (report.removed, found) == (0, [])
    report, found = await check(flat, Repair.ALL)
    assert found == [(BlobProblem.LOST, other, "x"), (BlobProblem.MISSING, flat.blobs.key_of(node), "x")]
    assert report.open_problems == 1, "the missing one stays missing"
    assert await read(flat, "lost+found/x") == b"another version"
    with pytest.raises(Corrupt, match="ds check docs"):
        await read(flat, "x")
    with pytest.raises(Corrupt):
        await flat.copy_node("x", "y")
    assert (await flat.read_node("x")).uuid == node.uuid


async def test_a_blob_of_another_size_is_told_and_not_served(flat):
    node = await put(flat, "x", b"right")
    await plant(flat, node.uuid, node.blob, b"wrong size")
    report, found = await check(flat, Repair.ALL)
    assert found == [(BlobProblem.SIZE, flat.blobs.key_of(node), "x")]
    assert report.open_problems == 1
    with pytest.raises(Corrupt):
        await read(flat, "x")


async def test_recent_blobs_are_left_alone(flat):
    await plant(flat, new_uuid())
    clock = SystemClock()
    report, found = await check(flat, Repair.ALL, clock, grace=3600)
    assert (report.young, found) == (1, [])


async def test_a_write_that_the_index_has_not_heard_of_yet_is_no_orphan(flat, monkeypatch):
    await put(flat, "old", b"1")
    asked, open_gate = asyncio.Event(), asyncio.Event()
    submit = flat.index.submit

    def wait_and_submit(patch):
        async def later():
            asked.set()
            await open_gate.wait()
            return await submit(patch)

        return later()

    for change in (
        put(flat, "new", b"22"),
        put(flat, "old", b"333"),
        flat.delete_node("old"),
        flat.move_node("new", "n"),
    ):
        monkeypatch.setattr(flat.index, "submit", wait_and_submit)
        task = asyncio.ensure_future(change)
        await asked.wait()
        monkeypatch.setattr(flat.index, "submit", submit)
        assert (await check(flat, Repair.ALL))[1] == []
        open_gate.set()
        await task
        asked.clear()
        open_gate.clear()
        assert (await check(flat, Repair.ALL))[1] == []


async def test_checks_and_repairs_beside_every_kind_of_change_find_nothing(flat, monkeypatch):
    monkeypatch.setattr(blobs_module, "GATHER_SECONDS", 0.0)
    done = False

    async def work(n):
        for step in range(15):
            path = f"d{n % 2}/{step % 4}"
            try:
                if n % 4 == 3:
                    await flat.move_node(path, f"d{n % 2}/{(step + 1) % 4}")
                elif n % 4 == 2 and step % 2:
                    await flat.delete_node(path)
                elif n % 4 == 1:
                    await flat.copy_node(path, f"d{n % 2}/{(step + 2) % 4}", CopyOptions())
                else:
                    await put(flat, path, b"%d" % n * 500)
            except NotFound:
                continue

    async def look():
        while not done:
            await asyncio.sleep(0)
            report, found = await check(flat, Repair.ALL)
            assert [each for each in found if each[0] is not BlobProblem.MISSING] == []
            assert report.attached == report.removed == 0

    looking = asyncio.ensure_future(look())
    await asyncio.gather(*(work(n) for n in range(8)))
    done = True
    await looking
    assert (await check(flat))[1] == []


async def test_a_commit_that_fails_leaves_the_old_version_and_no_blob(flat, monkeypatch):
    await put(flat, "x", b"old")
    before = await stored(flat)

    async def fail(*args, **kwargs):
        raise Unavailable("the disk failed", reason="io")

    monkeypatch.setattr(flat.blobs.objects, "commit", fail)
    for path in ("x", "new"):
        with pytest.raises(Unavailable):
            await put(flat, path, b"new")
    assert await stored(flat) == before
    assert await read(flat, "x") == b"old"


async def test_an_index_that_fails_leaves_the_old_version_and_an_orphan(flat, monkeypatch):
    await put(flat, "x", b"old")

    async def fail(patch):
        raise Unavailable("the disk failed", reason="io")

    with monkeypatch.context() as patched:
        patched.setattr(flat.index, "submit", fail)
        with pytest.raises(Unavailable):
            await put(flat, "x", b"new")
        with pytest.raises(Unavailable):
            await flat.delete_node("x")
    assert await read(flat, "x") == b"old", "nothing was dropped that the index may still name"
    report, _ = await check(flat, Repair.ALL)
    assert report.removed == 1
    assert await read(flat, "x") == b"old"


async def test_the_record_says_whose_blobs_these_are(flat):
    opened = await flat.blobs.objects.open("docs", "cellsmono-flat.json")
    record = msgspec.json.decode(await opened.read(0, 5000))
    opened.close()
    assert record["id"] == (await flat.read_node("")).uuid
    assert (record["version"], record["layout"]) == (1, "sharded")


async def test_a_bucket_that_is_held_can_not_be_opened_again(flat):
    from cellsmono.kernel.errors import Locked

    with pytest.raises(Locked):
        await Blobs.open(flat.blobs.objects, "docs", flat.index, SystemClock())
