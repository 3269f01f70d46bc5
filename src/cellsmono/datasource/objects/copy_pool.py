"""Processes that copy many files at the same time, see ``copy_process``."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from cellsmono.datasource.objects import copy_process
from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.copy_process import LENGTH_BYTES, READY, Answer, Failed, Places, place_of
from cellsmono.datasource.objects.mass_copying import FileJob, Outcome
from cellsmono.kernel import errors
from cellsmono.kernel.errors import CellsError, Unavailable
from cellsmono.kernel.log import get_logger

log = get_logger("objects")

MOST = 4
"""More of them only wait for the file system."""
_READY_SECONDS = 30.0
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Answer).decode
_ERRORS = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CellsError)}


class CopyPool:
    """Some processes that wait for work. Made by ``open_pool``."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self.size = len(processes)
        self._idle = list(processes)

    async def copy(self, jobs: Sequence[FileJob]) -> list[Outcome]:
        """As ``copy_files``; at most ``size`` at the same time. A caller that is cancelled ends the process.

        Raises Unavailable when the process came to an end.
        """
        process = self._idle.pop()
        try:
            found: Answer = _decode(await _exchange(process, _encode(jobs)))
        except (asyncio.IncompleteReadError, OSError):
            code = await _end(process)
            raise Unavailable(
                f"A process that copies files ended by itself (exit code {code}); is there memory enough? Go on once "
                "there is.",
                reason="copying",
            ) from None
        except BaseException:
            await _end(process)
            raise
        self._idle.append(process)
        if isinstance(found, Failed):
            raise _ERRORS.get(found.code, Unavailable)(found.message, reason=found.reason, path=found.path)
        return found

    async def close(self) -> None:
        """End the processes; those at work belong to whoever waits for them."""
        idle, self._idle = self._idle, []
        for process in idle:
            await _end(process)


@asynccontextmanager
async def open_pool(source: LocalBucket, target: LocalBucket) -> AsyncIterator[CopyPool | None]:
    """Processes for two buckets, one for each processor; None where they would gain nothing or can not be started."""
    pool = await _start_all(Places(place_of(source), place_of(target)), min(MOST, len(os.sched_getaffinity(0))))
    try:
        yield pool
    finally:
        if pool is not None:
            await pool.close()


async def _start_all(places: Places, count: int) -> CopyPool | None:
    if count < 2 or not sys.executable:  # noqa: PLR2004 - one is what we have already
        return None
    started = await asyncio.gather(*(_start(places) for _ in range(count)), return_exceptions=True)
    pool = CopyPool([each for each in started if isinstance(each, Process)])
    faults = [each for each in started if isinstance(each, BaseException)]
    if not faults:
        return pool
    await pool.close()
    if stop := next((each for each in faults if not isinstance(each, Exception)), None):
        raise stop
    log.warning("files are copied by this process alone", error=repr(faults[0]))
    return None


async def _start(places: Places) -> Process:
    module = copy_process.__name__
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, str(os.getpid()), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(_READY_SECONDS):
            if await _exchange(process, _encode(places)) != READY:
                raise Unavailable(f"{module} says something else than that it is ready.")
    except BaseException:
        await _end(process)
        raise
    return process


async def _exchange(process: Process, frame: bytes) -> bytes:
    """Send a frame and read the one that answers it. Raises IncompleteReadError, OSError when the process is gone."""
    if process.stdin is None or process.stdout is None:
        raise TypeError(process)
    process.stdin.write(len(frame).to_bytes(LENGTH_BYTES) + frame)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES))
    return await process.stdout.readexactly(length)


async def _end(process: Process) -> int:
    """End a process at once and wait for it: what it left half done is known by its absence from the journal."""
    with suppress(ProcessLookupError):
        process.kill()
    return await process.wait()
