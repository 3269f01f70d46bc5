import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from cellsmono.app.control_client import ControlClient, Unreachable
from cellsmono.gateway.control import SOCKET_NAME, STATUSES, ControlService
from cellsmono.interfaces.datasource import DatasourceConfig, Watch
from cellsmono.interfaces.hashes import HashAlgorithm, HashFinding, HashProblem, RehashOptions, RehashProgress
from cellsmono.interfaces.snapshots import LoadOptions, LoadReport, SnapshotInfo, SnapshotProgress
from cellsmono.interfaces.sync import Progress, ResyncOptions
from cellsmono.kernel import errors
from cellsmono.kernel.errors import CellsError, Conflict, Invalid, NotFound
from cellsmono.kernel.service import ServiceState


def ask(folder: Path, method: str, *arguments: Any) -> Any:
    """Call the blocking client in a thread, as the server lives in this process."""
    return asyncio.to_thread(lambda: asyncio.run(getattr(ControlClient(folder), method)(*arguments)))


async def test_listings_come_as_they_were_given(control: Path) -> None:
    [row] = await ask(control, "list_services")
    assert (row.name, row.state, row.detail) == ("data.index.abc", ServiceState.DEGRADED, "why")
    [info] = await ask(control, "list_datasources")
    assert info.config == DatasourceConfig(name="abc", folder="/x")
    assert (await ask(control, "read_datasource", "abc")) == info
    [value] = await ask(control, "show_config")
    assert (value.key, value.value, value.origin) == ("s3.region", "here", "default")


async def test_secrets_are_shown_when_made_and_never_listed(control: Path) -> None:
    [key] = await ask(control, "list_keys")
    assert (key.access_key, key.secret) == ("ONE", "")
    made = await ask(control, "create_key", "laptop")
    assert (made.secret, made.description) == ("shown-once", "laptop")
    await ask(control, "revoke_key", "ONE")
    assert await ask(control, "list_keys") == []


async def test_a_datasource_is_added_whole(control: Path, operations: Any) -> None:
    config = DatasourceConfig(name="new", folder="/y", watch=Watch.POLL)
    assert (await ask(control, "add_datasource", config)).config == config
    assert operations.sources["new"] == config
    await ask(control, "add_datasource", config, "/a folder/x&y?.db")
    assert operations.asked == ["", "/a folder/x&y?.db"]


async def test_snapshots_come_and_go(control: Path, operations: Any) -> None:
    seen: asyncio.Queue[SnapshotProgress] = asyncio.Queue()
    work = asyncio.create_task(ControlClient(control).dump_snapshot("abc", "x.db", seen.put_nowait))
    assert await seen.get() == SnapshotProgress("packing", 1, 2)
    operations.release.set()
    assert await work == SnapshotInfo("x.db", 5)
    assert await ask(control, "list_snapshots", "abc") == [SnapshotInfo("x.db", 5, problem="cut short")]
    report = await ControlClient(control).load_snapshot("abc", "x.db", LoadOptions(force_foreign=True))
    assert report == LoadReport("abc", SnapshotInfo("x.db", 5), absent=("gone",), absent_total=1)
    assert operations.asked == [("abc", "x.db", LoadOptions(force_foreign=True))]
    with pytest.raises(NotFound, match=r"x/y\.db"):
        await ask(control, "delete_snapshot", "abc", "x/y.db")


async def test_a_rehash_tells_how_far_it_is_and_what_it_found(control: Path, operations: Any) -> None:
    seen: asyncio.Queue[RehashProgress] = asyncio.Queue()
    options = RehashOptions(verify=True, algorithm=HashAlgorithm.MD5, after="a/b")
    work = asyncio.create_task(ControlClient(control).rehash("abc", "a", options, seen.put_nowait))
    assert await seen.get() == RehashProgress(1, 2, 3, 4, 5.0, None, "a")
    operations.release.set()
    report = await work
    assert report.open_problems == 1
    assert report.findings == [HashFinding(HashProblem.ROT, "a", "why")]
    [(name, path, asked)] = operations.asked
    assert (name, path, asked.verify, asked.force, asked.algorithm, asked.after) == (
        "abc",
        "a",
        True,
        False,
        "md5",
        "a/b",
    )


async def test_a_removal_says_whether_snapshots_go(control: Path, operations: Any) -> None:
    for is_asked in (False, True):
        with pytest.raises(Conflict):
            await ask(control, "remove_datasource", "abc", is_asked)
    assert operations.asked == [False, True]


async def test_errors_come_back_as_what_they_were(control: Path) -> None:
    with pytest.raises(NotFound) as caught:
        await ask(control, "read_datasource", "no/pe?")
    assert caught.value.reason == "root"
    assert caught.value.path == "no/pe?"
    with pytest.raises(Conflict, match="it is configured"):
        await ask(control, "remove_datasource", "abc")
    with pytest.raises(NotFound):
        await ask(control, "revoke_key", "TWO")


async def test_a_resync_reports_progress_and_its_end(control: Path, operations: Any) -> None:
    seen: asyncio.Queue[Progress] = asyncio.Queue()
    options = ResyncOptions(full=True, accept_deletes=True)
    work = asyncio.create_task(ControlClient(control).resync("abc", "a/", options, seen.put_nowait))
    assert await seen.get() == Progress(1, 2, 3, 4.0, 5.0, "a/")
    operations.release.set()
    report = await work
    assert report.created == 7
    assert operations.asked == [("abc", "a/", options)]


async def test_a_client_that_goes_away_cancels_its_resync(control: Path, operations: Any) -> None:
    work = asyncio.create_task(ControlClient(control).resync("abc"))
    await operations.begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    async with asyncio.timeout(10):
        await operations.cancelled.wait()


async def test_a_detached_resync_goes_on_without_its_client(control: Path, operations: Any) -> None:
    await asyncio.to_thread(
        lambda: asyncio.run(ControlClient(control).start_resync("abc", "a", ResyncOptions(dry_run=True)))
    )
    await operations.begun.wait()
    assert operations.asked == [("abc", "a", ResyncOptions(dry_run=True))]
    assert not operations.cancelled.is_set()
    operations.release.set()


async def test_stopping_the_server_cancels_what_still_runs(operations: Any, tmp_path: Path) -> None:
    async with ControlService(operations, tmp_path).lifespan():
        work = asyncio.create_task(ControlClient(tmp_path).resync("abc"))
        await operations.begun.wait()
    assert operations.cancelled.is_set()
    with pytest.raises(CellsError):
        await work
    assert not (tmp_path / SOCKET_NAME).exists()


async def test_errors_in_the_middle_end_the_stream(control: Path) -> None:
    with pytest.raises(NotFound, match="no such path"):
        await ControlClient(control).resync("abc", "missing")
    with pytest.raises(CellsError, match="RuntimeError: a fault"):
        await ControlClient(control).resync("abc", "broken")
    with pytest.raises(NotFound, match="'nope'"):
        await ControlClient(control).resync("nope")


async def test_check_comes_back_whole(control: Path) -> None:
    report = await ControlClient(control).check("abc", True)
    assert report.violations == ("a violation",)
    assert report.repaired
    assert not report.is_fine


async def test_only_the_owner_may_open_the_socket(control: Path) -> None:
    mode = (control / SOCKET_NAME).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_nobody_there_is_told(tmp_path: Path) -> None:
    client = ControlClient(tmp_path)
    assert not client.is_answering()
    with pytest.raises(Unreachable, match="no server answers"):
        await client.list_keys()


async def test_wrong_requests_are_refused(control: Path) -> None:
    def send(target: str, body: object) -> bytes:
        return ControlClient(control)._exchange("POST", target, body)

    with pytest.raises(Invalid, match="Object contains unknown field"):
        await asyncio.to_thread(send, "/datasources/abc/resync", {"ful": True})
    with pytest.raises(Invalid):
        await asyncio.to_thread(send, "/datasources", {"name": "Not A Bucket", "folder": "/x"})
    with pytest.raises(Invalid, match="Not Found"):
        await asyncio.to_thread(send, "/nothing", None)


def test_every_error_has_a_status() -> None:
    codes = {kind.code for kind in CellsError.__subclasses__() if kind.__module__ == errors.__name__}
    assert codes == set(STATUSES)
