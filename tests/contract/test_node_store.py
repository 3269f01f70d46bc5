"""What every datasource promises, whatever its format and storage: one suite for all of them."""

import asyncio
import hashlib

import pytest
from msgspec.structs import replace

from cellsmono.interfaces.datasource import Conditions, CopyOptions, Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import Checksum, FolderKind, NodeMeta
from cellsmono.kernel.errors import CellsError, Conflict, Invalid, NotFound, PreconditionFailed, TooLarge


async def chunks(*parts):
    for part in parts:
        yield part


async def put(nodes, path, data=b"data", **options):
    return await nodes.put_node(path, chunks(data), PlainDigest(), WriteOptions(**options))


async def read(nodes, path):
    opened = await nodes.open_node(path)
    try:
        assert opened.node == await nodes.read_node(path)
        return await opened.reader.read(0, 1 << 24)
    finally:
        opened.reader.close()


async def keys(nodes, **query):
    page = await nodes.index.list_keys(**query)
    return [entry if isinstance(entry, str) else entry.path for entry in page.entries]


async def test_a_write_is_read_listed_and_counted_at_once(nodes):
    meta = NodeMeta(content_type="text/plain", user={"k": "v"})
    node = await put(nodes, "a/b/c.txt", b"hello", meta=meta, mtime_ns=1_600_000_000_123_456_789)
    assert node.etag == hashlib.md5(b"hello").hexdigest() == node.content_hash
    assert (node.size, node.mtime_ns, node.meta) == (5, 1_600_000_000_123_456_789, meta)
    assert await nodes.read_node("a/b/c.txt") == node
    assert await read(nodes, "a/b/c.txt") == b"hello"
    assert await keys(nodes) == ["a/b/c.txt"]
    assert await keys(nodes, delimiter="/") == ["a/"]
    usage = await nodes.index.usage("")
    assert (usage.files, usage.bytes, usage.folders) == (1, 5, 2)
    assert await nodes.index.find_node(node.uuid) == node


async def test_bodies_of_any_size_come_back_as_they_were(nodes):
    for size in (0, 1, 65_536, 65_537, 3_000_000):
        data = bytes(n % 251 for n in range(min(size, 5000))) * (size // 5000 + 1)
        node = await nodes.put_node(
            f"s/{size}", chunks(data[: size // 3], data[size // 3 : size]), PlainDigest(), WriteOptions(size=size)
        )
        assert node.size == size
        assert await read(nodes, f"s/{size}") == data[:size]


async def test_overwriting_keeps_the_uuid_and_replaces_everything_else(nodes):
    first = await put(nodes, "x", b"one", meta=NodeMeta(user={"old": "1"}, tags={"t": "1"}))
    second = await put(nodes, "x", b"two!")
    assert second.uuid == first.uuid
    assert second.size == 4
    assert second.meta == NodeMeta()
    assert second.etag != first.etag
    assert await read(nodes, "x") == b"two!"


async def test_a_refused_digest_or_a_broken_body_leaves_the_old_object(nodes):
    await put(nodes, "x", b"old")

    class Refusing(PlainDigest):
        def verify(self):
            raise Invalid("wrong", reason="bad_digest")

    async def broken():
        yield b"x" * 200_000
        raise Invalid("cut", reason="incomplete")

    for path in ("x", "n/new"):
        with pytest.raises(Invalid):
            await nodes.put_node(path, chunks(b"new"), Refusing(), WriteOptions())
        with pytest.raises(Invalid):
            await nodes.put_node(path, broken(), PlainDigest(), WriteOptions(size=400_000))
    assert await read(nodes, "x") == b"old"
    assert await keys(nodes) == ["x"]


async def test_what_is_not_there_is_not_found(nodes):
    await put(nodes, "d/x")
    for path in ("y", "d/y", "d", "e/", "d/x/", "d/x/y"):
        with pytest.raises(NotFound):
            await nodes.read_node(path)
        with pytest.raises(NotFound):
            await nodes.open_node(path)
        assert await nodes.delete_node(path) is False
    with pytest.raises(NotFound):
        await nodes.open_node("d/")
    with pytest.raises(NotFound):
        await nodes.copy_node("y", "z")
    with pytest.raises(NotFound):
        await nodes.move_node("y", "z")
    with pytest.raises(NotFound):
        await nodes.update_meta("y", lambda meta: meta)
    assert await nodes.delete_nodes(["y", "d/y", "e/"]) == [None] * 3
    assert await keys(nodes) == ["d/x"]


@pytest.mark.parametrize("path", ["", "a/", "k" * 1025, "é" * 513, "\ud800", "a/\udcff"])
async def test_no_format_takes_what_is_no_key(nodes, path):
    with pytest.raises((Invalid, TooLarge)):
        await put(nodes, path)
    with pytest.raises((Invalid, TooLarge)):
        await nodes.create_upload(path, b"")
    assert await keys(nodes) == []


async def test_of_many_exclusive_writers_exactly_one_wins(nodes):
    async def attempt(n):
        try:
            await put(nodes, "one", b"%d" % n, conditions=Conditions(if_none_match="*"))
        except PreconditionFailed:
            return None
        return n

    winners = [n for n in await asyncio.gather(*(attempt(n) for n in range(16))) if n is not None]
    assert len(winners) == 1
    assert await read(nodes, "one") == b"%d" % winners[0]


async def test_conditions_hold_at_the_moment_of_the_commit(nodes):
    with pytest.raises(NotFound):
        await put(nodes, "x", conditions=Conditions(if_match="*"))
    node = await put(nodes, "x", b"1", conditions=Conditions(if_none_match="*"))
    for wrong in (Conditions(if_none_match="*"), Conditions(if_match="0" * 32), Conditions(if_none_match=node.etag)):
        with pytest.raises(PreconditionFailed):
            await put(nodes, "x", b"2", conditions=wrong)
        if wrong.if_match or wrong.if_none_match == "*":
            with pytest.raises(PreconditionFailed):
                await nodes.copy_node("x", "x", CopyOptions(conditions=wrong))
    await put(nodes, "x", b"2", conditions=Conditions(if_match=node.etag))
    with pytest.raises(PreconditionFailed):
        await nodes.delete_node("x", Conditions(if_match=node.etag))
    assert await nodes.delete_node("x", Conditions(if_match=hashlib.md5(b"2").hexdigest())) is True
    with pytest.raises(NotFound):
        await nodes.delete_node("x", Conditions(if_match=node.etag))


async def test_racing_writers_of_one_key_leave_one_version_whole(nodes):
    await asyncio.gather(*(put(nodes, "k", b"v%d" % n * (n + 1)) for n in range(24)))
    data = await read(nodes, "k")
    node = await nodes.read_node("k")
    assert node.size == len(data)
    assert node.etag == hashlib.md5(data).hexdigest()


async def test_writers_readers_movers_and_deleters_of_the_same_keys_never_see_half_of_anything(nodes):
    if nodes.config.format == "structured" and not nodes._objects.capabilities(nodes.config.name).local:
        pytest.skip("moto ignores the condition on a copy's source, so what is copied may not be what was looked at")
    bodies = {hashlib.md5(b"%d" % n * 1000).hexdigest(): b"%d" % n * 1000 for n in range(8)}

    async def work(n):
        for step in range(12):
            path = f"d/{(n + step) % 3}"
            try:
                if n % 4 == 3:
                    await nodes.move_node(path, f"d/{step % 3}")
                elif n % 4 == 2 and step % 3 == 0:
                    await nodes.delete_node(path)
                elif n % 4 == 1:
                    await nodes.copy_node(path, f"d/{step % 3}", CopyOptions())
                else:
                    await put(nodes, path, b"%d" % n * 1000)
                opened = await nodes.open_node(path)
                data = await opened.reader.read(0, 1 << 20)
            except (NotFound, Conflict):
                continue
            opened.reader.close()
            assert bodies[hashlib.md5(data).hexdigest()] == data
            assert opened.node.effective_etag in bodies

    await asyncio.gather(*(work(n) for n in range(8)))
    for path in await keys(nodes):
        data = await read(nodes, path)
        assert (await nodes.read_node(path)).etag == hashlib.md5(data).hexdigest()
    assert await nodes.index.verify() == []


async def test_a_cancelled_write_is_whole_or_nothing(nodes):
    await put(nodes, "x", b"old")
    for turns in range(12):
        task = asyncio.ensure_future(put(nodes, "x", b"new%d" % turns))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        data = await read(nodes, "x")
        # A structured datasource may have to look at the file again: then its hash is not known yet.
        assert (await nodes.read_node("x")).etag in (hashlib.md5(data).hexdigest(), "")
    await put(nodes, "x", b"last")
    assert await read(nodes, "x") == b"last"


async def test_a_reader_keeps_the_version_it_opened(nodes):
    await put(nodes, "x", b"old" * 1000)
    opened = await nodes.open_node("x")
    await put(nodes, "x", b"new")
    await nodes.delete_node("x")
    assert await opened.reader.read(0, 9000) == b"old" * 1000
    opened.reader.close()


async def test_deleting_takes_the_folders_along_that_only_the_key_implied(nodes):
    await nodes.create_folder("mine/")
    await put(nodes, "mine/a/b/x")
    await put(nodes, "mine/a/y")
    assert await nodes.delete_node("mine/a/b/x") is True
    with pytest.raises(NotFound):
        await nodes.read_node("mine/a/b/")
    assert (await nodes.read_node("mine/a/")).kind is FolderKind.IMPLICIT
    assert await nodes.delete_node("mine/a/y") is True
    with pytest.raises(NotFound):
        await nodes.read_node("mine/a/")
    assert await keys(nodes) == ["mine/"], "a folder that somebody made stays"
    assert await nodes.delete_node("mine/a/y") is False


async def test_deleting_many_at_once(nodes):
    await nodes.create_folder("m/", FolderKind.MARKER)
    await nodes.create_folder("m/n/", FolderKind.MARKER)
    await put(nodes, "full/x")
    for n in range(30):
        await put(nodes, f"d{n % 3}/f{n}")
    paths = [f"d{n % 3}/f{n}" for n in range(30)] + ["absent", "m/", "m/n/", "full/", "absent"]
    outcome = await nodes.delete_nodes(paths)
    assert outcome[:33] == [None] * 33
    assert isinstance(outcome[33], Conflict)
    assert await keys(nodes) == ["full/x"]
    assert (await nodes.index.usage("")).folders == 1


async def test_a_marker_is_a_key_until_it_is_deleted(nodes):
    await nodes.create_folder("m/", FolderKind.MARKER, NodeMeta(user={"a": "b"}))
    await put(nodes, "m/x")
    assert await keys(nodes) == ["m/", "m/x"]
    assert (await nodes.read_node("m/")).meta.user == {"a": "b"}
    await nodes.update_meta("m/", lambda meta: replace(meta, tags={"t": "1"}))
    assert (await nodes.read_node("m/")).meta == NodeMeta(user={"a": "b"}, tags={"t": "1"})
    assert await nodes.delete_node("m/") is True
    assert await keys(nodes) == ["m/x"]
    with pytest.raises(Conflict):
        await nodes.delete_node("m/")
    assert await nodes.delete_node("m/x") is True
    assert await keys(nodes) == []


async def test_copying_keeps_content_time_and_metadata_under_a_new_uuid(nodes):
    node = await put(nodes, "a", b"x" * 100_000, meta=NodeMeta(user={"k": "v"}), mtime_ns=1_500_000_000_000_000_007)
    copy = await nodes.copy_node("a", "deep/b")
    assert copy.uuid != node.uuid
    assert (copy.etag, copy.meta, copy.mtime_ns, copy.size) == (node.etag, node.meta, node.mtime_ns, node.size)
    assert await read(nodes, "deep/b") == b"x" * 100_000
    other = await nodes.copy_node("a", "deep/b", CopyOptions(meta=NodeMeta(user={"n": "w"}), mtime_ns=10**18))
    assert (other.uuid, other.meta.user, other.mtime_ns) == (copy.uuid, {"n": "w"}, 10**18)
    await nodes.delete_node("a")
    assert await read(nodes, "deep/b") == b"x" * 100_000
    with pytest.raises(PreconditionFailed):
        await nodes.copy_node("deep/b", "c", CopyOptions(source_etag="0" * 32))


async def test_copying_onto_itself_changes_metadata_and_time_only(nodes, events):
    node = await put(nodes, "a", b"xyz", meta=NodeMeta(user={"k": "v"}))
    events.clear()
    options = CopyOptions(meta=NodeMeta(user={"n": "w"}), mtime_ns=1_400_000_000_000_000_001)
    new = await nodes.copy_node("a", "a", options)
    assert (new.uuid, new.etag, new.meta.user) == (node.uuid, node.etag, {"n": "w"})
    assert new.mtime_ns == 1_400_000_000_000_000_001
    assert await read(nodes, "a") == b"xyz"
    expected = [] if nodes.config.format is Format.INTERNAL else ["update_meta"]
    assert [event.kind for event in events] == expected


async def test_moving_a_folder_keeps_every_uuid_and_is_one_event(nodes, events):
    before = {f"{n % 4}/f{n}": (await put(nodes, f"old/{n % 4}/f{n}", b"%d" % n)).uuid for n in range(20)}
    uuid = (await nodes.read_node("old/")).uuid
    events.clear()
    moved = await nodes.move_node("old/", "new/place/")
    assert moved.uuid == uuid
    if nodes.config.format is not Format.INTERNAL:
        assert [e.source for e in events if e.kind == "update_path"] == ["old/"]
    for path, old_uuid in before.items():
        assert (await nodes.read_node("new/place/" + path)).uuid == old_uuid
        assert await read(nodes, "new/place/" + path) == path.rpartition("f")[2].encode()
    with pytest.raises(NotFound):
        await nodes.read_node("old/0/f0")
    assert await nodes.index.verify() == []


async def test_moving_a_file_replaces_the_target_and_prunes(nodes):
    a = await put(nodes, "x/a", b"A")
    await put(nodes, "b", b"B")
    moved = await nodes.move_node("x/a", "b")
    assert moved.uuid == a.uuid
    assert await read(nodes, "b") == b"A"
    assert await keys(nodes) == ["b"]
    with pytest.raises(NotFound):
        await nodes.read_node("x/")
    await nodes.create_folder("f/")
    await nodes.create_folder("g/")
    for target in ("f/g/", "g/"):
        with pytest.raises(Conflict):
            await nodes.move_node("f/", target)
    for source, target in (("b", "f/"), ("f/", "b"), ("", "f/"), ("b", "")):
        with pytest.raises(Invalid):
            await nodes.move_node(source, target)
    assert await nodes.move_node("b", "b") == await nodes.read_node("b")


async def test_every_change_has_its_event_and_number(nodes, events):
    await put(nodes, "x", b"1")
    await put(nodes, "x", b"22")
    await nodes.update_meta("x", lambda meta: replace(meta, tags={"t": "1"}))
    await nodes.move_node("x", "y")
    await nodes.delete_node("y")
    kinds = ["create", "update_content", "update_meta", "update_path", "delete"]
    assert [event.kind for event in (await nodes.index.changes()).events] == kinds
    if nodes.config.format is Format.INTERNAL:
        assert events == [], "an internal datasource is silent"
    else:
        assert [event.kind for event in events] == kinds
        assert [event.seq for event in events] == list(range(events[0].seq, events[0].seq + 5))


async def test_an_upload_in_parts_becomes_one_object(nodes):
    old = await put(nodes, "big/file", b"before")
    upload = await nodes.create_upload("big/file", b"{}")
    parts = []
    for number, data in [(2, b"b" * 5_000_000), (1, b"a" * 5_242_880), (3, b"c")]:
        parts.append(await nodes.put_part(upload.upload_id, number, chunks(data), PlainDigest(), len(data)))
    parts.sort(key=lambda part: part.number)
    assert [p.number for p in await nodes.list_parts(upload.upload_id, 0, 10)] == [1, 2, 3]
    assert [u.key for u in await nodes.list_uploads("", "", "", 10)] == ["big/file"]
    assert await read(nodes, "big/file") == b"before"
    meta = NodeMeta(user={"k": "v"}, checksum=Checksum("CRC32", "AAAA"))
    node = await nodes.complete_upload(upload.upload_id, parts, "abc-3", WriteOptions(meta=meta))
    assert (node.etag, node.uuid, node.meta) == ("abc-3", old.uuid, meta)
    assert await read(nodes, "big/file") == b"a" * 5_242_880 + b"b" * 5_000_000 + b"c"
    assert await nodes.list_uploads("", "", "", 10) == []
    with pytest.raises(NotFound):
        await nodes.read_upload(upload.upload_id)


async def test_an_aborted_upload_leaves_nothing(nodes):
    upload = await nodes.create_upload("k", b"")
    await nodes.put_part(upload.upload_id, 1, chunks(b"x" * 100_000), PlainDigest(), 100_000)
    await nodes.abort_upload(upload.upload_id)
    with pytest.raises(NotFound):
        await nodes.abort_upload(upload.upload_id)
    assert await keys(nodes) == []


async def test_metadata_is_changed_in_one_step_beside_writers(nodes):
    await put(nodes, "k", b"0")

    async def tag(n):
        await nodes.update_meta("k", lambda meta: replace(meta, tags=meta.tags | {str(n): "x"}))

    await asyncio.gather(*(tag(n) for n in range(12)))
    assert sorted((await nodes.read_node("k")).meta.tags, key=int) == [str(n) for n in range(12)]
    await asyncio.gather(tag(99), put(nodes, "k", b"new", meta=NodeMeta(user={"v": "2"})))
    assert (await nodes.read_node("k")).meta.user == {"v": "2"}


UNNAMEABLE = ["a//b", "/a", "../a", "a/../b", "./a", "a/./b", "nul\0", "é" * 128, ".pydio", "a/.cellsmono/x"]


async def test_structured_refuses_what_no_folder_holds_and_flat_takes_it(nodes):
    await put(nodes, "foo")
    wanted = [*UNNAMEABLE, "foo/bar", "foo//", "k" * 1024]
    for path in wanted:
        if nodes.config.format is Format.STRUCTURED:
            with pytest.raises(CellsError):
                await nodes.create_folder(path) if path.endswith("/") else await put(nodes, path)
        elif path.endswith("/"):
            await nodes.create_folder(path, FolderKind.MARKER)
        else:
            await put(nodes, path, path.encode())
    if nodes.config.format is Format.STRUCTURED:
        assert await keys(nodes) == ["foo"]
        return
    assert await keys(nodes) == sorted([*wanted, "foo"])
    for path in UNNAMEABLE:
        assert await read(nodes, path) == path.encode()
    assert await nodes.index.verify() == []
    assert await nodes.delete_nodes(wanted) == [None] * len(wanted)
    assert await keys(nodes) == ["foo"]
    assert (await nodes.index.usage("")).folders == 0
