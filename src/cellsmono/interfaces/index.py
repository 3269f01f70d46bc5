"""The index service: the only source of truth about a datasource's tree."""

from collections.abc import Awaitable, Sequence
from typing import Protocol

import msgspec

from cellsmono.interfaces.events import ChangePage, NodeEvent
from cellsmono.interfaces.locks import LockRule
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.patch import Patch
from cellsmono.interfaces.version import Version, Versioning, VersionPage


class Usage(msgspec.Struct, frozen=True):
    """What a subtree holds: folders (without the asked one), files, and bytes of content."""

    folders: int
    files: int
    bytes: int


class KeyPage(msgspec.Struct, frozen=True):
    """A page of an S3 listing: keys and common prefixes together, in byte order of their UTF-8 form.

    ``entries`` holds a Node for a key and a str for a common prefix. ``next_after`` is empty on the last page; else
    it is what to pass as ``after`` for the next one (the last key or prefix of this page).
    """

    entries: tuple[Node | str, ...]
    next_after: str = ""


class FolderState(msgspec.Struct, frozen=True, gc=False):
    """What the scanner stored about a folder when it last agreed with the storage; zeros when it never did.

    What was changed in it since then is cleared (see ``FolderScanned``), ``mtime_ns`` is not.
    """

    path: str
    mtime_ns: int
    ctime_ns: int
    fingerprint: bytes


class IndexStats(msgspec.Struct, frozen=True):
    """Figures for ``ds show`` and metrics: nodes, and bytes of the database file.

    ``versions`` counts noncurrent versions and delete markers, ``version_bytes`` their content. ``object_lock`` is the
    rule for new versions where object lock is on.
    """

    folders: int
    files: int
    bytes: int
    last_sequence: int
    database_bytes: int
    versions: int = 0
    version_bytes: int = 0
    versioning: Versioning = Versioning.OFF
    object_lock: LockRule | None = None


class Unhashed(msgspec.Struct, frozen=True):
    """How many leaves lack a hash of their content (see ``Node.is_hashed``), and how many bytes they have."""

    files: int = 0
    bytes: int = 0


class NodeIndex(Protocol):
    """The tree of one datasource.

    Reads see every patch whose ``apply`` has returned. All methods may be called at any time and concurrently; paths
    follow ``interfaces.paths``. A missing node raises NotFound where a node is returned.
    """

    @property
    def versioning(self) -> Versioning:
        """Whether versions are kept. The index only remembers it: what becomes of old content is said in each patch."""

    @property
    def object_lock(self) -> LockRule | None:
        """The rule for new versions where object lock is on, else None. Only remembered, as ``versioning``."""

    async def read_node(self, path: str) -> Node:
        """The node at exactly this path (the root included). Raises NotFound."""

    def recall_node(self, path: str) -> Node | None:
        """The node if it is at hand without waiting. None says nothing: it may be there all the same."""

    async def read_nodes(self, paths: Sequence[str]) -> list[Node | None]:
        """The nodes at these paths, in their order, None where there is none. One hop for all."""

    async def find_node(self, uuid: str) -> Node | None:
        """The node with this UUID, None when there is none (or the text is no UUID)."""

    async def find_nodes(self, uuids: Sequence[str]) -> list[Node | None]:
        """``find_node`` for each, in their order. One hop for all."""

    async def find_paths(self, uuids: Sequence[str]) -> dict[str, str]:
        """The paths of the nodes with these UUIDs, by UUID; those that are not there are left out.

        One hop for all, and a fraction of what ``find_nodes`` costs.
        """

    async def find_inode(self, dev: int, ino: int) -> list[Node]:
        """Every node last seen with this device and inode number (hard links: several)."""

    async def find_inodes(self, pairs: Sequence[tuple[int, int]]) -> list[list[Node]]:
        """``find_inode`` for each (dev, ino), in their order. One hop for all."""

    async def list_children(self, path: str, after: str = "", limit: int = 1000) -> list[Node]:
        """Direct children of a folder in byte order of their names, from the first name greater than ``after``.

        ``after`` is a child's name as ``name_of`` gives it. Raises NotFound when the folder is missing.
        """

    async def list_keys(self, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> KeyPage:
        """A page of the S3 listing: keys that start with ``prefix`` and are greater than ``after``.

        Leaves are keys. A folder is a key (``name/``) when it is a MARKER, or FOUND and without children. With a
        delimiter, keys that contain it after the prefix are rolled up into one common prefix each, and a page never
        reads what it rolls up. When ``after`` is or begins with a common prefix, all of that prefix is skipped. Any
        delimiter text works; ``/`` is the fast one. Never raises NotFound: no match is an empty page.
        """

    async def usage(self, path: str) -> Usage:
        """Count and size of everything below a folder, without visiting it. Raises NotFound."""

    async def read_folder_states(self, paths: Sequence[str]) -> list[FolderState | None]:
        """What the scanner knows about these folders, None for unknown ones. One hop for all."""

    async def list_folder_states(self, path: str = "", after: str = "", limit: int = 5000) -> list[FolderState]:
        """The folder and all folders below it, in any order that is stable; page on with ``after`` = the last path.

        The root comes first. A page shorter than ``limit`` (more than 1) is the last one: do not ask on, because the
        root's path as ``after`` means the start.
        """

    async def list_unhashed(self, after: str = "", limit: int = 500, path: str = "") -> list[Node]:
        """Leaves below a folder that lack a hash, in any order that is stable; page on with the last path.

        A folder that is missing holds none.
        """

    async def count_unhashed(self, path: str = "") -> Unhashed:
        """How many leaves ``list_unhashed`` would list. Costs a look at each, and next to nothing if there are none."""

    async def list_versions(
        self,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str | None = None,
        limit: int = 1000,
    ) -> VersionPage:
        """A page of all versions of the keys that ``list_keys`` would list, and of keys that show nothing any more.

        It begins after the key ``after``, or, with ``after_version`` (an id, or what an earlier page gave), with the
        versions of that key that are older. Folders have no versions but the one that they are.
        """

    async def find_version(self, path: str, version: str) -> Version | None:
        """The version of a key with this id, the current one included; None when there is none."""

    async def read_versions(self, path: str, limit: int = 1000) -> list[Version]:
        """The newest versions of one key, the current one first."""

    async def find_blobs(self, blobs: Sequence[tuple[str, int]]) -> list[Node | None]:
        """By UUID and number of a blob: whose content it is, of a leaf or a noncurrent version. All of one moment."""

    async def set_versioning(self, versioning: Versioning) -> None:
        """Remember whether versions are kept; durable when this returns."""

    async def set_object_lock(self, rule: LockRule) -> None:
        """Remember that object lock is on, with this rule for new versions; durable when this returns."""

    async def apply(self, patch: Patch) -> tuple[NodeEvent, ...]:
        """Change the tree in one transaction; durable when this returns (as the store is configured).

        Calls that wait at the same time share one commit. Events are published after the commit, in commit order, and
        returned. On an error nothing of this patch is kept, and other patches are not touched.
        """

    def submit(self, patch: Patch) -> Awaitable[tuple[NodeEvent, ...]]:
        """As ``apply``, but the place in the order of patches is taken before this returns; await the result later."""

    async def changes(self, since: int = 0, limit: int = 1000) -> ChangePage:
        """Events with a sequence number greater than ``since``, oldest first."""

    async def find_deleted(self, uuids: Sequence[str]) -> set[str]:
        """Which of these UUIDs belonged to nodes that were deleted, as far back as the event log goes.

        Those that went with a folder, or when another node was moved onto them, are not known.
        """

    async def stats(self) -> IndexStats:
        """Figures about the whole index."""

    async def verify(self) -> list[str]:
        """Check every invariant of the stored tree; one sentence per violation, empty when all hold."""
