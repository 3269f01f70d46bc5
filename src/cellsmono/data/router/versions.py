"""The versions of keys, on behalf of actors."""

from collections.abc import Callable

from cellsmono.data.router.base import RouterBase
from cellsmono.data.router.rights import LIST_VERSIONS, PUT_VERSION_TAGS, Verdict
from cellsmono.interfaces.datasource import OpenNode
from cellsmono.interfaces.node import NO_META, Node, NodeMeta
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.version import Version, Versioning, VersionPage
from cellsmono.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable


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
        try:
            await store.set_versioning(versioning)
        except Conflict as error:
            # Where versions can not be kept there is nothing to suspend; tools that make sure of it go on.
            if (error.reason, versioning, store.versioning) != ("versioning", Versioning.SUSPENDED, Versioning.OFF):
                raise

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
        try:
            found = await store.read_version(path, version)
        except NotFound:
            if verdict is Verdict.BY_NODE:
                self._tell_missing(actor, store, path, verdict, version)
            raise
        if verdict is Verdict.BY_NODE:
            self._require_reading(actor, store, path, _meta_of(found), version)
        return found

    async def read_latest(self, actor: Actor, root: str, path: str) -> Version | None:
        """See ``NodeRouter``."""
        store, verdict = self._judge_reading(actor, root, path)
        versions = await store.index.read_versions(path, 1)
        found = versions[0] if versions else None
        if verdict is Verdict.BY_NODE:
            self._require_reading(actor, store, path, _meta_of(found))
        return found

    async def open_version(self, actor: Actor, root: str, path: str, version: str) -> OpenNode:
        """See ``NodeRouter``."""
        store, verdict = self._judge_reading(actor, root, path, version)
        try:
            opened = await store.open_version(path, version)
        except (NotFound, Invalid):
            if verdict is Verdict.BY_NODE:
                self._tell_missing(actor, store, path, verdict, version)
            raise
        return self._admit_opened(actor, store, path, verdict, opened, version)

    async def update_version_meta(
        self, actor: Actor, root: str, path: str, version: str, change: Callable[[NodeMeta], NodeMeta]
    ) -> Node:
        """See ``NodeRouter``."""
        store, verdict = self._judge_node(actor, root, PUT_VERSION_TAGS, path, version)
        if verdict is Verdict.BY_NODE:
            change = self._decide_by(actor, store, PUT_VERSION_TAGS, path, change, version)
        try:
            return await store.update_version_meta(path, version, change)
        except (NotFound, Invalid):
            if verdict is Verdict.BY_NODE:
                self._require_no_denial(actor, store, PUT_VERSION_TAGS, path, version)
            raise


def _meta_of(version: Version | None) -> NodeMeta:
    """The metadata of a version; a delete marker has none, as has what is not there."""
    return NO_META if version is None or version.node is None else version.node.meta
