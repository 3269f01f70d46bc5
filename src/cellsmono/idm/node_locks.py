"""Locks on nodes: the requests about them, and all of them at hand for whoever writes."""

from collections.abc import Awaitable, Callable
from typing import Any

from cellsmono.idm.access import Access
from cellsmono.idm.acl import AclService
from cellsmono.idm.turn import Turn
from cellsmono.idm.user import UserService
from cellsmono.interfaces import node_locks as asked
from cellsmono.interfaces.node_locks import LockKind, LockMap, NodeLock
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.tree import NodeLocator
from cellsmono.kernel.errors import Invalid, Locked, NotFound

NO_LOCKS = LockMap()


class NodeLocks:
    """Compiles locks."""

    def __init__(self, users: UserService, acls: AclService, access: Access) -> None:
        self._users = users
        self._acls = acls
        self._access = access

    @property
    def version(self) -> int:
        """Grows whenever locks may have changed."""
        return self._acls.version

    async def read(self, node: str = "") -> list[NodeLock]:
        """All locks on nodes that are somewhere, or those on one node, by path."""
        rows = [row for row in await self._acls.read_locks() if not node or row.node == node]
        paths = await self._access.find_nodes([row.node for row in rows])
        found = [
            NodeLock(path, LockKind(row.action), row.role, user.login, row.value if row.action == "child_lock" else "")
            for row in rows
            if (path := paths.get(row.node)) is not None and (user := self._users.find_uuid(row.role)) is not None
        ]
        return sorted(found, key=lambda lock: (lock.path, lock.kind, lock.login))

    async def compile(self) -> LockMap:
        """All locks by path."""
        if not await self._acls.read_locks():
            return NO_LOCKS
        found: dict[str, list[NodeLock]] = {}
        for lock in await self.read():
            found.setdefault(lock.path, []).append(lock)
        return LockMap(found)


class LockRequests:
    """The handlers. They hold the lock of the turn, and leave rights as they were compiled."""

    def __init__(
        self, users: UserService, acls: AclService, locks: NodeLocks, locator: NodeLocator, turn: Turn
    ) -> None:
        self._users = users
        self._acls = acls
        self._locks = locks
        self._locator = locator
        self._turn = turn

    def handlers(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Which method answers which request."""
        return {asked.SetLock: self._set, asked.ListLocks: self._list, asked.ClearLock: self._clear}

    async def _set(self, request: asked.SetLock) -> NodeLock:
        async with self._turn.lock:
            user = self._users.read(request.login)
            node = await self._locator.identify(request.path)
            if request.kind is LockKind.CHILD and (not is_folder(node.path) or not request.name or "/" in request.name):
                raise Invalid("a child lock is set on a folder, and names what is locked in it")
            if request.kind is not LockKind.CHILD and request.name:
                raise Invalid("only a child lock has a name")
            for lock in await self._locks.read(node.uuid):
                if lock.kind is request.kind is LockKind.CONTENT and lock.holder != user.uuid:
                    raise Locked(f"Locked by {lock.login}", reason=lock.kind.value, path=request.path)
            await self._acls.put(node.uuid, user.uuid, "", {request.kind.value: request.name or user.login})
            return NodeLock(node.path, request.kind, user.uuid, user.login, request.name)

    async def _list(self, request: asked.ListLocks) -> list[NodeLock]:
        node = (await self._locator.identify(request.path)).uuid if request.path else ""
        return await self._locks.read(node)

    async def _clear(self, request: asked.ClearLock) -> None:
        async with self._turn.lock:
            node = await self._locator.identify(request.path)
            login = self._users.read(request.login).login if request.login else ""
            wanted = [
                lock
                for lock in await self._locks.read(node.uuid)
                if login in {"", lock.login} and request.kind in {None, lock.kind}
            ]
            if not wanted:
                raise NotFound(f"There is no such lock on {request.path!r}; `cellsmono lock list` shows all")
            for lock in wanted:
                await self._acls.delete(node.uuid, lock.holder, "", (lock.kind.value,))
