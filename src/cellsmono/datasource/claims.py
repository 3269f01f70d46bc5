"""Claims: who is about to change which part of a datasource's tree.

Storage and index are two places, so "rename the file, then change the row" must not interleave with the same steps of
somebody else at the same path. A claim is an exclusive, waiting lock on a path; a claim on a folder covers everything
below it. A scan does not wait for claims and does not hold one while it lists a folder; it *watches* the folder
instead and learns which names were claimed meanwhile, so that it leaves those to whoever claimed them and looks at
them again on its own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cellsmono.interfaces.paths import ancestors_of, is_folder, parent_of


class FolderWatch:
    """What happened in and above one folder while somebody looks at it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.touched: set[str] = set()
        """Paths of direct children, without a trailing ``/``, that were claimed at any time during the watch."""
        self.is_upset = False
        """A claim covered the whole folder: what was listed can not be trusted."""


class Claims:
    """All claims of one datasource. Lives on the event loop; needs no thread lock."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}
        self._subtrees: set[str] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._watches: dict[str, list[FolderWatch]] = {}

    @asynccontextmanager
    async def claim(self, *paths: str) -> AsyncIterator[None]:
        """Hold these paths exclusively; all at once, so that two callers never wait for each other."""
        wanted = sorted(set(paths))
        while self._conflicts(wanted):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        for path in wanted:
            self._take(path)
        self._upset_watches({path for path in wanted if is_folder(path)})
        try:
            yield
        finally:
            for path in wanted:
                self._release(path)
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    @asynccontextmanager
    async def watch(self, folder: str) -> AsyncIterator[FolderWatch]:
        """Learn what is claimed in a folder from now on; claims that are held already count as well."""
        watch = FolderWatch(folder)
        self._watches.setdefault(folder, []).append(watch)
        for held in self._held.values():
            self._note(held, watch)
        try:
            yield watch
        finally:
            watches = self._watches[folder]
            watches.remove(watch)
            if not watches:
                del self._watches[folder]

    def is_claimed(self, path: str) -> bool:
        """Whether somebody holds this path, something that covers it, or (for a folder) something below it."""
        return self._conflicts([path])

    def _conflicts(self, wanted: list[str]) -> bool:
        if not self._held:
            return False
        for path in wanted:
            if _key(path) in self._held:
                return True
            if self._subtrees and ("" in self._subtrees or any(a in self._subtrees for a in ancestors_of(path))):
                return True
            if is_folder(path) and any(held.startswith(path) for held in self._held.values()):
                return True
        return False

    def _take(self, path: str) -> None:
        key = _key(path)
        self._held[key] = path
        if path:
            for watch in self._watches.get(parent_of(path), ()):
                watch.touched.add(key)
        if is_folder(path):
            self._subtrees.add(path)

    def _upset_watches(self, folders: set[str]) -> None:
        """Tell the watches of these folders, and of those below them. For all at once: a scan claims a hundred."""
        for folder, watches in self._watches.items() if folders else ():
            if any(above in folders for above in ("", *ancestors_of(folder), folder)):
                for watch in watches:
                    watch.is_upset = True

    def _release(self, path: str) -> None:
        self._held.pop(_key(path), None)
        self._subtrees.discard(path)

    @staticmethod
    def _note(path: str, watch: FolderWatch) -> None:
        if parent_of(path) == watch.folder and path:
            watch.touched.add(_key(path))
        if is_folder(path) and watch.folder.startswith(path):
            watch.is_upset = True


def _key(path: str) -> str:
    """``a/b`` and ``a/b/`` are one place: a file may take the place of a folder."""
    return path.rstrip("/") if path else path
