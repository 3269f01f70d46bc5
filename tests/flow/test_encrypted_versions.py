"""Old versions of encrypted content: sealed anew with the rest, and a client's key opens them wherever they went."""

import pytest

from cellsmono.interfaces.datasource import Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.migration import MigrationOptions, MigrationPhase, Obstacle
from cellsmono.interfaces.sealing import SealWish
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.errors import Invalid

SECRET = b"k" * 32


async def one(data):
    yield data


async def put(store, key, data, seal=None):
    options = WriteOptions() if seal is None else WriteOptions(seal=SealWish(seal))
    return await store.put_node(key, one(data), PlainDigest(), options)


async def read(store, key, version, secret=None):
    opened = await store.open_version(key, version)
    try:
        if secret is not None:
            await opened.reader.unlock(secret)
        return await opened.reader.read(0, 1 << 20)
    finally:
        opened.reader.close()


def keys_used(tmp_path):
    """Ids of the data keys by which blobs are sealed; zeros are those of clients."""
    return {path.read_bytes()[16:24].hex() for path in (tmp_path / "trees").rglob("*.sealed")}


@pytest.fixture
def source(make_source):
    return make_source("blobs", format="flat", encryption="aes256")


async def seed(core):
    """A key with three sealed versions, and one whose content a client sealed, replaced since."""
    store = core.datasources.triple("blobs").store
    await store.set_versioning(Versioning.ENABLED)
    for number in range(3):
        await put(store, "mine", b"version %d" % number)
    await put(store, "theirs", b"secret", SECRET)
    await put(store, "theirs", b"open")
    await put(store, "gone", b"only a version")
    await store.delete_node("gone")
    return store


async def test_rewriting_takes_versions_along_and_leaves_what_clients_sealed(open_it, source, tmp_path):
    async with open_it(source) as core:
        store = await seed(core)
        before = (await store.index.list_versions()).entries
        report = await core.installation.rotate_key("blobs", rewrite=True)
        # 3 of mine, the present one of theirs, and that of a deleted key
        assert (report.blobs, report.rewritten, report.foreign, report.failed) == (6, 5, 1, 0)
        assert keys_used(tmp_path) == {report.key, "0" * 16}
        assert (await store.index.list_versions()).entries == before
        (*_, secret) = await store.index.read_versions("theirs")
        with pytest.raises(Invalid, match="its client"):
            await read(store, "theirs", secret.id)
        assert await read(store, "theirs", secret.id, SECRET) == b"secret"
        assert (await core.installation.check("blobs")).is_fine
    async with open_it(source) as core:
        store = core.datasources.triple("blobs").store
        mine = [await read(store, "mine", each.id) for each in await store.index.read_versions("mine")]
        assert mine == [b"version 2", b"version 1", b"version 0"]
        (_, gone) = await store.index.read_versions("gone")
        assert await read(store, "gone", gone.id) == b"only a version"


async def test_old_versions_need_the_key_that_sealed_them_and_have_it(open_it, source, tmp_path):
    async with open_it(source) as core:
        store = await seed(core)
        first = keys_used(tmp_path) - {"0" * 16}
        report = await core.installation.rotate_key("blobs")
        await put(store, "mine", b"version 3")
        assert keys_used(tmp_path) == {*first, report.key, "0" * 16}
    async with open_it(source) as core:
        store = core.datasources.triple("blobs").store
        (listed,) = (await core.installation.read_encryption()).stores
        assert {key.id for key in listed.keys} == {*first, report.key}, "no key is ever taken away"
        mine = [await read(store, "mine", each.id) for each in await store.index.read_versions("mine")]
        assert mine == [b"version 3", b"version 2", b"version 1", b"version 0"]


async def test_a_clients_key_opens_a_version_wherever_its_key_went(open_it, source):
    async with open_it(source) as core:
        store = core.datasources.triple("blobs").store
        await store.set_versioning(Versioning.ENABLED)
        await put(store, "a/x", b"first", SECRET)
        await put(store, "a/x", b"second", SECRET)
        await store.move_node("a/x", "b/y")
        moved = await store.read_node("b/y")
        assert await read(store, "b/y", moved.version, SECRET) == b"second"
        (marker, old) = await store.index.read_versions("a/x")
        assert marker.node is None
        assert await read(store, "a/x", old.id, SECRET) == b"first"
        await put(store, "b/y", b"third")
        (_, *older) = await store.index.read_versions("b/y")
        assert [await read(store, "b/y", each.id, SECRET) for each in older] == [b"second"]
        await store.delete_version("a/x", marker.id)  # the old content is current again
        assert await read(store, "a/x", old.id, SECRET) == b"first"


async def test_a_version_that_only_its_client_can_read_is_named_by_a_migration_and_stays(open_it, source, tmp_path):
    async with open_it(source) as core:
        store = await seed(core)
        (*_, secret) = await store.index.read_versions("theirs")
        options = MigrationOptions(format=Format.FLAT, target=str(tmp_path / "elsewhere"))
        report = await core.installation.migrate("blobs", options)
        assert report.phase is not MigrationPhase.SWITCHED
        assert [(each.obstacle, each.path) for each in report.problems] == [(Obstacle.DIFFERS, "theirs")]
        assert "its client" in report.problems[0].detail
        store = core.datasources.triple("blobs").store
        assert await read(store, "theirs", secret.id, SECRET) == b"secret"
        await store.delete_version("theirs", secret.id)
        report = await core.installation.migrate("blobs", MigrationOptions())
        assert (report.phase, report.problems) == (MigrationPhase.SWITCHED, ())
