"""What every part of the router needs: the datasources, and whether an actor may do something with one."""

from collections.abc import Callable
from typing import Protocol

from cellsmono.data.router.asking import Details
from cellsmono.data.router.rights import GET, GET_VERSION, LIST, PUT, Rights, Verdict, forbid
from cellsmono.data.router.upload_terms import resume
from cellsmono.interfaces.bucket_settings import BucketSettingsStore
from cellsmono.interfaces.datasource import NodeStore, OpenNode
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import Forbidden, NotFound

Change = Callable[[NodeMeta], NodeMeta]


class Roots(Protocol):
    """The datasources that are there now, and how they come and go."""

    def find(self, name: str) -> NodeStore | None:
        """The datasource of this name when it is ready, else None. Raises Unavailable for one that failed to start."""

    def names(self) -> list[str]:
        """The names of all datasources that are ready, sorted."""

    async def create(self, name: str) -> NodeStore:
        """Make a new empty datasource that survives a restart."""

    async def delete(self, name: str) -> None:
        """Remove an empty datasource for good. Raises Conflict (reason ``not_empty``)."""


class RouterBase:
    """Datasources by name, and the rights of actors. Every method of a router asks here first."""

    def __init__(self, roots: Roots, settings: BucketSettingsStore) -> None:
        self._roots = roots
        self._settings = settings
        self._rights = Rights(settings)

    # rights

    def _allow(
        self,
        actor: Actor,
        root: str,
        action: str,
        path: str = "",
        meta: NodeMeta | None = None,
        version: str | None = None,
    ) -> NodeStore:
        """The datasource, if the actor may do this with it, and may give what is written its ACL, lock and tags.

        For actions that depend on no node: where a rule looks at the node after all, they are refused.
        """
        store = self._find(actor, root)
        self._rights.require(actor, store, action, path, Details(version, meta))
        if meta is not None:
            self._rights.require_meta(actor, store, path, meta)
        return store

    async def _allow_upload(self, actor: Actor, root: str, upload_id: str, meta: NodeMeta | None = None) -> NodeStore:
        """As ``_allow``, for what is done with an upload: its key decides, where rules look at keys at all.

        What was said of the object when the upload began goes for its parts and its end as well.
        """
        store, key = self._find(actor, root), ""
        if actor.kind == "anonymous" or self._settings.find(root) is not None:
            try:
                upload = await store.read_upload(upload_id)
                key, actor = upload.key, resume(actor, upload)
            except NotFound:
                pass  # what is not there is told to those who may do it with every key
            self._rights.require(actor, store, PUT, key, Details(asked=meta))
        if meta is not None:
            self._rights.require_meta(actor, store, key, meta)
        return store

    def _judge_node(
        self, actor: Actor, root: str, action: str, path: str, version: str | None = None
    ) -> tuple[NodeStore, Verdict]:
        """The datasource, if the actor may do this with a node, or a version of it; perhaps the node itself decides."""
        store = self._find(actor, root)
        verdict = self._rights.judge(actor, store, action, path, Details(version))
        if verdict is Verdict.NO:
            raise forbid(store, path)
        return store, verdict

    def _judge_reading(
        self, actor: Actor, root: str, path: str, version: str | None = None
    ) -> tuple[NodeStore, Verdict]:
        """As ``_judge_node``, for reading."""
        return self._judge_node(actor, root, GET if version is None else GET_VERSION, path, version)

    def _require_reading(
        self, actor: Actor, store: NodeStore, path: str, found: NodeMeta, version: str | None = None
    ) -> None:
        """Raise Forbidden unless the actor may read a node that has this metadata."""
        action = GET if version is None else GET_VERSION
        self._rights.require(actor, store, action, path, Details(version, found=found))

    def _admit_opened(
        self,
        actor: Actor,
        store: NodeStore,
        path: str,
        verdict: Verdict,
        opened: OpenNode,
        version: str | None = None,
    ) -> OpenNode:
        """What was opened, if the actor may read it: the very node that is read has the last word."""
        if verdict is Verdict.BY_NODE:
            try:
                self._require_reading(actor, store, path, opened.node.meta, version)
            except BaseException:
                opened.reader.close()
                raise
        return opened

    def _decide_by(
        self, actor: Actor, store: NodeStore, action: str, path: str, change: Change, version: str | None = None
    ) -> Change:
        """The same change, refused where the metadata that it finds says that the actor may not make it."""

        def change_allowed(old: NodeMeta) -> NodeMeta:
            self._rights.require(actor, store, action, path, Details(version, found=old))
            return change(old)

        return change_allowed

    def _tell_missing(
        self, actor: Actor, store: NodeStore, path: str, verdict: Verdict, version: str | None = None
    ) -> None:
        """Raise Forbidden instead of telling that there is nothing to be read, to whom that is not to be told."""
        if verdict is Verdict.BY_NODE:
            self._require_no_denial(actor, store, GET if version is None else GET_VERSION, path, version)
        self._be_discreet(actor, store, path)

    def _require_no_denial(
        self, actor: Actor, store: NodeStore, action: str, path: str, version: str | None = None
    ) -> None:
        """Raise Forbidden where the node itself was to decide, none is there, and a policy denies even so."""
        if self._rights.denies_missing(actor, store, action, path, version):
            raise forbid(store, path) from None

    def _be_discreet(self, actor: Actor, store: NodeStore, path: str) -> None:
        """Raise Forbidden instead of telling a stranger, who may not list, that something is not there."""
        if actor.kind == "anonymous" and self._rights.judge(actor, store, LIST) is not Verdict.YES:
            raise forbid(store, path) from None

    def _find(self, actor: Actor, root: str) -> NodeStore:
        if actor.kind == "user":
            # Users see workspaces; one who comes here did not pass their router.
            raise Forbidden("Access Denied", path=root)
        store = self._roots.find(root)
        if store is not None:
            return store
        if actor.kind == "anonymous":
            # Whether a bucket exists is nobody's business who did not sign.
            raise Forbidden("Sign the request", path=root)
        raise NotFound(f"There is no bucket {root!r}", reason="root", path=root)
