"""What sealed content promises on every storage: nothing plain lies there, and nothing altered is served."""

import hashlib
import secrets

import pytest
from msgspec.structs import replace

from cellsmono.datasource.flat.checking import Repair, check_blobs
from cellsmono.datasource.flat.layout import KEYS, RECORD, new_seal
from cellsmono.datasource.sealing.format import HEADER_BYTES, sealed_size
from cellsmono.datasource.sealing.rewriting import Rewriting
from cellsmono.interfaces.datasource import CopyOptions, Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import NodeMeta, is_sealed, new_uuid
from cellsmono.interfaces.objects import Target
from cellsmono.interfaces.operations import BlobProblem
from cellsmono.kernel.clock import SystemClock
from cellsmono.kernel.errors import Conflict, Corrupt, Invalid, Unavailable

SIZES = (0, 1, 65_536, 65_537, 9 * 1024 * 1024 + 11)
NAME = "Geheimes/Gehälter.txt"


async def chunks(*parts):
    for part in parts:
        yield part


def content(size):
    return (b"TOP-SECRET " * (size // 11 + 1))[:size]


@pytest.fixture(params=["local", "memory", "moto"])
async def sealed(request, tmp_path, events, open_any):
    """A flat datasource that encrypts everything."""
    servers = {"moto": (request.getfixturevalue("moto_server"), "access", "secretsecret")}
    servers = servers if request.param == "moto" else {}
    async with open_any(f"sealed-{request.param}", Format.FLAT, tmp_path, events, servers) as store:
        yield store


async def put(store, path, data, **options):
    return await store.put_node(path, chunks(data), PlainDigest(), WriteOptions(**options))


async def read(store, path):
    opened = await store.open_node(path)
    try:
        return await opened.reader.read(0, 1 << 30)
    finally:
        opened.reader.close()


async def stored(store, key):
    """The bytes of an object as they lie on the storage."""
    reader = await store.blobs.objects.below.open("docs", key)
    try:
        return await reader.read(0, reader.info.facts.size)
    finally:
        reader.close()


async def overwrite(store, key, data):
    below = store.blobs.objects.below
    await below.commit(await below.stage("docs", chunks(data)), key)


async def objects_of(store):
    """Every object with its bytes and what is kept beside it, as the storage has them."""
    below, found = store.blobs.objects.below, {}
    folders = [""]
    while folders:
        (listing,) = await below.scan("docs", [(folder := folders.pop(), b"")])
        for entry in listing.entries:
            key = folder + entry.name
            if key.endswith("/"):
                folders.append(key)
            else:
                found[key] = await stored(store, key), (await below.read_attributes("docs", [key]))[0]
    return found


@pytest.mark.parametrize("size", SIZES)
async def test_content_and_name_lie_nowhere_as_they_are(sealed, size):
    data = content(size)
    meta = NodeMeta(content_type="text/x-secret", user={"owner": "somebody"})
    node = await put(sealed, NAME, data, meta=meta, mtime_ns=10**18)
    assert is_sealed(node.blob)
    assert (node.size, node.etag) == (size, hashlib.md5(data).hexdigest())
    assert await read(sealed, NAME) == data
    found = await objects_of(sealed)
    assert set(found) == {KEYS, RECORD, sealed.blobs.key_of(node)}
    raw, kept = found[sealed.blobs.key_of(node)]
    assert len(raw) == sealed_size(size)
    for word in (b"TOP-SECRET"[: max(size, 4)], NAME.encode(), node.etag.encode(), b"text/x-secret", b"somebody"):
        assert word not in raw
        assert word not in repr(kept).encode()
    again = await sealed.blobs.read_attributes(sealed.blobs.key_of(node))
    assert (again.size, again.mtime_ns, again.path, again.meta) == (size, 10**18, NAME, meta)


async def test_parts_are_sealed_from_the_first_byte_and_joined_as_one(sealed):
    pieces = [content(5 * 1024 * 1024 + 7), b"", content(100_000)]
    upload = await sealed.create_upload("big", b"the gateway's own")
    assert upload.context == b"the gateway's own"
    parts = [
        await sealed.put_part(upload.upload_id, number, chunks(piece[:70_000], piece[70_000:]), PlainDigest(), size)
        for number, piece in enumerate(pieces, start=1)
        for size in [len(piece) if number != 3 else None]
    ]
    assert [(part.size, part.etag) for part in parts] == [(len(p), hashlib.md5(p).hexdigest()) for p in pieces]
    assert await sealed.list_parts(upload.upload_id, 0, 100) == parts
    assert [each.context for each in await sealed.list_uploads("", "", "", 10)] == [b"the gateway's own"]
    node = await sealed.complete_upload(upload.upload_id, parts, "etag-3", WriteOptions())
    assert (node.size, is_sealed(node.blob)) == (sum(map(len, pieces)), True)
    assert await read(sealed, "big") == b"".join(pieces)
    assert len((await objects_of(sealed))[sealed.blobs.key_of(node)][0]) == sealed_size(node.size)


async def test_a_copy_has_a_seal_of_its_own_also_over_one_that_it_was_copied_to_before(sealed):
    data = content(70_000)
    node = await put(sealed, "a", data)
    for other in (b"", b"between"):
        copy = await sealed.copy_node("a", "b", CopyOptions())
        assert copy.blob != node.blob
        assert await read(sealed, "b") == data
        if other:
            await put(sealed, "b", other)
            await sealed.copy_node("a", "b", CopyOptions())
    await sealed.blobs.settle()
    assert await read(sealed, "b") == await read(sealed, "a") == data
    report = await check_blobs(sealed, SystemClock(), grace_seconds=0.0)
    assert (report.blobs, report.findings) == (2, [])


async def test_another_blob_in_the_place_of_one_is_noticed(sealed):
    one, two = await put(sealed, "one", content(1000)), await put(sealed, "two", content(1000))
    await overwrite(sealed, sealed.blobs.key_of(one), await stored(sealed, sealed.blobs.key_of(two)))
    with pytest.raises(Corrupt, match="in the place of another"):
        await read(sealed, "one")
    older = await stored(sealed, sealed.blobs.key_of(two))
    newer = await put(sealed, "two", content(1000))
    await overwrite(sealed, sealed.blobs.key_of(newer), older)
    with pytest.raises(Corrupt, match="in the place of another"):
        await read(sealed, "two")


@pytest.mark.parametrize("at", [9, HEADER_BYTES - 1, HEADER_BYTES + 3, -1])
async def test_altered_bytes_are_not_served(sealed, at):
    node = await put(sealed, "x", content(200_000))
    raw = bytearray(await stored(sealed, sealed.blobs.key_of(node)))
    raw[at] ^= 1
    await overwrite(sealed, sealed.blobs.key_of(node), bytes(raw))
    with pytest.raises((Corrupt, Invalid), match=r"altered|newer|key of its client"):
        await read(sealed, "x")
    with pytest.raises((Corrupt, Invalid), match=r"altered|newer|key of its client"):
        await sealed.copy_node("x", "y", CopyOptions())


async def test_a_blob_that_was_cut_off_is_told_by_a_check_and_by_reading(sealed):
    node = await put(sealed, "x", content(200_000))
    raw = await stored(sealed, sealed.blobs.key_of(node))
    for length in (50, len(raw) - 5, HEADER_BYTES + 65_552):
        await overwrite(sealed, sealed.blobs.key_of(node), raw[:length])
        report = await check_blobs(sealed, SystemClock(), repair=Repair.ALL, grace_seconds=0.0)
        assert [(each.problem, each.path) for each in report.findings] == [(BlobProblem.SIZE, "x")]
        with pytest.raises(Corrupt):
            await read(sealed, "x")


async def test_lost_content_is_brought_back_with_its_name_and_stays_sealed(sealed):
    uuid, data = new_uuid(), content(100)
    key = sealed.blobs.key(uuid, new_seal())
    staged = await sealed.blobs.objects.stage("docs", chunks(data), target=Target(key))
    node = await put(sealed, "x", data)
    attributes = await sealed.blobs.read_attributes(sealed.blobs.key_of(node))
    await sealed.blobs.commit(staged, key, 10**18, replace(attributes, path="lost", etag=""))
    report = await check_blobs(sealed, SystemClock(), repair=Repair.ALL, grace_seconds=0.0)
    assert report.attached == 1
    found = await sealed.read_node("lost+found/lost")
    assert (found.uuid, found.size, found.mtime_ns, found.etag) == (uuid, 100, 10**18, hashlib.md5(data).hexdigest())
    assert await read(sealed, "lost+found/lost") == data


async def test_plain_and_sealed_content_lie_side_by_side(sealed):
    node = await put(sealed, "sealed", content(10))
    sealed.blobs.seals = False
    plain = await put(sealed, "plain", content(10))
    assert (is_sealed(node.blob), is_sealed(plain.blob)) == (True, False)
    copy = await sealed.copy_node("sealed", "copy", CopyOptions())
    assert is_sealed(copy.blob), "a copy of what is sealed is sealed"
    sealed.blobs.seals = True
    assert is_sealed((await sealed.copy_node("plain", "sealed copy", CopyOptions())).blob)
    upload = await sealed.create_upload("parts", b"")
    for path in ("sealed", "plain", "copy", "sealed copy"):
        assert await read(sealed, path) == content(10)
    over = await put(sealed, "plain", content(99))
    assert (is_sealed(over.blob), over.uuid) == (True, plain.uuid)
    await sealed.abort_upload(upload.upload_id)


async def test_the_keys_come_from_the_vault_when_their_record_is_gone_and_the_other_way_round(sealed):
    store = sealed.blobs.objects
    node = await put(sealed, "x", content(10))
    store_id, vault = store.keys.store, store.keys._vault

    async def reopen():
        again = type(store)(store.below, "docs", vault)
        await again.open_keys("docs", store_id, make=True)
        reader = await again.open("docs", sealed.blobs.key_of(node))
        reader.close()
        return again

    await store.below.delete("docs", KEYS)
    assert (await reopen()).keys.wrapped == store.keys.wrapped
    vault.path.unlink()
    assert (await reopen()).keys.wrapped == store.keys.wrapped
    await overwrite(sealed, KEYS, b"{")
    with pytest.raises(Corrupt, match=KEYS):
        await reopen()
    await overwrite(sealed, KEYS, (await _record_of(sealed, "another")))
    with pytest.raises(Conflict, match="another store"):
        await reopen()


async def _record_of(sealed, store):
    keys = sealed.blobs.objects.keys
    before, keys.store = keys.store, store
    try:
        await keys._write()
        return await stored(sealed, KEYS)
    finally:
        keys.store = before


async def test_without_the_master_key_the_store_does_not_open_and_says_why(sealed):
    keys = sealed.blobs.objects.keys
    path = keys._vault.masters.path
    path.unlink()
    other = type(keys._vault)(path.parent, SystemClock())
    again = type(sealed.blobs.objects)(sealed.blobs.objects.below, "docs", other)
    with pytest.raises(Unavailable, match="encryption import") as caught:
        await again.open_keys("docs", keys.store, make=True)
    assert caught.value.reason == "key"


async def test_a_blob_of_an_unknown_data_key_says_which(sealed):
    node = await put(sealed, "x", content(10))
    raw = bytearray(await stored(sealed, sealed.blobs.key_of(node)))
    raw[16:24] = secrets.token_bytes(8)
    await overwrite(sealed, sealed.blobs.key_of(node), bytes(raw))
    with pytest.raises(Unavailable, match=raw[16:24].hex()):
        await read(sealed, "x")


async def test_whoever_reads_while_everything_is_sealed_anew_reads_on(sealed):
    data = content(3 * 1024 * 1024 + 5)
    node = await put(sealed, "x", data, meta=NodeMeta(user={"k": "v"}), mtime_ns=10**18)
    store = sealed.blobs.objects
    before = await stored(sealed, sealed.blobs.key_of(node))
    opened = await sealed.open_node("x")
    assert await opened.reader.read(0, 100) == data[:100]
    newest = await store.keys.renew()
    report = await Rewriting(sealed.blobs, store, SystemClock()).run()
    assert (report.key, report.blobs, report.rewritten, report.bytes) == (newest.id, 1, 1, len(data))
    after = await stored(sealed, sealed.blobs.key_of(node))
    assert after[16:24].hex() == newest.id
    assert after[96:] != before[96:]
    for offset in (2_500_000, 70_000, len(data) - 7):  # not in order, so that nothing of an open stream serves
        assert await opened.reader.read(offset, 200_000) == data[offset : offset + 200_000]
    opened.reader.close()
    assert await read(sealed, "x") == data
    kept = await sealed.blobs.read_attributes(sealed.blobs.key_of(node))
    assert (kept.path, kept.meta.user, kept.mtime_ns) == ("x", {"k": "v"}, 10**18)
    assert not await Rewriting(sealed.blobs, store, SystemClock()).has_old()
