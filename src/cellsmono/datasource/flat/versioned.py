"""What becomes of old content in a flat datasource: dropped, or kept as a version of its key.

A version keeps the blob that it always had; replacing and deleting only say in the index whose content that blob is, in
the same transaction that puts the new leaf. So there is never a version without its blob, and nothing is copied.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec.structs import replace

from cellsmono.datasource.alarm import guarded
from cellsmono.datasource.base import check_noncurrent
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.flat.blobs import Blobs
from cellsmono.datasource.flat.locked import LockedStore
from cellsmono.datasource.objects.workers import see_through
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.node import Node, NodeAttributes, NodeMeta, new_uuid
from cellsmono.interfaces.objects import Multipart, ObjectReader
from cellsmono.interfaces.patch import (
    DeleteNode,
    DropVersion,
    Operation,
    Patch,
    PromoteVersion,
    PruneFolders,
)
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.version import Version, Versioning, missing_version
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import AlreadyExists, Conflict, Corrupt, NotFound

_ATTEMPTS = 3
"""How often a version is made current again when its UUID was taken in the same moment."""


class Fate(msgspec.Struct, frozen=True):
    """What becomes of the content that a key shows when it shows something else.

    ``version`` is the id of what comes (a delete marker, too), ``keeps`` says that the old content becomes a noncurrent
    version, ``dropped`` are the keys of blobs that are nobody's afterwards.
    """

    version: str
    keeps: bool
    dropped: tuple[str, ...]


class VersionedStore(LockedStore):
    """The half of a flat ``NodeStore`` that knows about versions."""

    def __init__(
        self,
        config: DatasourceConfig,
        blobs: Blobs,
        uploads: Multipart,
        index: NodeIndex,
        claims: Claims,
        clock: Clock | None = None,
    ) -> None:
        remedy = f"run `cellsmono ds check {config.name}`"
        super().__init__(config, blobs.objects, uploads, index, claims, remedy, clock)
        self.blobs = blobs

    @guarded
    async def set_versioning(self, versioning: Versioning) -> None:
        """See ``NodeStore``. Nobody writes meanwhile: each write asks once what becomes of old content."""
        async with self._claims.claim(""):
            await self._set_versioning(versioning)

    async def _decide_fate(self, path: str, old: Node | None) -> Fate:
        """What becomes of the leaf at a path that the caller has a claim on. Raises Forbidden (reason ``locked``)."""
        versioning = self.versioning
        if versioning is Versioning.OFF:
            self._check_loss(old)
            return Fate("", False, tuple(self._keys(old)))
        if versioning is Versioning.ENABLED:
            return Fate(self._new_version_id(), True, ())
        # What comes is the null version, and takes the place of the one that there is, wherever it stands.
        null = await self.index.find_version(path, "")
        self._check_loss(None if null is None else null.node)
        return Fate("", old is not None and bool(old.version), tuple(self._keys(None if null is None else null.node)))

    async def _name(self, old: Node | None, seal: int) -> tuple[str, int]:
        """UUID and number of the blob that new content gets; ``old``: the node whose content it is to be, if any.

        Content that is sealed has its number already, see ``Staged.seal``. Otherwise also a version may have the number
        that the clock gives, when the clock was set back.
        """
        if old is None or seal:
            return new_uuid() if old is None else old.uuid, seal
        number = self.blobs.next_blob(old)
        if self.versioning is not Versioning.OFF:
            while (await self.index.find_blobs([(old.uuid, number)]))[0] is not None:
                number = self.blobs.next_blob(replace(old, blob=number))
        return old.uuid, number

    async def _open_version(self, node: Node) -> ObjectReader:
        try:
            reader = await self.blobs.open_blob(node)
        except NotFound:
            if await self.index.find_version(node.path, node.version) is None:
                raise missing_version(node.path, node.version) from None  # deleted since the index was asked
            raise await self._missing(node.path) from None
        if reader.info.facts.size == node.size:
            return reader
        reader.close()
        raise await self._missing(node.path)

    async def _missing(self, path: str) -> Corrupt:
        """The error for content that is not there, while the store as such is. Raises Unavailable when it is not."""
        await self.blobs.check_record()
        return Corrupt(
            f"The content of {path!r} is not on the storage as it was written. `cellsmono ds check {self._bucket}` "
            "tells what else is missing; put the blobs back from a backup.",
            reason="blob",
            path=path,
        )

    @guarded
    async def delete_version(
        self, path: str, version: str, *, bypass: bool = False, only_noncurrent: bool = False
    ) -> Version:
        """See ``NodeStore``."""
        if is_folder(path):
            return await super().delete_version(path, version, only_noncurrent=only_noncurrent)
        for attempt in range(_ATTEMPTS):
            try:
                async with self._claims.claim(path):
                    found = await self.read_version(path, version)
                    if only_noncurrent:
                        check_noncurrent(found)
                    self._check_loss(found.node, bypass=bypass)
                    return await self._delete_version(found)
            except Conflict as error:
                # The node that had the content's UUID was moved away and another came, while the content was copied.
                if error.reason != "uuid" or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def _delete_version(self, found: Version) -> Version:
        path, version = found.key, found.id
        dropped = self._keys(found.node)
        following = (await self.index.read_versions(path, 2))[1:] if found.is_latest else []
        operations: list[Operation] = []
        if not found.is_latest or found.node is None:
            operations.append(DropVersion(path, version))
        elif not following or following[0].node is None:
            operations += [DeleteNode(path), PruneFolders(path)]
        if not following or following[0].node is None:
            with self.blobs.changing(*dropped):
                await self._change(operations, dropped)
            return found
        kept = following[0].node
        promote = PromoteVersion(path, kept.version)
        holder = await self.index.find_node(kept.uuid)
        made = []
        if holder is not None and holder.path != path:
            promote = await self._copy_version(kept, promote)
            made, dropped = [self.blobs.key(promote.uuid, promote.blob)], [*dropped, self.blobs.key_of(kept)]
        with self.blobs.changing(self.blobs.key_of(kept), *made, *dropped):
            try:
                await self._change([*operations, promote], dropped)
            except Conflict:
                self.blobs.drop(*made)
                raise
        return found

    async def _copy_version(self, kept: Node, promote: PromoteVersion) -> PromoteVersion:
        """Give a version that becomes current a blob with a UUID of its own: the node that it was of is elsewhere."""
        try:
            staged = await self.blobs.stage_twin(kept)
        except NotFound:
            raise await self._missing(kept.path) from None
        uuid, blob = await self._name(None, staged.seal)
        key = self.blobs.key(uuid, blob)
        with self.blobs.changing(key):
            await self.blobs.commit(
                staged, key, kept.mtime_ns, NodeAttributes(0, 0, kept.etag, kept.meta.unlocked, kept.path)
            )
        return replace(promote, uuid=uuid, blob=blob)

    @guarded
    async def update_version_meta(self, path: str, version: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """See ``NodeStore``."""
        async with self._claims.claim(path):
            found = await self.read_version(path, version)
            node = self._content_of(found)
            if not found.is_latest:
                return await self._set_meta(found, change(node.meta))
        return await self.update_meta(path, change)

    # the index

    def _keys(self, node: Node | None) -> list[str]:
        return [] if node is None or node.is_folder else [self.blobs.key_of(node)]

    async def _change(
        self, operations: Sequence[Operation], dropped: Sequence[str], *, made: str = ""
    ) -> tuple[NodeEvent, ...]:
        """Change the index; once that is committed, blobs that it named before go.

        A caller that is cancelled waits for the end: its claim must not end while it is open which blob is the node's.
        ``made`` goes when the change is refused then, since nobody is left to find another use for it.
        """
        future = asyncio.ensure_future(self.index.submit(Patch(tuple(operations))))
        try:
            return await see_through(future)
        except asyncio.CancelledError:
            if made and future.done() and isinstance(future.exception(), AlreadyExists):
                self.blobs.drop(made)
            raise
        finally:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.blobs.drop(*dropped)

    def _submit(self, *operations: Operation) -> Awaitable[tuple[NodeEvent, ...]]:
        return self._change(operations, ())
