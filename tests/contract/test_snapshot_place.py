"""What every place for snapshots guarantees, whatever it stores them on."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.s3 import staging
from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.requests import has_any
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.interfaces.snapshots import SnapshotPlace
from cellsmono.kernel.errors import Conflict, Invalid, NotFound


class LocalSubject:
    """A folder's place; beside the folder or inside it."""

    def __init__(self, root, *, beside: bool) -> None:
        self.is_beside = beside
        self.folder = root / "parent" / "docs"
        self.folder.mkdir(parents=True)
        if not beside:
            (root / "parent" / ".cellsmono").touch()  # so that no work folder can be made there
        self.open()

    def open(self) -> None:
        self.store = LocalStore("objects", self.folder.parent)
        self.store.add_bucket("docs", "docs")

    def place(self) -> SnapshotPlace:
        return self.store.snapshots("docs")

    async def restart(self) -> None:
        await self.store.close()
        self.open()

    async def is_gone(self) -> bool:
        return not self.folder.exists()

    async def close(self) -> None:
        await self.store.close()


class S3Subject:
    """A prefix of a bucket on an S3 server; long snapshots go in parts."""

    is_beside = False

    def __init__(self, url: str, access_key: str = "access", secret_key: str = "secretsecret") -> None:
        self._endpoint = Endpoint(url, "us-east-1", access_key, secret_key)
        self._bucket = f"kept-{secrets.token_hex(6)}"

    async def make(self) -> None:
        maker = S3Store("objects", self._endpoint)
        await maker.create_bucket(self._bucket)
        await maker.close()
        self.open()

    def open(self) -> None:
        self.store = S3Store("objects", self._endpoint)
        self.store.add_bucket(Place("docs", self._bucket, "base/"))

    def place(self) -> SnapshotPlace:
        return self.store.snapshots("docs")

    async def restart(self) -> None:
        await self.store.close()
        self.open()

    async def is_gone(self) -> bool:
        await self.restart()
        return not await has_any(self.store.connection, Place("", self._bucket), "")

    async def close(self) -> None:
        await self.store.close()


async def make_subject(kind: str, root, request) -> "LocalSubject | S3Subject":
    if kind in ("beside", "inside"):
        return LocalSubject(root, beside=kind == "beside")
    if kind == "moto":
        made = S3Subject(request.getfixturevalue("moto_server"))
    else:
        server = request.getfixturevalue("flat_server" if kind == "own" else "versitygw_server")
        made = S3Subject(server.url, server.access_key, server.secret_key)
    await made.make()
    return made


@pytest.fixture(params=["beside", "inside", "moto", "own", "versitygw"])
async def subject(request, tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "PART_BYTES", 5 << 20)
    made = await make_subject(request.param, tmp_path, request)
    yield made
    await made.close()


@pytest.fixture
def place(subject):
    return subject.place()


async def body(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(place: SnapshotPlace, name: str) -> bytes:
    return b"".join([piece async for piece in place.open(name)])


async def names(place: SnapshotPlace) -> list[str]:
    return [file.name for file in await place.list_files()]


async def test_what_was_put_is_listed_and_read(place):
    assert await place.list_files() == []
    assert await place.put("b.db", body(b"12", b"", b"345")) == 5
    assert await place.put("a.db", body()) == 0
    assert [(file.name, file.size) for file in await place.list_files()] == [("a.db", 0), ("b.db", 5)]
    assert await read(place, "b.db") == b"12345"
    assert await read(place, "a.db") == b""


async def test_a_large_file_comes_in_pieces(place):
    data = secrets.token_bytes(11_000_001)
    assert await place.put("x", body(data[:3_000_000], data[3_000_000:])) == len(data)
    pieces = [piece async for piece in place.open("x")]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 1 << 20


async def test_a_put_replaces(place):
    await place.put("x", body(b"old"))
    await place.put("x", body(b"new!"))
    assert await read(place, "x") == b"new!"
    assert await names(place) == ["x"]


async def test_a_reader_that_began_before_a_replacement_reads_on(place):
    data = b"o" * 3_000_000
    await place.put("x", body(data))
    async with aclosing(place.open("x")) as pieces:
        first = await anext(pieces)
        await place.put("x", body(b"new"))
        assert first + b"".join([piece async for piece in pieces]) == data


async def test_a_body_that_fails_changes_nothing(place):
    async def failing():
        yield bytes(6_000_000)
        raise ValueError("no more")

    await place.put("x", body(b"old"))
    for name in ("x", "y"):
        with pytest.raises(ValueError, match="no more"):
            await place.put(name, failing())
    assert await read(place, "x") == b"old"
    assert await names(place) == ["x"]


async def test_a_put_that_is_cancelled_changes_nothing(place):
    begun = asyncio.Event()

    async def endless():
        yield bytes(6_000_000)
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(place.put("x", endless()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await names(place) == []


async def test_a_delete_removes_one(place):
    await place.put("x", body(b"1"))
    await place.put("y", body(b"2"))
    await place.delete("x")
    assert await names(place) == ["y"]
    with pytest.raises(NotFound):
        await place.delete("x")
    with pytest.raises(NotFound):
        await read(place, "x")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/x", ".hidden", "x\0", "é", "-x", "n" * 129, "a\n"])
async def test_what_is_no_basename_is_refused(place, name):
    with pytest.raises(Invalid):
        await place.put(name, body(b"x"))
    with pytest.raises(Invalid):
        await read(place, name)
    with pytest.raises(Invalid):
        await place.delete(name)


async def test_they_outlive_a_restart_and_its_clean_up(subject):
    await subject.place().put("t-1", body(b"kept"))
    await subject.place().put("u-1", body(b"kept"))
    await subject.restart()
    await subject.store.remove_stale_uploads(2**62)
    assert await names(subject.place()) == ["t-1", "u-1"]


async def test_a_bucket_that_is_removed_leaves_them_or_says_that_they_are_there(subject):
    assert not await subject.place().keeps_bucket()
    await subject.place().put("x", body(b"1"))
    assert await subject.place().keeps_bucket() is not subject.is_beside
    if subject.is_beside:
        await subject.store.remove_bucket("docs")
        subject.folder.mkdir()
        await subject.restart()
    else:
        with pytest.raises(Conflict, match="ds snapshot docs"):
            await subject.store.remove_bucket("docs")
    assert await names(subject.place()) == ["x"]
    await subject.place().delete("x")
    await subject.store.remove_bucket("docs")
    assert await subject.is_gone()


async def test_no_tree_shows_them(subject):
    await subject.place().put("x", body(b"1"))
    (listing,) = await subject.store.scan("docs", [("", b"")])
    assert [entry.name for entry in listing.entries] == []
