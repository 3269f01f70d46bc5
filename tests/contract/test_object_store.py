"""What every object service promises: one suite for all of them."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from cellsmono.data.keys.vault import Vault
from cellsmono.datasource.objects import beneath
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.memory import MemoryStore
from cellsmono.datasource.objects.registry_database import DatabaseRegistry
from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.datasource.sealing.store import SealedStore
from cellsmono.interfaces.datasource import Durability, Symlinks
from cellsmono.interfaces.node import Checksum, Facts, NodeAttributes, NodeMeta
from cellsmono.interfaces.objects import FolderScanner, Listing, Multipart, ObjectStore, Part, Staged
from cellsmono.kernel.clock import SystemClock
from cellsmono.kernel.errors import CellsError, Conflict, Forbidden, Invalid, Locked, NotFound, TooLarge

BUCKET = "docs"
OTHER = "other"
QUOTE = "\u201b"


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


class Digest:
    """A part's MD5, as the gateway computes it."""

    def __init__(self, announced: str = "") -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._announced = announced

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self._md5.update(data)

    def verify(self) -> None:
        if self._announced and self._announced != self.etag():
            raise Invalid("not the announced bytes", reason="bad_digest")

    def etag(self) -> str:
        return self._md5.hexdigest()

    def checksum(self) -> Checksum | None:
        return None


class Full(ObjectStore, FolderScanner, Multipart):
    """All three abilities, for the type of the fixture."""


def make_local(
    parent: Path,
    durability: Durability,
    symlinks: Symlinks = Symlinks.IGNORE,
    uploads: DatabaseRegistry | None = None,
) -> LocalStore:
    made = LocalStore("data.objects.local1", parent, uploads=uploads)
    for bucket in (BUCKET, OTHER):
        (parent / bucket).mkdir()
        made.add_bucket(bucket, bucket, durability=durability, symlinks=symlinks)
    return made


async def make_s3(url: str, access_key: str = "access", secret_key: str = "secretsecret") -> S3Store:
    made = S3Store("data.objects.gateway1", Endpoint(url, "us-east-1", access_key, secret_key))
    mark = secrets.token_hex(6)
    await made.create_bucket(f"real-{mark}")
    for bucket in (BUCKET, OTHER):
        made.add_bucket(Place(bucket, f"real-{mark}", f"base/{bucket}/"))
    return made


async def skip_unless_flat(store: S3Store) -> None:
    """A structured bucket of our own refuses the names that are reserved in it, so no other one can lie in it."""
    try:
        await store.make_folder(BUCKET, "probe/")
        await store.remove_folder(BUCKET, "probe/")
    except Forbidden as error:
        await store.close()
        pytest.skip(f"needs a bucket that is not structured: {error.__class__.__name__}")


@pytest.fixture(
    params=["memory", "durable", "relaxed", "inside", "walked", "moto", "own", "versitygw", "minio", "sealing"]
)
async def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    made: Any
    register = None
    if request.param == "moto":
        made = await make_s3(request.getfixturevalue("moto_server"))
    elif request.param == "own":
        server = request.getfixturevalue("own_server")
        made = await make_s3(server.url, server.access_key, server.secret_key)
        await skip_unless_flat(made)
    elif request.param in ("versitygw", "minio"):
        server = request.getfixturevalue(f"{request.param}_server")
        made = await make_s3(server.url, server.access_key, server.secret_key)
    elif request.param == "memory":
        made = MemoryStore(buckets=[BUCKET, OTHER])
    elif request.param == "inside":
        made = make_local(tmp_path, Durability.RELAXED, Symlinks.INSIDE)
    elif request.param == "durable":
        register = await DatabaseRegistry.open(tmp_path / "uploads.db")
        made = make_local(tmp_path, Durability.FSYNC, uploads=register)
    else:
        made = make_local(tmp_path, Durability.RELAXED)
    if request.param == "sealing":  # names that are no sealed blob's pass through it
        made = SealedStore(made, BUCKET, Vault(tmp_path, SystemClock()))
    if request.param == "walked":
        monkeypatch.setattr(beneath, "_has_openat2", False)
    yield made
    await made.close()
    if register is not None:
        await register.close()
    if request.param not in ("memory", "moto", "own", "versitygw", "minio"):
        leftovers = [p for p in tmp_path.rglob("t-*") if ".cellsmono" in p.parts]
        assert leftovers == []


async def put(store: Full, key: str, data: bytes = b"data", bucket: str = BUCKET, **options: Any) -> Any:
    return await store.commit(await store.stage(bucket, chunks(data)), key, **options)


async def get(store: Full, key: str, bucket: str = BUCKET) -> bytes:
    reader = await store.open(bucket, key)
    try:
        return await reader.read(0, reader.info.facts.size)
    finally:
        reader.close()


async def keys_in(store: Full, folder: str = "", bucket: str = BUCKET) -> set[str]:
    return {entry.name for entry in (await list_folder(store, folder, bucket)).entries or []}


async def list_folder(store: Full, folder: str = "", bucket: str = BUCKET, expected: bytes = b"") -> Listing:
    (listing,) = await store.scan(bucket, [(folder, expected)])
    return listing


# --- objects


async def test_looking_at_many_keys_tells_what_looking_at_each_tells(store: Full) -> None:
    files = ["a", "a-", "a0", "b/x", "c", "c!/y", "d/1", "d/2", "d/3/z", "é"]
    for key in files:
        await put(store, key, key.encode())
    wanted = [*files, "b", "b-", "c!", "d/", "d/3", "d/4", "none", "none/x", "", "e"]
    together = await store.stat_entries(BUCKET, wanted)
    assert together == [(await store.stat_entries(BUCKET, [key]))[0] for key in wanted]
    names = [getattr(entry, "name", None) for entry in together]
    assert names[: len(files)] == ["a", "a-", "a0", "x", "c", "y", "1", "2", "z", "é"]
    assert names[len(files) :] == ["b/", None, "c!/", "d/", "3/", None, None, None, "", None]


async def test_what_is_put_is_read(store: Full) -> None:
    done = await put(store, "a.txt", b"hello")
    assert done.info.key == "a.txt"
    assert done.folders == ()
    assert await get(store, "a.txt") == b"hello"
    assert (await store.stat(BUCKET, "a.txt")).facts == done.info.facts


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_048_576, 3_500_001])
async def test_any_size_and_hashers_see_all_of_it(store: Full, size: int) -> None:
    data = bytes(i * 7 % 251 for i in range(min(size, 5000))) * (size // 5000 + 1)
    data = data[:size]
    hashers = [hashlib.md5(usedforsecurity=False), hashlib.sha256()]
    body = chunks(*(data[i : i + 70_001] for i in range(0, size, 70_001)))
    staged = await store.stage(BUCKET, body, hashers, size)
    assert staged.size == size
    await store.commit(staged, "big")
    assert await get(store, "big") == data
    assert hashers[0].digest() == hashlib.md5(data, usedforsecurity=False).digest()
    assert hashers[1].digest() == hashlib.sha256(data).digest()


async def test_ranges(store: Full) -> None:
    await put(store, "r", b"0123456789")
    reader = await store.open(BUCKET, "r")
    assert await reader.read(3, 4) == b"3456"
    assert await reader.read(8, 10) == b"89"
    assert await reader.read(10, 1) == b""
    reader.close()
    reader.close()


async def test_a_reader_keeps_its_version(store: Full) -> None:
    await put(store, "v", b"one")
    reader = await store.open(BUCKET, "v")
    await put(store, "v", b"second")
    assert await reader.read(0, 100) == b"one"
    reader.close()
    assert await get(store, "v") == b"second"
    await store.delete(BUCKET, "v")


async def test_replacing_gives_other_facts(store: Full) -> None:
    first = (await put(store, "v", b"one", mtime_ns=10**18)).info.facts
    second = (await put(store, "v", b"two", mtime_ns=10**18)).info.facts
    assert not first.is_same_content(second)


async def test_folders_are_made_with_markers(store: Full) -> None:
    done = await put(store, "a/b/c.txt")
    assert [f.key for f in done.folders] == ["a/", "a/b/"]
    for folder in done.folders:
        assert len(folder.uuid) == 36
        assert await store.read_marker(BUCKET, folder.key) == folder.uuid
        assert (await store.stat(BUCKET, folder.key)).facts.ino == folder.facts.ino
    assert (await put(store, "a/b/d.txt")).folders == ()
    assert await keys_in(store, "a/") == {"b/"}
    assert await keys_in(store, "a/b/") == {"c.txt", "d.txt"}


async def test_mtime_is_kept(store: Full) -> None:
    done = await put(store, "old", mtime_ns=1_234_567_890_123_456_700)
    assert done.info.facts.mtime_ns == 1_234_567_890_123_456_700
    assert (await store.stat(BUCKET, "old")).facts.mtime_ns == 1_234_567_890_123_456_700
    moved = await store.move(BUCKET, "old", "x/new")
    assert moved.info.facts == done.info.facts


@pytest.mark.parametrize("old", [-1_000_000_000_000, 0])
async def test_times_before_the_epoch(store: Full, old: int) -> None:
    assert (await put(store, "old", mtime_ns=old)).info.facts.mtime_ns == old


async def test_a_failing_body_leaves_nothing(store: Full) -> None:
    await put(store, "k", b"before")

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise Invalid("cut off", reason="incomplete")

    with pytest.raises(Invalid, match="cut off"):
        await store.stage(BUCKET, broken())
    assert await get(store, "k") == b"before"
    assert await keys_in(store) == {"k"}


async def test_staged_bytes_are_invisible_and_used_once(store: Full) -> None:
    for size in (10, 200_000):
        staged = await store.stage(BUCKET, chunks(b"x" * size))
        assert await keys_in(store) == set()
        await store.discard(staged)
        await store.discard(staged)
        with pytest.raises(CellsError):
            await store.commit(staged, "k")
    await store.discard(Staged(BUCKET, 1, "unknown"))


async def test_copy(store: Full) -> None:
    for size in (5, 300_000):
        source = await put(store, "from", b"q" * size, mtime_ns=10**18)
        staged, info = await store.stage_copy(BUCKET, BUCKET, "from")
        assert info == source.info
        assert staged.size == size
        await store.commit(staged, "to/copy", mtime_ns=info.facts.mtime_ns)
        assert await get(store, "to/copy") == b"q" * size
        assert (await store.stat(BUCKET, "to/copy")).facts.mtime_ns == 10**18
        staged, _ = await store.stage_copy(OTHER, BUCKET, "from")
        await store.commit(staged, "there")
        assert await get(store, "there", OTHER) == b"q" * size
    with pytest.raises(NotFound):
        await store.stage_copy(BUCKET, BUCKET, "nothing")


async def test_delete(store: Full) -> None:
    await put(store, "a/x")
    assert await store.delete(BUCKET, "a/x") is True
    assert await store.delete(BUCKET, "a/x") is False
    assert await store.delete(BUCKET, "nowhere/x") is False
    assert await store.delete(BUCKET, "a") is False
    assert await store.delete(BUCKET, "a/") is False
    with pytest.raises(NotFound):
        await store.stat(BUCKET, "a/x")
    with pytest.raises(NotFound):
        await store.open(BUCKET, "a/x")


async def test_remove_folder(store: Full) -> None:
    await put(store, "a/b/x")
    assert await store.remove_folder(BUCKET, "a/b/") is False
    await store.delete(BUCKET, "a/b/x")
    assert await store.remove_folder(BUCKET, "a/") is False
    assert await store.remove_folder(BUCKET, "a/b/") is True
    assert await store.remove_folder(BUCKET, "a/b/") is False
    assert await store.remove_folder(BUCKET, "a/") is True
    assert await keys_in(store) == set()
    await put(store, "file")
    assert await store.remove_folder(BUCKET, "file/") is False


async def test_make_folder(store: Full) -> None:
    made = await store.make_folder(BUCKET, "p/q/")
    assert [f.key for f in made] == ["p/", "p/q/"]
    assert await store.make_folder(BUCKET, "p/q/") == ()
    await put(store, "p/file")
    with pytest.raises(Conflict) as caught:
        await store.make_folder(BUCKET, "p/file/")
    assert caught.value.reason == "parent_is_object"
    with pytest.raises(Conflict):
        await store.make_folder(BUCKET, "p/file/deeper/")


async def test_file_and_folder_stand_in_each_others_way(store: Full) -> None:
    await put(store, "a/b", b"kept")
    for key, reason in [("a", "is_folder"), ("a/b/c", "parent_is_object"), ("a/b/c/d", "parent_is_object")]:
        with pytest.raises(Conflict) as caught:
            await put(store, key)
        assert caught.value.reason == reason
    assert await get(store, "a/b") == b"kept"
    with pytest.raises(NotFound):
        await store.stat(BUCKET, "a")
    with pytest.raises(NotFound):
        await store.stat(BUCKET, "a/b/")
    with pytest.raises(NotFound):
        await store.open(BUCKET, "a")
    with pytest.raises(NotFound):
        await store.open(BUCKET, "a/b/c")


async def test_move_object_and_folder(store: Full) -> None:
    await put(store, "a/one", b"1")
    await put(store, "a/sub/two", b"2")
    marker = await store.read_marker(BUCKET, "a/sub/")
    done = await store.move(BUCKET, "a/", "new/place/")
    assert done.info.key == "new/place/"
    assert [f.key for f in done.folders] == ["new/"]
    assert await get(store, "new/place/sub/two") == b"2"
    assert await store.read_marker(BUCKET, "new/place/sub/") == marker
    await put(store, "target", b"old")
    await store.move(BUCKET, "new/place/one", "target")
    assert await get(store, "target") == b"1"
    same = await store.move(BUCKET, "target", "target")
    assert same.info.key == "target"


async def test_moves_that_are_refused(store: Full) -> None:
    await put(store, "a/x", b"1")
    await put(store, "b/y", b"2")
    await put(store, "f", b"3")
    refusals = [
        ("nothing", "z", NotFound, None),
        ("nothing/", "z/", NotFound, None),
        ("a", "z", NotFound, None),
        ("f/", "z/", NotFound, None),
        ("a/", "b/", Conflict, "exists"),
        ("a/", "f/", Conflict, "parent_is_object"),
        ("f", "a", Conflict, "is_folder"),
        ("f", "b/y/z", Conflict, "parent_is_object"),
        ("a/", "a/c/", Conflict, "into_itself"),
        ("f", "a/.pydio", Forbidden, "reserved"),
        ("f", "a//b", Invalid, "key"),
    ]
    for source, target, error, reason in refusals:
        with pytest.raises(error) as caught:
            await store.move(BUCKET, source, target)
        assert reason is None or caught.value.reason == reason
    assert await get(store, "a/x") == b"1"
    assert await get(store, "b/y") == b"2"
    assert await get(store, "f") == b"3"


# --- names

REFUSED = [
    ("", Invalid, "key"),
    ("/x", Invalid, "key"),
    ("a//b", Invalid, "key"),
    (".", Invalid, "key"),
    ("..", Invalid, "key"),
    ("a/../b", Invalid, "key"),
    ("a/./b", Invalid, "key"),
    ("nul\0", Invalid, "key"),
    ("x" * 256, Invalid, "key"),
    ("é" * 128, Invalid, "key"),
    ("/".join(["d" * 200] * 6), TooLarge, "key_length"),
    (f"{QUOTE}C3{QUOTE}A9", Invalid, "key"),
    ("\ud800", Invalid, "key"),
    ("a/", Invalid, "key"),
    (".pydio", Forbidden, "reserved"),
    ("a/.pydio", Forbidden, "reserved"),
    ("a/.pydio/b", Forbidden, "reserved"),
    (".cellsmono/x", Forbidden, "reserved"),
    ("a/.cellsmono", Forbidden, "reserved"),
]


@pytest.mark.parametrize(("key", "error", "reason"), REFUSED)
async def test_n1_names_that_are_refused(store: Full, key: str, error: type[CellsError], reason: str) -> None:
    with pytest.raises(error) as caught:
        await put(store, key)
    assert caught.value.reason == reason
    assert len(str(caught.value)) > 20
    if key != "a/":
        with pytest.raises(NotFound):
            await store.open(BUCKET, key)
    assert await store.delete(BUCKET, key) is False
    assert await keys_in(store) == set()
    if key not in ("a/", "\ud800"):
        # The bytes of an upload can be committed under another key than the one it was begun for.
        assert (await store.create_upload(BUCKET, key)).key == key


ACCEPTED = [
    "back\\slash",
    "%2e%2e",
    "%252e",
    "new\nline",
    "control\x01\x7f",
    "rtl\u202etxt",
    "x" * 255,
    "a/" * 300 + "b",
    "CON",
    "aux.txt",
    "nfc-é",
    "nfd-e\u0301",
    "Case",
    "case",
    "dot.",
    "space ",
    " ",
    "...",
    ".hidden",
    ".pydio2",
    "pydio",
    "🙂/+&?#%",
    QUOTE,
    f"caf{QUOTE}E9",
    f"{QUOTE}E2{QUOTE}80{QUOTE}9BE9",
    "-rf",
    "*",
    "|:<>\"'",
]


UNTELLABLE = {"moto": {"new\nline"}, "versitygw": {"control\x01\x7f"}}
"""The routing of the one knows no line breaks, the listings of the other spoil control characters."""


async def test_n1_names_that_are_stored_exactly(store: Full, request: pytest.FixtureRequest) -> None:
    untellable = UNTELLABLE.get(request.node.callspec.params["store"], ())
    accepted = [key for key in ACCEPTED if key not in untellable]
    for number, key in enumerate(accepted):
        await put(store, key, str(number).encode())
    for number, key in enumerate(accepted):
        assert await get(store, key) == str(number).encode()
        assert (await store.stat(BUCKET, key)).key == key
    assert await keys_in(store) == {k if "/" not in k else k[: k.index("/") + 1] for k in accepted}


UNHOLDABLE = ["a/" * 512, "a/" * 511 + "bc", "a/" * 509 + "b", "x" * 256, "x" * 256 + "/", "x" * 256 + "/b", "é" * 600]
"""Too long for S3 together with the bucket's prefix, for a file name, or altogether."""


@pytest.mark.parametrize("key", UNHOLDABLE, ids=range(len(UNHOLDABLE)))
async def test_nothing_is_at_a_key_that_is_too_long_for_the_storage(store: Full, key: str) -> None:
    for look in (store.stat, store.open):
        with pytest.raises(NotFound):
            await look(BUCKET, key)
    with pytest.raises(NotFound):
        await store.stage_copy(BUCKET, BUCKET, key)
    with pytest.raises(NotFound):
        await store.set_mtime(BUCKET, key, 1)
    with pytest.raises(NotFound):
        await store.move(BUCKET, key, "to/" if key.endswith("/") else "to")
    assert await store.read_attributes(BUCKET, [key]) == [None]
    assert await store.delete(BUCKET, key) is False
    assert await store.remove_folder(BUCKET, key) is False


# --- attributes


async def test_attributes(store: Full) -> None:
    seen: list[Facts] = []
    meta = NodeMeta(content_type="text/plain", user={"größe": "1"})

    def describe(facts: Facts) -> NodeAttributes:
        seen.append(facts)
        return NodeAttributes(facts.size, facts.mtime_ns, "0" * 32 + "-2", meta)

    done = await put(store, "x", b"12345", attributes=describe, mtime_ns=10**18)
    assert [(facts.size, facts.mtime_ns) for facts in seen] == [(5, 10**18)]
    expected = NodeAttributes(5, 10**18, "0" * 32 + "-2", meta) if store.capabilities(BUCKET).attributes else None
    await put(store, "plain")
    assert await store.read_attributes(BUCKET, ["x", "plain", "nothing", "a//b"]) == [expected, None, None, None]
    changed = NodeAttributes(5, 10**18, "", NodeMeta(tags={"a": "b"}))
    await store.set_attributes(BUCKET, "x", changed)
    if expected:
        assert await store.read_attributes(BUCKET, ["x"]) == [changed]
    assert (await store.stat(BUCKET, "x")).facts == done.info.facts
    await store.move(BUCKET, "x", "d/x")
    if expected:
        assert await store.read_attributes(BUCKET, ["d/x"]) == [changed]
    await put(store, "d/x", b"new")
    assert await store.read_attributes(BUCKET, ["d/x"]) == [None]
    with pytest.raises(NotFound):
        await store.set_attributes(BUCKET, "nothing", changed)


async def test_the_path_that_the_key_does_not_tell_is_kept_with_and_without_more(store: Full) -> None:
    if not store.capabilities(BUCKET).attributes:
        pytest.skip("there a record lies beside each blob")
    long = "ordner//ä/" * 90
    meta = NodeMeta(content_type="text/plain")
    await put(store, "short", b"12", attributes=lambda f: NodeAttributes(f.size, f.mtime_ns, path="a/b"), mtime_ns=5)
    await put(store, "more", b"12", attributes=lambda f: NodeAttributes(2, 5, "x-1", meta, long), mtime_ns=5)
    assert await store.read_attributes(BUCKET, ["short", "more"]) == [
        NodeAttributes(2, 5, path="a/b"),
        NodeAttributes(2, 5, "x-1", meta, long),
    ]


async def test_a_bucket_is_held_once_until_it_is_forgotten(store: Full, tmp_path: Path) -> None:
    await store.hold_bucket(BUCKET)
    await store.hold_bucket(OTHER)
    if isinstance(getattr(store, "below", store), LocalStore):
        second = LocalStore("data.objects.local2", tmp_path)
        second.add_bucket(BUCKET, BUCKET)
    elif isinstance(store, S3Store):
        second = S3Store("data.objects.gateway2", store.endpoint)
        second.add_bucket(store.place(BUCKET))
    else:
        second = store
    with pytest.raises(Locked) as caught:
        await second.hold_bucket(BUCKET)
    assert caught.value.reason == "held"
    assert store.describe_loss(BUCKET) == ""
    store.forget_bucket(BUCKET)
    if isinstance(store, S3Store):
        await store.holds.close()
    await second.hold_bucket(BUCKET)
    await second.close()


# --- buckets


async def test_buckets(store: Full) -> None:
    await store.create_bucket("fresh")
    assert await store.has_bucket("fresh")
    with pytest.raises(CellsError) as caught:
        await store.create_bucket("fresh")
    assert caught.value.code == "already_exists"
    await put(store, "x", bucket="fresh")
    with pytest.raises(Conflict) as refused:
        await store.remove_bucket("fresh")
    assert refused.value.reason == "not_empty"
    await store.delete("fresh", "x")
    await store.remove_bucket("fresh")
    assert not await store.has_bucket("fresh")


async def test_an_unknown_bucket(store: Full) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: store.stat("nope", "x"),
        lambda: store.open("nope", "x"),
        lambda: store.stage("nope", chunks(b"")),
        lambda: store.delete("nope", "x"),
        lambda: store.scan("nope", [("", b"")]),
        lambda: store.create_upload("nope", "x"),
    ]
    for call in calls:
        with pytest.raises(NotFound) as caught:
            await call()
        assert caught.value.reason == "bucket"
    assert not await store.has_bucket("nope")


async def test_used_space(store: Full) -> None:
    free, total = await store.used_space(BUCKET)
    assert 0 < free <= total if store.capabilities(BUCKET).local else (free, total) == (0, 0)


# --- scanner


async def test_scan_tells_what_is_there(store: Full) -> None:
    await put(store, "a/x", b"123", mtime_ns=10**18)
    await put(store, "a/sub/y")
    listing = await list_folder(store, "a/")
    entries = {entry.name: entry.facts for entry in listing.entries or []}
    assert entries.keys() == {"x", "sub/"}
    assert not entries["x"].tells_news((await store.stat(BUCKET, "a/x")).facts)
    assert entries["sub/"] == (await store.stat(BUCKET, "a/sub/")).facts
    assert entries["sub/"].size == 0
    assert listing.complete
    assert not listing.missing
    assert listing.skipped == ()
    assert listing.facts == (await store.stat(BUCKET, "a/")).facts
    assert listing.marker == await store.read_marker(BUCKET, "a/") != ""
    assert (await store.stat_folders(BUCKET, ["a/"])) == [(listing.mtime_ns, listing.ctime_ns)]
    assert listing.stable is not store.capabilities(BUCKET).local


async def test_fingerprints(store: Full) -> None:
    await put(store, "x", b"1")
    first = await list_folder(store)
    again = await list_folder(store, expected=first.fingerprint)
    assert again.entries is None
    assert again.fingerprint == first.fingerprint
    await put(store, "x", b"2")
    changed = await list_folder(store, expected=first.fingerprint)
    assert changed.entries is not None
    assert changed.fingerprint != first.fingerprint


async def test_scan_of_what_is_no_folder(store: Full) -> None:
    await put(store, "file")
    listings = await store.scan(BUCKET, [("gone/", b""), ("file/", b""), (".cellsmono/", b""), ("", b"")])
    assert [listing.missing for listing in listings] == [True, True, True, False]
    assert [listing.key for listing in listings] == ["gone/", "file/", ".cellsmono/", ""]
    for folder in ("gone/", "file/"):
        assert await store.stat_folders(BUCKET, [folder]) == [None]


async def test_stat_entries(store: Full) -> None:
    await put(store, "d/f", b"12")
    entries = await store.stat_entries(BUCKET, ["d", "d/", "d/f", "d/f/", "d/g", "zz/y", "d/.pydio", "a//b"])
    assert [getattr(entry, "name", None) for entry in entries] == ["d/", "d/", "f", "f", None, None, None, None]
    root = (await store.stat_entries(BUCKET, [""]))[0]
    assert getattr(root, "name", None) == ""


async def test_markers(store: Full) -> None:
    uuid = "01890000-0000-7000-8000-000000000001"
    await store.make_folder(BUCKET, "m/")
    before = (await store.stat_folders(BUCKET, ["m/"]))[0]
    assert before is not None
    (marked,) = await store.write_markers(BUCKET, [("m/", uuid)])
    assert await store.read_marker(BUCKET, "m/") == uuid
    assert (await list_folder(store, "m/")).marker == uuid
    after = (await store.stat_folders(BUCKET, ["m/"]))[0]
    assert after is not None
    assert after[0] == before[0]
    assert marked == after
    assert await store.read_marker(BUCKET, "gone/") == ""
    other = "01890000-0000-7000-8000-000000000002"
    times = await store.write_markers(BUCKET, [("gone/", uuid), ("", uuid), ("m/", other)])
    assert times == [None, *await store.stat_folders(BUCKET, ["", "m/"])]
    assert await store.read_marker(BUCKET, "m/") == other
    assert await store.read_marker(BUCKET, "") == uuid


async def test_hash_object(store: Full) -> None:
    data = b"z" * 2_500_000
    done = await put(store, "h/z", data)
    assert await store.hash_object(BUCKET, "h/z") == (
        done.info.facts,
        hashlib.md5(data, usedforsecurity=False).hexdigest(),
    )
    assert await store.hash_object(BUCKET, "gone") is None
    assert await store.hash_object(BUCKET, "h/") is None


async def test_keys_of_paths(store: Full) -> None:
    if not store.capabilities(BUCKET).local:
        assert store.root(BUCKET).startswith("s3://")
        assert store.key_of(BUCKET, b"/any") is None
        return
    root = store.root(BUCKET).encode()
    assert store.key_of(BUCKET, root) == ""
    assert store.key_of(BUCKET, root + b"/a/b") == "a/b"
    assert store.key_of(BUCKET, root + b"/a/caf\xe9") == f"a/caf{QUOTE}E9"
    for hidden in (b"/.pydio", b"/a/.pydio", b"/.cellsmono/t-1", b"/a/../b"):
        assert store.key_of(BUCKET, root + hidden) is None
    assert store.key_of(BUCKET, root + b"2/a") is None
    assert store.key_of(BUCKET, b"/elsewhere") is None


# --- multipart


async def part(store: Full, upload_id: str, number: int, data: bytes, key: str = "") -> Part:
    return await store.put_part(BUCKET, upload_id, number, chunks(data), Digest(), len(data))


async def complete(store: Full, upload_id: str, parts: list[Part], key: str) -> None:
    await store.commit(await store.stage_upload(BUCKET, upload_id, parts), key)


async def test_an_upload_from_begin_to_end(store: Full) -> None:
    upload = await store.create_upload(BUCKET, "m/big", b"context")
    assert await store.read_upload(BUCKET, upload.upload_id) == upload
    assert upload.context == b"context"
    bodies = {1: b"a" * 100_000, 2: b"b" * 100_000, 3: b"c" * 5}
    parts = [await part(store, upload.upload_id, n, bodies[n]) for n in (2, 1, 3)]
    parts.sort(key=lambda p: p.number)
    assert await store.list_parts(BUCKET, upload.upload_id) == parts
    assert await store.list_parts(BUCKET, upload.upload_id, 1, 1) == parts[1:2]
    assert await keys_in(store) == set()
    for _ in range(2):
        await complete(store, upload.upload_id, parts, "m/big")
        assert await get(store, "m/big") == b"".join(bodies[n] for n in (1, 2, 3))
    await store.finish_upload(BUCKET, upload.upload_id)
    for call in (
        store.finish_upload(BUCKET, upload.upload_id),
        store.read_upload(BUCKET, upload.upload_id),
        store.list_parts(BUCKET, upload.upload_id),
        store.stage_upload(BUCKET, upload.upload_id, parts),
        part(store, upload.upload_id, 1, b"late"),
    ):
        with pytest.raises(NotFound) as caught:
            await call
        assert caught.value.reason == "upload"
    assert await get(store, "m/big") == b"".join(bodies[n] for n in (1, 2, 3))


LAYOUTS: list[tuple[list[tuple[int, int]], list[int]]] = [
    ([(1, 5000)], [1]),
    ([(1, 5000), (2, 5000), (3, 7)], [1, 2, 3]),
    ([(3, 7), (2, 5000), (1, 5000)], [1, 2, 3]),
    ([(1, 5000), (2, 9000), (3, 100)], [1, 2, 3]),
    ([(1, 10), (2, 5000), (3, 100)], [1, 2, 3]),
    ([(1, 5000), (2, 10), (3, 5000)], [1, 2, 3]),
    ([(5, 5000), (7, 5000), (9, 1)], [5, 7, 9]),
    ([(1, 5000), (2, 5000), (3, 5000)], [1, 3]),
    ([(1, 5000), (2, 5000), (1, 4000)], [1, 2]),
    ([(1, 5000), (2, 100), (2, 5000), (3, 9)], [1, 2, 3]),
    ([(2, 0), (1, 0)], [1, 2]),
    ([(1, 70_000), (2, 70_000), (10_000, 70_000)], [1, 2, 10_000]),
]


@pytest.mark.parametrize(("puts", "listed"), LAYOUTS)
async def test_parts_of_any_size_and_order(store: Full, puts: list[tuple[int, int]], listed: list[int]) -> None:
    upload = await store.create_upload(BUCKET, "k")
    bodies: dict[int, bytes] = {}
    for turn, (number, size) in enumerate(puts):
        bodies[number] = bytes([turn + 1]) * size
        await part(store, upload.upload_id, number, bodies[number])
    stored = {p.number: p for p in await store.list_parts(BUCKET, upload.upload_id)}
    assert {n: p.size for n, p in stored.items()} == {n: len(b) for n, b in bodies.items()}
    for _ in range(2):
        await complete(store, upload.upload_id, [stored[n] for n in listed], "k")
        assert await get(store, "k") == b"".join(bodies[n] for n in listed)
    await complete(store, upload.upload_id, list(stored.values()), "all")
    assert await get(store, "all") == b"".join(bodies[n] for n in sorted(bodies))
    assert await get(store, "k") == b"".join(bodies[n] for n in listed)
    await store.finish_upload(BUCKET, upload.upload_id)


async def test_a_failed_part_leaves_the_older_one(store: Full) -> None:
    upload = await store.create_upload(BUCKET, "k")
    first = await part(store, upload.upload_id, 1, b"1" * 6000)
    with pytest.raises(Invalid):
        await store.put_part(BUCKET, upload.upload_id, 1, chunks(b"2" * 6000), Digest("announced"), 6000)
    with pytest.raises(Invalid):
        await store.put_part(BUCKET, upload.upload_id, 2, chunks(b"2" * 6000), Digest("announced"), 6000)
    assert await store.list_parts(BUCKET, upload.upload_id) == [first]
    second = await part(store, upload.upload_id, 2, b"3" * 6000)
    await complete(store, upload.upload_id, [first, second], "k")
    assert await get(store, "k") == b"1" * 6000 + b"3" * 6000


async def test_stale_or_wrong_parts_are_refused(store: Full) -> None:
    upload = await store.create_upload(BUCKET, "k")
    old = await part(store, upload.upload_id, 1, b"1" * 10)
    await part(store, upload.upload_id, 1, b"2" * 10)
    for parts in ([old], [Part(7, 1, "x", 0)]):
        with pytest.raises(Invalid) as caught:
            await store.stage_upload(BUCKET, upload.upload_id, parts)
        assert caught.value.reason == "part"
    for number in (0, -1, 10_001):
        with pytest.raises(Invalid):
            await part(store, upload.upload_id, number, b"")


async def test_uploads_are_listed_in_order(store: Full) -> None:
    keys = ["b", "a", "a", "c/x", "a-b", "é"]
    made = [await store.create_upload(BUCKET, key) for key in keys]
    await store.create_upload(OTHER, "a")
    ordered = sorted(made, key=lambda u: (u.key.encode(), u.initiated_ns))
    assert await store.list_uploads(BUCKET) == ordered
    assert await store.list_uploads(BUCKET, prefix="a") == ordered[:3]
    assert await store.list_uploads(BUCKET, limit=2) == ordered[:2]
    assert await store.list_uploads(BUCKET, after_key="a", after_id=ordered[0].upload_id) == ordered[1:]
    assert await store.list_uploads(BUCKET, after_key="a") == ordered[2:]
    with pytest.raises(NotFound):
        await store.read_upload(OTHER, made[0].upload_id)


async def test_stale_uploads_are_removed(store: Full) -> None:
    old = await store.create_upload(BUCKET, "old")
    await part(store, old.upload_id, 1, b"1" * 10)
    new = await store.create_upload(BUCKET, "new")
    assert await store.remove_stale_uploads(new.initiated_ns) == 1
    assert await store.list_uploads(BUCKET) == [new]
