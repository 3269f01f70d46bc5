"""Object locks, on behalf of actors."""

from collections.abc import Callable

from msgspec.structs import replace

from cellsmono.data.router.rights import DELETE_VERSION, Verdict
from cellsmono.data.router.versions import VersionRouter
from cellsmono.interfaces.locks import LockRule, ObjectLock
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.version import Version, Versioning
from cellsmono.kernel.errors import Forbidden, Unavailable

BYPASS = "s3:BypassGovernanceRetention"


class LockRouter(VersionRouter):
    """The part of a ``NodeRouter`` that is about object locks."""

    def find_object_lock(self, root: str) -> LockRule | None:
        """See ``NodeRouter``."""
        try:
            store = self._roots.find(root)
        except Unavailable:
            return None
        return None if store is None else store.index.object_lock

    async def read_object_lock(self, actor: Actor, root: str) -> LockRule | None:
        """See ``NodeRouter``."""
        return self._allow(actor, root, "s3:GetBucketObjectLockConfiguration").index.object_lock

    async def set_object_lock(self, actor: Actor, root: str, rule: LockRule) -> None:
        """See ``NodeRouter``."""
        if actor.kind != "owner":
            raise Forbidden("Only the owner can change the object lock of a bucket")
        await self._allow(actor, root, "s3:PutBucketObjectLockConfiguration").set_object_lock(rule)

    async def _begin_locking(self, root: str) -> None:
        """Turn object lock on in a root that was just made; one that can not have it goes again."""
        store = self._roots.find(root)
        if store is None:
            return
        try:
            await store.set_versioning(Versioning.ENABLED)
            await store.set_object_lock(LockRule())
        except BaseException:
            await self._roots.delete(root)
            raise

    async def delete_version(
        self, actor: Actor, root: str, path: str, version: str, *, bypass: bool = False
    ) -> Version:
        """See ``NodeRouter``."""
        if bypass:
            bypass = self._may_bypass(actor, root, path)
        store = self._allow(actor, root, DELETE_VERSION, path, version=version)
        return await store.delete_version(path, version, bypass=bypass)

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
        store = self._allow(actor, root, action, path)
        allowed = bypass and self._may_bypass(actor, root, path)
        return await store.update_lock(path, version, lambda lock: change(lock, allowed))

    def _may_bypass(self, actor: Actor, root: str, path: str) -> bool:
        """Whether an actor may overrule GOVERNANCE. It is a right of its own, whatever the request as a whole is."""
        circumstances = replace(actor.circumstances, action=BYPASS)
        store = self._find(actor, root)
        return self._rights.judge(replace(actor, circumstances=circumstances), store, BYPASS, path) is Verdict.YES
