"""Flat and internal datasources in the whole application: their folders, neighbours, a restart, a second process."""

import asyncio
import os
import subprocess
import sys

import pytest

from cellsmono.datasource.flat.service import BlobsService
from cellsmono.interfaces.datasource import DatasourceConfig, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.operations import BlobProblem
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.topics import INDEX_CHANGES
from cellsmono.kernel.errors import DISK_FAILED, Conflict, Corrupt, Invalid, Unavailable
from cellsmono.kernel.service import ServiceState

OWNER = Actor("owner")


async def one_chunk(data):
    yield data


async def put(router, root, key, data=b"data"):
    return await router.put_node(OWNER, root, key, one_chunk(data), PlainDigest(), WriteOptions())


async def read(router, root, key):
    opened = await router.open_node(OWNER, root, key)
    try:
        return await opened.reader.read(0, 1 << 20)
    finally:
        opened.reader.close()


async def test_it_has_objects_and_an_index_but_no_synchronizer_and_survives_a_restart(open_it, make_source, tmp_path):
    source = make_source("blobs", format="flat")
    async with open_it(source) as core:
        node = await put(core.router, "blobs", "a//b/../c", b"hello")
        rows = {row.name: row for row in core.registry.list_rows() if row.tag == "datasource"}
        assert sorted(rows) == ["data.blobs.blobs", "data.hashes.blobs", "data.index.blobs", "data.objects.local1"]
        assert rows["data.index.blobs"].detail == "flat"
        info = await core.installation.read_datasource("blobs")
        assert (info.state, info.sync) == (ServiceState.READY, None)
    blob = tmp_path / "trees/blobs" / node.uuid[9:11] / node.uuid
    assert blob.read_bytes() == b"hello"
    assert os.getxattr(blob, "user.cellsmono.path") == b"a//b/../c"
    assert not list(blob.parent.glob(".pydio"))
    async with open_it(source) as core:
        assert await core.router.read_node(OWNER, "blobs", "a//b/../c") == node
        assert await read(core.router, "blobs", "a//b/../c") == b"hello"
        assert await core.router.list_roots(OWNER)


async def test_resync_says_what_to_do_instead(open_it, make_source):
    async with open_it(make_source("blobs", format="flat"), make_source("inner", format="internal")) as core:
        for name in ("blobs", "inner"):
            with pytest.raises(Invalid, match=f"cellsmono ds check {name}") as caught:
                await core.installation.resync(name)
            assert caught.value.reason == "format"
            assert (await core.installation.check(name)).is_fine


async def test_metrics_and_health_cope(open_it, make_source):
    async with open_it(make_source("blobs", format="flat"), make_source("docs"), server=True) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.addresses["main"].port)
        for path, wanted in (("/readyz", b'"ready":true'), ("/metrics", b'index_files{datasource="blobs"}')):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            assert wanted in body
            assert b'sync_pending{datasource="blobs"}' not in body
        writer.close()
        await writer.wait_closed()


async def test_an_internal_one_tells_nobody(open_it, make_source):
    async with open_it(make_source("thumbs", format="internal"), make_source("blobs", format="flat")) as core:
        with core.bus.subscribe(INDEX_CHANGES, "test") as subscription:
            thumbs = core.datasources.triple("thumbs").store
            await thumbs.put_node("x", one_chunk(b"data"), PlainDigest())
            await put(core.router, "blobs", "y")
            assert (await anext(subscription)).path == "y"
        changes = await thumbs.index.changes()
        assert [(event.kind, event.path) for event in changes.events] == [("create", "x")]


async def test_a_folder_of_files_is_no_flat_store_and_a_flat_store_no_folder_of_files(open_it, make_source, tmp_path):
    files, blobs = make_source("files"), make_source("blobs", format="flat")
    (tmp_path / "trees/files/mine.txt").write_text("x")
    async with open_it(blobs) as core:
        with pytest.raises(Unavailable, match="structured"):
            await core.installation.add_datasource(DatasourceConfig(**files, format="flat"))
        assert core.datasources.names() == ["blobs"]
        await put(core.router, "blobs", "k")
        await core.installation.add_datasource(DatasourceConfig(**files))
    async with open_it(make_source("blobs")) as core:
        info = await core.installation.read_datasource("blobs")
        assert info.state is ServiceState.FAILED
        assert "flat" in info.error
        assert core.datasources.names() == ["files"]
    assert (tmp_path / "trees/files/mine.txt").read_text() == "x"


async def test_an_empty_folder_in_place_of_the_store_is_a_disk_that_is_not_mounted(open_it, make_source, tmp_path):
    source = make_source("blobs", format="flat")
    root, away = tmp_path / "trees/blobs", tmp_path / "trees/away"
    async with open_it(source) as core:
        await put(core.router, "blobs", "k")
        root.rename(away)
        root.mkdir()
        for call in (put(core.router, "blobs", "new"), read(core.router, "blobs", "k")):
            with pytest.raises(Unavailable, match="mounted"):
                await call
        root.rmdir()
        away.rename(root)
        assert await read(core.router, "blobs", "k") == b"data"
        root.rename(away)
    root.mkdir()
    async with open_it(source) as core:
        assert "mounted" in (await core.installation.read_datasource("blobs")).error
    assert list(root.iterdir()) == []


async def test_the_blobs_of_another_datasource_are_refused(open_it, make_source, tmp_path):
    sources = [make_source("one", format="flat"), make_source("two", format="flat")]
    async with open_it(*sources) as core:
        for name in ("one", "two"):
            await put(core.router, name, "k")
    (tmp_path / "trees/one").rename(tmp_path / "trees/x")
    (tmp_path / "trees/two").rename(tmp_path / "trees/one")
    async with open_it(sources[0]) as core:
        assert "another datasource" in (await core.installation.read_datasource("one")).error


async def test_a_missing_blob_is_told_and_its_node_kept(open_it, make_source, tmp_path):
    async with open_it(make_source("blobs", format="flat")) as core:
        node = await put(core.router, "blobs", "d/k")
        (tmp_path / "trees/blobs" / node.uuid[9:11] / node.uuid).unlink()
        with pytest.raises(Corrupt, match="ds check"):
            await read(core.router, "blobs", "d/k")
        report = await core.installation.check("blobs", repair=True)
        assert not report.is_fine
        assert [(each.problem, each.path) for each in report.blobs.findings] == [(BlobProblem.MISSING, "d/k")]
        assert (await core.router.read_node(OWNER, "blobs", "d/k")).uuid == node.uuid
        await put(core.router, "blobs", "d/k", b"again")
        assert (await core.installation.check("blobs")).is_fine


async def test_a_second_process_is_refused(open_it, make_source, tmp_path):
    source = make_source("blobs", format="flat")
    script = (
        "import fcntl, os, sys\n"
        "folder = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)\n"
        "fcntl.flock(folder, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, source["folder"]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        async with open_it(source) as core:
            assert "served by another process" in (await core.installation.read_datasource("blobs")).error
        other.stdin.close()
    async with open_it(source) as core:
        await put(core.router, "blobs", "k")
        async with open_it(source, data=tmp_path / "second") as second:
            assert "served by another process" in (await second.installation.read_datasource("blobs")).error


async def test_a_removed_one_comes_back_with_its_tree_and_another_format_is_not_mixed_up_with_it(
    open_it, make_source, tmp_path
):
    source = DatasourceConfig(**make_source("blobs", format="flat"))
    async with open_it() as core:
        await core.installation.add_datasource(source)
        node = await put(core.router, "blobs", "a/b")
        await core.installation.remove_datasource("blobs")
        await core.installation.add_datasource(DatasourceConfig(**make_source("blobs", "other/blobs")))
        assert (await core.router.list_keys(OWNER, "blobs")).entries == ()
        await core.installation.remove_datasource("blobs")
        await core.installation.add_datasource(source)
        assert await core.router.read_node(OWNER, "blobs", "a/b") == node
        assert await read(core.router, "blobs", "a/b") == b"data"


async def test_a_removed_one_comes_back_after_it_was_added_in_the_wrong_format(open_it, make_source):
    flat = make_source("blobs", format="flat")
    async with open_it() as core:
        await core.installation.add_datasource(DatasourceConfig(**flat))
        node = await put(core.router, "blobs", "a/b")
        await core.installation.remove_datasource("blobs")
        with pytest.raises(Unavailable, match="is a flat store"):
            await core.installation.add_datasource(DatasourceConfig(**flat | {"format": "structured"}))
        await core.installation.add_datasource(DatasourceConfig(**flat))
        assert await core.router.read_node(OWNER, "blobs", "a/b") == node
        assert await read(core.router, "blobs", "a/b") == b"data"


async def test_the_index_of_a_flat_one_is_never_compared_with_a_folder(open_it, make_source, tmp_path):
    flat = make_source("blobs", format="flat")
    async with open_it(flat) as core:
        node = await put(core.router, "blobs", "k")
    async with open_it(make_source("blobs", "elsewhere/plain")) as core:
        assert "only one to know" in (await core.installation.read_datasource("blobs")).error
    async with open_it() as core:
        with pytest.raises(Unavailable, match="only one to know"):
            await core.installation.add_datasource(DatasourceConfig(**make_source("blobs", "elsewhere/plain")))
    async with open_it(flat) as core:
        assert await core.router.read_node(OWNER, "blobs", "k") == node
    index = tmp_path / "data/datasources/blobs/index.db"
    index.rename(tmp_path / "away.db")
    for _ in range(2):
        async with open_it(make_source("blobs", "elsewhere/plain")) as core:
            await put(core.router, "blobs", "other")
    index.unlink()
    (tmp_path / "away.db").rename(index)
    async with open_it(flat) as core:
        assert await core.router.read_node(OWNER, "blobs", "k") == node


async def test_a_lost_index_leaves_the_files_to_be_brought_back(open_it, make_source, tmp_path):
    source = make_source("blobs", format="flat")
    async with open_it(source) as core:
        made = {key: await put(core.router, "blobs", key, key.encode()) for key in ("a/b", "c", "x/" + "k" * 1022)}
        root = await core.router.read_node(OWNER, "blobs", "")
        (tmp_path / "trees/blobs/stray.txt").write_text("not ours")
    for path in (tmp_path / "data/datasources/blobs").iterdir():
        path.unlink()
    async with open_it(source) as core:
        assert (await core.router.read_node(OWNER, "blobs", "")).uuid == root.uuid
        store = core.datasources.triple("blobs").store
        assert (await core.installation.check("blobs", repair=True)).blobs.young == 3, "not before the grace is over"
        core.installation._clock = Later(3 * 3600)
        report = await core.installation.check("blobs", repair=True)
        assert report.is_fine
        assert (report.blobs.attached, report.blobs.count(BlobProblem.FOREIGN)) == (3, 1)
        long = made["x/" + "k" * 1022]
        for path, node in (("a/b", made["a/b"]), ("c", made["c"]), (long.uuid, long)):
            back = await store.read_node("lost+found/" + path)
            assert (back.uuid, back.size, back.etag) == (node.uuid, node.size, node.etag)
        assert await read(core.router, "blobs", "lost+found/a/b") == b"a/b"
        assert (tmp_path / "trees/blobs/stray.txt").exists()


async def test_what_a_crash_left_of_replaced_content_is_removed_in_the_background(open_it, make_source, tmp_path):
    source = make_source("blobs", format="flat")
    async with open_it(source) as core:
        node = await put(core.router, "blobs", "k")
        left = tmp_path / "trees/blobs" / node.uuid[9:11] / f"{node.uuid}.1"
        lost = tmp_path / "trees/blobs/aa/00000000-aaaa-7000-8000-000000000000"
        lost.parent.mkdir(exist_ok=True)
        for blob in (left, lost):
            blob.write_bytes(b"before")
            os.utime(blob, (1, 1))
        store = core.datasources.triple("blobs").store
        service = BlobsService(
            store.config, store.blobs.objects, store.blobs.objects, store.index, core.clock, sweep=True
        )
        service.store = store
        assert await service.remove_superseded() is False
        assert left.exists(), "a start is no time for looking at every blob"
        assert await service.remove_superseded() is False
        assert not left.exists()
        assert lost.exists(), "what is lost waits for somebody to ask"
        store.alarm.hear(Unavailable("the disk failed", reason=DISK_FAILED))
        assert service.status().state is ServiceState.DEGRADED


class Later:
    """The machine's clock, some time ahead."""

    def __init__(self, seconds):
        from cellsmono.kernel.clock import SystemClock

        self._clock, self._seconds = SystemClock(), seconds

    def time(self):
        return self._clock.time() + self._seconds

    def time_ns(self):
        return self._clock.time_ns() + self._seconds * 10**9

    def monotonic(self):
        return self._clock.monotonic()


async def test_buckets_are_made_in_the_configured_format_and_removed_when_empty(open_it, tmp_path):
    async with open_it() as core:
        await core.router.create_root(OWNER, "made")
        assert core.datasources.triple("made").store.config.format == "flat"
        await put(core.router, "made", "foo")
        await put(core.router, "made", "foo/bar")
        with pytest.raises(Conflict):
            await core.router.delete_root(OWNER, "made")
        await core.router.delete_nodes(OWNER, "made", ["foo", "foo/bar"])
        stray = tmp_path / "data/buckets/made/aa/00000000-aaaa-7000-8000-000000000000"
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("a blob of nobody")
        with pytest.raises(Conflict, match="lost"):
            await core.router.delete_root(OWNER, "made")
        assert core.datasources.names() == ["made"]
        stray.unlink()
        await core.router.delete_root(OWNER, "made")
        assert not (tmp_path / "data/buckets/made").exists()
    async with open_it(s3=['bucket_format = "structured"']) as core:
        await core.router.create_root(OWNER, "plain")
        assert core.datasources.triple("plain").store.config.format == "structured"
    async with open_it() as core:
        assert core.datasources.triple("plain").store.config.format == "structured", "the default is for new ones"
