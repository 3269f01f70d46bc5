"""Looking at folders for the synchronizer, in a thread: one ``lstat`` and a share of one fingerprint an entry.

Folders are opened beneath the root and listed by descriptor, so depth and length of a path do not matter and nobody
can lead the scan out by swapping a folder for a link. What is not served is told with a reason.
"""

import os
import stat
from collections.abc import Sequence
from struct import Struct

from cellsmono.datasource.objects.beneath import LOOK, open_beneath
from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.failures import ABSENT
from cellsmono.datasource.objects.fingerprint import Fingerprint, pack_facts
from cellsmono.datasource.objects.markers import read_marker
from cellsmono.datasource.objects.names import MARKER, RESERVED, encode_name, split_read
from cellsmono.interfaces.node import Facts, facts_of
from cellsmono.interfaces.objects import Entry, Listing, Skipped
from cellsmono.kernel.errors import NotFound

STABLE_NS = 2_000_000_000
"""A change within this time of a folder's own times may not show in them: clocks tick, and servers' clocks differ."""

_FORMAT = 0o170000
_FILE = stat.S_IFREG
_FOLDER = stat.S_IFDIR
_LINK = stat.S_IFLNK
_REASONS = {
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    _LINK: "symlink",
}
_BATCH = 512
_FACTS = Struct("<qqQ")
_Identity = tuple[int, int]


def reason_of(mode: int) -> str:
    """Why something that is neither file nor folder is not served."""
    return _REASONS.get(mode & _FORMAT, "special")


class FolderScan:
    """One look at one folder."""

    def __init__(self, bucket: LocalBucket, root: int, key: str, names: list[bytes], expected: bytes) -> None:
        self._bucket = bucket
        self._root = root
        self._names = names
        self._expected = expected
        self._above: set[_Identity] | None = None
        self._skipped: list[Skipped] = []
        self._has_marker = False
        self._is_complete = True
        self._fingerprint = Fingerprint()
        self._entries: list[Entry] = []
        # Kept while the fingerprint may still be the expected one: a fraction of what the entries themselves take.
        self._packed: list[bytes] = []
        self._inodes: list[tuple[int, int]] = []
        self._key = key

    def run(self, folder: int, now_ns: int) -> Listing:
        """List an open folder."""
        before = os.fstat(folder)
        self._read(folder)
        after = os.fstat(folder)
        listing = Listing(self._key, facts_of(before), before.st_mtime_ns, before.st_ctime_ns)
        listing.fingerprint = self._fingerprint.digest()
        listing.count = len(self._packed) if self._expected else len(self._entries)
        listing.complete = self._is_complete
        if not self._is_complete or listing.fingerprint != self._expected:
            listing.entries = self._unpack() if self._expected else self._entries
        listing.skipped = tuple(self._skipped)
        if self._has_marker and self._bucket.marked:
            listing.marker = read_marker(folder)
        listing.stable = (
            self._is_complete
            and before.st_mtime_ns == after.st_mtime_ns
            and before.st_ctime_ns == after.st_ctime_ns
            and are_settled(after, now_ns)
        )
        return listing

    def _read(self, folder: int) -> None:
        try:
            with os.scandir(folder) as found:
                self._take(found)
        except OSError:
            self._miss(self._key, "unreadable")

    def _take(self, found: "os._ScandirIterator[str]") -> None:
        # The loop that a million files go through: kept flat, with everything it needs in locals.
        packed: list[bytes] = []
        keep = self._packed if self._expected else None
        inodes, entries = self._inodes, self._entries
        for item in found:
            try:
                status = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError:
                self._miss(self._key + encode_name(os.fsencode(item.name)), "unreadable")
                continue
            mode = status.st_mode
            kind = mode & _FORMAT
            text = item.name
            if kind != _FILE or text == MARKER or text in RESERVED:
                served = self._take_other(text, status)
                if served is None:
                    continue
                text, status = served
                mode = status.st_mode
                size = 0 if mode & _FORMAT == _FOLDER else status.st_size
            else:
                size = status.st_size
            raw = text.encode("utf-8", "surrogateescape")
            mtime, ino = status.st_mtime_ns, status.st_ino
            piece = raw + b"\0" + pack_facts(size, mtime, ino)
            packed.append(piece)
            if keep is not None:
                keep.append(piece)
                inodes.append((status.st_dev, mode))
            else:
                name = text if text.isascii() else encode_name(raw)
                entries.append(Entry(name, Facts(size, mtime, ino, status.st_dev, mode)))
            if len(packed) == _BATCH:
                self._fingerprint.add_packed(b"".join(packed))
                packed.clear()
        self._fingerprint.add_packed(b"".join(packed))

    def _take_other(self, text: str, status: os.stat_result) -> tuple[str, os.stat_result] | None:
        """A folder, a link, or what is not served; None when it is to be left out."""
        if text in RESERVED:
            self._has_marker = self._has_marker or text == MARKER
            return None
        kind = status.st_mode & _FORMAT
        if kind == _LINK and self._bucket.follow:
            target = self._resolve(text)
            if target is None:
                return None
            status, kind = target, target.st_mode & _FORMAT
        if kind == _FOLDER:
            return text + "/", status
        if kind == _FILE:
            return text, status
        self._skip(text, reason_of(status.st_mode))
        return None

    def _resolve(self, text: str) -> os.stat_result | None:
        names = [*self._names, os.fsencode(text)]
        try:
            descriptor = open_beneath(self._root, names, LOOK, follow=True)
        except OSError:
            self._skip(text, "symlink")
            return None
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) in self._identities_above():
            self._skip(text, "symlink_loop")
            return None
        return status

    def _identities_above(self) -> set[_Identity]:
        if self._above is None:
            self._above = set()
            for end in range(len(self._names) + 1):
                descriptor = open_beneath(self._root, self._names[:end], LOOK, follow=True)
                status = os.fstat(descriptor)
                os.close(descriptor)
                self._above.add((status.st_dev, status.st_ino))
        return self._above

    def _skip(self, text: str, reason: str) -> None:
        self._skipped.append(Skipped(self._key + encode_name(os.fsencode(text)), reason))

    def _miss(self, key: str, reason: str) -> None:
        self._is_complete = False
        self._skipped.append(Skipped(key, reason))

    def _unpack(self) -> list[Entry]:
        entries = []
        for piece, (dev, mode) in zip(self._packed, self._inodes, strict=True):
            size, mtime, ino = _FACTS.unpack_from(piece, len(piece) - _FACTS.size)
            entries.append(Entry(encode_name(piece[: -_FACTS.size - 1]), Facts(size, mtime, ino, dev, mode)))
        return entries


def are_settled(status: os.stat_result, now_ns: int) -> bool:
    """Whether a later change of a folder must show in its times."""
    return status.st_ctime_ns < now_ns - STABLE_NS and not abs(now_ns - status.st_mtime_ns) <= STABLE_NS


def scan_folder(bucket: LocalBucket, root: int, key: str, expected: bytes, now_ns: int) -> Listing:
    """List one folder of a bucket whose root is open."""
    try:
        names = split_read(key)
        folder = open_beneath(root, names, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, follow=bucket.follow)
    except NotFound:
        return _missing(key)
    except OSError as error:
        return _missing(key) if error.errno in ABSENT else _unreadable(bucket, root, key)
    try:
        return FolderScan(bucket, root, key, names, expected).run(folder, now_ns)
    finally:
        os.close(folder)


def _missing(key: str) -> Listing:
    return Listing(key, Facts(0, 0), missing=True, complete=False)


def _unreadable(bucket: LocalBucket, root: int, key: str) -> Listing:
    """A folder that is there but can not be read: its facts as far as they can be told."""
    listing = Listing(key, Facts(0, 0), complete=False, skipped=(Skipped(key, "unreadable"),))
    try:
        descriptor = open_beneath(root, split_read(key), LOOK, follow=bucket.follow)
    except OSError:
        return listing
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    listing.facts, listing.mtime_ns, listing.ctime_ns = facts_of(status), status.st_mtime_ns, status.st_ctime_ns
    return listing


def scan_folders(bucket: LocalBucket, folders: Sequence[tuple[str, bytes]], now_ns: int) -> list[Listing]:
    """List folders. Raises Unavailable when the root is not there."""
    with bucket.opened() as root:
        return [scan_folder(bucket, root, key, expected, now_ns) for key, expected in folders]


def stat_folders(bucket: LocalBucket, folders: Sequence[str]) -> list[tuple[int, int] | None]:
    """Times of folders. Raises Unavailable when the root is not there."""
    with bucket.opened() as root:
        return [_times_of(bucket, root, key) for key in folders]


def _times_of(bucket: LocalBucket, root: int, key: str) -> tuple[int, int] | None:
    try:
        names = split_read(key)
        path = b"/".join(names)
        if bucket.follow or not path or len(path) > _SHORT_PATH:
            descriptor = open_beneath(root, names, LOOK, follow=bucket.follow)
            try:
                status = os.fstat(descriptor)
            finally:
                os.close(descriptor)
        else:
            # One call instead of three. A folder on the way that was swapped for a link would at worst make us look
            # into it with the safe means: only times are compared here.
            status = os.stat(path, dir_fd=root, follow_symlinks=False)
    except NotFound:
        return None
    except OSError as error:
        return None if error.errno in ABSENT else (0, 0)
    return (status.st_mtime_ns, status.st_ctime_ns) if stat.S_ISDIR(status.st_mode) else None


_SHORT_PATH = 4000


def look_at(bucket: LocalBucket, root: int, key: str) -> Entry | Skipped | None:
    """What stands at a key now."""
    plain = key.rstrip("/")
    try:
        names = split_read(plain)
        descriptor = open_beneath(root, names, LOOK, follow=bucket.follow)
    except NotFound:
        return None
    except OSError as error:
        return _explain_absence(bucket, root, plain, error)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    name = plain.rsplit("/", 1)[-1]
    if stat.S_ISDIR(status.st_mode):
        return Entry(name + "/" if name else "", facts_of(status))
    if stat.S_ISREG(status.st_mode):
        return Entry(name, facts_of(status))
    return Skipped(plain, reason_of(status.st_mode))


def _explain_absence(bucket: LocalBucket, root: int, key: str, error: OSError) -> Skipped | None:
    if error.errno not in ABSENT:
        return Skipped(key, "unreadable")
    if bucket.follow:
        try:
            os.close(open_beneath(root, split_read(key), LOOK))
        except OSError:
            return None
        return Skipped(key, "symlink")
    return None


def stat_entries(bucket: LocalBucket, keys: Sequence[str]) -> list[Entry | Skipped | None]:
    """What stands at these keys. Raises Unavailable when the root is not there."""
    with bucket.opened() as root:
        return [look_at(bucket, root, key) for key in keys]
