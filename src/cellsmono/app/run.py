"""Runs the server in the foreground, from the lock on its data folder to the last flush."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TextIO

from cellsmono.app.config import Address
from cellsmono.app.config_sources import LoadedConfig, add_datasources
from cellsmono.app.data_dir import (
    describe_exposure,
    lock_data_dir,
    mark_running,
    mark_stopped,
    prepare_data_dir,
    remember_folders,
)
from cellsmono.app.folders import make_default_datasource
from cellsmono.app.process import (
    choose_loop,
    feed_watchdog,
    freeze_garbage,
    notify_manager,
    raise_file_limit,
    read_watchdog_period,
    share_heap,
)
from cellsmono.interfaces.credentials import AccessKey
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.interfaces.operations import DatasourceInfo
from cellsmono.kernel.errors import CellsError, Unavailable
from cellsmono.kernel.log import configure_log, get_logger
from cellsmono.kernel.supervisor import Supervisor
from cellsmono.kernel.tasks import cancel_and_wait, create_task

log = get_logger("run")

LAST_RESORT_SECONDS = 15.0
"""How long after the deadline for stopping the process ends itself, whatever still hangs."""
INTERRUPTED = 130


def run_server(loaded: LoadedConfig, folders: Sequence[DatasourceConfig] = (), output: TextIO | None = None) -> None:
    """Serve the configured datasources and these ``folders`` until a signal comes.

    The banner goes to ``output`` (default stdout), the log to stderr.

    Raises Locked when another process has the data folder, and whatever keeps a needed service from starting.
    """
    configure_log(loaded.config.log.level, loaded.config.log.format, cache=True)
    factory = choose_loop(loaded.config.server.event_loop)
    prepare_data_dir(loaded.data_dir)
    raise_file_limit()
    share_heap()
    with lock_data_dir(loaded.data_dir):
        if not mark_running(loaded.data_dir):
            log.warning("the last run did not end cleanly; folders are compared with the index in the background")
        if exposure := describe_exposure(loaded.data_dir):
            log.warning("the data folder holds secrets and is not private", problem=exposure)
        loaded = add_datasources(loaded, folders, "command line")
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(_serve(loaded, folders, output or sys.stdout))
        except CellsError:
            # It could not start, or one service gave up: everything else was closed in order all the same.
            mark_stopped(loaded.data_dir)
            raise
        mark_stopped(loaded.data_dir)


async def _serve(loaded: LoadedConfig, folders: Sequence[DatasourceConfig], output: TextIO) -> None:
    from cellsmono.app.assembly import open_server

    stop = asyncio.Event()
    _catch_signals(stop)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server(loaded))
        # Not before: commands must not stumble over folders that no server could serve.
        remember_folders(loaded.data_dir, folders)
        operations = server.operations
        if not await operations.list_datasources():
            await operations.add_datasource(make_default_datasource(loaded.data_dir))
        if (period := read_watchdog_period()) is not None:
            watchdog = create_task(feed_watchdog(period), "watchdog")
            stack.push_async_callback(cancel_and_wait, watchdog)
        sources = await operations.list_datasources()
        # Last, so that a start that fails (a port that is taken) makes no pair that nobody ever sees.
        new_key = await server.core.settings.credentials.make_first_key()
        banner = describe_start(loaded, server.addresses, sources, new_key)
        print(banner, file=output, flush=True)
        freeze_garbage()
        notify_manager(f"READY=1\nSTATUS=Serving {loaded.data_dir}")
        log.info("ready", listeners={name: str(address) for name, address in server.addresses.items()})
        error = await _wait_for_end(stop, server.supervisor)
        notify_manager("STOPPING=1")
        log.info("stopping", patience=loaded.config.server.stop_timeout)
        _arm_last_resort(loaded.config.server.stop_timeout + LAST_RESORT_SECONDS)
        if error is not None:
            raise Unavailable("a service that everything else needs has died; the log says which and why") from error
    log.info("stopped")


async def _wait_for_end(stop: asyncio.Event, supervisor: Supervisor) -> BaseException | None:
    """Wait for a signal, or for the death of a service without which nothing works."""
    asked = create_task(_wait(stop), "run:signal")
    death = create_task(supervisor.wait_for_death(), "run:death")
    await asyncio.wait([asked, death], return_when=asyncio.FIRST_COMPLETED)
    for task in (asked, death):
        if not task.done():
            await cancel_and_wait(task)
    return None if death.cancelled() or stop.is_set() else death.result()


def _catch_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT stop gracefully; a second SIGINT ends the process at once; SIGHUP is ignored."""
    loop = asyncio.get_running_loop()

    def ask_to_stop(number: signal.Signals) -> None:
        if not stop.is_set():
            log.info("signal received", signal=number.name)
            stop.set()
        elif number is signal.SIGINT:
            log.warning("second interrupt: ending at once; the next start repairs what was cut short")
            os._exit(INTERRUPTED)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop, number)
    # The log goes to stderr, which the service manager owns: there is nothing to reopen.
    loop.add_signal_handler(signal.SIGHUP, lambda: log.info("signal received and ignored", signal="SIGHUP"))


def _arm_last_resort(seconds: float) -> None:
    def end() -> None:
        log.error("stopping took too long, the process ends itself", seconds=seconds)
        os._exit(1)

    asyncio.get_running_loop().call_later(seconds, end)


def describe_start(
    loaded: LoadedConfig, addresses: Mapping[str, Address], sources: list[DatasourceInfo], new_key: AccessKey | None
) -> str:
    """What a person wants to know at the start: where the data is, how to reach it, and new keys, this once."""
    lines = [f"Data folder    {loaded.data_dir}"]
    if loaded.file is not None:
        lines.append(f"Configuration  {loaded.file}")
    if "main" in addresses:
        lines.append(f"Main           http://{addresses['main']}  (health, metrics, signed S3)")
    if "s3" in addresses:
        lines.append(f"S3             http://{addresses['s3']}  (region {loaded.config.s3.region})")
    shown = [source for source in sources if source.config.format != Format.INTERNAL]
    for source in sorted(shown, key=lambda source: source.origin != "config"):
        problem = f"  FAILED: {source.error}" if source.error else ""
        lines.append(f"Bucket         {source.config.name}  ->  {source.config.place}{problem}")
    if new_key is not None:
        lines += [
            "",
            "A key pair was made for you. The secret is shown this once:",
            f"  access key   {new_key.access_key}",
            f"  secret key   {new_key.secret}",
            "",
        ]
    exposed = [name for name, address in addresses.items() if not address.is_local]
    if exposed:
        lines.append("Note: other machines can reach this server, and it speaks plain HTTP. Put a TLS proxy before it.")
    lines.append("Ready. Stop with Ctrl-C.")
    return "\n".join(lines)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
