"""The process itself: open files, event loop, service manager, the last resort against a stop that hangs."""

import asyncio
import ctypes
import gc
import importlib
import os
import resource
import socket
from collections.abc import Callable

from cellsmono.app.config import EventLoop
from cellsmono.kernel.errors import Invalid
from cellsmono.kernel.log import get_logger

log = get_logger("process")

_M_ARENA_MAX = -8
"""From glibc's ``malloc.h``."""

FEW_FILES = 4096
"""Below this many open files a busy server may run out: each connection, transfer and database needs some."""


def raise_file_limit() -> tuple[int, int]:
    """Raise the soft limit on open files to the hard one; returns both as they are now. Warns when they are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError) as error:
            log.debug("the limit on open files can not be raised", error=str(error))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FEW_FILES:
        log.warning(
            "few files may be open at once",
            limit=soft,
            remedy=f"set `ulimit -Hn {FEW_FILES}`, or LimitNOFILE= in systemd",
        )
    return soft, hard


def choose_loop(wanted: EventLoop) -> Callable[[], asyncio.AbstractEventLoop]:
    """The factory of the event loop. Raises Invalid when uvloop is demanded and not installed."""
    if wanted is EventLoop.ASYNCIO:
        return asyncio.new_event_loop
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        if wanted is EventLoop.UVLOOP:
            raise Invalid(
                "server.event_loop is 'uvloop', which is not installed; run: pip install 'cellsmono[fast]'"
            ) from None
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def share_heap() -> bool:
    """Let all threads take memory from one heap; whether the C library can (glibc's ``mallopt``).

    By default each thread has one of its own, and what one of them gave back is of no use to the others: sixteen large
    transfers at once held 25 MiB more. They do not get into each other's way, since Python allocates under one lock.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))
    except (OSError, AttributeError):
        return False


def freeze_garbage() -> None:
    """Take what the start made off the garbage collector's rounds: it stays until the end anyway."""
    gc.collect()
    gc.freeze()


def notify_manager(state: str) -> bool:
    """Tell systemd how it stands (``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``, ``STATUS=...``); see sd_notify(3).

    False when no service manager listens. Never raises: nobody must die of a missing listener.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(target)
            sock.sendall(state.encode())
    except OSError as error:
        log.debug("the service manager can not be told", error=str(error))
        return False
    return True


def read_watchdog_period() -> float | None:
    """Seconds between two signs of life that systemd wants (half of its limit), None when it wants none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 2_000_000


async def feed_watchdog(period: float) -> None:
    """Give the sign of life from the event loop, so that a loop that hangs is noticed. Until cancelled."""
    while True:
        notify_manager("WATCHDOG=1")
        await asyncio.sleep(period)
