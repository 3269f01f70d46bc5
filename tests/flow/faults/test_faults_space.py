"""F1: a disk that fills up in the middle of a write costs that write, and nothing else."""

import asyncio
import os

import pytest

MIB = 1024 * 1024


@pytest.fixture
async def small(open_app, mount_small):
    """A datasource on a disk of 24 MiB; its index is elsewhere."""
    disk = mount_small("24m")
    async with open_app(folder=disk / "docs") as app:
        yield app


def fill(folder, leave):
    """Use up the disk but for so many bytes."""
    space = os.statvfs(folder)
    with open(folder.parent / "filler", "wb") as filler:
        filler.write(bytes(max(0, space.f_bavail * space.f_frsize - leave)))


def make_room(folder):
    os.unlink(folder.parent / "filler")


async def check_well(app):
    """The service goes on without a restart."""
    await app.put("after", b"a" * 100_000)
    assert await app.read("after") == b"a" * 100_000
    assert app.store.alarm.reason == "", "a full disk is no failed disk"
    await app.check_equal()


@pytest.mark.parametrize("size", [1000, 300_000, 12 * MIB])
async def test_f1_disk_full_in_the_middle_of_a_put(small, size):
    await small.put("k", b"old")
    await small.put("d/k", b"old")
    fill(small.folder, min(size // 2, 100_000) if size > 4096 else 0)
    for key in ("k", "d/k", "new/deep/k"):
        status, code, message = await small.refused("put_object", Key=key, Body=b"n" * size)
        assert (status, code) == (507, "InsufficientStorage")
        assert "full" in message.lower() or "storage" in message.lower()
    assert await small.read("k") == b"old"
    assert small.disk() == {"k": b"old", "d/k": b"old"}
    assert small.temporaries() == []
    assert not (small.folder / "new").exists()
    make_room(small.folder)
    await small.put("k", b"n" * size)
    await check_well(small)


async def test_f1_disk_full_in_the_middle_of_a_part(small):
    await small.put("k", b"old")
    names = {"Key": "k", "UploadId": (await small.s3("create_multipart_upload", Key="k"))["UploadId"]}
    first = await small.s3("upload_part", **names, PartNumber=1, Body=b"1" * (5 * MIB))
    fill(small.folder, MIB)
    status, code, _ = await small.refused("upload_part", **names, PartNumber=2, Body=b"2" * (5 * MIB))
    assert (status, code) == (507, "InsufficientStorage")
    status, code, _ = await small.refused("upload_part", **names, PartNumber=1, Body=b"x" * (5 * MIB))
    assert (status, code) == (507, "InsufficientStorage")
    listed = await small.s3("list_parts", **names)
    assert [part["ETag"] for part in listed["Parts"]] == [first["ETag"]]
    assert await small.read("k") == b"old"
    make_room(small.folder)
    second = await small.s3("upload_part", **names, PartNumber=2, Body=b"2" * (5 * MIB))
    parts = [{"PartNumber": n, "ETag": part["ETag"]} for n, part in enumerate((first, second), 1)]
    await small.s3("complete_multipart_upload", **names, MultipartUpload={"Parts": parts})
    assert await small.read("k") == b"1" * (5 * MIB) + b"2" * (5 * MIB)
    assert small.temporaries() == []
    await check_well(small)


async def test_f1_disk_full_in_the_middle_of_a_copy(small):
    await small.put("source", b"s" * (8 * MIB))
    await small.put("target", b"old")
    fill(small.folder, MIB)
    source = {"Bucket": "docs", "Key": "source"}
    assert (await small.refused("copy_object", Key="target", CopySource=source))[:2] == (507, "InsufficientStorage")
    assert await small.read("target") == b"old"
    assert small.temporaries() == []
    await small.s3("delete_object", Key="source")
    make_room(small.folder)
    await check_well(small)


async def test_f1_deleting_makes_room_on_a_full_disk(small):
    for number in range(4):
        await small.put(f"k{number}", b"x" * (2 * MIB))
    fill(small.folder, 0)
    assert (await small.refused("put_object", Key="more", Body=b"m" * MIB))[0] == 507
    answer = await small.s3("delete_objects", Delete={"Objects": [{"Key": "k0"}, {"Key": "k1"}]})
    assert "Errors" not in answer
    await small.put("more", b"m" * MIB)
    await check_well(small)


async def test_f1_no_inode_left(open_app, mount_small):
    disk = mount_small("16m", options=",nr_inodes=40")
    async with open_app(folder=disk / "docs") as app:
        await app.put("k", b"old")
        outcome = await asyncio.gather(*(app.put(f"d{n}/k", b"x") for n in range(40)), return_exceptions=True)
        refused = [error.response["Error"]["Code"] for error in outcome if isinstance(error, Exception)]
        assert refused
        assert set(refused) == {"InsufficientStorage"}
        assert await app.read("k") == b"old"
        assert app.temporaries() == []
        stored = [f"d{n}/k" for n, each in enumerate(outcome) if not isinstance(each, Exception)]
        assert sorted(app.disk()) == sorted([*stored, "k"])
        for key in stored:
            await app.s3("delete_object", Key=key)
        await check_well(app)


async def test_f1_the_disk_of_the_index_fills_up(open_app, mount_small):
    """The bytes may be there already; without its row the write is not acknowledged, and nothing is torn."""
    data = mount_small("3m")
    async with open_app(data=data) as app:
        await app.put("k", b"old")
        with open(data / "filler", "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        acknowledged, refused = {"k": b"old"}, []
        for number in range(400):
            body = b"%d" % number
            try:
                await app.put(f"f{number % 50}/k{number}", body)
                acknowledged[f"f{number % 50}/k{number}"] = body
            except Exception as error:
                refused.append(error.response["Error"]["Code"])
                if len(refused) > 3:
                    break
        assert refused
        assert set(refused) == {"InsufficientStorage"}
        assert await app.read("k") == b"old"
        disk = app.disk()
        assert all(disk[key] == body for key, body in acknowledged.items())
        assert app.temporaries() == []
        os.unlink(data / "filler")
        await check_well(app)
        assert set(acknowledged) <= set(await app.keys())


async def test_f1_the_disk_of_the_uploads_register_fills_up(open_app, mount_small):
    data = mount_small("3m")
    async with open_app(data=data) as app:
        with open(data / "filler", "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        code = ""
        for number in range(400):
            try:
                await app.s3("create_multipart_upload", Key=f"u{number}", Metadata={"x": "y" * 1000})
            except Exception as error:
                code = error.response["Error"]["Code"]
                break
        assert code == "InsufficientStorage"
        os.unlink(data / "filler")
        await app.s3("create_multipart_upload", Key="more")
        await check_well(app)
