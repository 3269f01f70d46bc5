"""Finding changed folders by one listing of everything in key order, instead of one listing per folder.

A folder in a bucket has no times. In their place stand two hashes over its entries: one for the mtime, and one that
covers the marker, too, for the ctime. They do not depend on the order of entries.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import xxhash

from cellsmono.datasource.objects.fingerprint import pack_facts
from cellsmono.datasource.objects.names import MARKER, RESERVED, split_written
from cellsmono.datasource.objects.s3.endpoint import Connection
from cellsmono.datasource.objects.s3.facts import facts_of_entry
from cellsmono.datasource.objects.s3.place import FOLDER_FACTS, Place
from cellsmono.datasource.objects.s3.requests import list_pages
from cellsmono.interfaces.node import Facts
from cellsmono.kernel.errors import CellsError

_MASK = (1 << 63) - 1

Times = tuple[int, int]


class FolderHash:
    """The two hashes of one folder, entry by entry."""

    def __init__(self) -> None:
        self._entries = 0
        self._marker = 0

    def add(self, name: str, facts: Facts) -> None:
        """Take an entry; a folder's name ends with ``/``. When it was last written is no part of it."""
        self._entries += xxhash.xxh3_64_intdigest(name.encode() + b"\0" + pack_facts(facts.size, 0, facts.ino))

    def mark(self, entry: Mapping[str, Any]) -> None:
        """Take the marker."""
        self._marker = facts_of_entry(entry).ino

    def times(self) -> Times:
        """What stands in the place of mtime and ctime; never 0."""
        return (self._entries & _MASK) or 1, (self._entries + self._marker & _MASK) or 1


class Sweep:
    """The hashes of all folders below one, from the pages of one flat listing."""

    def __init__(self, top: str) -> None:
        self._top = top
        self._folders: dict[str, FolderHash] = {}

    async def run(self, connection: Connection, place: Place) -> dict[str, Times]:
        """The times of every folder that is there, by key."""
        if not self._top:
            self._folders[""] = FolderHash()
        async for page in list_pages(connection, place, self._top):
            for key, entry in page.objects:
                self._add(key, entry)
        return {folder: found.times() for folder, found in self._folders.items()}

    def _add(self, key: str, entry: Mapping[str, Any]) -> None:
        folder, _, name = key.rpartition("/")
        folder += "/" if folder or key.startswith("/") else ""
        if folder not in self._folders and not self._enter(folder):
            return
        if name == MARKER:
            self._folders[folder].mark(entry)
        elif is_served(name):
            self._folders[folder].add(name, facts_of_entry(entry))

    def _enter(self, folder: str) -> bool:
        """Begin to know a folder, and let the ones above it know; False for what is hidden or can not be named."""
        if folder in self._folders:
            return True
        if not folder.startswith(self._top):
            return False
        if folder != self._top:
            above, _, name = folder[:-1].rpartition("/")
            above += "/" if above else ""
            if not is_served(name) or not self._enter(above):
                return False
            self._folders[above].add(name + "/", FOLDER_FACTS)
        self._folders[folder] = FolderHash()
        return True


def is_served(name: str) -> bool:
    """Whether an entry of this name is served."""
    if not name or name in RESERVED:
        return False
    try:
        split_written(name)
    except CellsError:
        return False
    return True


class Sweeper:
    """Answers for the times of folders, page by page of a walk, from one sweep that its first folder began."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._found: dict[str, dict[str, Times]] = {}

    async def times(self, place: Place, folders: Sequence[str]) -> list[Times | None]:
        """Each is told once, so that the next walk looks anew. None: gone; (0, 0): not known, to be listed."""
        found = self._found.setdefault(place.name, {})
        top = folders[0] if folders else ""
        swept = top not in found
        if folders and swept:
            found.update(await Sweep(top).run(self._connection, place))
        answers: list[Times | None] = []
        for folder in folders:
            is_known = folder in found or (swept and folder.startswith(top))
            answers.append(found.pop(folder, None) if is_known else (0, 0))
        return answers

    def forget(self, place: Place) -> None:
        """A place is served no longer."""
        self._found.pop(place.name, None)
