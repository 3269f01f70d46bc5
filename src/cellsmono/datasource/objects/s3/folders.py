"""Folders where there are none: a folder is a prefix, and its marker object keeps it when nothing else is below it."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from cellsmono.datasource.objects.markers import parse_uuid
from cellsmono.datasource.objects.s3.endpoint import Connection
from cellsmono.datasource.objects.s3.failures import code_of
from cellsmono.datasource.objects.s3.place import FOLDER_FACTS, Place
from cellsmono.datasource.objects.s3.requests import ask, fetch, has_any, head
from cellsmono.interfaces.node import new_uuid
from cellsmono.interfaces.objects import FolderMade
from cellsmono.interfaces.paths import ancestors_of
from cellsmono.kernel.errors import Conflict, Corrupt, NotFound

MOST_KNOWN = 100_000
"""Folders that are remembered to be there, and markers whose text is remembered."""


class Folders:
    """Makes folders, and remembers which ones are there, so that a write in a known folder asks for none of them.

    A folder that vanished behind our back is noticed by the next listing, which forgets it here.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._texts: OrderedDict[str, str] = OrderedDict()

    def note(self, place: Place, folder: str) -> None:
        """This folder is there."""
        _remember(self._known, (place.name, folder), None)

    def lose(self, place: Place, folder: str) -> None:
        """This folder, and whatever was below it, may be gone."""
        for known in [each for each in self._known if each[0] == place.name and each[1].startswith(folder)]:
            del self._known[known]

    def forget(self, place: Place) -> None:
        """A place is served no longer."""
        self.lose(place, "")

    async def exists(self, place: Place, folder: str) -> bool:
        """Whether anything is below a folder's key."""
        if place.is_too_long(folder):
            return False
        return not folder or await has_any(self._connection, place, folder)

    async def make(self, place: Place, folders: Sequence[str]) -> tuple[FolderMade, ...]:
        """Make these folders (outermost first, each inside the one before) as far as they are missing.

        Raises Conflict (reason ``parent_is_object``) when an object stands where a folder is needed.
        """
        missing: list[str] = []
        for folder in reversed(folders):
            if (place.name, folder) in self._known:
                break
            there, is_object = await asyncio.gather(
                self.exists(place, folder), head(self._connection, place, folder[:-1])
            )
            if is_object is not None and not there:
                raise Conflict(
                    f"'{folder[:-1]}' is an object, so nothing can be stored below it.",
                    reason="parent_is_object",
                    path=folder,
                )
            if there:
                self.note(place, folder)
                break
            missing.append(folder)
        made = []
        for folder in reversed(missing):
            uuid = new_uuid()
            await self.write_marker(place, folder, uuid)
            made.append(FolderMade(folder, uuid if place.marked else "", FOLDER_FACTS))
        return tuple(made)

    async def make_above(self, place: Place, key: str) -> tuple[FolderMade, ...]:
        """Make the folders above a key, where there are folders."""
        if not place.has_folders:
            return ()
        above = [folder for folder in ancestors_of(key) if folder]
        return await self.make(place, above)

    async def make_way(self, place: Place, key: str, *, is_free: bool = False) -> tuple[FolderMade, ...]:
        """Make the folders above an object's key. Raises Conflict (reason ``is_folder``) for a folder at the key.

        ``is_free``: the caller knows that none was there; only one that was made here since then is looked for.
        """
        made = await self.make_above(place, key)
        folder = key + "/"
        if made or not place.has_folders:
            return made
        if (place.name, folder) in self._known or not (is_free or not await self.exists(place, folder)):
            raise Conflict(
                f"'{key}' is a folder; remove it first, or choose another key.", reason="is_folder", path=key
            )
        return made

    async def write_marker(self, place: Place, folder: str, uuid: str) -> None:
        """Store a folder's marker; where markers are not wanted an empty object keeps the folder."""
        text = uuid if place.marked else ""
        key = marker_key(place, folder)
        answer = await ask(self._connection, "put_object", key, **place.at(key), **place.options(), Body=text.encode())
        self.note(place, folder)
        _remember(self._texts, answer["ETag"], text)

    async def read_marker(self, place: Place, folder: str, entry: Mapping[str, Any] | None = None) -> str:
        """The UUID in a folder's marker, empty when there is none or it is no UUID. ``entry``: it in a listing."""
        if not place.marked:
            return ""
        if entry is not None and entry["ETag"] in self._texts:
            return self._texts[entry["ETag"]]
        key = marker_key(place, folder)
        try:
            answer, data = await fetch(self._connection, key, **place.at(key), Range="bytes=0-63")
        except (NotFound, Corrupt) as error:
            if isinstance(error, NotFound) or code_of(error.__cause__) == "InvalidRange":  # none, or an empty one
                return ""
            raise
        text = parse_uuid(data)
        _remember(self._texts, answer["ETag"], text)
        return text


def marker_key(place: Place, folder: str) -> str:
    """The object that keeps a folder."""
    return place.marker(folder) if place.marked else folder


def _remember(cache: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > MOST_KNOWN:
        cache.popitem(last=False)
