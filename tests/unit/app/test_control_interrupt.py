"""Ctrl-C in the command ends the work in the server."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CELLSMONO")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cellsmono",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**kept, "CELLSMONO_DATA_DIR": str(folder)},
    )


async def test_an_interrupt_cancels_the_resync(control: Path, operations: Any) -> None:
    command = await start(control, "ds", "resync", "abc", "a/", "--full")
    await operations.begun.wait()
    command.send_signal(signal.SIGINT)
    _, errors = await command.communicate()
    assert command.returncode == 130, errors
    assert b"Traceback" not in errors
    async with asyncio.timeout(10):
        await operations.cancelled.wait()


async def test_the_report_goes_to_stdout_alone(control: Path, operations: Any) -> None:
    operations.release.set()
    command = await start(control, "ds", "resync", "abc", "--output", "json")
    output, errors = await command.communicate()
    assert command.returncode == 0
    assert json.loads(output)["created"] == 7
    assert errors == b""


async def test_a_check_that_finds_something_fails(control: Path) -> None:
    command = await start(control, "ds", "check", "abc")
    output, errors = await command.communicate()
    assert command.returncode == 1
    assert b"1 violations" in output
    assert b"a violation" in errors


async def test_a_detached_resync_returns_at_once(control: Path, operations: Any) -> None:
    command = await start(control, "ds", "resync", "abc", "--detach", "--accept-deletes")
    await command.communicate()
    assert command.returncode == 0
    await operations.begun.wait()
    [(_, _, options)] = operations.asked
    assert options.accept_deletes
    assert not operations.cancelled.is_set()


async def test_a_refusal_of_the_server_is_the_refusal_of_the_command(control: Path) -> None:
    command = await start(control, "ds", "remove", "abc", "--yes")
    _, errors = await command.communicate()
    assert command.returncode == 4
    assert errors == b"error: it is configured\n"
