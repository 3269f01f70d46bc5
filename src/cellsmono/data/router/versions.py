"""The versions of keys, on behalf of actors."""

from collections.abc import Callable

from cellsmono.data.router.base import RouterBase
from cellsmono.data.router.rights import GET, LIST_VERSIONS, PUT_VERSION_TAGS, Verdict, forbid, is_open
from cellsmono.interfaces.datasource import OpenNode
from cellsmono.interfaces.node import Node, NodeMeta
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.version import Version, Versioning, VersionPage
from cellsmono.kernel.errors import Forbidden, Unavailable


class VersionRouter(RouterBase):
    """The half of a ``NodeRouter`` that is about versions."""

    def find_versioning(self, root: str) -> Versioning:
        """See ``NodeRouter``."""
        try:
            store = self._roots.find(root)
        except Unavailable:
            return Versioning.OFF
        return Versioning.OFF if store is None else store.versioning

    async def set_versioning(self, actor: Actor, root: str, versioning: Versioning) -> None:
        """See ``NodeRouter``."""
        if actor.kind != "owner":
            raise Forbidden("Only the owner can change the versioning of a bucket")
        store = self._allow(actor, root, "s3:PutBucketVersioning")
        await store.set_versioning(versioning)

    async def list_versions(
        self,
        actor: Actor,
        root: str,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str | None = None,
        limit: int = 1000,
    ) -> VersionPage:
        """See ``NodeRouter``."""
        index = self._allow(actor, root, LIST_VERSIONS).index
        return await index.list_versions(prefix, delimiter, after, after_version, limit)

    async def read_version(self, actor: Actor, root: str, path: str, version: str) -> Version:
        """See ``NodeRouter``."""
        store, verdict = self._judge_reading(actor, root, path, version)
        found = await store.read_version(path, version)
        if verdict is Verdict.BY_ACL and (found.node is None or not is_open(found.node)):
            raise forbid(store, path)
        return found

    async def read_latest(self, actor: Actor, root: str, path: str) -> Version | None:
        """See ``NodeRouter``."""
        store = self._allow(actor, root, GET, path)
        found = await store.index.read_versions(path, 1)
        return found[0] if found else None

    async def open_version(self, actor: Actor, root: str, path: str, version: str) -> OpenNode:
        """See ``NodeRouter``."""
        store, verdict = self._judge_reading(actor, root, path, version)
        opened = await store.open_version(path, version)
        if verdict is Verdict.BY_ACL and not is_open(opened.node):
            opened.reader.close()
            raise forbid(store, path)
        return opened

    async def update_version_meta(
        self, actor: Actor, root: str, path: str, version: str, change: Callable[[NodeMeta], NodeMeta]
    ) -> Node:
        """See ``NodeRouter``."""
        store = self._allow(actor, root, PUT_VERSION_TAGS, path)
        return await store.update_version_meta(path, version, change)
