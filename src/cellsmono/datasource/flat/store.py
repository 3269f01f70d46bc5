"""A flat datasource as one: blobs named by UUID on the storage, names and folders in the index alone.

Bytes become a blob under a name that nobody knows (durable, as configured), then one transaction of the index makes it
the content of a node, then the blob that it replaced is removed. A crash in between leaves a blob without a node, never
a node without its bytes or with others. Moves and renames are a transaction of the index and nothing else.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from cellsmono.datasource.alarm import guarded
from cellsmono.datasource.base import (
    check_folder_path,
    check_leaf_path,
    check_move,
    check_source,
    join_kinds,
)
from cellsmono.datasource.flat.blobs import Blob
from cellsmono.datasource.flat.locked import keep_lock
from cellsmono.datasource.flat.versioned import VersionedStore
from cellsmono.datasource.objects.names import check_length
from cellsmono.interfaces.datasource import (
    NO_CONDITIONS,
    Conditions,
    CopyOptions,
    OpenNode,
    WriteOptions,
)
from cellsmono.interfaces.node import Facts, FolderKind, Node, NodeAttributes, NodeMeta, is_sealed, new_uuid
from cellsmono.interfaces.objects import ObjectReader, Staged, Target
from cellsmono.interfaces.patch import DeleteNode, MoveNode, Operation, PruneFolders, PutFolder, PutLeaf, SetMeta
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.version import Removal, Versioning
from cellsmono.kernel.errors import AlreadyExists, Conflict, Invalid, NotFound, PreconditionFailed

_GUESSED = 64 * 1024
"""Up to this size content is stored as that of a new node without asking first whether there is one: most often there
is none, or it is at hand, and the question would cost more than the rest of the index's work."""
_LOOKS = 3
"""How often a reader looks again for a blob: it may have been replaced since the index was asked."""


class FlatStore(VersionedStore):
    """``NodeStore`` over blobs and an index."""

    sync = None

    @property
    def trouble(self) -> str:
        """Why nothing can be written now: a failed disk, or a hold on the bucket that was lost."""
        return self.alarm.reason or self.blobs.loss

    async def check_root(self) -> None:
        """See ``Blobs.check_root``."""
        await self.blobs.check_root()

    # reading

    async def read_node(self, path: str) -> Node:
        """See ``NodeStore``. The index is the truth, so the storage is not asked."""
        return await self.index.read_node(path)

    async def open_node(self, path: str) -> OpenNode:
        """See ``NodeStore``."""
        seen = ""
        for _ in range(_LOOKS):
            node = await self._read_leaf(path)
            try:
                reader = await self.blobs.open_blob(node)
            except NotFound:
                key = self.blobs.key_of(node)
                if key == seen:
                    break
                seen = key
                continue
            if reader.info.facts.size != node.size:
                reader.close()
                break
            return OpenNode(node, reader)
        raise await self._missing(path)

    async def _open_content(self, node: Node) -> ObjectReader | None:
        try:
            reader = await self.blobs.open_blob(node)
        except NotFound:
            now = await self._find(node.path)
            if now is None or self.blobs.key_of(now) != self.blobs.key_of(node):
                return None
            raise await self._missing(node.path) from None
        if reader.info.facts.size == node.size:
            return reader
        reader.close()
        raise await self._missing(node.path)

    async def _has_content(self, node: Node) -> bool:
        return True  # other content is another blob

    async def _read_leaf(self, path: str) -> Node:
        if is_folder(path):
            raise NotFound(f"{path!r} is a folder and has no content", path=path)
        return await self.index.read_node(path)

    async def _read_etag(self, path: str) -> str | None:
        node = await self._find(path)
        return None if node is None else node.effective_etag

    # writing

    def _check_leaf(self, path: str) -> None:
        check_leaf_path(path)
        _check_key(path)

    async def _target(self, path: str, options: WriteOptions) -> Target | None:
        """See ``BaseStore``. Where renaming is a copy, long bodies go to the name that is most likely theirs.

        Sealed content is told by the name, of which elsewhere nothing but the number of the seal matters by now.
        """
        seal = self.blobs.new_seal(asked=options.seal is not None)
        client_key = b"" if options.seal is None else options.seal.client_key
        if self.blobs.can_rename:
            return Target(self.blobs.key(new_uuid(), seal), client_key=client_key) if seal else None
        name = await self._name(await self._find(path), seal)
        key = self.blobs.key(*name)
        return Target(key, options.meta.unlocked, options.mtime_ns, path=path, client_key=client_key)

    async def _target_of_parts(self, path: str, options: WriteOptions | None) -> Target | None:
        """See ``BaseStore``. The name that is right now need not be right at the end: the parts are joined then."""
        seal = self.blobs.new_seal(asked=options is not None and options.seal is not None)
        return Target(self.blobs.key(new_uuid(), seal)) if seal else None

    async def _is_name_of(self, name: tuple[str, int], old: Node | None) -> bool:
        """Whether the blob of this name can hold new content of a node, or of a new one."""
        uuid, blob = name
        if old is not None:
            return uuid == old.uuid
        if not is_sealed(blob):
            return not blob
        # It may have been meant for a node that was moved away or deleted while the body came in.
        return await self.index.find_node(uuid) is None and uuid not in await self.index.find_deleted([uuid])

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
        async with self._claims.claim(path):
            try:
                await self._check_conditions(path, conditions)
                locked = self._lock_new(meta)
                old = self.index.recall_node(path)
                if old is None and not self._may_guess(staged):
                    old = await self._find(path)
                fate = await self._decide_fate(path, old)
                first = self.blobs.parse(staged.key) if staged.key else await self._name(old, staged.seal)
                is_right = not staged.key or await self._is_name_of(first, old)
                uuid, blob = first if is_right else await self._name(old, staged.seal)
            except BaseException:
                await self._objects.discard(staged)
                raise
            kept = NodeAttributes(0, 0, etag, meta.unlocked, path)
            made, key = self.blobs.key(*first), self.blobs.key(uuid, blob)
            with self.blobs.changing(made, key, *self._keys(old), *fate.dropped):
                facts = await self.blobs.commit(staged, made, mtime_ns, kept)
                if key != made:  # the node came or went while the body came in
                    await self.blobs.rename(made, key)
                leaf = PutLeaf(
                    path,
                    facts,
                    etag=etag,
                    content_hash=content_hash,
                    meta=locked,
                    uuid=uuid,
                    blob=blob,
                    block_hash=block_hash,
                    version=fate.version,
                    keeps=fate.keeps,
                )
                if old is not None:
                    return await self._node_of(path, await self._change([leaf], fate.dropped))
                try:
                    only_new = replace(leaf, only_new=True)
                    return await self._node_of(path, await self._change([only_new], fate.dropped, made=key))
                except AlreadyExists:
                    return await self._replace_after_all(leaf, key)

    async def _replace_after_all(self, leaf: PutLeaf, key: str) -> Node:
        """Put a leaf in the place of one that was not at hand: its blob, made under a new UUID, gets the right name."""
        try:
            old = await self.index.read_node(leaf.path)
            fate = await self._decide_fate(leaf.path, old)
            uuid, blob = await self._name(old, leaf.blob if is_sealed(leaf.blob) else 0)
        except BaseException:
            self.blobs.drop(key)
            raise
        right = self.blobs.key(uuid, blob)
        with self.blobs.changing(right, *self._keys(old), *fate.dropped):
            await self.blobs.rename(key, right)
            leaf = replace(leaf, uuid=uuid, blob=blob, version=fate.version, keeps=fate.keeps)
            return await self._node_of(leaf.path, await self._change([leaf], fate.dropped))

    def _may_guess(self, staged: Staged) -> bool:
        """Whether content is stored as that of a new node before anybody asked whether there is one."""
        return staged.size <= _GUESSED and self.blobs.can_rename and self.versioning is not Versioning.SUSPENDED

    @guarded
    async def create_folder(self, path: str, kind: FolderKind = FolderKind.FOUND, meta: NodeMeta | None = None) -> Node:
        """See ``NodeStore``. A file of the same name is no hindrance."""
        check_folder_path(path)
        _check_key(path)
        async with self._claims.claim(path):
            known = await self._find(path)
            wanted = kind
            if known is not None:
                wanted = join_kinds(kind, known.kind)
            operations: list[Operation] = [PutFolder(path, kind=wanted)]
            if meta is not None and wanted is FolderKind.MARKER:
                operations.append(SetMeta(path, meta))
            return await self._apply(path, *operations)

    @guarded
    async def copy_node(self, source: str, path: str, options: CopyOptions = CopyOptions()) -> Node:
        """See ``NodeStore``."""
        self._check_leaf(path)
        self._check_seal(options.seal)
        seals = options.seal is not None
        if source == path and options.source_version is None:
            is_right = (await self._read_leaf(path)).is_sealed or not self.blobs.new_seal(asked=seals)
            if is_right and await self._may_rewrite(path):
                return await self._rewrite_meta(path, options)
            if not is_right:
                return await self._seal_in_place(path, options)
        await self._check_conditions(path, options.conditions)
        node, staged = await self._stage_source(source, options.source_etag, options.source_version, seals=seals)
        return await self._commit_copy(path, node, staged, options)

    async def _seal_in_place(self, path: str, options: CopyOptions) -> Node:
        """Make a sealed copy of a leaf's content its content, unless that was changed meanwhile."""
        await self._check_conditions(path, options.conditions)
        node, staged = await self._stage_source(path, options.source_etag, None, seals=True)
        try:
            same = Conditions(if_match=node.effective_etag)
            return await self._commit_copy(path, node, staged, replace(options, conditions=same))
        except PreconditionFailed as error:
            raise PreconditionFailed(error.message, reason="source_changed", path=path) from None

    async def _may_rewrite(self, path: str) -> bool:
        """Whether a copy to itself leaves no version behind, so that the bytes may stay where they are."""
        if self.versioning is Versioning.SUSPENDED:
            return not (await self._read_leaf(path)).version
        return self.versioning is Versioning.OFF

    async def _stage_source(self, source: str, etag: str, version: str | None, *, seals: bool) -> tuple[Node, Staged]:
        """A node, or one version of it, and a staged copy of exactly its content.

        ``seals``: a sealed copy, if it can be chosen.
        """
        seen = ""
        for _ in range(_LOOKS):
            if version is None:
                node = await self._read_leaf(source)
            else:
                node = self._content_of(await self.read_version(source, version))
            check_source(node, etag)
            try:
                staged = await self.blobs.stage_copy(node, seals=seals)
            except NotFound:
                key = self.blobs.key_of(node)
                if key == seen:
                    raise await self._missing(source) from None
                seen = key
                continue
            if staged.size == node.size:
                return node, staged
            await self._objects.discard(staged)
            raise await self._missing(source)
        raise Conflict(f"{source!r} keeps changing while it is copied; try again when it rests", path=source)

    async def _rewrite_meta(self, path: str, options: CopyOptions) -> Node:
        """Copy a leaf to itself: only its metadata and time change."""
        async with self._claims.claim(path):
            await self._check_conditions(path, options.conditions)
            node = await self._read_leaf(path)
            check_source(node, options.source_etag)
            meta = node.meta if options.meta is None else keep_lock(node.meta, options.meta)
            if options.mtime_ns is None or options.mtime_ns == node.mtime_ns:
                return await self._apply(path, SetMeta(path, meta))
            facts = Facts(node.size, options.mtime_ns)
            return await self._apply(path, PutLeaf(path, facts, meta=meta, touched=True))

    @guarded
    async def move_node(self, source: str, path: str) -> Node:
        """See ``NodeStore``. Costs the same whatever a folder holds."""
        check_move(source, path)
        _check_key(path)
        async with self._claims.claim(source, path):
            await self._check_move(await self.index.read_node(source))
            old = None if source == path else await self._find(path)
            if old is not None and old.is_folder:
                raise Conflict(f"There is a folder {path!r} already", reason="exists", path=path)
            keeps = self.versioning is Versioning.ENABLED or (old is not None and bool(old.version))
            dropped = () if keeps else tuple(self._keys(old))
            with self.blobs.changing(*self._keys(old)):
                move = MoveNode(source, path, keeps=keeps)
                events = await self._change([move, PruneFolders(source)], dropped)
                return await self._node_of(path, events)

    @guarded
    async def update_meta(self, path: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """See ``NodeStore``."""
        async with self._claims.claim(path):
            node = await self.index.read_node(path)
            return await self._apply(path, SetMeta(path, keep_lock(node.meta, change(node.meta))))

    async def attach_blob(self, path: str, found: Blob, etag: str, meta: NodeMeta) -> Node:
        """Make a blob that belongs to no node the leaf at a path.

        Its bytes stay where they are, unless a node has its UUID: then the leaf gets a copy, and the blob goes. Raises
        AlreadyExists for a path that is taken.
        """
        self._check_leaf(path)
        holder = await self.index.find_node(found.uuid)
        if holder is not None:
            if holder.blob == found.blob:
                raise Conflict(f"The blob {found.key!r} is the content of {holder.path!r}", path=path)
            return await self._attach_copy(path, found, etag, meta)
        async with self._claims.claim(path):
            if await self._find(path) is not None:
                raise _taken(path)
            facts = Facts(found.facts.size, found.facts.mtime_ns)
            fate = await self._decide_fate(path, None)
            meta = self._lock_new(meta)
            leaf = PutLeaf(path, facts, etag, meta=meta, uuid=found.uuid, blob=found.blob, version=fate.version)
            with self.blobs.changing(found.key, *fate.dropped):
                return await self._node_of(path, await self._change([leaf], fate.dropped))

    async def _attach_copy(self, path: str, found: Blob, etag: str, meta: NodeMeta) -> Node:
        staged, _ = await self._objects.stage_copy(self._bucket, self._bucket, found.key)
        try:
            only_new = Conditions(if_none_match="*")
            node = await self._commit_leaf(path, staged, etag, "", meta, found.facts.mtime_ns, only_new)
        except PreconditionFailed:
            raise _taken(path) from None
        self.blobs.drop(found.key)
        return node

    # deleting

    @guarded
    async def remove_node(self, path: str, conditions: Conditions = NO_CONDITIONS) -> Removal:
        """See ``NodeStore``."""
        async with self._claims.claim(path):
            await self._check_conditions(path, conditions)
            node = await self._find(path)
            if not is_folder(path):
                return Removal(node is not None, (await self._delete_leaves([path], [node]))[path])
            if node is not None:
                await self._delete_folder(node)
            return Removal(node is not None)

    @guarded
    async def delete_nodes(self, paths: Sequence[str]) -> list[Exception | str | None]:
        """See ``NodeStore``."""
        outcome: dict[str, Exception | str | None] = dict.fromkeys(paths)
        leaves = [path for path in outcome if not is_folder(path)]
        async with self._claims.claim(*leaves):
            outcome |= await self._delete_leaves(leaves, await self.index.read_nodes(leaves))
        # Innermost folders first, so that a list of markers empties a tree in one request.
        for path in sorted((path for path in outcome if is_folder(path)), key=lambda path: -path.count("/")):
            try:
                async with self._claims.claim(path):
                    node = await self._find(path)
                    if node is not None:
                        await self._delete_folder(node)
            except Exception as error:  # one bad key must not spoil the others
                outcome[path] = error
        return [outcome[path] for path in paths]

    async def _delete_leaves(self, paths: Sequence[str], nodes: Sequence[Node | None]) -> dict[str, str | None]:
        """Delete leaves that the caller has claims on; by path the id of the delete marker, None for none."""
        has_markers = self.versioning is not Versioning.OFF
        markers: dict[str, str | None] = dict.fromkeys(paths)
        operations: list[Operation] = []
        dropped: list[str] = []
        for path, node in zip(paths, nodes, strict=True):
            if node is None and not has_markers:
                continue
            fate = await self._decide_fate(path, node)
            markers[path] = fate.version if has_markers else None
            operations.append(DeleteNode(path, fate.keeps, markers[path]))
            dropped += fate.dropped
        operations += [PruneFolders(node.path) for node in nodes if node is not None]
        if operations:
            with self.blobs.changing(*dropped, *(key for node in nodes for key in self._keys(node))):
                await self._change(operations, dropped)
        return markers

    async def _delete_folder(self, folder: Node) -> None:
        """Delete a folder that the caller has a claim on, so that nothing comes into it meanwhile."""
        path = folder.path
        if not path:
            raise Invalid("The root of a datasource can not be deleted as a folder", reason="key")
        if not await self.index.list_children(path, limit=1):
            await self._submit(DeleteNode(path), PruneFolders(path))
        elif folder.kind is FolderKind.MARKER:
            await self._submit(PutFolder(path, kind=FolderKind.IMPLICIT))
        else:
            raise Conflict(f"The folder {path!r} is not empty", reason="not_empty", path=path)


def _taken(path: str) -> AlreadyExists:
    return AlreadyExists(f"There is something at {path!r} already", path=path)


def _check_key(path: str) -> None:
    """Raise for a path that no S3 key can have; there is no other limit."""
    check_length(path)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise Invalid("The key is not valid Unicode: it holds a lone surrogate.", reason="key", path=path) from None
