"""Named tasks that somebody owns: none is collected while it runs, none fails unheard."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_owned: set[asyncio.Task[Any]] = set()


def create_task(coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Start a named task and hold it until it is done; an error that nobody awaits is logged.

    Names begin with the name of the service that owns the task, so that a slow stop can say what still runs.
    """
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _owned.add(task)
    task.add_done_callback(_forget)
    return task


def _forget(task: "asyncio.Task[Any]") -> None:
    _owned.discard(task)
    # Asking for the exception marks it as seen; the log line takes the place of the loop's message at collection.
    if not task.cancelled() and (error := task.exception()) is not None:
        from cellsmono.kernel.log import get_logger

        get_logger("tasks").debug("task ended with an error", task=task.get_name(), error=repr(error))


def list_tasks(owner: str) -> list[str]:
    """Names of running tasks of a service: ``owner`` itself, and what begins with it and a ``.`` or ``:``."""
    names = (task.get_name() for task in asyncio.all_tasks() if not task.done())
    return sorted(name for name in names if name == owner or name.startswith((owner + ".", owner + ":")))


async def cancel_and_wait(task: "asyncio.Task[Any]") -> None:
    """Cancel a task and wait until it has ended, whatever it ended with. A cancellation of the caller goes through."""
    task.cancel()
    while not task.done():
        await asyncio.wait([task])
