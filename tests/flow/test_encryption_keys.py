"""Keys of encrypted content: renewing them while content is used, saving them, and bringing them back."""

import asyncio

import pytest

from cellsmono.app.encryption import EncryptionKeys
from cellsmono.data.keys.export import export_keys, read_export
from cellsmono.datasource.sealing.rewriting import Rewriting
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import Conflict, Corrupt, Forbidden, Invalid, Unavailable

OWNER = Actor("owner")


async def one_chunk(data):
    yield data


async def put(core, key, data):
    return await core.router.put_node(OWNER, "blobs", key, one_chunk(data), PlainDigest(), WriteOptions(mtime_ns=5))


async def read(core, key):
    opened = await core.router.open_node(OWNER, "blobs", key)
    try:
        return await opened.reader.read(0, 1 << 24)
    finally:
        opened.reader.close()


def blobs_of(core):
    return core.datasources.triple("blobs").store.blobs


def keys_used(tmp_path):
    """Ids of the data keys by which the blobs on the disk are sealed."""
    return {path.read_bytes()[16:24].hex() for path in (tmp_path / "trees").rglob("*.sealed")}


@pytest.fixture
def source(make_source):
    return make_source("blobs", format="flat", encryption="aes256")


async def test_a_new_key_seals_what_is_new_and_older_content_stays_readable(open_it, source, tmp_path):
    async with open_it(source) as core:
        await put(core, "old", b"old")
        (first,) = keys_used(tmp_path)
        report = await core.installation.rotate_key("blobs")
        assert report.key != first
        await put(core, "new", b"new")
        assert keys_used(tmp_path) == {first, report.key}
        info = await core.installation.read_encryption()
        (store,) = info.stores
        assert [key.id for key in store.keys] == [first, report.key]
        assert (store.datasource, store.is_served) == ("blobs", True)
        assert [master.is_current for master in info.masters] == [True]
    async with open_it(source) as core:
        assert [await read(core, key) for key in ("old", "new")] == [b"old", b"new"]


async def test_rewriting_seals_everything_anew_and_changes_nothing_else(open_it, source, tmp_path):
    async with open_it(source) as core:
        nodes = [await put(core, f"f{n}", b"x" * n * 40_000) for n in range(6)]
        blobs_of(core).seals = False
        await put(core, "plain", b"plain")
        kept = await blobs_of(core).read_attributes(blobs_of(core).key_of(nodes[3]))
        opened = await core.router.open_node(OWNER, "blobs", "f5")
        report = await core.installation.rotate_key("blobs", rewrite=True)
        assert (report.rewritten, report.plain, report.failed) == (6, 1, 0)
        assert report.bytes == sum(node.size for node in nodes)
        assert keys_used(tmp_path) == {report.key}
        assert await opened.reader.read(0, 1 << 20) == b"x" * 200_000, "whoever reads is not disturbed"
        opened.reader.close()
        for number, node in enumerate(nodes):
            assert await core.router.read_node(OWNER, "blobs", f"f{number}") == node
            assert await read(core, f"f{number}") == b"x" * number * 40_000
        assert await blobs_of(core).read_attributes(blobs_of(core).key_of(nodes[3])) == kept
        assert (await core.installation.check("blobs")).is_fine
        again = await core.installation.rotate_key("blobs", rewrite=True)
        assert again.key != report.key
        assert again.rewritten == 6


async def test_a_run_that_was_broken_off_is_gone_on_with(open_it, source, tmp_path, monkeypatch):
    async with open_it(source) as core:
        for number in range(5):
            await put(core, f"f{number}", b"data")
        whole, done = Rewriting._replace, []

        async def replace_two(self, key, reader):
            if len(done) == 2:
                raise Unavailable("the server is being stopped")
            done.append(key)
            return await whole(self, key, reader)

        monkeypatch.setattr(Rewriting, "_replace", replace_two)
        with pytest.raises(Unavailable):
            await core.installation.rotate_key("blobs", rewrite=True)
        monkeypatch.undo()
        before = keys_used(tmp_path)
        assert len(before) == 2
    async with open_it(source) as core:
        report = await core.installation.rotate_key("blobs", rewrite=True)
        assert report.key in before, "no third key is made"
        assert report.rewritten == 3
        assert keys_used(tmp_path) == {report.key}


async def test_content_that_is_replaced_or_deleted_meanwhile_does_not_come_back(open_it, source, tmp_path, monkeypatch):
    async with open_it(source) as core:
        await put(core, "gone", b"1")
        await put(core, "replaced", b"2")
        commit = blobs_of(core).objects.commit

        async def change_first(staged, key, **options):
            await core.router.delete_node(OWNER, "blobs", "gone")
            if (await core.router.read_node(OWNER, "blobs", "replaced")).size == 1:
                monkeypatch.undo()
                await put(core, "replaced", b"other")
            await blobs_of(core).settle()
            return await commit(staged, key, **options)

        monkeypatch.setattr(blobs_of(core).objects, "commit", change_first)
        await core.installation.rotate_key("blobs", rewrite=True)
        await blobs_of(core).settle()
        assert await read(core, "replaced") == b"other"
        report = await core.installation.check("blobs")
        assert (report.is_fine, report.blobs.blobs) == (True, 1)


async def test_damaged_content_is_named_and_left_as_it_is(open_it, source, tmp_path):
    async with open_it(source) as core:
        await put(core, "good", b"good")
        node = await put(core, "bad", b"bad!")
        path = tmp_path / "trees/blobs" / blobs_of(core).key_of(node)
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(raw)
        report = await core.installation.rotate_key("blobs", rewrite=True)
        assert (report.rewritten, report.failed) == (1, 1)
        assert report.failures[0][0] == blobs_of(core).key_of(node)
        assert "altered" in report.failures[0][1]
        assert path.read_bytes() == raw


async def test_what_can_not_be_rotated_says_why(open_it, make_source, source):
    async with open_it(make_source("plain"), source) as core:
        with pytest.raises(Invalid, match="structured"):
            await core.installation.rotate_key("plain")
        encryption: EncryptionKeys = core.installation.encryption
        encryption._rotating.add("blobs")
        with pytest.raises(Conflict, match="just being"):
            await core.installation.rotate_key("blobs", rewrite=True)


async def test_what_encrypts_nothing_gets_no_key(open_it, source):
    async with open_it(source | {"encryption": "none"}) as core:
        await put(core, "x", b"content")
        for rewrite in (False, True):
            with pytest.raises(Invalid, match="Nothing in 'blobs' is encrypted"):
                await core.installation.rotate_key("blobs", rewrite=rewrite)
        assert not (await core.installation.encryption.read()).stores


async def test_an_import_opens_what_could_not_be_opened(open_it, source, tmp_path):
    async with open_it(source) as core:
        await put(core, "x", b"content")
        bundle = core.installation.encryption._vault.export()
        data_dir = core.loaded.data_dir
    for name in ("master.key", "data_keys.json"):
        (data_dir / name).unlink()
    async with open_it(source) as core:
        with pytest.raises(Unavailable):
            await read(core, "x")
        report = await core.installation.import_keys(bundle)
        assert (report.masters, report.opened) == (1, ("blobs",))
        assert await read(core, "x") == b"content"
        again = await core.installation.import_keys(bundle)
        assert (again.masters, again.keys, again.opened) == (0, 0, ())


def test_an_export_opens_with_its_password_only(tmp_path):
    from cellsmono.data.keys.vault import Vault
    from cellsmono.kernel.clock import SystemClock

    vault = Vault(tmp_path, SystemClock())
    with pytest.raises(Invalid, match="nothing was encrypted"):
        vault.export()
    key, secret = vault.make_key("store")
    vault.remember("store", "docs", [key])
    bundle = vault.export()
    with pytest.raises(Invalid, match="8 characters"):
        export_keys(bundle, "short")
    data = export_keys(bundle, "long enough")
    assert secret.hex().encode() not in data
    assert read_export(data, "long enough", "f") == bundle
    with pytest.raises(Forbidden, match="password"):
        read_export(data, "long enougH", "f")
    for end in (0, 10, 100, len(data) - 5):
        with pytest.raises((Corrupt, Invalid)):
            read_export(data[:end], "long enough", "f")
    with pytest.raises(Invalid, match="no export"):
        read_export(b'{"format": "something"}', "long enough", "f")
    with pytest.raises(Invalid, match="no export"):
        read_export(b"\x00\x01", "long enough", "f")
    with pytest.raises(Corrupt, match="altered"):
        read_export(data.replace(b'"cost": 131072', b'"cost": 1073741824'), "long enough", "f")
    with pytest.raises(Forbidden):
        read_export(data.replace(b'"cost": 131072', b'"cost": 65536'), "long enough", "f")


async def test_two_rotations_of_two_datasources_do_not_lose_each_others_keys(open_it, make_source):
    sources = [make_source(f"blobs{n}", format="flat", encryption="aes256") for n in range(3)]
    async with open_it(*sources) as core:
        await asyncio.gather(*(core.installation.rotate_key(f"blobs{n}") for n in range(3)))
        info = await core.installation.read_encryption()
        assert [len(store.keys) for store in info.stores] == [2, 2, 2]
        assert len({key.master for store in info.stores for key in store.keys}) == 1


async def test_the_listing_of_services_counts_keys_and_tells_what_is_wrong_with_them(open_it, source):
    async with open_it(source) as core:
        rows = {row.name: row for row in core.registry.list_rows()}
        assert rows["data.user_key"].detail == "1 master keys"
        assert rows["data.data_key"].detail == "1 data keys of 1 stores"
        (core.loaded.data_dir / "data_keys.json").write_text("{")
        rows = {row.name: row for row in core.registry.list_rows()}
        assert "data_keys.json" in rows["data.data_key"].detail
