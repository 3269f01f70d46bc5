"""Nodes in workspaces, on behalf of users."""

from collections.abc import AsyncIterable, Callable, Sequence

from cellsmono.data.router.places import Place
from cellsmono.data.router.quotas import MeteredBody
from cellsmono.data.router.workspace_base import READ, WRITE, Entry, WorkspaceBase, check_settings, refuse
from cellsmono.interfaces.datasource import (
    NO_CONDITIONS,
    Conditions,
    ContentDigest,
    CopyOptions,
    OpenNode,
    WriteOptions,
)
from cellsmono.interfaces.node import NO_META, FolderKind, Node, NodeMeta
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.version import Removal
from cellsmono.kernel.errors import CellsError

Change = Callable[[NodeMeta], NodeMeta]


class WorkspaceNodes(WorkspaceBase):
    """The part of a ``NodeRouter`` that is about single nodes."""

    async def check_meta(self, actor: Actor, root: str, path: str, meta: NodeMeta) -> None:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.check_meta(actor, root, path, meta)
        entry = await self._enter_to_write(actor, root, path, meta)
        with entry.place.telling():
            await self._below.check_meta(entry.actor, entry.place.root, entry.place.path, meta)
        return None

    async def read_node(self, actor: Actor, root: str, path: str) -> Node:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.read_node(actor, root, path)
        entry = await self._enter(actor, root, path, READ)
        place = entry.place
        with place.telling():
            return place.show_node(await self._below.read_node(entry.actor, place.root, place.path))

    async def open_node(self, actor: Actor, root: str, path: str) -> OpenNode:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.open_node(actor, root, path)
        entry = await self._enter(actor, root, path, READ)
        place = entry.place
        with place.telling():
            return show_open(place, await self._below.open_node(entry.actor, place.root, place.path))

    async def put_node(
        self,
        actor: Actor,
        root: str,
        path: str,
        body: AsyncIterable[bytes],
        digest: ContentDigest,
        options: WriteOptions,
    ) -> Node:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.put_node(actor, root, path, body, digest, options)
        entry = await self._enter_to_write(actor, root, path, options.meta, options.conditions)
        place = entry.place
        with place.telling():
            async with self._room(entry, options.size or 0) as hold:
                metered = MeteredBody(body, hold, options.size or 0) if hold.limits else body
                node = await self._below.put_node(entry.actor, place.root, place.path, metered, digest, options)
        return place.show_node(node)

    async def create_folder(
        self, actor: Actor, root: str, path: str, kind: FolderKind, meta: NodeMeta | None = None
    ) -> Node:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.create_folder(actor, root, path, kind, meta)
        entry = await self._enter_to_write(actor, root, path, meta or NO_META)
        place = entry.place
        with place.telling():
            return place.show_node(await self._below.create_folder(entry.actor, place.root, place.path, kind, meta))

    async def copy_node(
        self, actor: Actor, source_root: str, source: str, root: str, path: str, options: CopyOptions
    ) -> Node:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.copy_node(actor, source_root, source, root, path, options)
        entry = await self._enter_to_write(actor, root, path, options.meta or NO_META, options.conditions)
        target = entry.place
        origin = (await self._enter(actor, source_root, source, READ)).place
        with target.telling(), origin.telling():
            limits = entry.view.quotas_above(target.tree)
            size = await self._measure_copy(entry.actor, origin, options) if limits else 0
            async with self._room(entry, size, limits):
                node = await self._below.copy_node(
                    entry.actor, origin.root, origin.path, target.root, target.path, options
                )
        return target.show_node(node)

    async def _measure_copy(self, actor: Actor, origin: Place, options: CopyOptions) -> int:
        version = options.source_version
        if version is None:
            return (await self._below.read_node(actor, origin.root, origin.path)).size
        found = await self._below.read_version(actor, origin.root, origin.path, version)
        return 0 if found.node is None else found.node.size

    async def move_node(self, actor: Actor, root: str, source: str, path: str) -> Node:
        """See ``NodeRouter``. A folder that holds what is kept from the user stays where it is (Forbidden)."""
        if actor.kind != "user":
            return await self._below.move_node(actor, root, source, path)
        return await self.move_across(actor, root, source, root, path)

    async def move_across(self, actor: Actor, source_root: str, source: str, root: str, path: str) -> Node:
        """A user's move from one workspace to another; both ends must lie in one datasource (Forbidden)."""
        origin = await self._enter(actor, source_root, source, READ)
        entry = await self._enter_to_write(actor, root, path)
        target = entry.place
        turns = origin.view.turns_below(origin.place.tree) if source.endswith("/") else []
        needed = [origin.place.tree, *turns]
        if origin.place.is_top or any((READ | WRITE) not in origin.view.rights(each) for each in needed):
            raise refuse(source)
        if origin.place.root != target.root:
            raise refuse(path)
        await self._check_locks(origin, actor, source, whole=is_folder(source))
        with target.telling(), origin.place.telling():
            above = entry.view.quotas_above(target.tree)
            limits = [(folder, limit) for folder, limit in above if not origin.place.tree.startswith(folder)]
            size = await self._measure(origin) if limits else 0
            async with self._room(entry, size, limits):
                node = await self._below.move_node(entry.actor, target.root, origin.place.path, target.path)
        return target.show_node(node)

    async def _measure(self, entry: Entry) -> int:
        """The bytes of a file, or of all that a folder holds."""
        if is_folder(entry.place.path):
            return (await self._meter.measure(entry.place.tree)).bytes
        return await self._size_of(entry)

    async def delete_node(self, actor: Actor, root: str, path: str, conditions: Conditions = NO_CONDITIONS) -> bool:
        """See ``NodeRouter``."""
        return (await self.remove_node(actor, root, path, conditions)).existed

    async def remove_node(self, actor: Actor, root: str, path: str, conditions: Conditions = NO_CONDITIONS) -> Removal:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.remove_node(actor, root, path, conditions)
        entry = await self._enter_to_write(actor, root, path, conditions=conditions)
        place = entry.place
        if place.is_top:
            raise refuse(path)
        with place.telling():
            return await self._below.remove_node(entry.actor, place.root, place.path, conditions)

    async def delete_nodes(self, actor: Actor, root: str, paths: Sequence[str]) -> list[Exception | str | None]:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.delete_nodes(actor, root, paths)
        await self._open(actor, root)
        outcomes: dict[str, Exception | str | None] = {}
        places: dict[str, list[tuple[str, Place]]] = {}
        for path in paths:
            try:
                entry = await self._enter_to_write(actor, root, path)
            except CellsError as error:
                outcomes[path] = error
                continue
            if entry.place.is_top:
                outcomes[path] = refuse(path)
            else:
                places.setdefault(entry.place.root, []).append((path, entry.place))
                inside = entry.actor
        for datasource, some in places.items():
            done = await self._below.delete_nodes(inside, datasource, [place.path for _, place in some])
            outcomes |= {path: result for (path, _), result in zip(some, done, strict=True)}
        return [outcomes[path] for path in paths]

    async def update_meta(self, actor: Actor, root: str, path: str, change: Change) -> Node:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.update_meta(actor, root, path, change)
        entry = await self._enter_to_write(actor, root, path)
        place = entry.place
        with place.telling():
            node = await self._below.update_meta(entry.actor, place.root, place.path, keep_settings(change))
        return place.show_node(node)


def show_open(place: Place, opened: OpenNode) -> OpenNode:
    """An open node of the datasource as one in the workspace."""
    return OpenNode(place.show_node(opened.node), opened.reader)


def keep_settings(change: Change) -> Change:
    """The same change, refused where it would set an ACL or a lock."""

    def change_checked(old: NodeMeta) -> NodeMeta:
        new = change(old)
        if (new.acl, new.lock) != (old.acl, old.lock):
            check_settings(new)
        return new

    return change_checked
