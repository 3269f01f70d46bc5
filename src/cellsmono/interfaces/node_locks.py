"""Locks that users have on nodes: while one works on something, others leave it alone. They are ACL rows.

Not to be confused with S3's object locks (``interfaces.locks``), which keep versions from being deleted by anybody.
"""

import enum
from collections.abc import Mapping, Sequence

import msgspec

from cellsmono.interfaces.paths import parent_of
from cellsmono.interfaces.people import Request
from cellsmono.kernel.errors import Locked


class LockKind(enum.StrEnum):
    """What a lock forbids. The values are the actions of its ACL rows.

    CONTENT: nobody but its holder changes, moves or deletes the node, or anything in the folder. NODE: nobody at all,
    not even its holder. CHILD: nobody makes, changes or deletes what has one name in the folder.
    """

    CONTENT = "content_lock"
    NODE = "lock"
    CHILD = "child_lock"


class NodeLock(msgspec.Struct, frozen=True):
    """One lock. ``path`` is the tree path of the node, ``holder`` the UUID of the user; ``name`` is a child's."""

    path: str
    kind: LockKind
    holder: str
    login: str
    name: str = ""

    def binds(self, user: str) -> bool:
        """Whether it is in the way of a user."""
        return self.kind is not LockKind.CONTENT or user != self.holder

    def covers(self, path: str) -> bool:
        """Whether the node at a tree path, which is this one or below it, is meant."""
        if self.kind is not LockKind.CHILD:
            return True
        rest = path[len(self.path) :]
        return rest == self.name or rest.startswith(self.name + "/")


class LockMap(msgspec.Struct, frozen=True):
    """All locks of one moment, by the path of their node."""

    locks: Mapping[str, Sequence[NodeLock]] = {}

    def check(self, path: str, user: str, shown: str) -> None:
        """Raise Locked where a lock forbids a user to change the node at a tree path; ``shown`` is what he calls it."""
        at = path
        while self.locks:
            for lock in self.locks.get(at, ()):
                if lock.binds(user) and lock.covers(path):
                    raise _locked(lock, shown)
            if not at:
                break
            at = parent_of(at)

    def check_below(self, folder: str, user: str, shown: str) -> None:
        """Raise Locked where anything in a folder is locked, so that the folder can not be moved or deleted whole."""
        for path, locks in self.locks.items():
            if path.startswith(folder) and any(lock.binds(user) for lock in locks):
                raise _locked(next(lock for lock in locks if lock.binds(user)), shown)


def _locked(lock: NodeLock, shown: str) -> Locked:
    return Locked(f"Locked by {lock.login}", reason=lock.kind.value, path=shown)


class SetLock(Request[NodeLock], frozen=True):
    """Lock the node at a tree path for a user. A lock of the same kind that the user has is kept, or gets the name.

    Raises Locked when another user has the content lock, Invalid for a child lock without a folder and a name.
    """

    path: str
    login: str
    kind: LockKind = LockKind.CONTENT
    name: str = ""


class ListLocks(Request[list[NodeLock]], frozen=True):
    """The locks on a node, or all, by path. Those on nodes that are gone are left out."""

    path: str = ""


class ClearLock(Request[None], frozen=True):
    """Lift the locks on a node: those of a user, or all; of one kind, or all. Raises NotFound when there are none."""

    path: str
    login: str = ""
    kind: LockKind | None = None
