"""Versions of a structured datasource: kept in the internal one, also beside somebody who edits the files."""

import os

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import DatasourceConfig, Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.errors import Conflict, Corrupt, NotFound, Unavailable


async def one_chunk(data):
    yield data


class Site:
    """A folder that is served, and one for the versions."""

    def __init__(self, root) -> None:
        self.root, self.docs, self.kept = root, root / "docs", root / "kept"
        for folder in (self.docs, self.kept, root / "data"):
            folder.mkdir()

    def open(self):
        environ = {"CELLSMONO_DATA_DIR": str(self.root / "data"), "HOME": str(self.root)}
        return open_core(load_config(environ=environ), follow=False)

    async def add(self, core, *, keeper=True):
        common = {"watch": "off", "hash_content": False}
        if keeper:
            config = DatasourceConfig(name="versions", folder=str(self.kept), format=Format.INTERNAL, **common)
            await core.installation.add_datasource(config)
        await core.installation.add_datasource(DatasourceConfig(name="docs", folder=str(self.docs), **common))
        return core.datasources.triple("docs").store


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


async def put(store, path, data):
    return await store.put_node(path, one_chunk(data), PlainDigest(), WriteOptions())


async def rows(store):
    """Content of every version of every key, None for a delete marker."""
    found = {}
    for version in (await store.index.list_versions()).entries:
        body = None
        if version.node is not None:
            opened = await store.open_version(version.key, version.id)
            body = await opened.reader.read(0, 1 << 20)
            opened.reader.close()
        found.setdefault(version.key, []).append(body)
    return found


async def test_without_a_place_for_versions_there_are_none(site):
    async with site.open() as core:
        store = await site.add(core, keeper=False)
        with pytest.raises(Conflict, match="ds add versions=FOLDER --format internal") as error:
            await store.set_versioning(Versioning.ENABLED)
        assert error.value.reason == "versioning"
        await put(store, "x", b"1")
        await put(store, "x", b"2")
        assert await rows(store) == {"x": [b"2"]}


async def test_versions_outlive_a_restart_and_the_file(site):
    async with site.open() as core:
        store = await site.add(core)
        await store.set_versioning(Versioning.ENABLED)
        for body in (b"1", b"22", b"333"):
            await put(store, "a/x", body)
        await store.delete_node("a/x")
        assert not (site.docs / "a").exists()
    async with site.open() as core:
        store = core.datasources.triple("docs").store
        assert store.versioning is Versioning.ENABLED
        assert await rows(store) == {"a/x": [None, b"333", b"22", b"1"]}
        marker, newest, *_ = await store.index.read_versions("a/x")
        await store.delete_version("a/x", marker.id)
        assert (site.docs / "a" / "x").read_bytes() == b"333"
        assert (await store.read_node("a/x")).uuid == newest.node.uuid
        assert (await store.sync.resync()).changed == 0, "what came back is no change"
        await store.delete_version("a/x", newest.id)
        assert (site.docs / "a" / "x").read_bytes() == b"22"
        assert await rows(store) == {"a/x": [b"22", b"1"]}
        assert (await core.datasources.triple("versions").index.stats()).files == 1
        assert await store.index.verify() == []


async def test_what_others_change_on_the_disk_never_harms_what_is_kept(site):
    async with site.open() as core:
        store = await site.add(core)
        await store.set_versioning(Versioning.ENABLED)
        await put(store, "x", b"1")
        first = await put(store, "x", b"2")
        (site.docs / "x").write_bytes(b"by somebody else")
        await store.sync.resync()
        seen = await store.read_node("x")
        assert seen.version not in ("", first.version), "other content is another version"
        assert await rows(store) == {"x": [b"by somebody else", b"1"]}
        # A write right after a change that nobody told of yet: what was on the disk is kept, too.
        (site.docs / "x").write_bytes(b"once more, longer")
        await put(store, "x", b"3")
        assert await rows(store) == {"x": [b"3", b"once more, longer", b"1"]}
        os.unlink(site.docs / "x")
        await store.sync.resync()
        assert await rows(store) == {"x": [None, b"once more, longer", b"1"]}
        (site.docs / "x").write_bytes(b"new")
        await store.sync.resync()
        assert await rows(store) == {"x": [b"new", None, b"once more, longer", b"1"]}
        os.rename(site.docs / "x", site.docs / "y")
        await store.sync.resync()
        assert await rows(store) == {"x": [None, b"once more, longer", b"1"], "y": [b"new"]}
        assert await store.index.verify() == []


async def test_nothing_is_replaced_while_versions_can_not_be_kept(site):
    async with site.open() as core:
        store = await site.add(core)
        await store.set_versioning(Versioning.ENABLED)
        await put(store, "x", b"1")
        await core.installation.remove_datasource("versions")
        for attempt in (put(store, "x", b"2"), store.delete_node("x"), store.copy_node("x", "x")):
            with pytest.raises(Conflict):
                await attempt
        assert (site.docs / "x").read_bytes() == b"1"
        await store.move_node("x", "y")  # nothing is replaced
        assert (site.docs / "y").read_bytes() == b"1"
        await put(store, "new", b"new")
        assert [path.name for path in site.docs.rglob("t-*")] == []


async def test_content_that_is_gone_from_its_place_is_told(site):
    async with site.open() as core:
        store = await site.add(core)
        await store.set_versioning(Versioning.ENABLED)
        first = await put(store, "x", b"1")
        await put(store, "x", b"2")
        kept = core.datasources.triple("versions").store
        page = await kept.index.list_keys()
        await kept.delete_nodes([node.path for node in page.entries])
        with pytest.raises(Corrupt):
            await store.open_version("x", first.version)
        await store.delete_version("x", first.version)
        with pytest.raises(NotFound):
            await store.open_version("x", first.version)
        assert await rows(store) == {"x": [b"2"]}


async def test_a_file_that_is_written_to_all_the_time_is_not_kept_by_halves(site, monkeypatch):
    async with site.open() as core:
        store = await site.add(core)
        await store.set_versioning(Versioning.ENABLED)
        await put(store, "x", b"1")
        keep = store.keeper.keep

        async def keep_slowly(root, node, reader):
            number = await keep(root, node, reader)
            (site.docs / "x").write_bytes(b"written meanwhile")
            return number

        monkeypatch.setattr(store.keeper, "keep", keep_slowly)
        with pytest.raises((Conflict, Unavailable)):
            await put(store, "x", b"2")
        assert (site.docs / "x").read_bytes() == b"written meanwhile"
        monkeypatch.undo()
        await put(store, "x", b"3")
        assert await rows(store) == {"x": [b"3", b"written meanwhile"]}
