"""Files that change while they are served: what a reader gets is one version, or a broken connection."""

import asyncio
import hashlib
import http.client
import os
import random
import shutil

import pytest
from botocore.exceptions import ClientError

from cellsmono.interfaces.topics import INDEX_CHANGES

PATIENCE = 20
MIB = 1024 * 1024


class Download:
    """A GET whose body is read when the test says so."""

    def __init__(self, app, key):
        url = app.client.generate_presigned_url("get_object", Params={"Bucket": "docs", "Key": key})
        host, _, self.path = url.removeprefix("http://").partition("/")
        self.connection = http.client.HTTPConnection(host, timeout=20)

    def begin(self):
        self.connection.request("GET", "/" + self.path)
        self.answer = self.connection.getresponse()
        self.length = int(self.answer.headers["Content-Length"])
        return self.answer.read(1)

    def finish(self):
        try:
            return self.answer.read()
        finally:
            self.connection.close()


@pytest.fixture
def download():
    async def start(app, key):
        made = Download(app, key)
        return made, await asyncio.to_thread(made.begin)

    return start


async def test_a_file_that_grows_while_it_is_read_is_sent_as_long_as_announced(open_app, download):
    async with open_app() as app:
        (app.folder / "log").write_bytes(b"a" * (32 * MIB))
        reading, first = await download(app, "log")
        with open(app.folder / "log", "ab") as log:
            log.write(b"b" * MIB)
        body = first + await asyncio.to_thread(reading.finish)
        assert body == b"a" * (32 * MIB)
        assert reading.length == 32 * MIB


async def test_a_file_that_is_truncated_while_it_is_read_breaks_the_connection(open_app, download):
    async with open_app() as app:
        (app.folder / "log").write_bytes(b"a" * (32 * MIB))
        reading, _ = await download(app, "log")
        os.truncate(app.folder / "log", 100)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            await asyncio.to_thread(reading.finish)
        assert await app.read("log") == b"a" * 100, "the server goes on"


async def test_a_file_that_is_replaced_while_it_is_read_is_sent_as_it_was(open_app, download):
    async with open_app() as app:
        for replace in ("over s3", "behind the back", "deleted"):
            await app.put("k", b"a" * (32 * MIB))
            reading, first = await download(app, "k")
            if replace == "over s3":
                await app.put("k", b"b" * MIB)
            elif replace == "deleted":
                await app.s3("delete_object", Key="k")
            else:
                (app.folder / "new").write_bytes(b"b" * MIB)
                os.replace(app.folder / "new", app.folder / "k")
            assert first + await asyncio.to_thread(reading.finish) == b"a" * (32 * MIB), replace


async def test_a_file_becomes_a_folder_and_a_file_again_under_watching(open_app):
    async with open_app(watch="auto") as app:
        async with follow(app) as wait_until:
            await app.put("x", b"file")
            os.unlink(app.folder / "x")
            (app.folder / "x").mkdir()
            (app.folder / "x" / "inside").write_bytes(b"1")
            await wait_until(["x/inside"])
            assert (await app.refused("get_object", Key="x"))[1] == "NoSuchKey"
            assert await app.read("x/inside") == b"1"
            shutil.rmtree(app.folder / "x")
            (app.folder / "x").write_bytes(b"file again")
            await wait_until(["x"])
            assert await app.read("x") == b"file again"
            assert (await app.refused("get_object", Key="x/inside"))[1] == "NoSuchKey"
        await app.check_equal()


class follow:  # noqa: N801 - used as a function
    """Waits, woken by the index's events, until the keys are these."""

    def __init__(self, app):
        self.app, self.events, self.changed = app, [], asyncio.Event()

    async def __aenter__(self):
        self.subscription = self.app.core.bus.subscribe(INDEX_CHANGES, "test", size=100_000)
        self.task = asyncio.create_task(self.collect())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.subscription.close()

    async def collect(self):
        while True:
            self.events.append(await anext(self.subscription))
            self.changed.set()

    async def __call__(self, expected):
        async with asyncio.timeout(PATIENCE):
            while True:
                self.changed.clear()
                if [key for key in await self.app.keys() if not key.endswith("/")] == expected:
                    return
                await self.changed.wait()


def save_like_vim(path, body):
    backup, swap = path.with_name(path.name + "~"), path.with_name("." + path.name + ".swp")
    swap.write_bytes(b"swap")
    os.rename(path, backup)
    path.write_bytes(body)
    os.unlink(backup)
    os.unlink(swap)


def save_like_rsync(path, body):
    temporary = path.with_name("." + path.name + ".Xk29fa")
    temporary.write_bytes(body)
    os.replace(temporary, path)


def save_like_libreoffice(path, body):
    lock, temporary = path.with_name(".~lock." + path.name + "#"), path.with_name("lu1234.tmp")
    lock.write_bytes(b",user,host;")
    temporary.write_bytes(body)
    os.replace(temporary, path)
    os.unlink(lock)


def save_like_a_browser(path, body):
    part = path.with_name(path.name + ".part")
    part.write_bytes(body[: len(body) // 2])
    with part.open("ab") as file:
        file.write(body[len(body) // 2 :])
    os.replace(part, path)


def save_in_place(path, body):
    path.write_bytes(body)


@pytest.mark.parametrize(
    "save", [save_like_vim, save_like_rsync, save_like_libreoffice, save_like_a_browser, save_in_place]
)
async def test_w8_editors_saves_keep_the_uuid_and_are_one_update(open_app, save):
    async with open_app(watch="auto", hash_content=False) as app:
        await app.put("doc.odt", b"old")
        uuid = (await app.store.index.read_node("doc.odt")).uuid
        async with follow(app) as seen:
            save(app.folder / "doc.odt", b"new content")
            async with asyncio.timeout(PATIENCE):
                while (await app.store.index.read_node("doc.odt")).size != 11:
                    seen.changed.clear()
                    await seen.changed.wait()
            await app.sync.settle()
            await app.check_equal()
            node = await app.store.index.read_node("doc.odt")
            assert node.uuid == uuid
            updates = [(str(event.kind), event.path) for event in seen.events if event.path == "doc.odt"]
            assert updates == [("update_content", "doc.odt")]


async def test_w6_edits_that_race_puts_leave_one_whole_version_and_one_row(open_app):
    dice = random.Random(6)
    async with open_app(watch="auto", durability="relaxed") as app:

        def edit(key, body):
            path = app.folder / key
            if dice.random() < 0.5:
                temporary = path.with_name(key + ".tmp")
                temporary.write_bytes(body)
                os.replace(temporary, path)
            else:
                path.write_bytes(body)

        for number in range(300):
            key = f"k{number % 10}"
            mine, theirs = b"s3-%d-" % number * 50, b"edit-%d-" % number * dice.choice([50, 700])
            await asyncio.gather(app.put(key, mine), asyncio.to_thread(edit, key, theirs))
            assert (app.folder / key).read_bytes() in (mine, theirs), "torn"
        await app.sync.settle()
        await app.core.installation.resync("docs")
        disk = app.disk()
        assert await app.keys() == sorted(disk)
        assert await app.store.index.verify() == []
        for key, body in disk.items():
            assert await app.read(key) == body
            etag = (await app.s3("head_object", Key=key))["ETag"].strip('"')
            assert "-" in etag or etag == hashlib.md5(body).hexdigest(), "an ETag of other bytes"


async def test_w7_a_storm_of_renames_comes_to_rest(open_app):
    dice = random.Random(7)
    async with open_app(watch="auto", durability="relaxed") as app:
        for number in range(100):
            (app.folder / f"f{number}").write_bytes(b"%d" % number)
        await app.core.installation.resync("docs")
        changes = 0

        def storm():
            nonlocal changes
            for _ in range(5000):
                source, target = f"f{dice.randrange(100)}", f"n{dice.randrange(10)}"
                for one, other in ((source, target), (target, source)):
                    try:
                        os.rename(app.folder / one, app.folder / other)
                        changes += 1
                    except FileNotFoundError:
                        pass

        async with follow(app) as seen:
            await asyncio.to_thread(storm)
            await app.sync.settle()
            async with asyncio.timeout(10):
                await seen(sorted(app.disk()))
            assert len(seen.events) <= changes
        await app.check_equal()


async def test_a_reader_never_sees_half_an_object(open_app):
    """Readers race writers of bodies that are each of one letter."""
    async with open_app(durability="relaxed") as app:
        bodies = [
            bytes([letter]) * size
            for letter, size in zip(b"abcdef", (10, 70_000, 3, 300_000, 2000, 65_537), strict=True)
        ]
        await app.put("k", bodies[0])

        async def write(worker):
            for turn in range(15):
                await app.put("k", bodies[(turn + worker) % len(bodies)])

        async def read():
            for _ in range(30):
                answer = await app.s3("get_object", Key="k")
                body = await asyncio.to_thread(answer["Body"].read)
                assert body in bodies
                etag = answer["ETag"].strip('"')
                assert "-" in etag or etag == hashlib.md5(body).hexdigest()

        await asyncio.gather(write(0), write(1), read(), read())


async def test_one_logical_change_publishes_one_event(open_app):
    async with open_app(watch="auto", hash_content=False) as app:
        async with follow(app) as seen:
            await app.put("x", b"1")
            await app.put("x", b"22")
            await app.s3("delete_object", Key="x")
            await app.put("a/x", b"1")
            await app.store.move_node("a/", "b/")
            await app.sync.settle()
            await app.core.installation.resync("docs")
            (app.folder / "last").write_bytes(b"1")
            await seen(["b/x", "last"])
        told = [(str(event.kind), event.path) for event in seen.events]
        expected = [("create", "x"), ("update_content", "x"), ("delete", "x"), ("create", "a/"), ("create", "a/x")]
        assert told == [*expected, ("update_path", "b/"), ("create", "last")]


async def test_a_conditional_write_loses_against_an_edit_behind_the_back(open_app):
    async with open_app() as app:
        etag = (await app.put("k", b"old"))["ETag"]
        (app.folder / "k").write_bytes(b"edited")
        with pytest.raises(ClientError) as caught:
            await app.s3("put_object", Key="k", Body=b"new", IfMatch=etag)
        assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
        assert await app.read("k") == b"edited"
