"""How a command reaches the data: through the running server, or, when none runs, by itself under the lock."""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from cellsmono.app.config_sources import LoadedConfig, add_datasources, load_config
from cellsmono.app.control_client import ControlClient, Unreachable
from cellsmono.app.data_dir import is_data_dir_locked, lock_data_dir, prepare_data_dir, recall_folders
from cellsmono.interfaces.operations import Operations
from cellsmono.kernel.errors import CellsError, NotFound

FILE_NAME = "cellsmono.db"
"""The configuration store; see ``app.settings``, which takes longer to import than most commands last."""

T = TypeVar("T")


def load_for(data_dir: str | None, config_file: str | None) -> LoadedConfig:
    """The configuration as the options of a command ask for it."""
    flags = {} if data_dir is None else {"server.data_dir": (data_dir, "--data-dir")}
    return load_config(flags, config_file=config_file)


def find_server(loaded: LoadedConfig) -> ControlClient | None:
    """The running server of this data folder, None when there is none.

    Raises Unreachable when the folder is in use and nobody answers: then nothing can be done, not even offline.
    """
    client = ControlClient(loaded.data_dir)
    if client.is_answering():
        return client
    if is_data_dir_locked(loaded.data_dir):
        raise Unreachable(
            f"{loaded.data_dir} is in use, but its server does not answer; it may be starting or stopping: try again"
        )
    return None


def require_server(loaded: LoadedConfig) -> ControlClient:
    """The running server. Raises Unreachable when there is none."""
    client = find_server(loaded)
    if client is None:
        raise Unreachable(f"no server runs on {loaded.data_dir}; start it with: cellsmono serve")
    return client


def perform(loaded: LoadedConfig, work: Callable[[Operations], Awaitable[T]], *, only_looks: bool = False) -> T:
    """Let ``work`` use the operations and return what it returns. Ctrl-C cancels it.

    What ``only_looks`` makes no data folder: raises NotFound where there is none, as there can be nothing to see.
    """
    if only_looks and not loaded.data_dir.exists():
        raise NotFound(
            f"there is no data folder {loaded.data_dir}; check --data-dir, or begin with: cellsmono serve --data-dir "
            f"{shlex.quote(str(loaded.data_dir))}"
        )

    async def run() -> T:
        async with open_operations(loaded) as operations:
            return await work(operations)

    return asyncio.run(run())


@asynccontextmanager
async def open_operations(loaded: LoadedConfig) -> AsyncIterator[Operations]:
    """The operations of the running server, or our own. Raises Locked, Unreachable."""
    client = find_server(loaded)
    if client is not None:
        yield client
        return
    from cellsmono.app.assembly import open_core
    from cellsmono.kernel.log import configure_log

    configure_log("warning", "console")
    prepare_data_dir(loaded.data_dir)
    with lock_data_dir(loaded.data_dir):
        loaded = add_datasources(loaded, recall_folders(loaded.data_dir), "command line of the last server")
        async with open_core(loaded, follow=False) as core:
            yield core.installation


def find_folders(loaded: LoadedConfig) -> set[Path]:
    """Folders that are served: the configured ones, and those added at run time as far as that can be told."""
    folders = {Path(source.folder) for source in loaded.config.datasource if source.folder}
    if not (loaded.data_dir / FILE_NAME).exists():
        return folders
    try:
        infos = perform(loaded, lambda operations: operations.list_datasources())
    except CellsError as error:
        sys.stderr.write(f"warning: only configured folders are looked at: {error.message}\n")
        return folders
    return folders | {Path(info.config.folder) for info in infos if info.config.folder}
