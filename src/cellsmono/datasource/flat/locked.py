"""Object lock of a flat datasource: which versions may go, and who changes what they are under.

The rules are in ``interfaces.locks``; here they are asked, under the claim on the key concerned. A lock stands in the
metadata that the index has of its version, so it is as durable as the version itself, and in every snapshot of it.
"""

from collections.abc import Callable

from msgspec.structs import replace

from cellsmono.datasource.alarm import guarded
from cellsmono.datasource.base import BaseStore, no_object_lock
from cellsmono.datasource.locking import list_locked
from cellsmono.interfaces.locks import NO_LOCK, LockRule, ObjectLock, check_deletion
from cellsmono.interfaces.node import Node, NodeMeta
from cellsmono.interfaces.patch import SetMeta, SetVersionMeta
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.version import Version, Versioning
from cellsmono.kernel.errors import Conflict


class LockedStore(BaseStore):
    """The third of a flat ``NodeStore`` that knows about locks."""

    @guarded
    async def set_object_lock(self, rule: LockRule) -> None:
        """See ``NodeStore``. Nobody writes meanwhile: what is new has its retention from the beginning."""
        async with self._claims.claim(""):
            if self.versioning is not Versioning.ENABLED:
                raise Conflict(
                    "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
                    reason="versioning",
                    path=self.config.name,
                )
            if self.index.object_lock != rule:
                await self.index.set_object_lock(rule)

    @guarded
    async def update_lock(
        self, path: str, version: str | None, change: Callable[[ObjectLock | None], ObjectLock]
    ) -> Node:
        """See ``NodeStore``."""
        if self.index.object_lock is None or is_folder(path):
            raise no_object_lock(self.config.name)
        async with self._claims.claim(path):
            wanted = (await self.index.read_node(path)).version if version is None else version
            found = await self.read_version(path, wanted)
            node = self._content_of(found)
            return await self._put_meta(found, replace(node.meta, lock=change(node.meta.lock)))

    async def _set_meta(self, version: Version, meta: NodeMeta) -> Node:
        """Replace all metadata of a version but its lock, which is ``update_lock``'s. The caller has the claim."""
        return await self._put_meta(version, keep_lock(self._content_of(version).meta, meta))

    async def _put_meta(self, version: Version, meta: NodeMeta) -> Node:
        node = self._content_of(version)
        if version.is_latest:
            return await self._apply(node.path, SetMeta(node.path, meta))
        await self._submit(SetVersionMeta(node.path, node.version, meta))
        return replace(node, meta=meta)

    def _lock_new(self, meta: NodeMeta) -> NodeMeta:
        """The metadata of new content, with the retention that new versions get. Raises Invalid (``object_lock``)."""
        self._check_lock(meta)
        rule = self.index.object_lock
        if rule is None or not rule.mode:
            return meta
        return replace(meta, lock=rule.lock_new(meta.lock or NO_LOCK, self._clock.time_ns()))

    def _check_loss(self, node: Node | None, *, bypass: bool = False) -> None:
        """Raise Forbidden (reason ``locked``) for content that is about to be forgotten and may not be.

        Whatever deletes or replaces a version comes by here, while it holds the claim on its key.
        """
        if node is not None and node.meta.lock is not None:
            check_deletion(node.meta.lock, self._clock.time_ns(), bypass=bypass)

    async def _check_move(self, node: Node) -> None:
        """Raise Forbidden (reason ``locked``) where a locked version would not be found under its key any more."""
        if not node.is_folder:
            self._check_loss(node)
            return
        async for found in list_locked(self.index, self._clock.time_ns(), node.path):
            if found.is_latest:
                self._check_loss(found.node)


def keep_lock(old: NodeMeta, new: NodeMeta) -> NodeMeta:
    """New metadata with the lock that there is."""
    return new if new.lock == old.lock else replace(new, lock=old.lock)
