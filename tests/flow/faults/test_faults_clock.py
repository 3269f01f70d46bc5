"""F6: the wall clock jumps. Signatures go by it; nothing that is stored is lost or taken for old by mistake."""

import asyncio
import urllib.error
import urllib.request

import pytest

from cellsmono.kernel.clock import ManualClock

DAY = 86_400


def fetch(url):
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture
def clock():
    """As the machine's at first, so that a client's signatures are of its time."""
    import time

    return ManualClock(time.time())


@pytest.mark.parametrize("jump", [3600, -3600, 400 * DAY, -400 * DAY])
async def test_f6_a_jump_of_the_clock_expires_signatures_and_loses_nothing(open_app, clock, jump):
    async with open_app(clock=clock) as app:
        await app.put("k", b"before")
        names = {"Key": "parts", "UploadId": (await app.s3("create_multipart_upload", Key="parts"))["UploadId"]}
        part = await app.s3("upload_part", **names, PartNumber=1, Body=b"part")
        url = app.client.generate_presigned_url("get_object", Params={"Bucket": "docs", "Key": "k"}, ExpiresIn=600)
        assert await asyncio.to_thread(fetch, url) == (200, b"before")
        clock.jump(jump)
        status, body = await asyncio.to_thread(fetch, url)
        assert status == 403
        assert (b"has expired" if jump > 0 else b"not valid yet") in body
        assert (await app.refused("get_object", Key="k"))[:2] == (403, "RequestTimeTooSkewed")
        report = await app.core.installation.resync("docs")
        assert (report.deleted, report.held) == (0, "")
        clock.jump(-jump)
        assert await asyncio.to_thread(fetch, url) == (200, b"before")
        await app.put("k", b"after")
        assert await app.read("k") == b"after"
        listed = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        await app.s3("complete_multipart_upload", **names, MultipartUpload=listed)
        assert await app.read("parts") == b"part"
        await app.check_equal()


async def test_f6_uploads_become_stale_by_the_clock_and_not_before(open_app, clock):
    async with open_app(clock=clock) as app:
        await app.s3("create_multipart_upload", Key="parts")
        objects = app.core.datasources.triple("docs").objects
        week = 7 * DAY
        clock.jump(-30 * DAY)
        assert await objects.remove_stale_uploads(clock.time_ns() - week * 10**9) == 0
        clock.jump(30 * DAY + week - 60)
        assert await objects.remove_stale_uploads(clock.time_ns() - week * 10**9) == 0
        clock.jump(120)
        assert await objects.remove_stale_uploads(clock.time_ns() - week * 10**9) == 1
        assert app.temporaries() == []


async def test_f6_a_file_from_the_future_or_the_past_is_not_lost(open_app):
    import os

    async with open_app() as app:
        for name, seconds in (("future", 2**33), ("past", 1), ("before 1970", -10)):
            (app.folder / name).write_bytes(b"1")
            os.utime(app.folder / name, (seconds, seconds))
        await app.core.installation.resync("docs")
        assert await app.keys() == ["before 1970", "future", "past"]
        for name in ("future", "past", "before 1970"):
            assert await app.read(name) == b"1"
            await app.put(name, b"22")
            assert await app.read(name) == b"22"
        await app.check_equal()
