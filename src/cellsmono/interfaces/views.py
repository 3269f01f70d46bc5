"""Workspaces as one user sees them: where paths in them lead, and what may be done there."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Protocol

import msgspec

from cellsmono.interfaces.node_locks import LockMap
from cellsmono.interfaces.paths import parent_of
from cellsmono.interfaces.permissions import Marks, Right, decide
from cellsmono.interfaces.router import Actor


class ViewRoot(msgspec.Struct, frozen=True):
    """One root of a workspace: its name in it, and its tree path, which is that of a folder."""

    name: str
    path: str


class View(msgspec.Struct, frozen=True):
    """A workspace as one user sees it.

    ``roots`` are those that are somewhere, in byte order of their names; where ``has_levels``, a path in the workspace
    begins with the name of one. ``scopes`` are tree paths below which alone a token is good, None for whoever is not
    bound to any. ``turns`` are the tree paths, sorted, at which rights may differ from those of the folder above.
    ``created`` is seconds since the epoch, UTC.

    ``quotas`` are the bytes that may lie in folders, by tree path; ``recycle_roots`` the folders (tree paths) that have
    a recycle bin.
    """

    slug: str
    created: float
    roots: tuple[ViewRoot, ...]
    has_levels: bool
    marks: Marks
    scopes: Mapping[str, Right] | None
    turns: tuple[str, ...]
    quotas: Mapping[str, int] = {}
    recycle_roots: frozenset[str] = frozenset()

    def rights(self, path: str) -> Right:
        """What may be done with the node at a tree path, which need not exist."""
        rights = decide(self.marks, path).rights
        return rights & self._reach(path) if self.scopes is not None and rights else rights

    def _reach(self, path: str) -> Right:
        scopes = self.scopes or {}
        reach = scopes.get(path, Right.NONE)
        while path:
            path = parent_of(path)
            reach |= scopes.get(path, Right.NONE)
        return reach

    def quotas_above(self, path: str) -> list[tuple[str, int]]:
        """The quotas of the folders that a tree path is in, the outermost first."""
        return sorted((folder, limit) for folder, limit in self.quotas.items() if path.startswith(folder))

    def is_turn(self, path: str) -> bool:
        """Whether rights may change exactly at a tree path."""
        return path in self.marks or (self.scopes is not None and path in self.scopes)

    def turns_below(self, prefix: str) -> list[str]:
        """The turns that begin with a prefix, which need not be a folder."""
        at = bisect_left(self.turns, prefix)
        end = at
        while end < len(self.turns) and self.turns[end].startswith(prefix):
            end += 1
        return list(self.turns[at:end])

    def allows_below(self, folder: str) -> bool:
        """Whether anything may be done in a folder, or with the folder itself."""
        return bool(self.rights(folder)) or any(self.rights(turn) for turn in self.turns_below(folder))

    def may_read_below(self, folder: str) -> bool:
        """Whether anything in a folder, or the folder itself, may be readable."""
        if self.rights(folder) & Right.READ:
            return True
        return any(self.rights(turn) & Right.READ for turn in self.turns_below(folder))


class Views(Protocol):
    """The workspaces of users."""

    async def list_views(self, actor: Actor) -> list[View]:
        """The workspaces that are a user's, by slug."""

    async def open_view(self, actor: Actor, slug: str) -> View | None:
        """A workspace; None when it is not the user's, or not there: nobody can tell which."""

    async def read_locks(self) -> LockMap:
        """The locks of all users on nodes."""
