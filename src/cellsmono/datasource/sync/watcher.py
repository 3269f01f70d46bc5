"""Watchers: who tells that something may have changed, and where.

What they tell are hints that name a path, never facts: events get lost without a word when the kernel's queue
overflows, and a folder that appears says nothing about what is in it. So nothing is concluded from silence either.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

ADDED = 1

STEP_MS = 15
DEBOUNCE_MS = 100
WAIT_MS = 2000

ENOSPC_HELP = (
    "The system's limit of watched folders is used up (fs.inotify.max_user_watches). Raise it with "
    "`sysctl -w fs.inotify.max_user_watches=1048576` (and a file in /etc/sysctl.d to keep it); until then changes "
    "are found by polling."
)


class Change(msgspec.Struct, frozen=True):
    """An absolute path at which something happened. ``added``: it appeared."""

    path: bytes
    added: bool = False


Sink = Callable[[Sequence[Change]], None]


class WatchFailed(Exception):
    """Watching ended. ``can_retry``: a new watcher may work; otherwise the system does not allow to watch."""

    def __init__(self, message: str, *, can_retry: bool) -> None:
        super().__init__(message)
        self.message = message
        self.can_retry = can_retry


class Watcher(Protocol):
    """One way to watch a folder with everything below it."""

    kind: str

    async def follow(self, root: str, sink: Sink, ready: Callable[[], None]) -> None:
        """Hand changes to ``sink`` (on the event loop) until cancelled; ``ready`` is called when watching began.

        Raises WatchFailed.
        """


class WatchfilesWatcher:
    """inotify through watchfiles, in a thread of its own."""

    kind = "inotify"

    def __init__(self, step_ms: int = STEP_MS, debounce_ms: int = DEBOUNCE_MS) -> None:
        self._step_ms = step_ms
        self._debounce_ms = debounce_ms

    async def follow(self, root: str, sink: Sink, ready: Callable[[], None]) -> None:
        """See ``Watcher.follow``."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        stop = threading.Event()

        def tell(call: Callable[[], None]) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call)

        def finish(error: WatchFailed | None) -> None:
            if ended.done():
                return
            if error is None:
                ended.set_result(None)
            else:
                ended.set_exception(error)

        def run() -> None:
            error: WatchFailed | None = None
            try:
                self._run(root, stop, lambda: tell(ready), lambda changes: tell(lambda: sink(changes)))
            except WatchFailed as failed:
                error = failed
            finally:
                tell(lambda: finish(error))

        thread = threading.Thread(target=run, name="cellsmono-watch", daemon=True)
        thread.start()
        try:
            await asyncio.shield(ended)
        finally:
            stop.set()
            if not ended.done():
                # The thread looks at `stop` every step; wait for it so that its descriptors are closed.
                with contextlib.suppress(WatchFailed):
                    await ended

    def _run(self, root: str, stop: threading.Event, ready: Callable[[], None], sink: Sink) -> None:
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

        try:
            notify = RustNotify([root], False, False, 0, True, True)
        except FileNotFoundError as error:
            raise WatchFailed(f"The folder {root} is not there.", can_retry=True) from error
        except OSError as error:
            raise WatchFailed(f"{ENOSPC_HELP} ({error})", can_retry=False) from error
        except WatchfilesRustInternalError as error:
            raise WatchFailed(f"Watching {root} failed: {error}", can_retry=True) from error
        try:
            ready()
            while not stop.is_set():
                found = notify.watch(self._debounce_ms, self._step_ms, WAIT_MS, stop)
                if isinstance(found, set):
                    sink([Change(os.fsencode(path), change == ADDED) for change, path in found])
                elif found == "stop":
                    return
        except (WatchfilesRustInternalError, RuntimeError) as error:
            raise WatchFailed(f"The watcher broke off: {error}", can_retry=True) from error
        finally:
            notify.close()


class PollingWatcher:
    """No watcher at all: the schedule compares the folders' times instead."""

    kind = "polling"

    async def follow(self, root: str, sink: Sink, ready: Callable[[], None]) -> None:
        """Tell nothing; wait until cancelled."""
        ready()
        await asyncio.get_running_loop().create_future()
