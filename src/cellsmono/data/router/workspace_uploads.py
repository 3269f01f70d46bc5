"""Uploads in parts into workspaces: each belongs to its key, and whoever may write there may go on with it."""

from collections.abc import AsyncIterable, Sequence

import msgspec

from cellsmono.data.router.places import Place, top_of
from cellsmono.data.router.quotas import MeteredBody
from cellsmono.data.router.workspace_base import WRITE, Entry, WorkspaceBase, admit, check_settings, refuse
from cellsmono.interfaces.datasource import NO_CONDITIONS, WriteOptions
from cellsmono.interfaces.node import NO_META, Node
from cellsmono.interfaces.objects import Part, PartDigest, Upload
from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import CellsError, NotFound


class WorkspaceUploads(WorkspaceBase):
    """The part of a ``NodeRouter`` that is about uploads in parts."""

    async def create_upload(
        self, actor: Actor, root: str, path: str, context: bytes, options: WriteOptions | None = None
    ) -> Upload:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.create_upload(actor, root, path, context, options)
        entry = await self._enter_to_write(
            actor,
            root,
            path,
            options.meta if options else NO_META,
            options.conditions if options else NO_CONDITIONS,
        )
        place = entry.place
        with place.telling():
            async with self._room(entry, 1):  # where nothing fits nothing is begun
                made = await self._below.create_upload(entry.actor, place.root, place.path, context, options)
        return _show(place, root, made)

    async def read_upload(self, actor: Actor, root: str, upload_id: str) -> Upload:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.read_upload(actor, root, upload_id)
        entry, upload = await self._find_upload(actor, root, upload_id)
        return _show(entry.place, root, upload)

    async def list_uploads(
        self, actor: Actor, root: str, prefix: str, after_key: str, after_id: str, limit: int
    ) -> list[Upload]:
        """See ``NodeRouter``: those of keys that the user may write, one root after the other."""
        if actor.kind != "user":
            return await self._below.list_uploads(actor, root, prefix, after_key, after_id, limit)
        view = await self._open(actor, root)
        found: list[Upload] = []
        for each in view.roots:
            top = top_of(view, each)
            if not (top.shown.startswith(prefix) or prefix.startswith(top.shown)) or len(found) >= limit:
                continue
            inner = top.prefix_inside(prefix)
            key, upload_id = (top.inside(after_key), after_id) if after_key.startswith(top.shown) else ("", "")
            if after_key and not after_key.startswith(top.shown) and after_key.encode() > top.shown.encode():
                continue
            while len(found) < limit:
                page = await self._below.list_uploads(admit(actor), top.root, inner, key, upload_id, limit)
                found += [
                    _show(top, root, upload)
                    for upload in page
                    if view.rights(f"{top.root}/{upload.key}") & WRITE and upload.key.startswith(inner)
                ]
                if len(page) < limit:
                    break
                key, upload_id = page[-1].key, page[-1].upload_id
        return found[:limit]

    async def put_part(
        self,
        actor: Actor,
        root: str,
        upload_id: str,
        number: int,
        body: AsyncIterable[bytes],
        digest: PartDigest,
        size: int | None,
    ) -> Part:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.put_part(actor, root, upload_id, number, body, digest, size)
        entry, _ = await self._find_upload(actor, root, upload_id)
        place = entry.place
        with place.telling():
            if not self._count(entry, upload_id):
                return await self._below.put_part(entry.actor, place.root, upload_id, number, body, digest, size)
            async with self._upload_room.part(upload_id, number, size or 0) as hold:
                metered = MeteredBody(body, hold, size or 0)
                return await self._below.put_part(entry.actor, place.root, upload_id, number, metered, digest, size)

    def _count(self, entry: Entry, upload_id: str) -> bool:
        """Whether quotas count for an upload; then the room knows of it."""
        limits = entry.view.quotas_above(entry.place.tree)
        if not limits:
            self._upload_room.forget(upload_id)
            return False

        async def is_there() -> bool:
            try:
                await self._below.read_upload(entry.actor, entry.place.root, upload_id)
            except NotFound:
                return False
            except CellsError:
                return True  # nobody can tell now
            return True

        self._upload_room.enter(upload_id, limits, entry.place.path, lambda: self._size_of(entry), is_there)
        return True

    async def list_parts(self, actor: Actor, root: str, upload_id: str, after: int, limit: int) -> list[Part]:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.list_parts(actor, root, upload_id, after, limit)
        entry, _ = await self._find_upload(actor, root, upload_id)
        with entry.place.telling():
            return await self._below.list_parts(entry.actor, entry.place.root, upload_id, after, limit)

    async def complete_upload(
        self, actor: Actor, root: str, upload_id: str, parts: Sequence[Part], etag: str, options: WriteOptions
    ) -> Node:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.complete_upload(actor, root, upload_id, parts, etag, options)
        entry, _ = await self._find_upload(actor, root, upload_id)
        await self._check_locks(entry, actor, entry.place.show(entry.place.path))
        check_settings(options.meta)
        if options.conditions != NO_CONDITIONS and not entry.rights & Right.READ:
            raise refuse(entry.place.show(entry.place.path))
        place = entry.place
        with place.telling():
            if not self._count(entry, upload_id):
                node = await self._below.complete_upload(entry.actor, place.root, upload_id, parts, etag, options)
            else:
                async with self._upload_room.completion(upload_id, sum(part.size for part in parts)):
                    node = await self._below.complete_upload(entry.actor, place.root, upload_id, parts, etag, options)
        return place.show_node(node)

    async def abort_upload(self, actor: Actor, root: str, upload_id: str) -> None:
        """See ``NodeRouter``."""
        if actor.kind != "user":
            return await self._below.abort_upload(actor, root, upload_id)
        entry, _ = await self._find_upload(actor, root, upload_id)
        with entry.place.telling():
            await self._below.abort_upload(entry.actor, entry.place.root, upload_id)
        self._upload_room.forget(upload_id)
        return None

    async def _find_upload(self, actor: Actor, root: str, upload_id: str) -> tuple[Entry, Upload]:
        """The upload, if its key lies in the workspace and may be written; else it is not there for this user."""
        view = await self._open(actor, root)
        for each in view.roots:
            top = top_of(view, each)
            try:
                upload = await self._below.read_upload(admit(actor), top.root, upload_id)
            except NotFound:
                continue
            if not upload.key.startswith(top.above):
                continue
            place = msgspec.structs.replace(top, path=upload.key)
            if view.rights(place.tree) & WRITE:
                return Entry(view, place, admit(actor)), upload
        raise NotFound(f"There is no upload {upload_id!r} that you could go on with.", reason="upload")


def _show(place: Place, root: str, upload: Upload) -> Upload:
    """An upload into a datasource as one into the workspace."""
    return msgspec.structs.replace(upload, bucket=root, key=place.show(upload.key))
