"""How the synchronizer looks at a bucket: the FolderScanner half of an ``S3Store``."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence

from cellsmono.datasource.objects.fingerprint import Fingerprint
from cellsmono.datasource.objects.names import MARKER, RESERVED, split_read, split_written
from cellsmono.datasource.objects.s3.facts import facts_of_entry
from cellsmono.datasource.objects.s3.metadata import read_facts
from cellsmono.datasource.objects.s3.place import FOLDER_FACTS, Place
from cellsmono.datasource.objects.s3.reader import open_reader
from cellsmono.datasource.objects.s3.requests import Page, ask_many, find_head, head, list_pages
from cellsmono.datasource.objects.s3.service import S3Service
from cellsmono.datasource.objects.s3.sweep import FolderHash, Times
from cellsmono.interfaces.node import Facts
from cellsmono.interfaces.objects import Entry, Listing, Skipped
from cellsmono.kernel.errors import CellsError, NotFound

_SLICE_BYTES = 1024 * 1024
_LEAST_GROUP = 3
"""From so many keys in one folder on, it is listed."""


class S3Scanner(S3Service):
    """FolderScanner on prefixes. A folder has no times of its own, so only its listing tells whether it changed."""

    async def scan(self, bucket: str, folders: Sequence[tuple[str, bytes]]) -> list[Listing]:
        """List these folders."""
        place = self.place(bucket)
        await self.finish_moves(place)
        return await ask_many(lambda wanted: self._list_folder(place, *wanted), folders)

    async def _list_folder(self, place: Place, folder: str, expected: bytes) -> Listing:
        listing = Listing(folder, FOLDER_FACTS)
        view = FolderView(folder)
        if is_readable(folder):
            async for page in list_pages(self.connection, place, folder, delimiter="/"):
                view.add(page)
        if folder and not view.is_there:
            self.folders.lose(place, folder)
            listing.missing, listing.complete = True, False
            return listing
        if folder:
            self.folders.note(place, folder)
        entries = view.entries()
        listing.fingerprint = view.fingerprint(entries)
        listing.entries = None if listing.fingerprint == expected else entries
        listing.count = len(entries)
        listing.mtime_ns, listing.ctime_ns = view.times(entries)
        listing.stable = True  # hashes of the content, so that a later change must show in them
        listing.skipped = tuple(view.skipped)
        if view.marker is not None:
            listing.marker = await self.folders.read_marker(place, folder, view.marker)
        return listing

    async def stat_folders(self, bucket: str, folders: Sequence[str]) -> list[tuple[int, int] | None]:
        """What stands in the place of their times, from one listing for all of a walk (see ``sweep``)."""
        place = self.place(bucket)
        await self.finish_moves(place)
        return await self.sweeper.times(place, folders)

    async def stat_entries(self, bucket: str, keys: Sequence[str]) -> list[Entry | Skipped | None]:
        """What stands at these keys: one request for each, and a listing where several lie in one folder."""
        place = self.place(bucket)
        folders = await self._find_folders(place, keys) if place.has_folders else {}
        return await ask_many(lambda key: self._look(place, key, folders), keys)

    async def _look(self, place: Place, key: str, folders: Mapping[str, bool]) -> Entry | Skipped | None:
        bare = key.rstrip("/")
        if not bare:
            return Entry("", FOLDER_FACTS) if not key else None
        if not is_readable(bare):
            return None
        name = bare.rsplit("/", 1)[-1]
        answer = None
        is_folder: bool | None = folders.get(bare) if place.has_folders else False
        if is_folder is None:
            answer, is_folder = await asyncio.gather(
                head(self.connection, place, bare), self.folders.exists(place, bare + "/")
            )
        elif not is_folder:
            try:
                answer = await find_head(self.connection, place, bare)
            except NotFound:
                return None
        if is_folder:
            return Entry(name + "/", FOLDER_FACTS)
        return None if answer is None else Entry(name, read_facts(answer, answer["ContentLength"]))

    async def _find_folders(self, place: Place, keys: Sequence[str]) -> dict[str, bool]:
        """Whether a folder is at these keys, for those of which several lie in one folder."""
        groups: dict[str, list[str]] = {}
        for key in keys:
            bare = key.rstrip("/")
            if bare and is_readable(bare):
                groups.setdefault(bare[: bare.rfind("/") + 1], []).append(bare)
        wanted = [(parent, sorted(group)) for parent, group in groups.items() if len(group) >= _LEAST_GROUP]
        found: dict[str, bool] = {}
        for part in await ask_many(lambda group: self._find_in_folder(place, *group), wanted):
            found |= part
        return found

    async def _find_in_folder(self, place: Place, parent: str, keys: Sequence[str]) -> dict[str, bool]:
        """The same for keys in this folder; for the first of them alone where it holds very much besides."""
        folders: set[str] = set()
        pages, end = 0, parent
        before = keys[0][:-1]  # sorts before the first key and before its folder
        async for page in list_pages(self.connection, place, parent, delimiter="/", after=max(before, parent)):
            folders.update(page.folders)
            pages += 1
            end = max([key for key, _ in page.objects[-1:]] + page.folders[-1:], default=end)
            if end > keys[-1] + "/" or pages == len(keys):
                break
        else:
            end = keys[-1] + "0"  # it sorts behind the folder of the last one
        return {key: key + "/" in folders for key in keys if key + "/" <= end}

    async def read_marker(self, bucket: str, folder: str) -> str:
        """The UUID in the folder's marker."""
        place = self.place(bucket)
        return await self.folders.read_marker(place, folder) if is_readable(folder) else ""

    async def write_markers(self, bucket: str, markers: Sequence[tuple[str, str]]) -> list[tuple[int, int] | None]:
        """Write the markers of these folders; what stands in the place of a folder's times (see ``sweep``)."""
        place = self.place(bucket)
        if not place.marked or place.read_only:
            return [None] * len(markers)
        written = await ask_many(lambda marker: self._write_marker(place, *marker), markers)
        folders = [folder for (folder, _), is_written in zip(markers, written, strict=True) if is_written]
        times = iter(await self.sweeper.times(place, folders))
        return [next(times) if is_written else None for is_written in written]

    async def _write_marker(self, place: Place, folder: str, uuid: str) -> bool:
        try:
            if not await self.folders.exists(place, folder):
                return False
            await self.folders.write_marker(place, folder, uuid)
        except CellsError:
            return False
        return True

    async def hash_object(self, bucket: str, key: str) -> tuple[Facts, str] | None:
        """MD5 of an object."""
        place = self.place(bucket)
        digest = hashlib.md5(usedforsecurity=False)
        try:
            reader = await open_reader(self.connection, place, key)
        except NotFound:
            return None
        try:
            offset, facts = 0, reader.info.facts
            while data := await reader.read(offset, _SLICE_BYTES):
                await self.workers.idle(digest.update, data)
                offset += len(data)
        finally:
            reader.close()
        return (facts, digest.hexdigest()) if offset == facts.size else None

    def key_of(self, bucket: str, path: bytes) -> str | None:
        """There are no paths."""
        self.place(bucket)
        return None

    def root(self, bucket: str) -> str:
        """What people know it by."""
        place = self.place(bucket)
        return f"s3://{place.bucket}/{place.prefix}"


class FolderView:
    """What the pages of a listing tell about one folder."""

    def __init__(self, folder: str) -> None:
        self.is_there = False
        self.marker: dict[str, object] | None = None
        self.skipped: list[Skipped] = []
        self._folder = folder
        self._files: dict[str, Facts] = {}
        self._folders: list[str] = []

    def add(self, page: Page) -> None:
        """Take a page."""
        skip = len(self._folder)
        self.is_there |= bool(page.objects or page.folders)
        for key, entry in page.objects:
            name = key[skip:]
            if name == MARKER:
                self.marker = dict(entry)
            elif name and self._is_served(name):
                self._files[name] = facts_of_entry(entry)
        for key in page.folders:
            name = key[skip:]
            if self._is_served(name[:-1]):
                self._folders.append(name)

    def _is_served(self, name: str) -> bool:
        if name in RESERVED:
            return False
        try:
            split_written(name)
        except CellsError:
            self.skipped.append(Skipped(self._folder + name, "unnameable"))
            return False
        return True

    def entries(self) -> list[Entry]:
        """Files and folders; a file that has the name of a folder is left out, and told."""
        for name in self._folders:
            if self._files.pop(name[:-1], None) is not None:
                self.skipped.append(Skipped(self._folder + name[:-1], "folder_of_same_name"))
        files = [Entry(name, facts) for name, facts in self._files.items()]
        return files + [Entry(name, FOLDER_FACTS) for name in self._folders]

    def times(self, entries: Sequence[Entry]) -> Times:
        """What stands in the place of the folder's times."""
        found = FolderHash()
        for entry in entries:
            found.add(entry.name, entry.facts)
        if self.marker is not None:
            found.mark(self.marker)
        return found.times()

    def fingerprint(self, entries: Sequence[Entry]) -> bytes:
        """The fingerprint of these entries."""
        found = Fingerprint()
        for entry in entries:
            facts = entry.facts
            found.add(entry.name.encode(), facts.size, facts.mtime_ns, facts.ino)
        return found.digest()


def is_readable(key: str) -> bool:
    """Whether anything can be at a key."""
    try:
        split_read(key)
    except NotFound:
        return False
    return True
