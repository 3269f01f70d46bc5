"""The whole application in process: datasources come and go, and what was made survives a restart."""

import asyncio
import time

import pytest

from cellsmono.interfaces.datasource import DatasourceConfig, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.topics import INDEX_CHANGES
from cellsmono.kernel.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, Unavailable
from cellsmono.kernel.service import ServiceState

OWNER = Actor("owner")
ANYBODY = Actor("anonymous", "anonymous")


async def one_chunk(data):
    yield data


async def put(router, root, key, data=b"data", actor=OWNER):
    return await router.put_node(actor, root, key, one_chunk(data), PlainDigest(), WriteOptions())


@pytest.mark.parametrize("format_", ["flat", "structured"])
async def test_a_bucket_that_was_made_is_there_after_a_restart(open_it, tmp_path, format_):
    async with open_it(s3=[f'bucket_format = "{format_}"']) as core:
        made = await core.router.create_root(OWNER, "new-bucket")
        assert abs(made.created - time.time()) < 60
        await put(core.router, "new-bucket", "a/b")
        with pytest.raises(AlreadyExists):
            await core.router.create_root(OWNER, "new-bucket")
    assert (tmp_path / "data/buckets/new-bucket/a/b").exists() is (format_ == "structured")
    async with open_it() as core:
        assert await core.router.list_roots(OWNER) == [made]
        assert (await core.router.read_node(OWNER, "new-bucket", "a/b")).size == 4
        with pytest.raises(Conflict) as caught:
            await core.router.delete_root(OWNER, "new-bucket")
        assert caught.value.reason == "not_empty"
        await core.router.delete_node(OWNER, "new-bucket", "a/b")
        await core.router.delete_root(OWNER, "new-bucket")
        with pytest.raises(NotFound):
            await core.router.read_root(OWNER, "new-bucket")
    assert not (tmp_path / "data/buckets/new-bucket").exists()
    async with open_it() as core:
        assert await core.router.list_roots(OWNER) == []


@pytest.mark.parametrize("name", ["ab", "Upper", "under_score", "-dash", "a/b", "x" * 64, ".."])
async def test_a_bad_bucket_name_is_refused_and_makes_nothing(open_it, tmp_path, name):
    async with open_it() as core:
        with pytest.raises(Invalid) as caught:
            await core.router.create_root(OWNER, name)
        assert caught.value.reason == "name"
    assert not (tmp_path / "data/buckets").exists()


@pytest.mark.parametrize("format_", ["flat", "structured"])
async def test_a_bucket_with_a_file_behind_the_back_is_not_deleted(open_it, tmp_path, format_):
    async with open_it(s3=[f'bucket_format = "{format_}"']) as core:
        await core.router.create_root(OWNER, "bucket")
        (tmp_path / "data/buckets/bucket/precious").write_text("x")
        with pytest.raises(Conflict):
            await core.router.delete_root(OWNER, "bucket")
    assert (tmp_path / "data/buckets/bucket/precious").exists()


async def test_siblings_share_an_object_service_and_others_have_their_own(open_it, make_source):
    sources = [make_source("one"), make_source("two"), make_source("far", "elsewhere/far")]
    async with open_it(*sources) as core:
        names = [row.name for row in core.registry.list_rows() if row.tag == "datasource"]
        assert sorted(names) == [
            *("data.hashes.far", "data.hashes.one", "data.hashes.two"),
            *("data.index.far", "data.index.one", "data.index.two"),
            *("data.objects.local1", "data.objects.local2"),
            *("data.sync.far", "data.sync.one", "data.sync.two"),
        ]
        infos = {info.config.name: info.objects for info in await core.installation.list_datasources()}
        assert infos["one"] == infos["two"] != infos["far"]


async def test_a_tree_inside_another_is_refused_and_the_others_serve(open_it, make_source, tmp_path):
    outer = make_source("outer")
    (tmp_path / "trees/outer/sub").mkdir()
    inner = make_source("inner", "trees/outer/sub")
    async with open_it(outer, inner) as core:
        infos = {info.config.name: info for info in await core.installation.list_datasources()}
        assert infos["outer"].state is ServiceState.READY
        assert infos["inner"].state is ServiceState.FAILED
        assert "inside" in infos["inner"].error
        with pytest.raises(Unavailable, match="inside"):
            await put(core.router, "inner", "x")
        await put(core.router, "outer", "x")
        with pytest.raises(Conflict) as caught:
            await core.installation.add_datasource(DatasourceConfig(name="more", folder=inner["folder"]))
        assert caught.value.reason == "nested"
        assert [config.name for config in core.datasources.configs()] == ["inner", "outer"]


async def test_a_folder_is_added_and_removed_at_run_time(open_it, make_source, tmp_path):
    source = make_source("added")
    (tmp_path / "trees/added/was-there").write_text("x")
    async with open_it() as core:
        info = await core.installation.add_datasource(DatasourceConfig(**source))
        assert (info.origin, info.objects) == ("store", "data.objects.local1")
        await core.installation.resync("added")
        assert (await core.router.list_keys(OWNER, "added")).entries[0].path == "was-there"
        with pytest.raises(AlreadyExists):
            await core.installation.add_datasource(DatasourceConfig(**source))
    async with open_it() as core:
        assert core.datasources.names() == ["added"]
        await core.installation.remove_datasource("added")
        assert [row for row in core.registry.list_rows() if row.tag == "datasource"] == []
        with pytest.raises(NotFound):
            await core.installation.remove_datasource("added")
    assert (tmp_path / "trees/added/was-there").exists(), "removing a datasource never deletes files"
    async with open_it() as core:
        assert core.datasources.names() == []


async def test_a_configured_datasource_is_removed_in_the_configuration_only(open_it, make_source):
    async with open_it(make_source("fixed")) as core:
        with pytest.raises(Conflict) as caught:
            await core.installation.remove_datasource("fixed")
        assert caught.value.reason == "configured"
        assert core.datasources.names() == ["fixed"]


async def test_a_corrupt_index_fails_one_datasource_and_names_the_remedy(open_it, make_source, tmp_path):
    sources = [make_source("good"), make_source("bad")]
    async with open_it(*sources):
        pass
    (tmp_path / "data/datasources/bad/index.db").write_bytes(b"this is no database" * 1000)
    async with open_it(*sources) as core:
        await put(core.router, "good", "x")
        info = await core.installation.read_datasource("bad")
        assert info.state is ServiceState.FAILED
        assert "delete" in info.error


async def test_a_lost_index_is_rebuilt_with_the_same_folder_uuids(open_it, make_source, tmp_path):
    source = make_source("docs")
    async with open_it(source) as core:
        for n in range(12):
            await put(core.router, "docs", f"d{n % 3}/e{n % 2}/f{n}", b"%d" % n)
        index = core.datasources.triple("docs").store.index
        folders = {p: (await index.read_node(p)).uuid for p in ("", "d0/", "d0/e0/", "d2/", "d2/e1/")}
        keys = [entry.path for entry in (await index.list_keys()).entries]
        etags = [entry.etag for entry in (await index.list_keys()).entries]
    for path in (tmp_path / "data/datasources/docs").iterdir():
        path.unlink()
    async with open_it(source) as core:
        await core.installation.resync("docs")
        index = core.datasources.triple("docs").store.index
        assert [entry.path for entry in (await index.list_keys()).entries] == keys
        assert {p: (await index.read_node(p)).uuid for p in folders} == folders
        assert [e.etag for e in (await index.list_keys()).entries if e.etag] in ([], etags)
        report = await core.installation.check("docs")
        assert report.is_fine


async def test_unsigned_requests_get_what_the_configuration_opens(open_it, make_source):
    sources = [make_source("shut"), make_source("open", anonymous="read"), make_source("drop", anonymous="write")]
    async with open_it(*sources) as core:
        router = core.router
        for name in ("shut", "open", "drop"):
            await put(router, name, "x")
        with pytest.raises(Forbidden):
            await router.read_node(ANYBODY, "shut", "x")
        with pytest.raises(Forbidden):
            await router.read_node(ANYBODY, "not-there", "x")
        assert (await router.read_node(ANYBODY, "open", "x")).size == 4
        with pytest.raises(Forbidden):
            await put(router, "open", "y", actor=ANYBODY)
        await put(router, "drop", "y", actor=ANYBODY)
        for call in (
            router.list_roots(ANYBODY),
            router.create_root(ANYBODY, "mine"),
            router.delete_root(ANYBODY, "drop"),
        ):
            with pytest.raises(Forbidden):
                await call


async def test_copying_across_buckets_moves_the_bytes_and_keeps_the_rest(open_it, make_source, tmp_path):
    from cellsmono.interfaces.datasource import CopyOptions

    async with open_it(make_source("one"), make_source("two", "elsewhere/two")) as core:
        node = await put(core.router, "one", "a", b"z" * 3_000_000)
        copy = await core.router.copy_node(OWNER, "one", "a", "two", "deep/b", CopyOptions())
        assert (copy.etag, copy.mtime_ns, copy.size) == (node.etag, node.mtime_ns, node.size)
        assert (tmp_path / "elsewhere/two/deep/b").read_bytes() == b"z" * 3_000_000


async def test_changes_are_published_on_the_bus(open_it, make_source):
    async with open_it(make_source("docs")) as core:
        with core.bus.subscribe(INDEX_CHANGES, "test") as subscription:
            await put(core.router, "docs", "x")
            event = await anext(subscription)
            while event.path != "x":
                event = await anext(subscription)
            assert (event.kind, event.datasource) == ("create", "docs")


async def test_edits_behind_the_back_arrive_by_themselves(open_it, make_source, tmp_path):
    async with open_it(make_source("docs")) as core:
        index = core.datasources.triple("docs").store.index
        with core.bus.subscribe(INDEX_CHANGES, "test", size=10_000) as subscription:
            await core.installation.resync("docs")
            root = tmp_path / "trees/docs"
            for n in range(20):
                (root / f"n{n}/deep/er").mkdir(parents=True)
                (root / f"n{n}/deep/er/file").write_text(str(n))
            seen = set()
            async with asyncio.timeout(30):
                while len(seen) < 20:
                    event = await anext(subscription)
                    if event.path.endswith("/file"):
                        seen.add(event.path)
                    elif event.kind == "reload":
                        seen = {k.path for k in (await index.list_keys()).entries if k.path.endswith("/file")}
        assert await index.verify() == []


async def test_the_server_tells_its_state_over_http(open_it, make_source):
    async with open_it(make_source("docs"), server=True) as server:
        assert set(server.addresses) == {"main", "s3"}
        rows = {row.name: row.state for row in await server.operations.list_services()}
        assert rows["data.lifecycle"] is ServiceState.READY
        reader, writer = await asyncio.open_connection("127.0.0.1", server.addresses["main"].port)
        for path, wanted in (("/healthz", b"ok"), ("/readyz", b'"ready":true'), ("/metrics", b"cellsmono_index_files")):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert wanted in await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()
