"""What a process and everything below it cost: CPU seconds and memory, from /proc."""

import contextlib
import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def list_tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):
                found += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())
    return found


def read_cpu(pid: int) -> float:
    """CPU seconds, user and system, of the tree and of its children that ended. 0 when it is gone."""
    ticks = 0
    for one in list_tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICK


def read_memory(pid: int) -> tuple[float, float]:
    """Resident MiB of the tree: now, and the highest since ``reset_peak``."""
    now = peak = 0
    for one in list_tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    now += int(line.split()[1])
                elif line.startswith("VmHWM:"):
                    peak += int(line.split()[1])
    return now / 1024, peak / 1024


def reset_peak(pid: int) -> None:
    """Let the peak start at what is resident now (needs the right to write to the process's clear_refs)."""
    for one in list_tree(pid):
        with contextlib.suppress(OSError):
            Path(f"/proc/{one}/clear_refs").write_text("5")
