import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cellsmono.app.config import Address
from cellsmono.app.config_sources import load_config
from cellsmono.app.run import _wait_for_end, describe_start
from cellsmono.interfaces.credentials import AccessKey
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.interfaces.operations import DatasourceInfo
from cellsmono.kernel.registry import Registry
from cellsmono.kernel.service import ServiceState
from cellsmono.kernel.supervisor import Supervisor

LOADED = load_config({"server.data_dir": ("/data", "--data-dir")}, environ={"HOME": "/h"})
LOCAL = {"main": Address("127.0.0.1", 8080), "s3": Address("127.0.0.1", 9000)}
SCRIPT = """
import asyncio
from cellsmono.app.run import _catch_signals

async def main():
    stop = asyncio.Event()
    _catch_signals(stop)
    print("caught", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_banner_says_where_everything_is() -> None:
    fine = DatasourceInfo(DatasourceConfig(name="abc", folder="/x"), "config", "o", ServiceState.READY)
    failed = DatasourceInfo(
        DatasourceConfig(name="def", folder="/y"), "store", "", ServiceState.FAILED, error="the index is damaged"
    )
    lines = describe_start(LOADED, LOCAL, [fine, failed], None).splitlines()
    assert lines[0] == "Data folder    /data"
    assert "S3             http://127.0.0.1:9000  (region us-east-1)" in lines
    assert "Bucket         abc  ->  /x" in lines
    assert "Bucket         def  ->  /y  FAILED: the index is damaged" in lines
    assert lines[-1] == "Ready. Stop with Ctrl-C."
    inner = DatasourceInfo(
        DatasourceConfig(name="aaa", folder="/z", format=Format.INTERNAL), "store", "o", ServiceState.READY
    )
    made = DatasourceInfo(DatasourceConfig(name="aab", folder="/w"), "store", "o", ServiceState.READY)
    shown = [line.split()[1] for line in describe_start(LOADED, LOCAL, [inner, made, fine], None).splitlines()[3:-1]]
    assert shown == ["abc", "aab"], "what was asked for comes first, and what is internal not at all"
    assert not any("TLS" in line for line in lines)


def test_a_new_pair_is_in_the_banner_and_an_open_door_is_warned_of() -> None:
    text = describe_start(LOADED, {"s3": Address("0.0.0.0", 9000)}, [], AccessKey("KEY", "the-secret"))
    assert "access key   KEY" in text
    assert "secret key   the-secret" in text
    assert "TLS proxy" in text
    assert "Main" not in text


def test_a_second_interrupt_ends_at_once_and_a_hangup_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"caught\n"
        child.send_signal(signal.SIGHUP)
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == b"stopping\n"
        child.send_signal(signal.SIGTERM)
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130


async def test_the_death_of_a_needed_service_ends_the_run() -> None:
    class Dying:
        name = "store"
        tag = "data"
        blow = asyncio.Event()

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            async def fail() -> None:
                await self.blow.wait()
                raise OSError("the disk is gone")

            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                yield

    async with Supervisor(Registry()) as supervisor:
        dying = Dying()
        await supervisor.start(dying)
        end = asyncio.create_task(_wait_for_end(asyncio.Event(), supervisor))
        dying.blow.set()
        assert isinstance(await end, BaseExceptionGroup)


async def test_a_signal_ends_the_run_without_an_error() -> None:
    stop = asyncio.Event()
    async with Supervisor(Registry()) as supervisor:
        end = asyncio.create_task(_wait_for_end(stop, supervisor))
        stop.set()
        assert await end is None
