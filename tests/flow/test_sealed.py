"""Encryption at rest in the whole application: over restarts, beside plain content, and without its keys."""

import hashlib

import pytest

from cellsmono.app.config_sources import read_datasource
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.hashes import RehashOptions
from cellsmono.interfaces.node import is_sealed
from cellsmono.kernel.errors import Invalid, Unavailable

SECRET = b"TOP-SECRET " * 40_000


async def one_chunk(data):
    yield data


async def put(core, key, data=SECRET, root="blobs"):
    store = core.datasources.triple(root).store  # internal ones are no roots of the router
    return await store.put_node(key, one_chunk(data), PlainDigest(), WriteOptions())


async def read(core, key, root="blobs"):
    opened = await core.datasources.triple(root).store.open_node(key)
    try:
        return await opened.reader.read(0, 1 << 24)
    finally:
        opened.reader.close()


@pytest.mark.parametrize("format_", ["flat", "internal"])
async def test_nothing_plain_is_in_its_folder_and_everything_is_there_after_a_restart(
    open_it, make_source, tmp_path, format_
):
    source = make_source("blobs", format=format_, encryption="aes256")
    async with open_it(source) as core:
        node = await put(core, "a/x")
        assert node.etag == hashlib.md5(SECRET).hexdigest()
        assert (await core.installation.check("blobs", repair=True)).is_fine
        assert (await core.installation.rehash("blobs", "", RehashOptions(verify=True))).verified == 1
        await core.installation.dump_snapshot("blobs", "good.db")
    for path in (tmp_path / "trees").rglob("*"):
        if path.is_file():
            assert b"TOP-SECRET" not in path.read_bytes()
    async with open_it(source) as core:
        assert await core.datasources.triple("blobs").store.read_node("a/x") == node
        assert await read(core, "a/x") == SECRET
        await core.installation.load_snapshot("blobs", "good.db")
        assert await read(core, "a/x") == SECRET


async def test_the_setting_is_about_what_is_written_from_then_on(open_it, make_source):
    plain, sealed = make_source("blobs", format="flat"), make_source("blobs", format="flat", encryption="aes256")
    async with open_it(plain) as core:
        assert not is_sealed((await put(core, "plain")).blob)
    async with open_it(sealed) as core:
        assert await read(core, "plain") == SECRET
        assert is_sealed((await put(core, "sealed")).blob)
    async with open_it(plain) as core:
        assert await read(core, "sealed") == SECRET
        assert not is_sealed((await put(core, "more")).blob)


async def test_without_its_master_key_a_datasource_is_shown_as_failed_with_what_to_do(open_it, make_source, tmp_path):
    source = make_source("blobs", format="flat", encryption="aes256")
    async with open_it(source) as core:
        await put(core, "x")
        key = core.loaded.data_dir / "master.key"
    aside = key.rename(tmp_path / "aside")
    async with open_it(source) as core:
        info = await core.installation.read_datasource("blobs")
        assert "encryption import" in info.error
        with pytest.raises(Unavailable, match=r"master\.key"):
            await read(core, "x")
    aside.rename(key)
    async with open_it(source) as core:
        assert await read(core, "x") == SECRET


def test_a_structured_datasource_is_refused(tmp_path):
    table = {"name": "docs", "folder": str(tmp_path), "encryption": "aes256"}
    with pytest.raises(Invalid, match=r"plain files"):
        read_datasource(table, "here", tmp_path)
