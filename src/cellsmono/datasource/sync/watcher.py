"""Watchers: who tells that something may have changed, and where.

What they tell are hints that name a path, never facts: events get lost without a word when the kernel's queue
overflows, and a folder that appears says nothing about what is in it. So nothing is concluded from silence either.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from cellsmono.interfaces.node import Facts

if TYPE_CHECKING:
    from cellsmono.datasource.sync.notify import TreeFeeds

LEAST_WATCHES = 1_048_576
LEAST_INSTANCES = 1024


class Change(msgspec.Struct, frozen=True):
    """An absolute path at which something happened. ``added``: it appeared.

    ``facts`` are those of a file that stood there after it happened, None where nothing is known.
    """

    path: bytes
    added: bool = False
    facts: Facts | None = None


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

    def covers(self, folder: str) -> bool:
        """Whether it hears of changes in the folder with this absolute path."""

    def blind_spots(self) -> list[str]:
        """Absolute paths of folders that can not be watched although the tree is; surrogates stand for other bytes."""


def explain_exhausted(limit: str) -> str:
    """What to do when the system's limit of watches or of watchers is used up."""
    least = LEAST_WATCHES if limit == "max_user_watches" else LEAST_INSTANCES
    value = max(least, 2 * read_limit(limit))
    return (
        f"The system's limit fs.inotify.{limit} is used up. Raise it with `sysctl -w fs.inotify.{limit}={value}` (and "
        "a file in /etc/sysctl.d to keep it); until then changes are found by polling."
    )


def read_limit(limit: str) -> int:
    """A limit of inotify, 0 when it can not be told."""
    try:
        with open(f"/proc/sys/fs/inotify/{limit}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


class WatchfilesWatcher:
    """inotify through watchfiles, in threads of its own."""

    kind = "inotify"

    def __init__(self) -> None:
        self._feeds: TreeFeeds | None = None

    def covers(self, folder: str) -> bool:
        """See ``Watcher.covers``."""
        return self._feeds is not None and self._feeds.covers(folder)

    def blind_spots(self) -> list[str]:
        """See ``Watcher.blind_spots``."""
        return list(self._feeds.blind) if self._feeds is not None else []

    async def follow(self, root: str, sink: Sink, ready: Callable[[], None]) -> None:
        """See ``Watcher.follow``."""
        from cellsmono.datasource.sync.notify import TreeFeeds

        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def tell(call: Callable[[], None]) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call)

        def hand_on(changes: Sequence[Change]) -> None:
            tell(lambda: sink(changes))

        def finish(error: Exception | None) -> None:
            if ended.done():
                return
            if error is None:
                ended.set_result(None)
            else:
                ended.set_exception(error)

        def run() -> None:
            failure: Exception | None = None
            try:
                feeds.run()
            except Exception as error:
                failure = error
            tell(lambda: finish(failure))

        self._feeds = feeds = TreeFeeds(root, hand_on, lambda: tell(ready))
        thread = threading.Thread(target=run, name="cellsmono-watch", daemon=True)
        thread.start()
        try:
            await asyncio.shield(ended)
        finally:
            self._feeds = None
            feeds.stop()
            if not ended.done():
                # The feeds look every step whether they are to stop; wait for it so that their descriptors are closed.
                with contextlib.suppress(WatchFailed):
                    await ended


class PollingWatcher:
    """No watcher at all: the schedule compares the folders' times instead."""

    kind = "polling"

    async def follow(self, root: str, sink: Sink, ready: Callable[[], None]) -> None:
        """Tell nothing; wait until cancelled."""
        ready()
        await asyncio.get_running_loop().create_future()

    def covers(self, folder: str) -> bool:
        """It hears of nothing."""
        return False

    def blind_spots(self) -> list[str]:
        """None: that it hears of nothing is known."""
        return []
