"""What every part of the router needs: the datasources, and whether an actor may do something with one."""

from typing import Protocol

from cellsmono.data.router.rights import GET, GET_VERSION, LIST, PUT, Rights, Verdict, forbid
from cellsmono.interfaces.bucket_settings import BucketSettingsStore
from cellsmono.interfaces.datasource import NodeStore
from cellsmono.interfaces.node import NO_META, NodeMeta
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import Forbidden, NotFound


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

    def _allow(self, actor: Actor, root: str, action: str, path: str = "", meta: NodeMeta = NO_META) -> NodeStore:
        """The datasource, if the actor may do this with it, and may give what is written its ACL and tags."""
        store = self._find(actor, root)
        self._rights.require(actor, store, action, path)
        self._rights.require_meta(actor, store, path, meta)
        return store

    async def _allow_upload(self, actor: Actor, root: str, upload_id: str, meta: NodeMeta = NO_META) -> NodeStore:
        """As ``_allow``, for what is done with an upload: its key decides, where rules look at keys at all."""
        store = self._find(actor, root)
        if actor.kind == "anonymous" or self._settings.find(root) is not None:
            try:
                key = (await store.read_upload(upload_id)).key
            except NotFound:
                key = ""  # what is not there is told to those who may do it with every key
            self._rights.require(actor, store, PUT, key)
            self._rights.require_meta(actor, store, key, meta)
        else:
            self._rights.require_meta(actor, store, "", meta)
        return store

    def _judge_reading(
        self, actor: Actor, root: str, path: str, version: str | None = None
    ) -> tuple[NodeStore, Verdict]:
        """The datasource, if the actor may read the node, or this version of it; perhaps its own ACL decides."""
        store = self._find(actor, root)
        verdict = self._rights.judge(actor, store, GET if version is None else GET_VERSION, path)
        if verdict is Verdict.NO:
            raise forbid(store, path)
        return store, verdict

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
