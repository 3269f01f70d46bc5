"""What the stores of all formats share: bodies and uploads on their way in, conditions, and the way to the index."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec

from cellsmono.datasource.alarm import Alarm, guarded
from cellsmono.datasource.claims import Claims
from cellsmono.interfaces.datasource import (
    NO_CONDITIONS,
    Conditions,
    ContentDigest,
    CopyOptions,
    DatasourceConfig,
    OpenNode,
    WriteOptions,
)
from cellsmono.interfaces.events import NodeEvent
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.locks import LockRule, ObjectLock
from cellsmono.interfaces.node import FolderKind, Node, NodeMeta
from cellsmono.interfaces.objects import Multipart, ObjectReader, ObjectStore, Part, PartDigest, Staged, Target, Upload
from cellsmono.interfaces.patch import Operation, Patch
from cellsmono.interfaces.paths import is_below, is_folder
from cellsmono.interfaces.sealing import Sealing, SealWish, no_encryption
from cellsmono.interfaces.version import Removal, Version, Versioning, missing_version, new_version_id
from cellsmono.kernel.clock import Clock, SystemClock
from cellsmono.kernel.errors import Conflict, Corrupt, Invalid, NotFound, PreconditionFailed, Unavailable

_PIECE = 1024 * 1024
"""How much content is read at once to be looked through."""


class BaseStore(ABC):
    """The half of a ``NodeStore`` that does not depend on how the tree is laid out. ``remedy`` is for the alarm."""

    def __init__(
        self,
        config: DatasourceConfig,
        objects: ObjectStore,
        uploads: Multipart,
        index: NodeIndex,
        claims: Claims,
        remedy: str,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self.config = config
        self.index = index
        self.alarm = Alarm(config.name, remedy)
        self._objects = objects
        self._uploads = uploads
        self._claims = claims
        self._bucket = config.name

    @property
    def can_seal(self) -> bool:
        """See ``NodeStore``."""
        return isinstance(self._objects, Sealing)

    def _check_seal(self, wish: SealWish | None) -> None:
        """Raise Invalid (reason ``encryption``) when encryption is asked for that is not to be had."""
        if wish is not None and not self.can_seal:
            raise no_encryption(self.config.name)

    # what a format decides

    @abstractmethod
    async def check_root(self) -> None:
        """Raise Unavailable when what is written now would not reach the datasource's own storage."""

    @abstractmethod
    def _check_leaf(self, path: str) -> None:
        """Raise for a path that no leaf of this datasource can have."""

    @abstractmethod
    async def _read_etag(self, path: str) -> str | None:
        """The ETag of what is at a path now, None when there is nothing."""

    async def _target(self, path: str, options: WriteOptions) -> Target | None:
        """Which object a body becomes, where that is known before it is stored."""
        return None

    async def _target_of_parts(self, path: str, options: WriteOptions | None) -> Target | None:
        """As ``_target``, for an upload in parts, which ends much later than it begins.

        ``options`` is None when nothing is known yet of what it will be completed with.
        """
        return None if options is None else await self._target(path, options)

    @abstractmethod
    async def _open_content(self, node: Node) -> ObjectReader | None:
        """Open the content that a leaf of the index tells of; None when there is other content by now."""

    @abstractmethod
    async def _has_content(self, node: Node) -> bool:
        """Whether the content that was opened for a leaf is still there, unless it can not change at all."""

    @abstractmethod
    async def _commit_leaf(
        self,
        path: str,
        staged: Staged,
        etag: str,
        content_hash: str,
        meta: NodeMeta,
        mtime_ns: int | None,
        conditions: Conditions,
        block_hash: str = "",
    ) -> Node:
        """Make staged bytes the leaf at a path. The staged bytes are used up, whatever happens."""

    @property
    def trouble(self) -> str:
        """Why nothing can be written now, and what to do; empty while it can."""
        return self.alarm.reason

    # versions

    @property
    def versioning(self) -> Versioning:
        """See ``NodeStore``."""
        return self.index.versioning

    async def set_versioning(self, versioning: Versioning) -> None:
        """See ``NodeStore``."""
        raise Conflict(
            f"{self.config.name!r} is a {self.config.format} datasource, which can not keep versions.",
            reason="versioning",
            path=self.config.name,
        )

    async def _set_versioning(self, versioning: Versioning) -> None:
        if versioning is Versioning.OFF:
            raise Invalid("Versioning can be suspended, but not taken back", reason="versioning")
        if self.index.object_lock is not None and versioning is not Versioning.ENABLED:
            raise Conflict(
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
                reason="versioning",
                path=self.config.name,
            )
        if versioning is not self.versioning:
            await self.index.set_versioning(versioning)

    async def set_object_lock(self, rule: LockRule) -> None:
        """See ``NodeStore``."""
        raise Conflict(
            f"{self.config.name!r} is a {self.config.format} datasource, which can not lock versions.",
            reason="versioning",
            path=self.config.name,
        )

    async def update_lock(
        self, path: str, version: str | None, change: Callable[[ObjectLock | None], ObjectLock]
    ) -> Node:
        """See ``NodeStore``."""
        raise no_object_lock(self.config.name)

    def _new_version_id(self) -> str:
        return new_version_id(self._clock.time_ns())

    async def read_version(self, path: str, version: str) -> Version:
        """See ``NodeStore``."""
        found = await self.index.find_version(path, version)
        if found is None or (found.node is not None and found.node.kind is FolderKind.IMPLICIT):
            raise missing_version(path, version)
        return found

    async def open_version(self, path: str, version: str) -> OpenNode:
        """See ``NodeStore``."""
        found = await self.read_version(path, version)
        node = self._content_of(found)
        if found.is_latest:
            opened = await self.open_node(path)
            if opened.node.version == version:
                return opened
            opened.reader.close()  # something newer came just now
        return OpenNode(node, await self._open_version(node))

    def _content_of(self, version: Version) -> Node:
        """The content of a version. Raises Invalid (reason ``marker``) for a delete marker."""
        if version.node is None:
            raise Invalid(f"This version of {version.key!r} is a delete marker", reason="marker", path=version.key)
        return version.node

    async def _open_version(self, node: Node) -> ObjectReader:
        """Open the content of a noncurrent version. Raises NotFound (reason ``version``), Corrupt."""
        raise missing_version(node.path, node.version)

    @abstractmethod
    async def open_node(self, path: str) -> OpenNode:
        """See ``NodeStore``."""

    @abstractmethod
    async def update_meta(self, path: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """See ``NodeStore``."""

    @abstractmethod
    async def remove_node(self, path: str, conditions: Conditions = NO_CONDITIONS) -> Removal:
        """See ``NodeStore``."""

    async def delete_version(
        self, path: str, version: str, *, bypass: bool = False, only_noncurrent: bool = False
    ) -> Version:
        """See ``NodeStore``."""
        if only_noncurrent:
            check_noncurrent(await self.read_version(path, version))
        return await self._delete_plain_version(path, version)

    async def _delete_plain_version(self, path: str, version: str) -> Version:
        """Delete the only version of something that has no others."""
        found = await self.read_version(path, version)
        await self.remove_node(path)
        return found

    async def update_version_meta(self, path: str, version: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """See ``NodeStore``."""
        await self.read_version(path, version)
        return await self.update_meta(path, change)

    # reading

    async def read_content(self, node: Node, take: Callable[[bytes], Awaitable[None]]) -> bool:
        """See ``NodeStore``."""
        reader = await self._open_content(node)
        if reader is None:
            return False
        try:
            offset = 0
            while data := await reader.read(offset, min(_PIECE, node.size - offset)):
                await take(data)
                offset += len(data)
        except Unavailable as error:
            if error.reason == "changed":
                return False
            raise
        finally:
            reader.close()
        return await self._has_content(node)

    # writing

    @guarded
    async def put_node(
        self, path: str, body: AsyncIterable[bytes], digest: ContentDigest, options: WriteOptions = WriteOptions()
    ) -> Node:
        """See ``NodeStore``."""
        self._check_leaf(path)
        self._check_lock(options.meta)
        self._check_seal(options.seal)
        await self._check_conditions(path, options.conditions)
        target = await self._target(path, options)
        staged = await self._objects.stage(self._bucket, body, [digest], options.size, target)
        try:
            digest.verify()
        except BaseException:
            await self._objects.discard(staged)
            raise
        checksum = digest.checksum()
        meta = options.meta if checksum is None else msgspec.structs.replace(options.meta, checksum=checksum)
        etag = digest.etag()
        is_secret = options.seal is not None and bool(options.seal.client_key)
        content_hash = "" if is_secret else etag
        return await self._commit_leaf(path, staged, etag, content_hash, meta, options.mtime_ns, options.conditions)

    def _check_lock(self, meta: NodeMeta) -> None:
        """Raise Invalid (reason ``object_lock``) for a lock that nobody would heed."""
        if meta.lock is not None and self.index.object_lock is None:
            raise no_object_lock(self.config.name)

    async def _commit_copy(self, path: str, node: Node, staged: Staged, options: CopyOptions) -> Node:
        """Make a staged copy of a node's content the leaf at a path."""
        meta = node.meta.unlocked if options.meta is None else options.meta
        mtime_ns = node.mtime_ns if options.mtime_ns is None else options.mtime_ns
        return await self._commit_leaf(
            path, staged, node.etag, node.content_hash, meta, mtime_ns, options.conditions, node.block_hash
        )

    # uploads in parts

    @guarded
    async def create_upload(self, path: str, context: bytes, options: WriteOptions | None = None) -> Upload:
        """See ``NodeStore``."""
        self._check_leaf(path)
        if options is not None:
            self._check_lock(options.meta)
        self._check_seal(None if options is None else options.seal)
        target = await self._target_of_parts(path, options)
        return await self._uploads.create_upload(self._bucket, path, context, target)

    async def read_upload(self, upload_id: str) -> Upload:
        """See ``NodeStore``."""
        return await self._uploads.read_upload(self._bucket, upload_id)

    async def list_uploads(self, prefix: str, after_key: str, after_id: str, limit: int) -> list[Upload]:
        """See ``NodeStore``."""
        return await self._uploads.list_uploads(self._bucket, prefix, after_key, after_id, limit)

    @guarded
    async def put_part(
        self, upload_id: str, number: int, body: AsyncIterable[bytes], digest: PartDigest, size: int | None
    ) -> Part:
        """See ``NodeStore``."""
        return await self._uploads.put_part(self._bucket, upload_id, number, body, digest, size)

    async def list_parts(self, upload_id: str, after: int, limit: int) -> list[Part]:
        """See ``NodeStore``."""
        return await self._uploads.list_parts(self._bucket, upload_id, after, limit)

    @guarded
    async def complete_upload(self, upload_id: str, parts: Sequence[Part], etag: str, options: WriteOptions) -> Node:
        """See ``NodeStore``."""
        upload = await self.read_upload(upload_id)
        await self._check_conditions(upload.key, options.conditions)
        staged = await self._stage_upload(upload_id, parts, options.seal)
        if staged.size != sum(part.size for part in parts):
            await self._objects.discard(staged)
            raise Corrupt("The stored parts do not add up to the sizes that were acknowledged", path=upload.key)
        node = await self._commit_leaf(upload.key, staged, etag, "", options.meta, options.mtime_ns, options.conditions)
        with suppress(NotFound):  # somebody aborted it in the same moment: the object is whole and stays
            await self._uploads.finish_upload(self._bucket, upload_id)
        return node

    async def _stage_upload(self, upload_id: str, parts: Sequence[Part], wish: SealWish | None) -> Staged:
        if wish is not None and wish.client_key and isinstance(self._objects, Sealing):
            return await self._objects.stage_upload_with(self._bucket, upload_id, parts, wish.client_key)
        return await self._uploads.stage_upload(self._bucket, upload_id, parts)

    async def abort_upload(self, upload_id: str) -> None:
        """See ``NodeStore``."""
        await self._uploads.finish_upload(self._bucket, upload_id)

    # deleting

    async def delete_node(self, path: str, conditions: Conditions = NO_CONDITIONS) -> bool:
        """See ``NodeStore``."""
        return (await self.remove_node(path, conditions)).existed

    # the index

    async def _apply(self, path: str, *operations: Operation) -> Node:
        """Change the index and return what the change made of the node at ``path``."""
        return await self._node_of(path, await self._submit(*operations))

    async def _node_of(self, path: str, events: Sequence[NodeEvent]) -> Node:
        """The node at ``path`` after the change that these events tell of."""
        for event in reversed(events):
            if event.path == path and event.node is not None:
                return event.node
        return await self.index.read_node(path)

    def _submit(self, *operations: Operation) -> Awaitable[tuple[NodeEvent, ...]]:
        return self.index.submit(Patch(operations))

    async def _find(self, path: str) -> Node | None:
        try:
            return await self.index.read_node(path)
        except NotFound:
            return None

    async def _check_conditions(self, path: str, conditions: Conditions) -> None:
        """Compare with what is there now. Raises NotFound, PreconditionFailed."""
        if not conditions.if_match and not conditions.if_none_match:
            return
        etag = await self._read_etag(path)
        if conditions.if_match:
            if etag is None:
                raise NotFound(f"{path!r} does not exist, so If-Match can not hold", path=path)
            if conditions.if_match not in ("*", etag):
                raise PreconditionFailed("The ETag has changed (If-Match)", reason="if_match", path=path)
        if conditions.if_none_match and etag is not None and conditions.if_none_match in ("*", etag):
            raise PreconditionFailed("The key exists already (If-None-Match)", reason="if_none_match", path=path)


def no_object_lock(name: str) -> Invalid:
    """The error (reason ``object_lock``) for what needs object lock where it is off, in the words of AWS."""
    return Invalid("Bucket is missing Object Lock Configuration", reason="object_lock", path=name)


def check_noncurrent(version: Version) -> None:
    """Raise PreconditionFailed (reason ``current``) for a version that its key shows."""
    if version.is_latest and version.node is not None:
        raise PreconditionFailed(
            f"This version of {version.key!r} is the current one", reason="current", path=version.key
        )


def check_leaf_path(path: str) -> None:
    """Raise Invalid (reason ``key``) for a path that can not be a file's."""
    if is_folder(path):
        raise Invalid("The path of a file does not end with '/'", reason="key", path=path)


def check_folder_path(path: str) -> None:
    """Raise Invalid (reason ``key``) for a path that can not be that of a folder to be made."""
    if not path or not is_folder(path):
        raise Invalid("The path of a folder ends with '/'", reason="key", path=path)


def check_move(source: str, path: str) -> None:
    """Raise Invalid (reason ``key``) or Conflict (reason ``into_itself``) for a move that can not be."""
    if is_folder(source) != is_folder(path) or not source or not path:
        raise Invalid("A folder moves to a folder path and a file to a file path", reason="key", path=path)
    if is_folder(source) and is_below(path, source):
        raise Conflict(f"{source!r} can not be moved into itself", reason="into_itself", path=path)


def check_source(node: Node, etag: str) -> None:
    """Raise PreconditionFailed (reason ``source_changed``) when a node has another ETag than this (empty: any)."""
    if etag and node.effective_etag != etag:
        raise PreconditionFailed(
            f"{node.path!r} is not the version that was asked for", reason="source_changed", path=node.path
        )


def join_kinds(wanted: FolderKind, known: FolderKind) -> FolderKind:
    """The kind that a folder gets when one of the known kind is asked for once more."""
    return FolderKind.MARKER if FolderKind.MARKER in (wanted, known) else FolderKind.FOUND
