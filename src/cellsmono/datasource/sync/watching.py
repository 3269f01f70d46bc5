"""Keeps a watcher going: starts it, starts it anew when it breaks, and falls back to polling where it can not be."""

import asyncio
import contextlib
import os
from collections.abc import Callable

import structlog

from cellsmono.datasource.sync.context import SyncStore
from cellsmono.datasource.sync.filesystems import explain_no_events
from cellsmono.datasource.sync.watcher import PollingWatcher, Sink, Watcher, WatchFailed, WatchfilesWatcher
from cellsmono.interfaces.datasource import DatasourceConfig, Watch

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
CALM_SECONDS = 60.0
"""A watcher that lived this long is restarted without a pause when it breaks."""

RETRY_SECONDS = 600.0
"""How long polling goes on before watching is tried again."""

log = structlog.get_logger("cellsmono.sync")


class WatchKeeper:
    """Owns the watcher of one datasource. ``lost`` is called with a reason whenever events may have been missed."""

    def __init__(
        self,
        config: DatasourceConfig,
        objects: SyncStore,
        sink: Sink,
        lost: Callable[[str], None],
        watcher: Watcher | None = None,
    ) -> None:
        self._config = config
        self._objects = objects
        self._sink = sink
        self._lost = lost
        self._watcher = watcher or WatchfilesWatcher()
        self._pause = FIRST_PAUSE
        self._restart = asyncio.Event()
        self._begun = asyncio.Event()
        self._starts = 0
        self._watched: tuple[int, int] | None = None
        self.degraded = ""
        self.kind = ""
        self.is_watching = False

    async def run(self) -> None:
        """Watch until cancelled."""
        if self._config.watch is not Watch.AUTO:
            self.kind = "off" if self._config.watch is Watch.OFF else PollingWatcher.kind
            self._begun.set()
            return
        root = self._objects.root(self._config.name)
        reason = await asyncio.to_thread(explain_no_events, root)
        if reason:
            self._degrade(reason)
            return
        while True:
            await self._follow_once(root)

    async def _follow_once(self, root: str) -> None:
        """One life of the watcher, and the pause after it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._restart.clear()
        self._watched = await asyncio.to_thread(_identify, root)
        follow = asyncio.ensure_future(self._watcher.follow(root, self._sink, self._note_ready))
        restart = asyncio.ensure_future(self._restart.wait())
        try:
            await asyncio.wait((follow, restart), return_when=asyncio.FIRST_COMPLETED)
            if not follow.done():
                return
            follow.result()
        except WatchFailed as error:
            await self._note_failure(error, loop.time() - began)
        except Exception as error:
            # A fault of ours must not leave a datasource unwatched without a word.
            log.exception("the watcher failed", datasource=self._config.name)
            fault = WatchFailed(f"{type(error).__name__}: {error}", can_retry=True)
            await self._note_failure(fault, loop.time() - began)
        finally:
            self.is_watching = False
            self._begun.clear()
            for task in (follow, restart):
                task.cancel()
            await asyncio.gather(follow, restart, return_exceptions=True)

    async def _note_failure(self, error: WatchFailed, lived: float) -> None:
        if not error.can_retry:
            self._degrade(error.message)
            await asyncio.sleep(RETRY_SECONDS)
            return
        log.warning("the watcher broke off and is started anew", datasource=self._config.name, error=error.message)
        self._pause = FIRST_PAUSE if lived > CALM_SECONDS else min(self._pause * 2, LONGEST_PAUSE)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._restart.wait(), self._pause)

    def _note_ready(self) -> None:
        """Watching has begun: what happened before is not known to anybody."""
        self.is_watching = True
        self._begun.set()
        self.degraded = ""
        self.kind = self._watcher.kind
        self._starts += 1
        if self._starts > 1:
            self._lost("the watcher was started anew")

    def _degrade(self, reason: str) -> None:
        if reason != self.degraded:
            log.warning("changes are found by polling", datasource=self._config.name, reason=reason)
        self.degraded = reason
        self._begun.set()
        if self._starts:
            self._lost(reason)
        self.kind = PollingWatcher.kind

    @property
    def is_polling(self) -> bool:
        """Whether nothing but the periodic comparison finds changes, and it is to be made as often as it is cheap."""
        is_costly = self._objects.capabilities(self._config.name).full_times
        return self.kind == PollingWatcher.kind and not is_costly

    def covers(self, folder: str) -> bool:
        """Whether the watcher should have told of a change in the folder with this key."""
        root = self._objects.root(self._config.name)
        return self._watcher.covers(f"{root}/{folder.rstrip('/')}" if folder else root)

    def blind_spots(self) -> list[str]:
        """Keys of folders (with a trailing ``/``) in which changes are not heard of although the tree is watched."""
        name = self._config.name
        keys = (self._objects.key_of(name, os.fsencode(path)) for path in self._watcher.blind_spots())
        return [key + "/" if key else "" for key in keys if key is not None]

    async def wait_until_begun(self) -> None:
        """Wait until the watcher watches, or it is known that it will not."""
        await self._begun.wait()

    async def check_root(self) -> None:
        """Start anew when another folder stands at the root: the watcher would go on following the old one."""
        if self._config.watch is Watch.AUTO and not self.degraded:
            identity = await asyncio.to_thread(_identify, self._objects.root(self._config.name))
            if identity != self._watched:
                self.restart()

    def restart(self) -> None:
        """Start the watcher anew: it seems to have missed something."""
        self._restart.set()


def _identify(folder: str) -> tuple[int, int] | None:
    """Device and inode of a folder, None when it is not there."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino
