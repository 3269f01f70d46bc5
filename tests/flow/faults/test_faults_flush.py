"""F2: a flush that failed is never acknowledged, never repeated, and makes the datasource read-only."""

import asyncio
import errno
import os
import sys
import urllib.request

import pytest
from botocore.exceptions import ClientError

from cellsmono.interfaces.sync import ResyncOptions
from cellsmono.kernel.errors import Unavailable
from cellsmono.kernel.service import ServiceState


class Flushes:
    """Counts flushes; the N-th of them fails once."""

    def __init__(self, monkeypatch, number):
        self.count, self.number, self.failed = 0, number, ""
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name, real):
        def flush(descriptor):
            if sys._getframe(1).f_code.co_name == "sync_quietly":
                return real(descriptor)  # its loss costs space or a repetition, nothing that was acknowledged
            self.count += 1
            if self.count == self.number:
                self.failed = name
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(descriptor)

        return flush


async def put_small(app):
    await app.put("new/small", b"n" * 1000)


async def put_large(app):
    await app.put("large", b"n" * 300_000)


async def overwrite(app):
    await app.put("old", b"n" * 1000)


async def delete(app):
    await app.s3("delete_object", Key="old")


async def copy(app):
    await app.s3("copy_object", Key="copy", CopySource={"Bucket": "docs", "Key": "old"})


async def upload(app):
    names = {"Key": "parts", "UploadId": (await app.s3("create_multipart_upload", Key="parts"))["UploadId"]}
    etag = (await app.s3("upload_part", **names, PartNumber=1, Body=b"n" * 100_000))["ETag"]
    await app.s3("complete_multipart_upload", **names, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})


async def move(app):
    await app.store.move_node("old", "moved/old")


ACTIONS = [put_small, put_large, overwrite, delete, copy, upload, move]


@pytest.mark.parametrize("action", ACTIONS)
async def test_f2_a_failed_flush_makes_the_datasource_read_only(open_app, monkeypatch, action):
    number, seen = 1, 0
    while True:
        async with open_app() as app:
            await app.put("old", b"old")
            with monkeypatch.context() as patch:
                flushes = Flushes(patch, number)
                try:
                    await action(app)
                    acknowledged = True
                except (ClientError, Unavailable) as error:
                    acknowledged, answer = False, getattr(error, "response", None)
                if not acknowledged and answer is not None:
                    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503
                if not flushes.failed:
                    assert acknowledged
                    break
                assert not acknowledged, f"flush {number} failed and the request was acknowledged"
                seen += 1
            await check_read_only(app)
            assert app.temporaries() == []
            assert app.disk().get("old", b"old") in (b"old", b"n" * 1000)
            await app.core.installation.resync("docs", "", ResyncOptions(full=True))
            await app.put("after", b"after")
            await app.s3("delete_object", Key="after")
            await app.check_equal()
            for key in await app.keys():
                await app.s3("delete_object", Key=key)
        number += 1
    assert seen >= 1, "nothing was flushed: the test is blind"


async def check_read_only(app):
    """Reads go on, writes are refused with a reason, and every status page says so."""
    status, code, message = await app.refused("put_object", Key="other", Body=b"x")
    assert (status, code) == (503, "ServiceUnavailable")
    assert "read-only" in message
    assert "ds resync" in message
    assert (await app.refused("delete_object", Key="old"))[0] == 503
    assert (await app.refused("create_multipart_upload", Key="other"))[0] == 503
    assert not (app.folder / "other").exists()
    await app.s3("list_objects_v2")
    row = await app.service()
    assert row.state is ServiceState.DEGRADED
    assert "read-only" in row.detail
    shown = await app.show()
    assert shown.state is ServiceState.DEGRADED
    assert "read-only" in shown.error


async def test_f2_a_restart_ends_the_alarm(open_app, monkeypatch):
    async with open_app() as app:
        with monkeypatch.context() as patch:
            Flushes(patch, 1)
            assert (await app.refused("put_object", Key="x", Body=b"1"))[0] == 503
        assert (await app.refused("put_object", Key="x", Body=b"1"))[0] == 503
    async with open_app() as app:
        await app.put("x", b"1")
        assert await app.read("x") == b"1"


async def test_f2_the_alarm_is_on_the_status_page_and_in_the_figures(open_app, monkeypatch):
    async with open_app() as app:
        with monkeypatch.context() as patch:
            Flushes(patch, 1)
            await app.refused("put_object", Key="x", Body=b"1")
        main = app.server.addresses["main"]

        def get(path):
            with urllib.request.urlopen(f"http://{main.host}:{main.port}{path}") as answer:
                return answer.read().decode()

        assert "read-only" in await asyncio.to_thread(get, "/readyz")
        assert 'cellsmono_read_only{datasource="docs"} 1' in await asyncio.to_thread(get, "/metrics")


async def test_f2_a_resync_of_a_part_or_a_dry_run_does_not_end_the_alarm(open_app, monkeypatch):
    async with open_app() as app:
        await app.put("a/x")
        with monkeypatch.context() as patch:
            Flushes(patch, 1)
            await app.refused("put_object", Key="y", Body=b"1")
        await app.core.installation.resync("docs", "a")
        await app.core.installation.resync("docs", "", ResyncOptions(dry_run=True))
        assert (await app.refused("put_object", Key="y", Body=b"1"))[0] == 503


async def test_f2_writes_under_way_when_a_flush_fails_are_not_acknowledged(open_app, monkeypatch):
    """Whoever shares the failed flush, or comes right after it, could be lost as well."""
    async with open_app() as app:
        with monkeypatch.context() as patch:
            flushes = Flushes(patch, 20)
            outcome = await asyncio.gather(*(app.put(f"k{n}", b"x") for n in range(24)), return_exceptions=True)
            assert flushes.failed
        acknowledged = [n for n, each in enumerate(outcome) if not isinstance(each, BaseException)]
        assert len(acknowledged) < 24
        await app.core.installation.resync("docs")
        disk = app.disk()
        assert all(f"k{n}" in disk for n in acknowledged)


async def test_f2_a_failed_index_makes_the_datasource_read_only_until_a_restart(open_app):
    async with open_app() as app:
        await app.put("old", b"old")
        # As the database does it when SQLite reports an I/O error.
        app.store.index._database._fail(OSError(errno.EIO, "input/output error"))
        assert (await app.refused("put_object", Key="x", Body=b"1"))[0] == 503
        await check_read_only(app)
        with pytest.raises(Unavailable):
            await app.core.installation.resync("docs")
        await check_read_only(app)
    async with open_app() as app:
        await app.put("y", b"1")
        await app.check_equal()
