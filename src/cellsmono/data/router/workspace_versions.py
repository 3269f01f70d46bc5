"""Versions of keys in workspaces. Whether they are kept is the owner's decision."""

from cellsmono.data.router.places import Place
from cellsmono.data.router.workspace_base import READ, WRITE, WorkspaceBase, admit_listing, refuse
from cellsmono.data.router.workspace_listing import LEAST_FETCHED, Sight, list_windows
from cellsmono.data.router.workspace_nodes import Change, keep_settings, show_open
from cellsmono.interfaces.datasource import OpenNode
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.version import Version, Versioning, VersionPage, marker_of
from cellsmono.interfaces.views import View


class WorkspaceVersions(WorkspaceBase):
    """The part of a ``NodeRouter`` that is about versions."""

    def find_versioning(self, root: str) -> Versioning:
        """See ``NodeRouter``."""
        return self._below.find_versioning(root)

    async def set_versioning(self, actor: Actor, root: str, versioning: Versioning) -> None:
        """See ``NodeRouter``: no user may."""
        if actor.kind != "user":
            return await self._below.set_versioning(actor, root, versioning)
        await self._open(actor, root)
        raise refuse(root)

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
        """See ``NodeRouter``. A page may be shorter than asked for: what may not be seen is left out."""
        if actor.kind != "user":
            return await self._below.list_versions(actor, root, prefix, delimiter, after, after_version, limit)
        view = await self._open(actor, root)
        found: list[Version | str] = []
        for top, inner_prefix, inner_after in list_windows(view, prefix, delimiter, after):
            if len(found) > limit:
                break
            if inner_prefix is None:
                found.append(inner_after)
                continue
            version = after_version if after.startswith(top.shown) and after else None
            inside = admit_listing(actor, inner_prefix)
            some = await self._list_root(inside, view, top, inner_prefix, delimiter, inner_after, version, limit + 1)
            found += [top.show(entry) if isinstance(entry, str) else top.show_version(entry) for entry in some]
        return _cut(found, limit)

    async def _list_root(
        self,
        actor: Actor,
        view: View,
        top: Place,
        prefix: str,
        delimiter: str,
        after: str,
        after_version: str | None,
        limit: int,
    ) -> list[Version | str]:
        """Up to ``limit`` versions and common prefixes of one root that the user may see, with paths of its own.

        ``actor`` is one that was admitted.
        """
        sight = Sight(view, top.root)
        whole = sight.sees_all(prefix)
        found: list[Version | str] = []
        while whole is not False and len(found) < limit:
            size = limit if whole else max(LEAST_FETCHED, limit)
            page = await self._below.list_versions(actor, top.root, prefix, delimiter, after, after_version, size)
            found += [
                entry for entry in page.entries if whole or await self._is_visible(sight, actor, view, top, entry)
            ]
            if not page.next_key:
                break
            after, after_version = page.next_key, page.next_version or None
        return found[:limit]

    async def _is_visible(self, sight: Sight, actor: Actor, view: View, top: Place, entry: Version | str) -> bool:
        if isinstance(entry, Version):
            return sight.sees(entry.key)
        whole = sight.sees_all(entry)
        if whole is not None:
            return whole
        return bool(await self._list_root(actor, view, top, entry, "", "", None, 1))

    async def read_version(self, actor: Actor, root: str, path: str, version: str) -> Version:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.read_version(actor, root, path, version)
        entry = await self._enter(actor, root, path, READ)
        place = entry.place
        with place.telling():
            return place.show_version(await self._below.read_version(entry.actor, place.root, place.path, version))

    async def read_latest(self, actor: Actor, root: str, path: str) -> Version | None:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.read_latest(actor, root, path)
        entry = await self._enter(actor, root, path, READ)
        place = entry.place
        with place.telling():
            found = await self._below.read_latest(entry.actor, place.root, place.path)
        return None if found is None else place.show_version(found)

    async def open_version(self, actor: Actor, root: str, path: str, version: str) -> OpenNode:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.open_version(actor, root, path, version)
        entry = await self._enter(actor, root, path, READ)
        place = entry.place
        with place.telling():
            return show_open(place, await self._below.open_version(entry.actor, place.root, place.path, version))

    async def delete_version(
        self, actor: Actor, root: str, path: str, version: str, *, bypass: bool = False
    ) -> Version:
        """See ``NodeRouter``: no user overrules a lock."""
        if actor.kind != "user":
            return await self._below.delete_version(actor, root, path, version, bypass=bypass)
        entry = await self._enter(actor, root, path, WRITE)
        place = entry.place
        if place.is_top:
            raise refuse(path)
        await self._check_locks(entry, actor, path)
        with place.telling():
            return place.show_version(await self._below.delete_version(entry.actor, place.root, place.path, version))

    async def update_version_meta(self, actor: Actor, root: str, path: str, version: str, change: Change) -> Node:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.update_version_meta(actor, root, path, version, change)
        entry = await self._enter_to_write(actor, root, path)
        place = entry.place
        with place.telling():
            node = await self._below.update_version_meta(
                entry.actor, place.root, place.path, version, keep_settings(change)
            )
        return place.show_node(node)


def _cut(found: list[Version | str], limit: int) -> VersionPage:
    """The first ``limit`` entries, and from where to go on if there are more."""
    if len(found) <= limit:
        return VersionPage(tuple(found))
    last = found[limit - 1]
    if isinstance(last, str):
        return VersionPage(tuple(found[:limit]), last)
    return VersionPage(tuple(found[:limit]), last.key, marker_of(last))
