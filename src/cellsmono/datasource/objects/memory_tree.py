"""The tree that a ``MemoryStore`` keeps: files and folders with inodes and times, as a file system has them."""

import stat as statmod
from collections.abc import Iterator, Sequence

from cellsmono.datasource.objects.fingerprint import Fingerprint
from cellsmono.datasource.objects.names import encode_name, not_found, split_read
from cellsmono.interfaces.node import Facts, NodeAttributes
from cellsmono.interfaces.objects import Entry, Listing, Skipped
from cellsmono.kernel.errors import Conflict, NotFound

STABLE_NS = 2_000_000_000
"""A folder whose times lie this far in the past shows every later change in them."""


class File:
    """A file: bytes and facts."""

    def __init__(self, ino: int, dev: int, mtime_ns: int, data: bytes) -> None:
        self.ino = ino
        self.dev = dev
        self.mtime_ns = mtime_ns
        self.data = data
        self.attributes: NodeAttributes | None = None

    def facts(self) -> Facts:
        """As ``stat`` would tell them."""
        return Facts(len(self.data), self.mtime_ns, self.ino, self.dev, statmod.S_IFREG | 0o644)


class Special:
    """Something that is not served, and why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Folder:
    """A folder: children by key segment, without a trailing ``/``."""

    def __init__(self, ino: int, dev: int, mtime_ns: int, ctime_ns: int, marker: str = "") -> None:
        self.ino = ino
        self.dev = dev
        self.mtime_ns = mtime_ns
        self.ctime_ns = ctime_ns
        self.marker = marker
        self.unreadable = False
        self.children: dict[str, Item] = {}

    def facts(self) -> Facts:
        """As ``stat`` would tell them."""
        return Facts(0, self.mtime_ns, self.ino, self.dev, statmod.S_IFDIR | 0o755)

    def put(self, name: str, item: "Item", now_ns: int) -> None:
        """Link an item under a name, replacing another."""
        self.children[name] = item
        self.mtime_ns = self.ctime_ns = now_ns


Item = File | Folder | Special


def find_item(root: Folder, segments: Sequence[str]) -> Item | None:
    """What is at these segments, None when nothing is."""
    at: Item = root
    for segment in segments:
        child = at.children.get(segment) if isinstance(at, Folder) else None
        if child is None:
            return None
        at = child
    return at


def look_up(root: Folder, key: str) -> Item | None:
    """What is at a key, whatever its trailing ``/`` says; None when nothing is or can be."""
    try:
        return find_item(root, [encode_name(name) for name in split_read(key)])
    except NotFound:
        return None


def remove_item(root: Folder, segments: Sequence[str], now_ns: int) -> Item:
    """Unlink an item with everything below it."""
    folder = find_item(root, segments[:-1])
    if not isinstance(folder, Folder) or segments[-1] not in folder.children:
        raise not_found("/".join(segments))
    folder.mtime_ns = folder.ctime_ns = now_ns
    return folder.children.pop(segments[-1])


def copy_item(item: Item, inodes: Iterator[int], now_ns: int) -> Item:
    """A deep copy with new inodes and, as no program can set them, new ctimes."""
    if isinstance(item, File):
        copied = File(next(inodes), item.dev, item.mtime_ns, item.data)
        copied.attributes = item.attributes
        return copied
    if isinstance(item, Special):
        return Special(item.reason)
    folder = Folder(next(inodes), item.dev, item.mtime_ns, now_ns, item.marker)
    folder.children = {name: copy_item(child, inodes, now_ns) for name, child in item.children.items()}
    return folder


def count_bytes(folder: Folder) -> int:
    """Bytes of all files below a folder."""
    return sum(
        count_bytes(child) if isinstance(child, Folder) else len(child.data)
        for child in folder.children.values()
        if not isinstance(child, Special)
    )


def times_of(item: Item | None) -> tuple[int, int] | None:
    """A folder's mtime and ctime."""
    return (item.mtime_ns, item.ctime_ns) if isinstance(item, Folder) else None


def describe(item: Item | None, key: str) -> Entry | Skipped | None:
    """What a direct look at a key tells."""
    plain = key.rstrip("/")
    if isinstance(item, Special):
        return Skipped(plain, item.reason)
    if item is None:
        return None
    name = plain.rsplit("/", 1)[-1]
    return Entry(name + "/" if isinstance(item, Folder) and name else name, item.facts())


def list_folder(folder: Folder, key: str, expected: bytes, now_ns: int) -> Listing:
    """A folder's listing, without entries when its fingerprint is the expected one."""
    listing = Listing(key, folder.facts(), folder.mtime_ns, folder.ctime_ns)
    if folder.unreadable:
        listing.complete = False
        listing.skipped = (Skipped(key, "unreadable"),)
        return listing
    entries = []
    skipped = []
    fingerprint = Fingerprint()
    for name, child in folder.children.items():
        if isinstance(child, Special):
            skipped.append(Skipped(key + name, child.reason))
            continue
        entry = Entry(name + "/" if isinstance(child, Folder) else name, child.facts())
        facts = entry.facts
        fingerprint.add(entry.name.encode(), facts.size, facts.mtime_ns, facts.ino)
        entries.append(entry)
    listing.fingerprint = fingerprint.digest()
    listing.entries = None if listing.fingerprint == expected else entries
    listing.count = len(entries)
    listing.skipped = tuple(skipped)
    listing.marker = folder.marker
    listing.stable = max(folder.mtime_ns, folder.ctime_ns) < now_ns - STABLE_NS
    return listing


def refuse_target(there: Item | None, target: str, *, is_folder: bool) -> None:
    """What must not be at the target of a move."""
    if isinstance(there, Folder):
        reason = "exists" if is_folder else "is_folder"
        raise Conflict(f"There is a folder at '{target}' already.", reason=reason, path=target)
    if there is not None and is_folder:
        raise Conflict(f"There is an object at '{target}' already.", reason="parent_is_object", path=target)
