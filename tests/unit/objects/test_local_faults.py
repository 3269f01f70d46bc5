"""F rows: full disks, refused access, vanished roots, crashes, cancellations."""

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.registry_database import DatabaseRegistry
from cellsmono.interfaces.datasource import Durability
from cellsmono.kernel.errors import AlreadyExists, CellsError, Invalid, NotFound, QuotaExceeded, Unavailable

Put = Callable[..., Awaitable[Any]]
WorkFiles = Callable[[Path], list[str]]


async def body(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_f1_a_full_disk(small_disk: Path, put: Put, work_files: WorkFiles) -> None:
    store = LocalStore("s", small_disk)
    (small_disk / "docs").mkdir()
    store.add_bucket("docs", "docs")
    await put(store, "k", b"old")
    for size in (2_000_000, None):
        with pytest.raises(QuotaExceeded) as caught:
            await store.stage("docs", body(*[b"x" * 100_000] * 20), size=size)
        assert caught.value.reason == "disk_full"
    upload = await store.create_upload("docs", "k")
    digest = Digest()
    with pytest.raises(QuotaExceeded):
        await store.put_part("docs", upload.upload_id, 1, body(*[b"x" * 100_000] * 20), digest, 2_000_000)
    results = await asyncio.gather(
        *(put(store, f"small{number}", b"y" * 30_000) for number in range(100)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert 60 < len(refused) < 100
    assert all(isinstance(error, QuotaExceeded) for error in refused)
    assert [f for f in work_files(small_disk) if f != "assembly"] == []
    await store.finish_upload("docs", upload.upload_id)
    reader = await store.open("docs", "k")
    assert await reader.read(0, 10) == b"old"
    reader.close()
    for number in range(100):
        await store.delete("docs", f"small{number}")
    await put(store, "k", b"z" * 100_000)
    await store.close()


async def test_another_file_system_mounted_inside(tmp_path: Path, put: Put, work_files: WorkFiles) -> None:
    (tmp_path / "docs" / "mnt").mkdir(parents=True)
    mnt = tmp_path / "docs" / "mnt"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mnt)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    store = LocalStore("s", tmp_path)
    try:
        store.add_bucket("docs", "docs")
        for key in ("mnt/small", "mnt/new/sub/deep"):
            for size in (10, 300_000):
                done = await put(store, key, b"x" * size, mtime_ns=10**18)
                assert (await store.stat("docs", key)).facts == done.info.facts
                assert (tmp_path / "docs" / key).read_bytes() == b"x" * size
        assert all(await store.write_markers("docs", [("mnt/", "01890000-0000-7000-8000-000000000001")]))
        assert await store.read_marker("docs", "mnt/") == "01890000-0000-7000-8000-000000000001"
        assert len(await store.read_marker("docs", "mnt/new/sub/")) == 36
        assert work_files(tmp_path) == []
        assert not (mnt / ".cellsmono").exists()
        with pytest.raises(QuotaExceeded):
            await put(store, "mnt/huge", b"x" * 5_000_000)
        assert not (mnt / ".cellsmono").exists()
    finally:
        await store.close()
        subprocess.run(["umount", str(mnt)], check=True)


class Digest:
    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Nothing is hashed."""

    def verify(self) -> None:
        """Always well."""

    def etag(self) -> str:
        return "e" * 32

    def checksum(self) -> None:
        return None


REFUSED = """
import asyncio, os, sys
from pathlib import Path
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.kernel.errors import Forbidden
os.setgroups([]); os.setegid(65534); os.seteuid(65534)

async def one():
    yield b"x"

async def main():
    store = LocalStore("s", Path(sys.argv[1]))
    store.add_bucket("docs", "docs")
    for key in ("closed/x", "readonly/x"):
        try:
            await store.commit(await store.stage("docs", one()), key)
        except Forbidden as error:
            assert error.reason == "permission", error.reason
        else:
            raise SystemExit("not refused: " + key)
    for call in (store.open("docs", "secret"), store.open("docs", "closed/f"), store.delete("docs", "readonly/f")):
        try:
            await call
        except Forbidden as error:
            assert error.reason == "permission", error.reason
        else:
            raise SystemExit("not refused")
    closed, root = await store.scan("docs", [("closed/", b""), ("", b"")])
    assert not closed.complete and not closed.missing, closed
    assert [s.reason for s in closed.skipped] == ["unreadable"], closed
    assert {e.name for e in root.entries} == {"closed/", "readonly/", "open/", "secret"}, root
    assert await store.write_markers("docs", [("readonly/", "0" * 36)]) == [None]
    await store.commit(await store.stage("docs", one()), "open/x")
    await store.close()

asyncio.run(main())
"""


def test_n2_refused_access_as_an_ordinary_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    base = Path("/var/tmp") / f"cellsmono-test-{os.getpid()}"
    try:
        docs = base / "docs"
        for name, mode in (("closed", 0o700), ("readonly", 0o755), ("open", 0o777)):
            (docs / name).mkdir(parents=True)
            (docs / name / "f").write_text("x")
            (docs / name).chmod(mode)
        (docs / "secret").write_text("x")
        (docs / "secret").chmod(0o600)
        docs.chmod(0o777)
        base.chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", REFUSED, str(base)], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert (docs / ".cellsmono").is_dir()
    finally:
        shutil.rmtree(base)


async def test_w5_a_missing_root_is_offline_not_empty(local: LocalStore, tmp_path: Path, put: Put) -> None:
    await put(local, "a/x")
    (tmp_path / "docs").rename(tmp_path / "away")
    assert not await local.has_bucket("docs")
    assert not local.capabilities("docs").writable
    calls: list[Callable[[], Any]] = [
        lambda: local.stat("docs", "a/x"),
        lambda: local.open("docs", "a/x"),
        lambda: local.delete("docs", "a/x"),
        lambda: local.scan("docs", [("", b"")]),
        lambda: local.stat_folders("docs", [""]),
        lambda: local.stat_entries("docs", ["a/x"]),
        lambda: put(local, "a/x"),
        lambda: local.make_folder("docs", "n/"),
        lambda: local.move("docs", "a/x", "b"),
        lambda: local.used_space("docs"),
    ]
    for call in calls:
        with pytest.raises(Unavailable) as caught:
            await call()
        assert caught.value.reason == "offline"
    assert not (tmp_path / "docs").exists()
    (tmp_path / "away").rename(tmp_path / "docs")
    assert await local.delete("docs", "a/x") is True


async def test_a_kept_temporary_is_not_swept_away(tmp_path: Path, put: Put) -> None:
    first = LocalStore("one", tmp_path)
    (tmp_path / "docs").mkdir()
    first.add_bucket("docs", "docs")
    staged = await first.stage("docs", body(b"x" * 200_000))
    work = tmp_path / ".cellsmono" / "docs"
    (work / "t-crashed").write_bytes(b"left")
    (work / "t-folder").mkdir()
    (work / "t-folder" / ".pydio").write_bytes(b"left")
    second = LocalStore("two", tmp_path)
    second.add_bucket("docs", "docs")
    assert not (work / "t-crashed").exists()
    assert not (work / "t-folder").exists()
    assert (await first.commit(staged, "k")).info.facts.size == 200_000
    await first.close()
    await second.close()


async def test_close_discards_what_is_staged(tmp_path: Path, work_files: WorkFiles) -> None:
    store = LocalStore("one", tmp_path)
    (tmp_path / "docs").mkdir()
    store.add_bucket("docs", "docs")
    before = descriptors()
    await store.stage("docs", body(b"x" * 200_000))
    await store.close()
    assert descriptors() == before
    assert work_files(tmp_path) == []


async def test_no_descriptor_leaks(local: LocalStore, put: Put, tmp_path: Path) -> None:
    async def use() -> None:
        await put(local, "a/b/c", b"x" * 200_000)
        await put(local, "a/small")
        for key in ("a/b", "a/small/x", "..", ".pydio"):
            with pytest.raises(CellsError):
                await put(local, key, b"y" * 100_000)
        for key in ("a", "nothing", "a/b/c/d"):
            with pytest.raises(NotFound):
                await local.open("docs", key)
        staged, _ = await local.stage_copy("docs", "docs", "a/b/c")
        await local.discard(staged)
        await local.move("docs", "a/", "z/")
        for source, target in (("z/", "z/q/"), ("z", "y"), ("z/small", "z/b"), ("z/small", "z/b/c/d")):
            with pytest.raises(CellsError):
                await local.move("docs", source, target)
        await local.move("docs", "z/", "a/")
        await local.scan("docs", [("", b""), ("a/", b"x"), ("gone/", b"")])
        await local.stat_entries("docs", ["a", "gone", "a/b/c/d"])
        await local.hash_object("docs", "a/b/c")
        await local.write_markers("docs", [("a/", "0" * 36)])
        await local.read_attributes("docs", ["a/small", "gone"])
        await local.remove_folder("docs", "a/")
        upload = await local.create_upload("docs", "m")
        one = await local.put_part("docs", upload.upload_id, 1, body(b"1" * 70_000), Digest(), 70_000)
        two = await local.put_part("docs", upload.upload_id, 2, body(b"2" * 90_000), Digest(), 90_000)
        for parts in ([one], [one, two], [two]):
            await local.commit(await local.stage_upload("docs", upload.upload_id, parts), "m")
        await local.finish_upload("docs", upload.upload_id)
        await local.delete("docs", "a/small")

    await use()
    before = descriptors()
    for _ in range(5):
        await use()
    assert descriptors() == before


async def test_a_cancelled_put_leaves_nothing(local: LocalStore, tmp_path: Path, work_files: WorkFiles) -> None:
    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100_000
        started.set()
        await asyncio.Event().wait()

    before = descriptors()
    task = asyncio.create_task(local.stage("docs", endless()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work_files(tmp_path) == []
    assert descriptors() == before


async def test_a_cancelled_commit_is_decided_when_it_returns(local: LocalStore, tmp_path: Path) -> None:
    staged = await local.stage("docs", body(b"x"))
    task = asyncio.create_task(local.commit(staged, "k"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "docs" / "k").read_bytes() == b"x"


@pytest.mark.parametrize("call", ["fdatasync", "fsync", "rename", "pwrite"])
async def test_f2_an_io_error_at_any_step(
    local: LocalStore, tmp_path: Path, put: Put, work_files: WorkFiles, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    await put(local, "k", b"old")
    real = getattr(os, call)
    reasons: set[str] = set()
    for size in (10, 200_000):
        fail_at, failed = 1, True
        while failed:
            count = 0

            def broken(*args: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == fail_at:  # noqa: B023
                    raise OSError(errno.EIO, "input/output error")
                return real(*args, **options)

            monkeypatch.setattr(os, call, broken)
            try:
                await put(local, "new/k" if size == 10 else "k", b"n" * size)
                failed = False
            except Unavailable as error:
                reasons.add(error.reason)
            finally:
                monkeypatch.setattr(os, call, real)
            assert work_files(tmp_path) == []
            content = (tmp_path / "docs" / "k").read_bytes()
            assert content in (b"old", b"n" * size)
            await local.remove_folder("docs", "new/")
            fail_at += 1
    assert reasons == ({"disk_failed"} if "sync" in call else {"io"})


async def test_other_commits_of_a_batch_are_not_harmed(local: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "docs" / "folder").mkdir()
    staged = [await local.stage("docs", body(b"%d" % n)) for n in range(6)]
    await local.commit(await local.stage("docs", body(b"file")), "file")
    keys = ["a", "folder", "b/x", "file/under", "b/x", ".pydio"]
    results = await asyncio.gather(
        *(local.commit(one, key) for one, key in zip(staged, keys, strict=True)), return_exceptions=True
    )
    codes = [getattr(result, "reason", "") for result in results]
    assert codes[:5] == ["", "is_folder", "", "parent_is_object", ""]
    assert codes[5] == "reserved"
    assert (tmp_path / "docs" / "b" / "x").read_bytes() == b"4"
    assert (tmp_path / "docs" / "a").read_bytes() == b"0"


async def test_folders_made_for_a_file_that_did_not_come_go_again(
    local: LocalStore, tmp_path: Path, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(local, "there/x")

    def refuse(*args: Any, **options: Any) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr("cellsmono.datasource.objects.publishing.write_all", refuse)
        for key in ("new/a/b/k", "there/a/k"):
            with pytest.raises(QuotaExceeded):
                await put(local, key)
    assert sorted(os.listdir(tmp_path / "docs")) == ["there"]
    assert sorted(os.listdir(tmp_path / "docs" / "there")) == [".pydio", "x"]


KILLED = """
import asyncio, os, sys
from pathlib import Path
from cellsmono.datasource.objects.local import LocalStore

async def many(n):
    for _ in range(40):
        yield bytes([n % 251]) * 50_000

async def main():
    store = LocalStore("s", Path(sys.argv[1]))
    store.add_bucket("docs", "docs")
    n = 0
    while True:
        n += 1
        await store.commit(await store.stage("docs", many(n), size=2_000_000), f"d{n % 7}/k")
        print(n, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 4, 9])
async def test_d1_a_killed_writer_never_leaves_half_an_object(
    tmp_path: Path, acknowledged: int, work_files: WorkFiles
) -> None:
    (tmp_path / "docs").mkdir()
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    last = 0
    while last < acknowledged:
        last = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.stdout.close()
    child.wait()
    last = int(rest[-1]) if rest else last
    for number in range(max(1, last - 6), last + 1):
        data = (tmp_path / "docs" / f"d{number % 7}" / "k").read_bytes()
        assert len(data) == 2_000_000
        assert data[0] in (number % 251, (last + 1) % 251)
        assert data == data[:1] * 2_000_000
    store = LocalStore("s", tmp_path)
    store.add_bucket("docs", "docs")
    assert work_files(tmp_path) == []
    await store.close()


async def test_d6_uploads_survive_a_restart_and_complete_may_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    register = await DatabaseRegistry.open(tmp_path / "uploads.db")

    def start() -> LocalStore:
        store = LocalStore("s", tmp_path, uploads=register)
        store.add_bucket("docs", "docs")
        return store

    first = start()
    upload = await first.create_upload("docs", "k", b"c")
    parts = []
    for number, size in ((1, 70_000), (2, 70_000), (3, 5)):
        data = bytes([number]) * size
        parts.append(await first.put_part("docs", upload.upload_id, number, body(data), Digest(), size))
    await first.close()
    expected = b"\1" * 70_000 + b"\2" * 70_000 + b"\3" * 5
    second = start()
    assert await second.list_parts("docs", upload.upload_id) == parts
    await second.commit(await second.stage_upload("docs", upload.upload_id, parts), "k")
    inode = (tmp_path / "docs" / "k").stat().st_ino
    assembly = next(tmp_path.rglob("assembly"))
    assert assembly.stat().st_ino == inode, "the parts should not have been copied"
    await second.close()
    third = start()
    late = await third.put_part("docs", upload.upload_id, 4, body(b"late" * 1000), Digest(), 4000)
    assert (tmp_path / "docs" / "k").read_bytes() == expected, "a late part was written into the finished object"
    await third.commit(await third.stage_upload("docs", upload.upload_id, parts), "k")
    assert (tmp_path / "docs" / "k").read_bytes() == expected
    await third.commit(await third.stage_upload("docs", upload.upload_id, [*parts, late]), "k2")
    assert (tmp_path / "docs" / "k2").read_bytes() == expected + b"late" * 1000
    await third.finish_upload("docs", upload.upload_id)
    assert list((tmp_path / ".cellsmono" / "docs").iterdir()) == []
    assert (tmp_path / "docs" / "k").read_bytes() == expected
    await third.close()
    await register.close()


async def test_parts_at_the_same_time(local: LocalStore, tmp_path: Path) -> None:
    upload = await local.create_upload("docs", "k")
    size = 300_000
    turns = [(1, 1), (1, 2), (2, 3), (3, 4), (2, 5), (4, 6)]
    await asyncio.gather(
        *(
            local.put_part("docs", upload.upload_id, n, body(*[bytes([fill]) * 50_000] * 6), Digest(), size)
            for n, fill in turns
        )
    )
    parts = await local.list_parts("docs", upload.upload_id)
    await local.commit(await local.stage_upload("docs", upload.upload_id, parts), "k")
    data = (tmp_path / "docs" / "k").read_bytes()
    for number in range(4):
        piece = data[number * size : (number + 1) * size]
        assert piece == piece[:1] * size
        assert (number + 1, piece[0]) in turns
    await local.finish_upload("docs", upload.upload_id)


async def test_a_part_longer_than_announced_is_refused(local: LocalStore) -> None:
    upload = await local.create_upload("docs", "k")
    one = await local.put_part("docs", upload.upload_id, 1, body(b"1" * 9), Digest(), 9)
    with pytest.raises(CellsError):
        await local.put_part("docs", upload.upload_id, 2, body(b"2" * 10), Digest(), 9)
    assert await local.list_parts("docs", upload.upload_id) == [one]


async def test_orphans_of_uploads_are_removed_when_old(local: LocalStore, tmp_path: Path) -> None:
    upload = await local.create_upload("docs", "k")
    await local.put_part("docs", upload.upload_id, 1, body(b"1"), Digest(), 1)
    orphan = tmp_path / ".cellsmono" / "docs" / "u-0123"
    orphan.mkdir()
    (orphan / "assembly").write_bytes(b"x")
    os.utime(orphan, (1, 1))
    await local.remove_stale_uploads(10**18)
    assert not orphan.exists()
    assert len(await local.list_parts("docs", upload.upload_id)) == 1


async def test_what_a_crash_left_of_a_finished_upload_goes_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    work = tmp_path / ".cellsmono" / "docs"
    for is_killed in (True, False):
        register = await DatabaseRegistry.open(tmp_path / "uploads.db")
        store = LocalStore("s", tmp_path, uploads=register)
        store.add_bucket("docs", "docs")
        await store.remove_finished_uploads("docs")
        if is_killed:
            open_one, done = await store.create_upload("docs", "a"), await store.create_upload("docs", "b")
            for upload in (open_one, done):
                await store.put_part("docs", upload.upload_id, 1, body(b"1" * 9), Digest(), 9)
            with monkeypatch.context() as patch:
                patch.setattr("cellsmono.datasource.objects.assembly.remove_upload_folder", lambda *_: None)
                await store.finish_upload("docs", done.upload_id)
            assert len(list(work.glob("u-*"))) == 2
        await store.close()
        await register.close()
    assert [folder.name for folder in work.iterdir()] == [f"u-{open_one.upload_id}"]


async def test_buckets_that_can_not_be(local: LocalStore, tmp_path: Path) -> None:
    for folder in ("", ".", "..", "a/b", ".cellsmono"):
        with pytest.raises(Invalid):
            local.add_bucket("new", folder)
    for bucket, folder in (("docs", "other"), ("other", "docs")):
        with pytest.raises(AlreadyExists):
            local.add_bucket(bucket, folder)
    local.forget_bucket("docs")
    local.forget_bucket("docs")
    with pytest.raises(NotFound):
        await local.stat("docs", "x")
    local.add_bucket("again", "docs", durability=Durability.RELAXED)
    assert await local.has_bucket("again")


async def test_permissions_of_a_replaced_file_stay(local: LocalStore, tmp_path: Path, put: Put) -> None:
    await put(local, "k")
    (tmp_path / "docs" / "k").chmod(0o640)
    for size in (5, 100_000):
        await put(local, "k", b"x" * size)
        assert (tmp_path / "docs" / "k").stat().st_mode & 0o777 == 0o640


async def test_groups_of_shared_folders_are_inherited(local: LocalStore, tmp_path: Path, put: Put) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to have a second group")
    shared = tmp_path / "docs" / "shared"
    shared.mkdir()
    os.chown(shared, -1, 12_345)
    shared.chmod(0o2775)
    for size in (5, 100_000):
        await put(local, "shared/f", b"x" * size)
        await put(local, f"shared/new{size}/g", b"x" * size)
        for path in (shared / "f", shared / f"new{size}", shared / f"new{size}" / "g"):
            assert path.stat().st_gid == 12_345
        assert (shared / f"new{size}").stat().st_mode & 0o2000
    await put(local, "alone")
    assert (tmp_path / "docs" / "alone").stat().st_gid == os.getegid()
