import asyncio
import os
import platform
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cellsmono.app.config import EventLoop
from cellsmono.app.process import (
    choose_loop,
    feed_watchdog,
    notify_manager,
    raise_file_limit,
    read_watchdog_period,
)
from cellsmono.kernel.errors import Invalid
from cellsmono.kernel.tasks import cancel_and_wait

HEAPS = """
import ctypes, sys, threading
from cellsmono.app.process import share_heap
if sys.argv[1] == "shared":
    assert share_heap()
barrier = threading.Barrier(5)

def work():
    barrier.wait()
    kept = [bytes(40_000) for _ in range(100)]
    barrier.wait()
    barrier.wait()
    del kept

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
barrier.wait(); barrier.wait()
ctypes.CDLL(None).malloc_stats()
barrier.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have one heap, or no mallopt")
def test_threads_share_a_heap() -> None:
    def count(mode: str) -> int:
        done = subprocess.run([sys.executable, "-c", HEAPS, mode], capture_output=True, text=True, check=True)
        return done.stderr.count("Arena ")

    assert count("shared") == 1 < count("own")


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """The service manager's end of the notification socket."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "notify"))
    sock.settimeout(5)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return sock


def test_the_service_manager_is_told(manager: socket.socket) -> None:
    with manager:
        assert notify_manager("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_nobody_listening_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify_manager("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "missing"))
    assert not notify_manager("READY=1")


async def test_the_watchdog_is_fed(manager: socket.socket) -> None:
    with manager:
        task = asyncio.create_task(feed_watchdog(60))
        await asyncio.sleep(0)
        assert manager.recv(100) == b"WATCHDOG=1"
        await cancel_and_wait(task)


def test_the_watchdog_period_is_half_of_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert read_watchdog_period() is None
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert read_watchdog_period() == 15.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert read_watchdog_period() is None


def test_the_file_limit_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert raise_file_limit() == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_uvloop_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uvloop", None)
    assert choose_loop(EventLoop.ASYNCIO) is asyncio.new_event_loop
    assert choose_loop(EventLoop.AUTO) is asyncio.new_event_loop
    with pytest.raises(Invalid, match=r"cellsmono\[fast\]"):
        choose_loop(EventLoop.UVLOOP)
