"""A store that keeps everything in memory: the same promises as the local one, and a stage for tests.

Besides the Protocols it lets a test change things *behind* the service's back (``write_behind`` and so on), take a
bucket away (``set_online``), and make a folder unreadable.
"""

import hashlib
import itertools
from collections.abc import AsyncIterable, Callable, Iterable, Sequence

import msgspec

from cellsmono.datasource.objects import memory_tree as tree
from cellsmono.datasource.objects.memory_tree import File, Folder, Special
from cellsmono.datasource.objects.memory_uploads import MemoryUploads
from cellsmono.datasource.objects.names import (
    encode_name,
    key_below,
    not_found,
    refuse_folder_key,
    refuse_move_into_itself,
    split_read,
    split_written,
)
from cellsmono.interfaces.node import Facts, NodeAttributes, new_uuid
from cellsmono.interfaces.objects import (
    Capabilities,
    Committed,
    Entry,
    FolderMade,
    Hasher,
    Listing,
    ObjectInfo,
    Skipped,
    Staged,
    Target,
)
from cellsmono.kernel.clock import Clock, SystemClock
from cellsmono.kernel.errors import AlreadyExists, CellsError, Conflict, Locked, NotFound, Unavailable

_TOTAL_SPACE = 1 << 40


class MemoryReader:
    """An open object of a ``MemoryStore``: the bytes as they were when it was opened."""

    def __init__(self, info: ObjectInfo, data: bytes) -> None:
        self.info = info
        self._data = data

    async def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``."""
        return self._data[offset : offset + length]

    def fileno(self) -> int | None:
        """There is no descriptor."""
        return None

    def close(self) -> None:
        """Let go of the bytes."""
        self._data = b""


class _Copy(msgspec.Struct):
    """What a staging token stands for."""

    data: bytes
    mtime_ns: int | None = None


class MemoryStore(MemoryUploads):
    """ObjectStore, FolderScanner and Multipart in memory."""

    def __init__(
        self, name: str = "data.objects.memory", *, clock: Clock | None = None, buckets: Iterable[str] = ()
    ) -> None:
        super().__init__(clock or SystemClock())
        self.name = name
        self._inodes = itertools.count(2)
        self._tokens = itertools.count(1)
        self._buckets: dict[str, Folder] = {}
        self._devices: dict[str, int] = {}
        self._offline: set[str] = set()
        self._held: set[str] = set()
        self._staged: dict[str, _Copy] = {}
        for bucket in buckets:
            self._add_bucket(bucket)

    def _add_bucket(self, bucket: str) -> None:
        self._devices[bucket] = len(self._devices) + 1
        self._buckets[bucket] = self._new_folder(bucket)

    def _new_folder(self, bucket: str, uuid: str = "") -> Folder:
        now = self.clock.time_ns()
        return Folder(next(self._inodes), self._devices[bucket], now, now, marker=uuid)

    def _root(self, bucket: str) -> Folder:
        root = self._buckets.get(bucket)
        if root is None:
            raise NotFound(f"There is no bucket '{bucket}'.", reason="bucket")
        if bucket in self._offline:
            raise Unavailable(f"The folder of bucket '{bucket}' is not there.", reason="offline")
        return root

    def _find(self, bucket: str, key: str) -> tree.Item | None:
        return tree.find_item(self._root(bucket), _segments(split_read(key)))

    def _find_file(self, bucket: str, key: str) -> File:
        item = None if key.endswith("/") else self._find(bucket, key)
        if not isinstance(item, File):
            raise not_found(key)
        return item

    # --- ObjectStore

    def capabilities(self, bucket: str) -> Capabilities:
        """Everything but events."""
        return Capabilities(attributes=True)

    async def stat(self, bucket: str, key: str) -> ObjectInfo:
        """Facts of an object or folder."""
        item = self._find(bucket, key)
        if not isinstance(item, Folder if not key or key.endswith("/") else File):
            raise not_found(key)
        return ObjectInfo(key, item.facts())

    async def open(self, bucket: str, key: str) -> MemoryReader:
        """Open an object."""
        item = self._find_file(bucket, key)
        return MemoryReader(ObjectInfo(key, item.facts()), item.data)

    async def stage(
        self,
        bucket: str,
        body: AsyncIterable[bytes],
        hashers: Sequence[Hasher] = (),
        size: int | None = None,
        target: Target | None = None,
    ) -> Staged:
        """Keep a body aside."""
        self._root(bucket)
        data = bytearray()
        async for chunk in body:
            for hasher in hashers:
                hasher.update(chunk)
            data += chunk
        return self._stage(bucket, bytes(data))

    def _stage(self, bucket: str, data: bytes, mtime_ns: int | None = None) -> Staged:
        token = str(next(self._tokens))
        self._staged[token] = _Copy(data, mtime_ns)
        return Staged(bucket, len(data), token)

    async def stage_copy(self, bucket: str, source_bucket: str, source: str) -> tuple[Staged, ObjectInfo]:
        """Keep a copy aside."""
        self._root(bucket)
        item = self._find_file(source_bucket, source)
        return self._stage(bucket, item.data), ObjectInfo(source, item.facts())

    async def commit(
        self,
        staged: Staged,
        key: str,
        *,
        mtime_ns: int | None = None,
        attributes: Callable[[Facts], NodeAttributes] | None = None,
    ) -> Committed:
        """Make staged bytes visible."""
        copy = self._staged.pop(staged.token, None)
        if copy is None:
            raise NotFound("These staged bytes were committed or discarded before.", reason="staged")
        names = _segments(split_written(key))
        refuse_folder_key(key)
        folder, made = self._make_folders(staged.bucket, names[:-1])
        if isinstance(folder.children.get(names[-1]), Folder):
            raise Conflict(
                f"'{key}' is a folder; remove it first, or choose another key.", reason="is_folder", path=key
            )
        now = self.clock.time_ns()
        item = File(next(self._inodes), self._devices[staged.bucket], now if mtime_ns is None else mtime_ns, copy.data)
        if attributes is not None:
            item.attributes = attributes(item.facts())
        folder.put(names[-1], item, now)
        return Committed(ObjectInfo(key, item.facts()), made)

    def _make_folders(self, bucket: str, names: Sequence[str]) -> tuple[Folder, tuple[FolderMade, ...]]:
        folder = self._root(bucket)
        made: list[tuple[str, Folder]] = []
        path = ""
        for name in names:
            path += name + "/"
            child = folder.children.get(name)
            if child is None:
                child = self._new_folder(bucket, new_uuid())
                folder.put(name, child, self.clock.time_ns())
                made.append((path, child))
            if not isinstance(child, Folder):
                raise Conflict(
                    f"'{path[:-1]}' is an object, so nothing can be stored below it.",
                    reason="parent_is_object",
                    path=path,
                )
            folder = child
        return folder, tuple(FolderMade(at, new.marker, new.facts()) for at, new in made)

    async def discard(self, staged: Staged) -> None:
        """Forget staged bytes."""
        self._staged.pop(staged.token, None)

    async def make_folder(self, bucket: str, key: str) -> tuple[FolderMade, ...]:
        """Make a folder and its parents."""
        return self._make_folders(bucket, _segments(split_written(key)))[1]

    def check_key(self, bucket: str, key: str) -> None:
        """Raise what writing this key would raise for its form alone."""
        self._root(bucket)
        split_written(key)

    async def delete(self, bucket: str, key: str) -> bool:
        """Remove an object."""
        root = self._root(bucket)
        try:
            self._find_file(bucket, key)
        except NotFound:
            return False
        tree.remove_item(root, _segments(split_read(key)), self.clock.time_ns())
        return True

    async def delete_many(self, bucket: str, keys: Sequence[str]) -> list[bool | Exception]:
        """Remove many objects."""
        results: list[bool | Exception] = []
        for key in keys:
            try:
                self.check_key(bucket, key)
                results.append(await self.delete(bucket, key))
            except CellsError as error:
                results.append(error)
        return results

    async def set_mtime(self, bucket: str, key: str, mtime_ns: int) -> ObjectInfo:
        """Change an object's time of modification."""
        file = self._find_file(bucket, key)
        file.mtime_ns = mtime_ns
        return ObjectInfo(key, file.facts())

    async def remove_folder(self, bucket: str, key: str) -> bool:
        """Remove an empty folder."""
        root = self._root(bucket)
        try:
            item = self._find(bucket, key)
        except NotFound:
            return False
        if not isinstance(item, Folder) or item.children or item is root:
            return False
        tree.remove_item(root, _segments(split_read(key)), self.clock.time_ns())
        return True

    async def move(self, bucket: str, source: str, target: str) -> Committed:
        """Rename an object or a folder."""
        root = self._root(bucket)
        item = self._find(bucket, source)
        is_folder = source.endswith("/")
        if item is root or not isinstance(item, Folder if is_folder else File):
            raise not_found(source)
        if is_folder and not target.endswith("/"):
            target += "/"
        names = _segments(split_written(target))
        if target == source:
            return Committed(ObjectInfo(target, item.facts()))
        refuse_move_into_itself(source, target)
        if not is_folder:
            refuse_folder_key(target)
        tree.refuse_target(tree.find_item(root, names), target, is_folder=is_folder)
        folder, made = self._make_folders(bucket, names[:-1])
        now = self.clock.time_ns()
        tree.remove_item(root, _segments(split_read(source)), now)
        folder.put(names[-1], item, now)
        return Committed(ObjectInfo(target, item.facts()), made)

    async def set_attributes(self, bucket: str, key: str, attributes: NodeAttributes) -> None:
        """Keep attributes beside an object."""
        self._find_file(bucket, key).attributes = attributes

    async def read_attributes(self, bucket: str, keys: Sequence[str]) -> list[NodeAttributes | None]:
        """What is kept beside these objects."""
        found: list[NodeAttributes | None] = []
        for key in keys:
            try:
                found.append(self._find_file(bucket, key).attributes)
            except NotFound:
                found.append(None)
        return found

    async def hold_bucket(self, bucket: str) -> None:
        """See ``Holder``."""
        self._root(bucket)
        if bucket in self._held:
            raise Locked(f"The bucket '{bucket}' is held already.", reason="held")
        self._held.add(bucket)

    def describe_loss(self, bucket: str) -> str:
        """See ``Holder``."""
        return ""

    def forget_bucket(self, bucket: str) -> None:
        """Let go of a bucket; it stays as it is."""
        self._held.discard(bucket)

    async def create_bucket(self, bucket: str) -> None:
        """Make an empty bucket."""
        if bucket in self._buckets:
            raise AlreadyExists(f"The bucket '{bucket}' is there already.", reason="bucket")
        self._add_bucket(bucket)

    async def remove_bucket(self, bucket: str) -> None:
        """Remove an empty bucket."""
        if self._root(bucket).children:
            raise Conflict(f"The bucket '{bucket}' is not empty.", reason="not_empty")
        del self._buckets[bucket]

    async def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket is there and online."""
        return bucket in self._buckets and bucket not in self._offline

    async def used_space(self, bucket: str) -> tuple[int, int]:
        """Free and total bytes of an imagined disk of 1 TiB."""
        return _TOTAL_SPACE - tree.count_bytes(self._root(bucket)), _TOTAL_SPACE

    async def close(self) -> None:
        """Forget what was staged, and let go of buckets."""
        self._staged.clear()
        self._held.clear()

    # --- FolderScanner

    async def scan(self, bucket: str, folders: Sequence[tuple[str, bytes]]) -> list[Listing]:
        """List these folders."""
        root = self._root(bucket)
        return [self._list_folder(root, key, expected) for key, expected in folders]

    def _list_folder(self, root: Folder, key: str, expected: bytes) -> Listing:
        try:
            item = tree.find_item(root, _segments(split_read(key)))
        except NotFound:
            item = None
        if not isinstance(item, Folder):
            return Listing(key, Facts(0, 0), missing=True, complete=False)
        return tree.list_folder(item, key, expected, self.clock.time_ns())

    async def stat_folders(self, bucket: str, folders: Sequence[str]) -> list[tuple[int, int] | None]:
        """Times of these folders."""
        root = self._root(bucket)
        return [tree.times_of(tree.look_up(root, key)) for key in folders]

    async def stat_entries(self, bucket: str, keys: Sequence[str]) -> list[Entry | Skipped | None]:
        """What stands at these keys."""
        root = self._root(bucket)
        return [tree.describe(tree.look_up(root, key), key) for key in keys]

    async def read_marker(self, bucket: str, folder: str) -> str:
        """The folder's marker."""
        item = tree.look_up(self._root(bucket), folder)
        return item.marker if isinstance(item, Folder) else ""

    async def write_markers(self, bucket: str, markers: Sequence[tuple[str, str]]) -> list[tuple[int, int] | None]:
        """Set the markers of these folders."""
        root = self._root(bucket)
        return [self._set_marker(tree.look_up(root, folder), uuid) for folder, uuid in markers]

    def _set_marker(self, item: object, uuid: str) -> tuple[int, int] | None:
        if not isinstance(item, Folder) or item.unreadable:
            return None
        item.marker = uuid
        item.ctime_ns = self.clock.time_ns()
        return tree.times_of(item)

    async def hash_object(self, bucket: str, key: str) -> tuple[Facts, str] | None:
        """MD5 of an object."""
        item = tree.look_up(self._root(bucket), key)
        if not isinstance(item, File):
            return None
        return item.facts(), hashlib.md5(item.data, usedforsecurity=False).hexdigest()

    def key_of(self, bucket: str, path: bytes) -> str | None:
        """The key of a path below the imagined root."""
        return key_below(self.root(bucket).encode(), path)

    def root(self, bucket: str) -> str:
        """An imagined path."""
        return f"/memory/{self.name}/{bucket}"

    # --- behind the service's back

    def write_behind(self, bucket: str, key: str, data: bytes, mtime_ns: int | None = None) -> None:
        """Replace or make a file as another program would: a new inode, no attributes, folders without markers."""
        folder = self._folder_behind(bucket, key)
        now = self.clock.time_ns()
        item = File(next(self._inodes), self._devices[bucket], now if mtime_ns is None else mtime_ns, data)
        folder.put(key.rsplit("/", 1)[-1], item, now)

    def edit_behind(self, bucket: str, key: str, data: bytes, mtime_ns: int | None = None) -> None:
        """Rewrite a file in place: the inode and the attributes stay."""
        item = self._find_file(bucket, key)
        item.data = data
        item.mtime_ns = self.clock.time_ns() if mtime_ns is None else mtime_ns

    def plant_behind(self, bucket: str, key: str, reason: str) -> None:
        """Put something there that is not served, such as a symlink or a fifo."""
        self._folder_behind(bucket, key).put(key.rsplit("/", 1)[-1], Special(reason), self.clock.time_ns())

    def make_folder_behind(self, bucket: str, key: str, marker: str = "") -> None:
        """Make a folder (and its parents) without a marker, or with this one."""
        folder = self._folder_behind(bucket, key.rstrip("/") + "/x")
        folder.marker = marker

    def _folder_behind(self, bucket: str, key: str) -> Folder:
        folder = self._root(bucket)
        for name in key.split("/")[:-1]:
            child = folder.children.get(name)
            if not isinstance(child, Folder):
                child = self._new_folder(bucket)
                folder.put(name, child, self.clock.time_ns())
            folder = child
        return folder

    def remove_behind(self, bucket: str, key: str) -> None:
        """Remove a file, or a folder with everything below it."""
        tree.remove_item(self._root(bucket), key.rstrip("/").split("/"), self.clock.time_ns())

    def move_behind(self, bucket: str, source: str, target: str) -> None:
        """Rename a file or folder, replacing what is at the target."""
        root, now = self._root(bucket), self.clock.time_ns()
        item = tree.remove_item(root, source.rstrip("/").split("/"), now)
        plain = target.rstrip("/")
        self._folder_behind(bucket, plain).put(plain.rsplit("/", 1)[-1], item, now)

    def copy_behind(self, bucket: str, source: str, target: str) -> None:
        """Copy a file or folder as ``cp -a`` does: markers and times are copied, inodes are new."""
        item = self._find(bucket, source)
        if item is None:
            raise not_found(source)
        plain = target.rstrip("/")
        copied = tree.copy_item(item, self._inodes, self.clock.time_ns())
        self._folder_behind(bucket, plain).put(plain.rsplit("/", 1)[-1], copied, self.clock.time_ns())

    def set_online(self, bucket: str, online: bool) -> None:
        """Take a bucket's root away, as an unmounted disk does, or bring it back."""
        (self._offline.discard if online else self._offline.add)(bucket)

    def set_readable(self, bucket: str, folder: str, readable: bool) -> None:
        """Make a folder's listing fail, as missing rights do, or work again."""
        item = self._find(bucket, folder)
        if not isinstance(item, Folder):
            raise not_found(folder)
        item.unreadable = not readable

    # --- what multipart needs of the store

    def _check_bucket(self, bucket: str) -> None:
        self._root(bucket)

    def _stage_bytes(self, bucket: str, data: bytes) -> Staged:
        return self._stage(bucket, data)


def _segments(names: Sequence[bytes]) -> list[str]:
    """Key segments again: the memory tree is kept by them."""
    return [encode_name(name) for name in names]
