"""A structured datasource as one: every change goes to the storage and to the index together.

The order is always the same. Bytes are staged (durable, invisible); under a claim on the path the conditions are
checked, the staged bytes are made visible and the index is changed, in that order; the claim is held until the index
has committed, so that the next one at this path sees both places agree. A crash in between leaves the storage ahead of
the index, never behind, and the synchronizer carries the difference over at the next start.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cellsmono.datasource.alarm import guarded
from cellsmono.datasource.base import (
    check_folder_path,
    check_leaf_path,
    check_move,
    check_source,
    join_kinds,
)
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.structured_versions import LOOKS, StructuredVersions, put_folders
from cellsmono.datasource.versions.keeper import Keeper
from cellsmono.interfaces.datasource import (
    NO_CONDITIONS,
    Conditions,
    CopyOptions,
    DatasourceConfig,
    OpenNode,
    WriteOptions,
)
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.node import BY_CONTENT, Facts, FolderKind, Node, NodeAttributes, NodeMeta, derived_etag
from cellsmono.interfaces.objects import (
    Multipart,
    ObjectReader,
    ObjectStore,
    Staged,
    Target,
)
from cellsmono.interfaces.patch import DeleteNode, MoveNode, Operation, Patch, PutFolder, PutLeaf, SetMeta
from cellsmono.interfaces.paths import ancestors_of, is_folder
from cellsmono.interfaces.sync import Syncer
from cellsmono.interfaces.version import Removal
from cellsmono.kernel.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable

T = TypeVar("T")

PRUNED_TOGETHER = 64
"""Folders that are removed at the same time, so that those in one folder share its flush."""


class StructuredStore(StructuredVersions):
    """``NodeStore`` over an object service with folders, an index and a synchronizer."""

    def __init__(
        self,
        config: DatasourceConfig,
        objects: ObjectStore,
        uploads: Multipart,
        index: NodeIndex,
        sync: Syncer,
        claims: Claims,
        keeper: Keeper | None = None,
    ) -> None:
        remedy = f"run `cellsmono ds resync {config.name} --full`"
        super().__init__(config, objects, uploads, index, claims, remedy, keeper)
        self.sync = sync

    # reading

    async def read_node(self, path: str) -> Node:
        """See ``NodeStore``."""
        for attempt in range(LOOKS):
            node, info = await self._look(path, attempt, self._stat)
            if info is None:
                if node is None:
                    raise NotFound(f"There is nothing at {path!r}", path=path)
                await self.check_root()
            elif node is not None and (node.is_folder or node.facts.is_same_content(info.facts)):
                return node
            await self.sync.ingest([path])
        if info is None:
            raise NotFound(f"There is nothing at {path!r}", path=path)
        return Node(path=path, uuid=node.uuid if node else "", facts=info.facts)

    async def open_node(self, path: str) -> OpenNode:
        """See ``NodeStore``."""
        if is_folder(path):
            raise NotFound(f"{path!r} is a folder and has no content", path=path)
        for attempt in range(LOOKS):
            node, reader = await self._look(path, attempt, self._open)
            if reader is None:
                if node is not None:
                    await self.check_root()
                    await self.sync.ingest([path])
                raise NotFound(f"There is nothing at {path!r}", path=path)
            if node is not None and node.facts.is_same_content(reader.info.facts):
                return OpenNode(node, reader)
            if attempt == LOOKS - 1:
                # Others keep writing to the file: what was opened is served under an ETag of its own facts.
                return OpenNode(Node(path=path, uuid=node.uuid if node else "", facts=reader.info.facts), reader)
            reader.close()
            await self.sync.ingest([path])
        raise AssertionError("unreachable")

    async def _open_content(self, node: Node) -> ObjectReader | None:
        reader = await self._open(node.path)
        if reader is None or node.facts.is_same_content(reader.info.facts):
            return reader
        reader.close()
        return None

    async def _has_content(self, node: Node) -> bool:
        if node.facts.dev == BY_CONTENT:
            return True  # a reader has one version
        info = await self._stat(node.path)  # others may have written into the very file
        return info is not None and node.facts.is_same_content(info.facts)

    async def _look(self, path: str, attempt: int, ask: Callable[[str], Awaitable[T]]) -> tuple[Node | None, T]:
        """What the index says about a path, and what the storage does.

        The last attempt is made under a claim: then the two can differ only because of somebody who is not us.
        """
        if attempt < LOOKS - 1:
            if self._objects.capabilities(self._bucket).local:
                return await self._find(path), await ask(path)
            finding = asyncio.ensure_future(self._find(path))  # while the request is under way
            try:
                found = await ask(path)
            except BaseException:
                finding.cancel()
                raise
            return await finding, found
        async with self._claims.claim(path):
            await self.index.apply(Patch(()))  # whoever held the claim may not have waited for the commit
            return await self._find(path), await ask(path)

    async def check_root(self) -> None:
        """Raise Unavailable when the folder is missing, or an empty stranger stands in its place.

        What is written into a bare mount point is lost from sight with the next mount, and what is missing there is not
        gone. A folder that holds something, or the old marker, is taken over by the synchronizer and served.
        """
        facts = (await self._objects.stat(self._bucket, "")).facts
        for attempt in range(2):
            known = (await self.index.read_node("")).facts
            if not known.ino or (known.dev, known.ino) == (facts.dev, facts.ino):
                return
            if attempt == 0:
                await self.sync.ingest([""])
        raise Unavailable(
            f"The folder of bucket '{self._bucket}' is empty and is not the one that was indexed; is its disk mounted? "
            f"If the emptiness is meant, run `cellsmono ds resync {self._bucket} --accept-deletes`.",
            reason="offline",
        )

    async def _open(self, path: str) -> ObjectReader | None:
        """An open object, None where there is none."""
        try:
            return await self._objects.open(self._bucket, path)
        except (NotFound, Invalid, TooLarge):
            return None

    # writing

    async def _target(self, path: str, options: WriteOptions) -> Target | None:
        if self._objects.capabilities(self._bucket).local:
            return None  # a folder is asked for nothing before its bytes are there
        is_free = await self._find(path + "/") is None
        return Target(path, options.meta, options.mtime_ns, is_free)

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
        """Make staged bytes visible at a path and in the index. The staged bytes are used up, whatever happens."""

        def attributes(facts: Facts) -> NodeAttributes:
            return NodeAttributes(facts.size, facts.mtime_ns, etag, meta)

        async with self._claim_staged(path, staged):
            try:
                await self._check_conditions(path, conditions)
                fate = await self._decide_fate(path)
            except BaseException:
                await self._objects.discard(staged)
                raise
            committed = await self._objects.commit(staged, path, mtime_ns=mtime_ns, attributes=attributes)
            leaf = PutLeaf(
                path,
                committed.info.facts,
                etag=etag,
                content_hash=content_hash,
                meta=meta,
                block_hash=block_hash,
                version=fate.version,
            )
            node = await self._apply(path, *put_folders(committed.folders, FolderKind.IMPLICIT), leaf)
            await self._forget(fate.dropped)
            return node

    @guarded
    async def create_folder(self, path: str, kind: FolderKind = FolderKind.FOUND, meta: NodeMeta | None = None) -> Node:
        """See ``NodeStore``."""
        check_folder_path(path)
        async with self._claims.claim(path):
            made = await self._objects.make_folder(self._bucket, path)
            known = await self._find(path)
            wanted = kind
            if known is not None and not made:
                wanted = join_kinds(kind, known.kind)
            uuid, facts = (made[-1].uuid, made[-1].facts) if made else (None, None)
            operations: list[Operation] = [*put_folders(made[:-1], FolderKind.IMPLICIT)]
            operations.append(PutFolder(path, uuid=uuid or None, facts=facts, kind=wanted))
            if meta is not None and wanted is FolderKind.MARKER:
                operations.append(SetMeta(path, meta))
            return await self._apply(path, *operations)

    @guarded
    async def copy_node(self, source: str, path: str, options: CopyOptions = CopyOptions()) -> Node:
        """See ``NodeStore``."""
        self._check_seal(options.seal)
        self._check_leaf(path)
        if source == path and options.source_version is None and await self._may_rewrite(path):
            return await self._rewrite_meta(path, options)
        await self._check_conditions(path, options.conditions)
        if options.source_version is not None:
            found = await self.read_version(source, options.source_version)
            if not found.is_latest:
                return await self._copy_kept(path, self._content_of(found), options)
        for _ in range(LOOKS):
            node = await self._read_source(source, options.source_etag)
            staged, info = await self._objects.stage_copy(self._bucket, self._bucket, source)
            if node.facts.is_same_content(info.facts):
                break
            await self._objects.discard(staged)
            await self.sync.ingest([source])
        else:
            raise Conflict(f"{source!r} keeps changing while it is copied; try again when it rests", path=source)
        return await self._commit_copy(path, node, staged, options)

    async def _read_source(self, source: str, etag: str) -> Node:
        node = await self.read_node(source)
        check_source(node, etag)
        return node

    async def _rewrite_meta(self, path: str, options: CopyOptions) -> Node:
        """Copy a leaf to itself: only its metadata and time change, its bytes stay where they are."""
        await self._check_conditions(path, options.conditions)
        node = await self._read_source(path, options.source_etag)
        meta = node.meta if options.meta is None else options.meta
        async with self._claims.claim(path):
            facts = node.facts
            if options.mtime_ns is not None and options.mtime_ns != facts.mtime_ns:
                facts = (await self._objects.set_mtime(self._bucket, path, options.mtime_ns)).facts
            await self._mirror(path, facts, node.etag, meta)
            if facts is node.facts:
                return await self._apply(path, SetMeta(path, meta))
            return await self._apply(path, PutLeaf(path, facts, meta=meta, touched=True))

    @guarded
    async def move_node(self, source: str, path: str) -> Node:
        """See ``NodeStore``."""
        check_move(source, path)
        self._objects.check_key(self._bucket, path)
        for _ in range(LOOKS):
            await self.read_node(source)
            async with self._claim_known(source, path):
                if not await self._is_as_known(source):
                    continue
                if source != path:
                    await self._keep_what_goes(path)
                committed = await self._objects.move(self._bucket, source, path)
                facts = None if is_folder(source) else committed.info.facts
                move = MoveNode(source, path, facts=facts)
                node = await self._apply(path, *put_folders(committed.folders, FolderKind.IMPLICIT), move)
            await self._prune([source])
            return node
        raise Conflict(f"{source!r} keeps changing while it is moved; try again when it rests", path=source)

    async def _is_as_known(self, path: str) -> bool:
        """Whether the index knows what is on the storage: a row moved with other content would vouch for it."""
        if is_folder(path):
            return True
        node, info = await self._find(path), await self._stat(path)
        return node is not None and info is not None and node.facts.is_same_content(info.facts)

    @guarded
    async def update_meta(self, path: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """See ``NodeStore``."""
        await self.read_node(path)
        async with self._claims.claim(path):
            node = await self.index.read_node(path)
            meta = change(node.meta)
            if not node.is_folder:
                await self._mirror(path, node.facts, node.etag, meta)
            return await self._apply(path, SetMeta(path, meta))

    async def _mirror(self, path: str, facts: Facts, etag: str, meta: NodeMeta) -> None:
        attributes = NodeAttributes(facts.size, facts.mtime_ns, etag, meta)
        await self._objects.set_attributes(self._bucket, path, attributes)

    # deleting

    @guarded
    async def remove_node(self, path: str, conditions: Conditions = NO_CONDITIONS) -> Removal:
        """See ``NodeStore``."""
        if is_folder(path):
            await self._check_conditions(path, conditions)
            return Removal(await self._delete_folder(path))
        try:
            self._objects.check_key(self._bucket, path)
        except (Invalid, TooLarge):
            return Removal(False)  # what can not be stored is not there
        async with self._claim_known(path):
            await self._check_conditions(path, conditions)
            fate = await self._decide_fate(path)
            existed = await self._objects.delete(self._bucket, path)
            marker = self._marker_of(fate)
            events = await self._submit(DeleteNode(path, marker=marker))
            await self._forget(fate.dropped)
        await self._prune([path])
        return Removal(existed or bool(events), marker)

    @guarded
    async def delete_nodes(self, paths: Sequence[str]) -> list[Exception | str | None]:
        """See ``NodeStore``."""
        outcome: dict[str, Exception | str | None] = dict.fromkeys(paths)
        leaves = [path for path in outcome if path and not is_folder(path)]
        async with self._claim_known(*leaves):
            fates = {path: await self._decide_fate(path) for path in leaves}
            results = await self._objects.delete_many(self._bucket, leaves)
            gone = []
            for path, result in zip(leaves, results, strict=True):
                if isinstance(result, Exception):
                    self.alarm.hear(result)
                if isinstance(result, bool):
                    gone.append(path)
                elif not isinstance(result, Invalid | TooLarge):  # what can not be stored is not there
                    outcome[path] = result
            outcome |= {path: self._marker_of(fates[path]) for path in gone}
            await self._submit(*(DeleteNode(path, marker=self._marker_of(fates[path])) for path in gone))
            await self._forget([node for path in gone for node in fates[path].dropped])
        await self._prune(gone)
        # Innermost folders first, so that a list of markers empties a tree in one request.
        for path in sorted((p for p in outcome if is_folder(p)), key=lambda p: -p.count("/")):
            try:
                await self._delete_folder(path)
            except Exception as error:  # one bad key must not spoil the others
                outcome[path] = error
        return [outcome[path] for path in paths]

    async def _delete_folder(self, path: str) -> bool:
        if not path:
            raise Invalid("The root of a datasource can not be deleted as a folder", reason="key")
        node = await self._find(path)
        if node is None:
            return False
        async with self._claims.claim(path):
            if await self._objects.remove_folder(self._bucket, path):
                await self._submit(DeleteNode(path))
            elif node.kind is FolderKind.MARKER:
                await self._submit(PutFolder(path, kind=FolderKind.IMPLICIT))
            else:
                raise Conflict(f"The folder {path!r} is not empty", reason="not_empty", path=path)
        await self._prune([path])
        return True

    async def _prune(self, paths: Sequence[str]) -> None:
        """Remove folders above these paths that were only implied by keys and hold nothing any more."""
        levels: dict[int, list[str]] = {}
        for folder in sorted({folder for path in paths for folder in ancestors_of(path)}):
            levels.setdefault(folder.count("/"), []).append(folder)
        for depth in sorted(levels, reverse=True):  # the innermost ones first
            for start in range(0, len(levels[depth]), PRUNED_TOGETHER):
                await self._prune_together(levels[depth][start : start + PRUNED_TOGETHER])

    async def _prune_together(self, folders: Sequence[str]) -> None:
        nodes = await self.index.read_nodes(folders)
        implied = [node.path for node in nodes if node is not None and node.kind is FolderKind.IMPLICIT]
        empty = [folder for folder in implied if await self._is_empty(folder)]
        if not empty:
            return
        async with self._claims.claim(*empty):
            removals = (self._objects.remove_folder(self._bucket, folder) for folder in empty)
            results = await asyncio.gather(*removals, return_exceptions=True)
            gone = [folder for folder, result in zip(empty, results, strict=True) if result is True]
            if gone:
                await self._submit(*(DeleteNode(folder) for folder in gone))
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _is_empty(self, folder: str) -> bool:
        try:
            return not await self.index.list_children(folder, limit=1)
        except NotFound:  # somebody else removed it just now
            return False

    def _check_leaf(self, path: str) -> None:
        check_leaf_path(path)
        self._objects.check_key(self._bucket, path)

    async def _read_etag(self, path: str) -> str | None:
        """Of what is on the storage now, whether or not the index has heard of it yet."""
        node, info = await self._find(path), await self._stat(path)
        if info is None:
            return None
        is_known = node is not None and node.facts.is_same_content(info.facts)
        return node.effective_etag if node is not None and is_known else derived_etag(info.facts)
