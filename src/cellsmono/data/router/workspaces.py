"""The router of users: each workspace is a root, under its slug.

It stands above the router of datasources, and is what gateways talk to: whoever is no user is handed on as he is. For a
user every path is resolved here, workspace, root, datasource, and looked at by the user's rights; the router below is
then asked on behalf of an actor of the kind ``system``, and refuses users that come without that.
"""

from collections.abc import Awaitable

from cellsmono.data.router.places import Place, top_of
from cellsmono.data.router.workspace_base import READ, admit, admit_listing, refuse
from cellsmono.data.router.workspace_listing import Fetch, Sight, list_workspace
from cellsmono.data.router.workspace_locks import WorkspaceLocks
from cellsmono.data.router.workspace_nodes import WorkspaceNodes
from cellsmono.data.router.workspace_uploads import WorkspaceUploads
from cellsmono.data.router.workspace_versions import WorkspaceVersions
from cellsmono.interfaces.bucket_settings import NO_SETTINGS, BucketSettings, Change
from cellsmono.interfaces.index import KeyPage, Usage
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.paths import name_of
from cellsmono.interfaces.router import Actor, Root
from cellsmono.interfaces.sealing import no_encryption
from cellsmono.kernel.errors import Invalid, NotFound


class WorkspaceRouter(WorkspaceNodes, WorkspaceUploads, WorkspaceVersions, WorkspaceLocks):
    """``NodeRouter`` in which users see workspaces, and everybody else what the router below shows."""

    # roots

    async def list_roots(self, actor: Actor) -> list[Root]:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.list_roots(actor)
        return [Root(view.slug, view.created) for view in await self._views.list_views(actor)]

    async def read_root(self, actor: Actor, root: str) -> Root:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.read_root(actor, root)
        view = await self._open(actor, root)
        return Root(view.slug, view.created)

    async def create_root(self, actor: Actor, root: str, *, object_lock: bool = False) -> Root:
        """See ``NodeRouter``: administrators make workspaces."""
        if actor.kind != "user":
            return await self._below.create_root(actor, root, object_lock=object_lock)
        raise refuse(root)

    async def delete_root(self, actor: Actor, root: str) -> None:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.delete_root(actor, root)
        await self._open(actor, root)
        raise refuse(root)

    # settings: workspaces have none

    def find_settings(self, root: str) -> BucketSettings | None:
        """See ``NodeRouter``."""
        return self._below.find_settings(root)

    def find_anonymous(self, root: str) -> str:
        """See ``NodeRouter``."""
        return self._below.find_anonymous(root)

    async def read_settings(self, actor: Actor, root: str, action: str) -> BucketSettings:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.read_settings(actor, root, action)
        await self._open(actor, root)
        return NO_SETTINGS

    async def change_settings(self, actor: Actor, root: str, action: str, change: Change) -> None:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.change_settings(actor, root, action, change)
        await self._open(actor, root)
        raise refuse(root)

    async def is_public(self, actor: Actor, root: str) -> bool:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.is_public(actor, root)
        await self._open(actor, root)
        raise NotFound(f"The bucket {root!r} has no policy", reason="policy", path=root)

    def is_sealing(self, root: str) -> bool:
        """See ``NodeRouter``."""
        return self._below.is_sealing(root)

    async def check_sealing(self, actor: Actor, root: str) -> None:
        """See ``NodeRouter``: each root of the workspace must be able to."""
        if actor.kind != "user":
            return await self._below.check_sealing(actor, root)
        view = await self._open(actor, root)
        for each in view.roots:
            try:
                await self._below.check_sealing(admit(actor), top_of(view, each).root)
            except Invalid:
                raise no_encryption(root) from None  # which datasource it is is nobody's business
        return None

    # listings

    async def list_keys(
        self, actor: Actor, root: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> KeyPage:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.list_keys(actor, root, prefix, delimiter, after, limit)
        view = await self._open(actor, root)
        return await list_workspace(view, lambda top: self._fetch(actor, top, prefix), prefix, delimiter, after, limit)

    def _fetch(self, actor: Actor, top: Place, asked: str) -> Fetch:
        inside = admit_listing(actor, top.prefix_inside(asked))

        def fetch(prefix: str, delimiter: str, after: str, limit: int) -> Awaitable[KeyPage]:
            return self._below.list_keys(inside, top.root, prefix, delimiter, after, limit)

        return fetch

    async def list_children(self, actor: Actor, root: str, path: str, after: str = "", limit: int = 1000) -> list[Node]:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.list_children(actor, root, path, after, limit)
        entry = await self._enter(actor, root, path, READ)
        place = entry.place
        sight = Sight(entry.view, place.root)
        inside = admit_listing(actor, place.path)
        found: list[Node] = []
        with place.telling():
            while len(found) < limit:
                page = await self._below.list_children(inside, place.root, place.path, after, limit)
                found += [place.show_node(node) for node in page if sight.sees(node.path)]
                if len(page) < limit:
                    break
                after = name_of(page[-1].path)
        return found[:limit]

    async def usage(self, actor: Actor, root: str, path: str) -> Usage:
        """See ``NodeRouter``. Forbidden where something below is kept from the user: the figures would tell of it."""
        if actor.kind != "user":
            return await self._below.usage(actor, root, path)
        entry = await self._enter(actor, root, path, READ)
        place = entry.place
        if not Sight(entry.view, place.root).sees_all(place.path):
            raise refuse(path)
        with place.telling():
            return await self._below.usage(entry.actor, place.root, place.path)
