"""Object locks in workspaces: they hold against users, and only the owner sets and lifts them."""

from collections.abc import Callable

from cellsmono.data.router.workspace_base import WRITE, WorkspaceBase, refuse
from cellsmono.interfaces.locks import LockRule, ObjectLock
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.router import Actor


class WorkspaceLocks(WorkspaceBase):
    """The part of a ``NodeRouter`` that is about object locks."""

    def find_object_lock(self, root: str) -> LockRule | None:
        """See ``NodeRouter``."""
        return self._below.find_object_lock(root)

    async def read_object_lock(self, actor: Actor, root: str) -> LockRule | None:
        """See ``NodeRouter``: the rule is the datasource's, and a workspace has none."""
        if actor.kind != "user":
            return await self._below.read_object_lock(actor, root)
        await self._open(actor, root)
        return None

    async def set_object_lock(self, actor: Actor, root: str, rule: LockRule) -> None:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.set_object_lock(actor, root, rule)
        await self._open(actor, root)
        raise refuse(root)

    async def update_lock(
        self,
        actor: Actor,
        root: str,
        path: str,
        version: str | None,
        change: Callable[[ObjectLock | None, bool], ObjectLock],
        action: str,
        *,
        bypass: bool = False,
    ) -> Node:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.update_lock(actor, root, path, version, change, action, bypass=bypass)
        await self._enter(actor, root, path, WRITE)
        raise refuse(path)
