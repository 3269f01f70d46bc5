"""What differs between the rows of one folder and a listing of it. Pure: no I/O, no clock."""

from collections.abc import Collection, Iterable

import msgspec

from cellsmono.interfaces.node import Facts, Node
from cellsmono.interfaces.objects import Entry, Listing
from cellsmono.interfaces.paths import is_folder, name_of

ABSENT_REASONS = frozenset({"symlink", "symlink_loop", "fifo", "socket", "device", "special"})
"""Why an entry is skipped although it was seen clearly: what stood there before is gone. Any other reason (not
readable, not nameable) leaves open what is there, and its rows stay."""

TOUCH_LIMIT = 4 << 20
"""Bytes up to which a file with a new mtime is hashed to find out whether only its time changed."""


class FolderDiff(msgspec.Struct):
    """How a listing differs from the rows. All paths are whole node paths.

    ``new_files`` are entries of the listing. ``moved_in`` are known folders whose inode is not the row's: something
    else may stand there now.
    ``replaced`` are rows whose name is taken by an entry of the other type. ``quiet`` are rows whose facts differ in
    a way that is no change of content (mode, device, a folder's times).
    """

    new_files: list[Entry] = []
    new_folders: list[str] = []
    changed: list[tuple[Node, Facts]] = []
    touched: list[tuple[Node, Facts]] = []
    quiet: list[tuple[str, Facts]] = []
    moved_in: list[str] = []
    gone: list[str] = []
    replaced: list[str] = []

    @property
    def is_clean(self) -> bool:
        """Whether the rows equal the listing but for what is stored silently."""
        return not (
            self.new_files
            or self.new_folders
            or self.changed
            or self.touched
            or self.moved_in
            or self.gone
            or self.replaced
        )


class FolderDiffer:
    """Compares one listing with the rows of its folder, which may come page by page."""

    def __init__(self, listing: Listing) -> None:
        self._key = listing.key
        self._complete = listing.complete
        self._pending = {entry.name: entry for entry in listing.entries or ()}
        self._names = frozenset(name.rstrip("/") for name in self._pending) if self._pending else frozenset()
        self._unknown = {
            name_of(skipped.key).rstrip("/") for skipped in listing.skipped if skipped.reason not in ABSENT_REASONS
        }

    def compare(self, rows: Iterable[Node]) -> FolderDiff:
        """The differences of these rows; names that no row had so far are told by ``rest``."""
        diff = FolderDiff()
        for row in rows:
            name = name_of(row.path)
            entry = self._pending.pop(name, None)
            if entry is None:
                self._judge_absent(row, name.rstrip("/"), diff)
            elif is_folder(name):
                compare_folder(row, entry.facts, diff)
            else:
                compare_leaf(row, entry.facts, diff)
        return diff

    def rest(self) -> FolderDiff:
        """What the listing holds and no row did: call it after the last page."""
        diff = find_new(self._key, self._pending.values())
        self._pending = {}
        return diff

    def _judge_absent(self, row: Node, bare_name: str, diff: FolderDiff) -> None:
        if bare_name in self._names:
            diff.replaced.append(row.path)
        elif self._complete and bare_name not in self._unknown:
            diff.gone.append(row.path)


def find_new(folder: str, entries: Collection[Entry]) -> FolderDiff:
    """The difference that these entries make in a folder of whose rows none has one of their names."""
    files = [entry for entry in entries if entry.name[-1] != "/"]
    folders = [] if len(files) == len(entries) else [folder + each.name for each in entries if each.name.endswith("/")]
    return FolderDiff(new_files=files, new_folders=folders)


def compare_leaf(row: Node, facts: Facts, diff: FolderDiff) -> None:
    """Sort one known file into the diff."""
    old = row.facts
    if not old.tells_news(facts):
        return
    if old.is_same_content(facts):
        diff.quiet.append((row.path, facts))
    elif is_touch_candidate(row, facts):
        diff.touched.append((row, facts))
    else:
        diff.changed.append((row, facts))


def compare_folder(row: Node, facts: Facts, diff: FolderDiff) -> None:
    """Sort one known folder into the diff: its inode tells whether it can be another one than it was.

    A row without an inode was made because something below it was; the folder itself was never looked at.
    """
    old = row.facts
    if facts.is_void:
        return
    if old.ino != facts.ino:
        diff.moved_in.append(row.path)
    elif old != folder_facts(facts):
        diff.quiet.append((row.path, facts))


def is_touch_candidate(row: Node, facts: Facts) -> bool:
    """Whether hashing the file can prove that only its time changed, and is cheap enough."""
    old = row.facts
    return bool(row.content_hash) and old.size == facts.size <= TOUCH_LIMIT and old.ino == facts.ino


def folder_facts(facts: Facts) -> Facts:
    """The facts of a folder as they are stored: a folder has the size 0."""
    if facts.size == 0:
        return facts
    return msgspec.structs.replace(facts, size=0)


def is_absent(reason: str) -> bool:
    """Whether an entry skipped for this reason means that nothing that is served stands there."""
    return reason in ABSENT_REASONS


__all__ = [
    "ABSENT_REASONS",
    "TOUCH_LIMIT",
    "FolderDiff",
    "FolderDiffer",
    "compare_folder",
    "compare_leaf",
    "find_new",
    "folder_facts",
    "is_absent",
    "is_touch_candidate",
]
