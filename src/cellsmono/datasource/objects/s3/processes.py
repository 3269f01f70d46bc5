"""Who a process is, so that another one can tell later whether it still runs."""

import os
import socket
from pathlib import Path

import msgspec

_START_FIELD = 19
"""Where the start time stands in /proc/PID/stat, counted behind the name of the program."""


class Process(msgspec.Struct, frozen=True):
    """A process of some machine. What is empty could not be told.

    ``boot`` and ``namespace`` say which kernel counts its ``pid``, and ``started`` (ticks since the boot) which of the
    processes that had this number it is. ``host`` is for people alone.
    """

    host: str
    pid: int
    boot: str
    namespace: str
    started: str

    def is_running(self) -> bool | None:
        """Whether it still runs; None when that can not be told from here."""
        here = this_process()
        if not (self.boot and self.namespace and self.started):
            return None
        if (self.boot, self.namespace) != (here.boot, here.namespace):
            return None
        return _read_start(self.pid) == self.started


def this_process() -> Process:
    """The process that asks."""
    pid = os.getpid()
    return Process(socket.gethostname(), pid, _read_boot(), _read_namespace(), _read_start(pid))


def _read_boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _read_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _read_start(pid: int) -> str:
    """When a process was started; empty when there is none with this number."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return fields[_START_FIELD].decode() if len(fields) > _START_FIELD else ""
