"""The noncurrent versions of a snapshot as files beside those that their keys show: ``name~20260131T235959~ID``."""

import os
import time
from collections.abc import Awaitable, Callable

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.beneath import LIST, open_beneath
from cellsmono.datasource.snapshots.plain_names import make_dated, make_plain
from cellsmono.interfaces.node import Node, new_uuid
from cellsmono.interfaces.paths import name_of, parent_of
from cellsmono.interfaces.version import Version, VersionPage

_PAGE = 1000

Names = tuple[bytes, ...]
Write = Callable[[Node, int, bytes], Awaitable[bytes | None]]
"""Writes content into an open folder under a name; returns the name that it got, None when there are no bytes."""


class VersionExport:
    """``made`` are the folders that were written, with their names; more are made for keys that show nothing."""

    def __init__(self, index: SqliteIndex, root: int, made: dict[str, Names], write: Write) -> None:
        self.written = 0
        self.folders = 0
        self._index = index
        self._root = root
        self._made = made
        self._write = write

    async def run(self) -> None:
        """Write every version that has content, of each key the newest first."""
        page = VersionPage(())
        while (await self._index.stats()).versions:
            page = await self._index.list_versions(after=page.next_key, after_version=page.next_version, limit=_PAGE)
            for entry in page.entries:
                if isinstance(entry, Version) and entry.node is not None and not entry.is_latest:
                    await self._take(entry, entry.node)
            if not page.next_key:
                return

    async def _take(self, version: Version, node: Node) -> None:
        descriptor = open_beneath(self._root, self._find_folder(parent_of(node.path)), LIST)
        try:
            self.written += await self._write(node, descriptor, name_version(version, node)) is not None
        finally:
            os.close(descriptor)

    def _find_folder(self, path: str) -> Names:
        """The names that lead to a folder; one that the tree has no more is made."""
        if path not in self._made:
            above = self._find_folder(parent_of(path))
            self._made[path] = (*above, self._make(above, path))
        return self._made[path]

    def _make(self, above: Names, path: str) -> bytes:
        descriptor = open_beneath(self._root, above, LIST)
        try:
            name = make_plain(name_of(path), "")
            try:
                os.mkdir(name, dir_fd=descriptor)
            except FileExistsError:  # what was a folder once is a file now
                name = make_plain(name_of(path), new_uuid(), other=True)
                os.mkdir(name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        self.folders += 1
        return name


def name_version(version: Version, node: Node) -> bytes:
    """The file name of a version: that of its key, when it was written (UTC), and its id."""
    moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(version.mtime_ns // 1_000_000_000))
    return make_dated(name_of(node.path), f"~{moment}~{version.id or 'null'}")
