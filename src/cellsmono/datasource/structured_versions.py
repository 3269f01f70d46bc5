"""What becomes of old content in a structured datasource: gone, or kept elsewhere as a version of its key.

A file can hold one content only. So before it is replaced or deleted its content is copied to the keeper, and a row of
the index says where; both are durable then. Only after that the file changes, and with the index entry of what came the
row shows. Whatever a crash cuts short, what was acknowledged is the file or a version, never neither.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
from msgspec.structs import replace

from cellsmono.datasource.alarm import guarded
from cellsmono.datasource.base import BaseStore, check_noncurrent, check_source
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.objects.workers import see_through
from cellsmono.datasource.versions.keeper import Keeper
from cellsmono.interfaces.datasource import CopyOptions, DatasourceConfig
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.node import Facts, FolderKind, Node, NodeAttributes, NodeMeta, new_uuid
from cellsmono.interfaces.objects import FolderMade, Multipart, ObjectInfo, ObjectReader, ObjectStore, Staged, Target
from cellsmono.interfaces.patch import (
    DeleteNode,
    DropVersion,
    KeepVersion,
    Operation,
    PromoteVersion,
    PutFolder,
    SetVersionMeta,
)
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.sync import Syncer
from cellsmono.interfaces.version import Version, Versioning
from cellsmono.kernel.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable

LOOKS = 3
"""How often a path is looked at that others change on the storage meanwhile."""
_PIECE = 1024 * 1024


class Fate(msgspec.Struct, frozen=True):
    """What becomes of what a key shows: the id of what comes, and content of the keeper that is nobody's afterwards."""

    version: str = ""
    dropped: tuple[Node, ...] = ()


class StructuredVersions(BaseStore):
    """The half of a structured ``NodeStore`` that knows about versions. Without a ``keeper`` there are none."""

    sync: Syncer

    def __init__(
        self,
        config: DatasourceConfig,
        objects: ObjectStore,
        uploads: Multipart,
        index: NodeIndex,
        claims: Claims,
        remedy: str,
        keeper: Keeper | None,
    ) -> None:
        super().__init__(config, objects, uploads, index, claims, remedy)
        self.keeper = keeper

    def _need_keeper(self) -> Keeper:
        if self.keeper is None:
            raise Conflict(f"{self.config.name!r} has no place to keep versions.", reason="versioning")
        self.keeper.check()
        return self.keeper

    @guarded
    async def set_versioning(self, versioning: Versioning) -> None:
        """See ``NodeStore``."""
        self._need_keeper()
        async with self._claims.claim(""):
            await self._set_versioning(versioning)

    @asynccontextmanager
    async def _claim_known(self, *paths: str) -> AsyncIterator[None]:
        """Claim leaves; where versions are kept, the index knows then what is on the storage at each.

        Raises Conflict when others keep changing one.
        """
        for _ in range(LOOKS):
            async with self._claims.claim(*paths):
                unknown = []
                if self.versioning is not Versioning.OFF:
                    unknown = [path for path in paths if not is_folder(path) and not await self._is_known(path)]
                if not unknown:
                    yield
                    return
            await self.sync.ingest(unknown)
        raise Conflict(f"{unknown[0]!r} keeps changing on the storage; try again when it rests", path=unknown[0])

    @asynccontextmanager
    async def _claim_staged(self, path: str, staged: Staged) -> AsyncIterator[None]:
        """``_claim_known`` for a leaf that these bytes are to become; without a claim they are of no use any more."""
        is_claimed = False
        try:
            async with self._claim_known(path):
                is_claimed = True
                yield
        finally:
            if not is_claimed:
                await self._objects.discard(staged)

    async def _is_known(self, path: str) -> bool:
        """Whether index and storage tell the same of a leaf, be it that there is none."""
        node, info = await self._find(path), await self._stat(path)
        if node is None or info is None:
            return node is None and info is None
        return node.facts.is_same_content(info.facts)

    async def _stat(self, path: str) -> ObjectInfo | None:
        """What the storage has at a path; a key that it could not even express is not there."""
        try:
            return await self._objects.stat(self._bucket, path)
        except (NotFound, Invalid, TooLarge):
            return None

    async def _decide_fate(self, path: str) -> Fate:
        """Keep what has to be kept of the leaf at a path that the caller has a claim on."""
        versioning = self.versioning
        if versioning is Versioning.OFF:
            return Fate()
        await self._keep_what_goes(path)
        if versioning is Versioning.ENABLED:
            return Fate(self._new_version_id())
        null = await self.index.find_version(path, "")
        if null is None or null.node is None or null.is_latest:
            return Fate()
        return Fate("", (null.node,))

    async def _keep_what_goes(self, path: str) -> None:
        """Keep the content of a leaf that is about to go, unless it is the null version and versioning is suspended."""
        old = None if is_folder(path) or self.versioning is Versioning.OFF else await self._find(path)
        if old is not None and (self.versioning is Versioning.ENABLED or old.version):
            await self._keep(old)

    def _marker_of(self, fate: Fate) -> str | None:
        """The delete marker that takes the place of a leaf, None where there are none."""
        return None if self.versioning is Versioning.OFF else fate.version

    async def _keep(self, old: Node) -> None:
        """Have the content of a leaf kept ahead of a change. Raises Conflict when it is not what the index tells of."""
        reader = await self._objects.open(self._bucket, old.path)
        try:
            keeper = self._need_keeper()
            if old.facts.is_same_content(reader.info.facts):
                with keeper.keeping(old.uuid):
                    number = await keeper.keep(await self._root(), old, reader)
                    if await self._has_content(old):
                        # To its end also without the caller: until then nobody else knows whose content that is.
                        await see_through(asyncio.ensure_future(self._submit(KeepVersion(old.path, number))))
                        return
        finally:
            reader.close()
        raise Conflict(f"{old.path!r} is being changed on the storage; try again when it rests", path=old.path)

    async def _root(self) -> str:
        return (await self.index.read_node("")).uuid

    async def _forget(self, nodes: Sequence[Node]) -> None:
        """Remove content of the keeper that was dropped by now."""
        if nodes:
            await self._need_keeper().drop(await self._root(), nodes)

    async def read_version(self, path: str, version: str) -> Version:
        """See ``NodeStore``. What was changed behind the server's back is carried over first."""
        with suppress(NotFound):
            await self.read_node(path)
        return await super().read_version(path, version)

    async def _open_version(self, node: Node) -> ObjectReader:
        return await self._need_keeper().open(await self._root(), node)

    @guarded
    async def delete_version(
        self, path: str, version: str, *, bypass: bool = False, only_noncurrent: bool = False
    ) -> Version:
        """See ``NodeStore``."""
        if is_folder(path) or self.versioning is Versioning.OFF:
            return await super().delete_version(path, version, only_noncurrent=only_noncurrent)
        await self.read_version(path, version)
        async with self._claim_known(path):
            found = await super().read_version(path, version)
            if only_noncurrent:
                check_noncurrent(found)
            if not found.is_latest:
                await self._submit(DropVersion(path, version))
                await self._forget([] if found.node is None else [found.node])
                return found
            following = (await self.index.read_versions(path, 2))[1:]
            # Also of a leaf there may be a row: kept ahead of a change that a crash cut short.
            operations: list[Operation] = [DropVersion(path, version)]
            if following and following[0].node is not None:
                await self._restore(following[0].node, operations)
                return found
            if found.node is not None:
                await self._objects.delete(self._bucket, path)
                operations.append(DeleteNode(path))
            await self._submit(*operations)
        await self._prune([path])
        return found

    async def _stage_kept(self, path: str, kept: Node) -> Staged:
        """Stage a copy of the content of a noncurrent version, to be committed at a path."""
        reader = await self._open_version(kept)
        try:
            is_local = self._objects.capabilities(self._bucket).local
            target = None if is_local else Target(path, kept.meta, kept.mtime_ns)
            return await self._objects.stage(self._bucket, _read_all(reader, kept), (), kept.size, target)
        finally:
            reader.close()

    async def _may_rewrite(self, path: str) -> bool:
        """Whether a copy to itself leaves no version behind, so that the bytes may stay where they are."""
        if self.versioning is Versioning.SUSPENDED:
            return not (await self.read_node(path)).version
        return self.versioning is Versioning.OFF

    async def _copy_kept(self, path: str, kept: Node, options: CopyOptions) -> Node:
        """Copy a noncurrent version."""
        check_source(kept, options.source_etag)
        staged = await self._stage_kept(path, kept)
        return await self._commit_copy(path, kept, staged, options)

    async def _restore(self, kept: Node, operations: Sequence[Operation]) -> None:
        """Make a kept version the file again that its key shows."""
        staged = await self._stage_kept(kept.path, kept)

        def attributes(facts: Facts) -> NodeAttributes:
            return NodeAttributes(facts.size, facts.mtime_ns, kept.etag, kept.meta)

        committed = await self._objects.commit(staged, kept.path, mtime_ns=kept.mtime_ns, attributes=attributes)
        holder = await self.index.find_node(kept.uuid)
        is_free = holder is None or holder.path == kept.path
        promote = PromoteVersion(
            kept.path, kept.version, uuid=kept.uuid if is_free else new_uuid(), facts=committed.info.facts
        )
        await self._submit(*put_folders(committed.folders, FolderKind.IMPLICIT), *operations, promote)
        await self._forget([kept])

    @guarded
    async def update_version_meta(self, path: str, version: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """See ``NodeStore``."""
        found = await self.read_version(path, version)
        node = self._content_of(found)
        if found.is_latest:
            return await self.update_meta(path, change)
        async with self._claims.claim(path):
            node = self._content_of(await super().read_version(path, version))
            meta = change(node.meta)
            await self._submit(SetVersionMeta(path, version, meta))
        return replace(node, meta=meta)

    @abstractmethod
    async def read_node(self, path: str) -> Node:
        """See ``NodeStore``."""

    @abstractmethod
    async def _prune(self, paths: Sequence[str]) -> None:
        """Remove folders above these paths that were only implied by keys and hold nothing any more."""


def put_folders(made: Sequence[FolderMade], kind: FolderKind) -> list[Operation]:
    """The index entries of folders that were made on the way to a leaf."""
    return [PutFolder(folder.key, uuid=folder.uuid or None, facts=folder.facts, kind=kind) for folder in made]


async def _read_all(reader: ObjectReader, node: Node) -> AsyncIterator[bytes]:
    offset = 0
    while offset < node.size:
        data = await reader.read(offset, min(_PIECE, node.size - offset))
        if not data:
            raise Unavailable(f"The content of this version of {node.path!r} is shorter than it was", path=node.path)
        offset += len(data)
        yield data
