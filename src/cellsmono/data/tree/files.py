"""Answers to requests about files and folders of users."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from cellsmono.data.jobs.ground import Ground, Spot
from cellsmono.interfaces import files as asked
from cellsmono.interfaces.files import ShownFile
from cellsmono.interfaces.node import FolderKind, Node, NodeMeta
from cellsmono.interfaces.paths import parent_of
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.views import View, Views
from cellsmono.kernel.errors import AlreadyExists, CellsError, Conflict, Forbidden, Invalid, NotFound

MOST_LISTED = 10_000
LONGEST_META = 2_048
"""Bytes of user metadata in all, as S3 has it."""
_NS = 1e9


class FileRequests:
    """The handlers. ``find_actor`` gives the actor of a login, with scopes; it raises NotFound."""

    def __init__(self, ground: Ground, views: Views, find_actor: Callable[[str, Sequence[str]], Actor]) -> None:
        self._ground = ground
        self._views = views
        self._find_actor = find_actor

    def handlers(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Which method answers which request."""
        return {
            asked.ListFiles: self._list,
            asked.StatFile: self._stat,
            asked.MakeFolder: self._make_folder,
            asked.SetFileMeta: self._set_meta,
        }

    async def _list(self, request: asked.ListFiles) -> list[ShownFile]:
        actor = self._find_actor(request.login, request.scopes)
        path, limit = request.path.strip("/"), min(max(request.limit, 0), MOST_LISTED)
        if not path:
            views = await self._views.list_views(actor)
            return [_show_view(view) for view in views if f"{view.slug}/" > request.after][:limit]
        slug, _, inner = path.partition("/")
        view = await self._views.open_view(actor, slug)
        if view is not None and view.has_levels and not inner:
            names = [f"{root.name}/" for root in view.roots]
            return [ShownFile(f"{slug}/{name}", "", 0, 0.0) for name in names if name > request.after][:limit]
        spot = await self._ground.spot(actor, path + "/")
        if not spot.place.is_top:
            await self._ground.read(actor, spot)
        try:
            found = await self._ground.router.list_children(actor, slug, spot.path, request.after, limit)
        except NotFound:
            return []  # the folder of a template that nobody wrote into yet
        return [_show(slug, node) for node in found]

    async def _stat(self, request: asked.StatFile) -> ShownFile:
        actor = self._find_actor(request.login, request.scopes)
        path = request.path.strip("/")
        view = await self._views.open_view(actor, path)
        if view is not None and "/" not in path:
            return _show_view(view)
        spot, node = await self._ground.find(actor, request.path)
        shown = _show(spot.slug, node)
        if not node.is_folder:
            return shown
        try:
            usage = await self._ground.router.usage(actor, spot.slug, spot.path)
        except CellsError:
            return shown
        return replace(shown, size=usage.bytes, files=usage.files)

    async def _make_folder(self, request: asked.MakeFolder) -> ShownFile:
        actor = self._find_actor(request.login, request.scopes)
        spot = await self._ground.spot(actor, request.path.strip("/") + "/")
        if spot.place.is_top:
            raise AlreadyExists(f"{spot.full!r} is there already", path=spot.full)
        known = await self._find_known(actor, spot)
        if known is not None:
            if request.with_parents and known.is_folder:
                return _show(spot.slug, known)
            raise AlreadyExists(f"{spot.full.rstrip('/')!r} is there already", path=spot.full)
        if not request.with_parents:
            await self._require_parent(actor, spot)
        return _show(spot.slug, await self._ground.router.create_folder(actor, spot.slug, spot.path, FolderKind.FOUND))

    async def _find_known(self, actor: Actor, spot: Spot) -> Node | None:
        """The file or folder that has the name; None as well for who may not know."""
        try:
            return (await self._ground.find(actor, spot.full.rstrip("/")))[1]
        except (NotFound, Forbidden):
            return None

    async def _require_parent(self, actor: Actor, spot: Spot) -> None:
        """Raise NotFound where the folder above is missing, and may be looked at."""
        parent = spot.at(parent_of(spot.path))
        if parent.place.is_top:
            return
        try:
            await self._ground.read(actor, parent)
        except Forbidden:
            return
        except NotFound:
            message = f"There is no folder {parent.full!r}; make it first, or all at once with the folders above (-p)"
            raise NotFound(message, path=parent.full) from None

    async def _set_meta(self, request: asked.SetFileMeta) -> ShownFile:
        actor = self._find_actor(request.login, request.scopes)
        spot, node = await self._ground.find(actor, request.path)
        if node.is_folder:
            raise Conflict("Folders have no metadata", reason="not_marker", path=spot.full)
        for name in request.meta:
            if not name or not name.isascii() or not name.isprintable() or name != name.lower() or " " in name:
                raise Invalid(f"{name!r} can not be the name of metadata: lower-case letters, digits and hyphens")

        def change(old: NodeMeta) -> NodeMeta:
            user = {name: value for name, value in (old.user | request.meta).items() if value}
            if sum(len(name.encode()) + len(value.encode()) for name, value in user.items()) > LONGEST_META:
                raise Invalid(f"metadata has at most {LONGEST_META} bytes in all")
            return replace(old, user=user)

        return _show(spot.slug, await self._ground.router.update_meta(actor, spot.slug, spot.path, change))


def _show(slug: str, node: Node) -> ShownFile:
    return ShownFile(
        path=f"{slug}/{node.path}",
        uuid=node.uuid,
        size=node.size,
        mtime=node.mtime_ns / _NS,
        etag="" if node.is_folder else node.effective_etag,
        content_type=node.meta.content_type or "",
        content_hash=node.content_hash,
        meta=dict(node.meta.user),
    )


def _show_view(view: View) -> ShownFile:
    return ShownFile(f"{view.slug}/", "", 0, view.created)
