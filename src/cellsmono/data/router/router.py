"""The router over datasources: each is a root. Who may do what with it is in ``rights``, and asked for here alone."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence

import msgspec

from cellsmono.data.policy.document import parse_policy
from cellsmono.data.router.asking import Details
from cellsmono.data.router.base import Roots
from cellsmono.data.router.locks import LockRouter
from cellsmono.data.router.rights import (
    DELETE,
    GET,
    LIST,
    PUT,
    PUT_TAGS,
    Verdict,
    check_change,
    forbid,
)
from cellsmono.data.router.upload_terms import add_terms, strip_terms
from cellsmono.interfaces.bucket_settings import NO_SETTINGS, BucketSettings, Change
from cellsmono.interfaces.datasource import (
    NO_CONDITIONS,
    Conditions,
    ContentDigest,
    CopyOptions,
    Encryption,
    NodeStore,
    OpenNode,
    WriteOptions,
)
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.index import KeyPage, Usage
from cellsmono.interfaces.node import FolderKind, Node, NodeMeta
from cellsmono.interfaces.objects import ObjectReader, Part, PartDigest, Upload
from cellsmono.interfaces.router import Actor, Root
from cellsmono.interfaces.sealing import SealWish, no_encryption
from cellsmono.interfaces.version import Removal
from cellsmono.kernel.errors import AlreadyExists, Forbidden, NotFound, PreconditionFailed, Unavailable

_COPY_CHUNK = 1 << 20


class Router(LockRouter):
    """``NodeRouter`` that maps the first step of a path to a datasource."""

    # roots

    async def list_roots(self, actor: Actor) -> list[Root]:
        """See ``NodeRouter``."""
        if actor.kind in {"anonymous", "user"}:
            raise Forbidden("Sign the request to list the buckets")
        stores = (self._roots.find(name) for name in self._roots.names())
        return [_root(store) for store in stores if store is not None]

    async def read_root(self, actor: Actor, root: str) -> Root:
        """See ``NodeRouter``."""
        return _root(self._allow(actor, root, LIST))

    async def create_root(self, actor: Actor, root: str, *, object_lock: bool = False) -> Root:
        """See ``NodeRouter``."""
        _require_owner(actor)
        if self._roots.find(root) is not None:
            raise AlreadyExists(f"The bucket {root!r} exists already and is yours", reason="root", path=root)
        made = _root(await self._roots.create(root))
        if object_lock:
            await self._begin_locking(root)
        return made

    async def delete_root(self, actor: Actor, root: str) -> None:
        """See ``NodeRouter``."""
        _require_owner(actor)
        self._allow(actor, root, "s3:DeleteBucket")
        await self._roots.delete(root)

    # settings

    def find_settings(self, root: str) -> BucketSettings | None:
        """See ``NodeRouter``."""
        return self._settings.find(root)

    def find_anonymous(self, root: str) -> str:
        """See ``NodeRouter``."""
        store = self._roots.find(root)
        settings = self._settings.find(root)
        if store is None or (settings is not None and settings.block.ignore_acls):
            return ""
        return store.config.anonymous

    async def read_settings(self, actor: Actor, root: str, action: str) -> BucketSettings:
        """See ``NodeRouter``."""
        self._allow(actor, root, action)
        return self._settings.find(root) or NO_SETTINGS

    async def change_settings(self, actor: Actor, root: str, action: str, change: Change) -> None:
        """See ``NodeRouter``."""
        _require_owner(actor)
        self._allow(actor, root, action)

        def change_checked(old: BucketSettings) -> BucketSettings:
            new = change(old)
            check_change(root, old, new)
            return new

        await self._settings.change(root, change_checked)

    async def is_public(self, actor: Actor, root: str) -> bool:
        """See ``NodeRouter``."""
        settings = await self.read_settings(actor, root, "s3:GetBucketPolicyStatus")
        if not settings.policy:
            raise NotFound(f"The bucket {root!r} has no policy", reason="policy", path=root)
        return parse_policy(settings.policy, root).is_public

    def is_sealing(self, root: str) -> bool:
        """See ``NodeRouter``."""
        store, settings = self._roots.find(root), self._settings.find(root)
        is_set = settings is not None and bool(settings.encryption)
        return is_set or (store is not None and store.config.encryption is not Encryption.NONE)

    async def check_sealing(self, actor: Actor, root: str) -> None:
        """See ``NodeRouter``."""
        if not self._find(actor, root).can_seal:
            raise no_encryption(root)

    def _wish(self, root: str, wish: SealWish | None) -> SealWish | None:
        """What is wished for content, or by the bucket's own setting; the datasource knows its own."""
        settings = self._settings.find(root)
        return SealWish() if wish is None and settings is not None and settings.encryption else wish

    async def check_meta(self, actor: Actor, root: str, path: str, meta: NodeMeta) -> None:
        """See ``NodeRouter``."""
        store = self._find(actor, root)
        if self._rights.judge(actor, store, PUT, path, Details(asked=meta)) is Verdict.NO:
            raise forbid(store, path)  # what depends on the node is decided where the node is changed
        self._rights.require_meta(actor, store, path, meta)

    # nodes

    async def read_node(self, actor: Actor, root: str, path: str) -> Node:
        """See ``NodeRouter``."""
        store, verdict = self._judge_reading(actor, root, path)
        try:
            node = await store.read_node(path)
        except NotFound:
            self._tell_missing(actor, store, path, verdict)
            raise
        if verdict is Verdict.BY_NODE:
            self._require_reading(actor, store, path, node.meta)
        if node.is_folder and node.kind is FolderKind.IMPLICIT:
            self._be_discreet(actor, store, path)
        return node

    async def open_node(self, actor: Actor, root: str, path: str) -> OpenNode:
        """See ``NodeRouter``."""
        store, verdict = self._judge_reading(actor, root, path)
        try:
            opened = await store.open_node(path)
        except NotFound:
            self._tell_missing(actor, store, path, verdict)
            raise
        return self._admit_opened(actor, store, path, verdict, opened)

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
        store = self._allow(actor, root, PUT, path, options.meta)
        options = msgspec.structs.replace(options, seal=self._wish(root, options.seal))
        return await store.put_node(path, body, digest, options)

    async def create_folder(
        self, actor: Actor, root: str, path: str, kind: FolderKind, meta: NodeMeta | None = None
    ) -> Node:
        """See ``NodeRouter``."""
        store = self._allow(actor, root, PUT, path, meta)
        return await store.create_folder(path, kind, meta)

    async def copy_node(
        self, actor: Actor, source_root: str, source: str, root: str, path: str, options: CopyOptions
    ) -> Node:
        """See ``NodeRouter``."""
        target = self._allow(actor, root, PUT, path, options.meta)
        options = msgspec.structs.replace(options, seal=self._wish(root, options.seal))
        version = options.source_version
        origin, verdict = self._judge_reading(actor, source_root, source, version)
        if origin is target and verdict is Verdict.YES:
            return await target.copy_node(source, path, options)
        if version is None:
            opened = await self.open_node(actor, source_root, source)
        else:
            opened = await self.open_version(actor, source_root, source, version)
        try:
            node = opened.node
            if options.source_etag and node.effective_etag != options.source_etag:
                raise PreconditionFailed(
                    f"{source!r} is not the version that was asked for", reason="source_changed", path=source
                )
            write = WriteOptions(
                meta=node.meta.unlocked if options.meta is None else options.meta,
                mtime_ns=node.mtime_ns if options.mtime_ns is None else options.mtime_ns,
                size=node.size,
                conditions=options.conditions,
                seal=options.seal,
            )
            return await target.put_node(path, _read_all(opened.reader, node.size), PlainDigest(), write)
        finally:
            opened.reader.close()

    async def move_node(self, actor: Actor, root: str, source: str, path: str) -> Node:
        """See ``NodeRouter``."""
        for action, end in ((DELETE, source), (PUT, path)):
            self._allow(actor, root, action, end)
        store, verdict = self._judge_node(actor, root, GET, source)
        if verdict is Verdict.BY_NODE:
            self._require_reading(actor, store, source, (await self.read_node(actor, root, source)).meta)
        return await store.move_node(source, path)

    async def delete_node(self, actor: Actor, root: str, path: str, conditions: Conditions = NO_CONDITIONS) -> bool:
        """See ``NodeRouter``."""
        return (await self.remove_node(actor, root, path, conditions)).existed

    async def remove_node(self, actor: Actor, root: str, path: str, conditions: Conditions = NO_CONDITIONS) -> Removal:
        """See ``NodeRouter``."""
        return await self._allow(actor, root, DELETE, path).remove_node(path, conditions)

    async def delete_nodes(self, actor: Actor, root: str, paths: Sequence[str]) -> list[Exception | str | None]:
        """See ``NodeRouter``."""
        store = self._find(actor, root)
        refused = {path for path in paths if self._rights.judge(actor, store, DELETE, path) is not Verdict.YES}
        if not refused:
            return await store.delete_nodes(paths) if paths else []
        if len(refused) == len(set(paths)):
            raise forbid(store, "")
        allowed = [path for path in paths if path not in refused]
        outcomes = dict(zip(allowed, await store.delete_nodes(allowed), strict=True))
        return [forbid(store, path) if path in refused else outcomes[path] for path in paths]

    async def update_meta(self, actor: Actor, root: str, path: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """See ``NodeRouter``."""
        store, verdict = self._judge_node(actor, root, PUT_TAGS, path)
        if verdict is Verdict.YES:
            return await store.update_meta(path, change)
        try:
            return await store.update_meta(path, self._decide_by(actor, store, PUT_TAGS, path, change))
        except NotFound:
            self._require_no_denial(actor, store, PUT_TAGS, path)
            raise

    # listings

    async def list_children(self, actor: Actor, root: str, path: str, after: str = "", limit: int = 1000) -> list[Node]:
        """See ``NodeRouter``."""
        return await self._allow(actor, root, LIST).index.list_children(path, after, limit)

    async def list_keys(
        self, actor: Actor, root: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> KeyPage:
        """See ``NodeRouter``."""
        return await self._allow(actor, root, LIST).index.list_keys(prefix, delimiter, after, limit)

    async def usage(self, actor: Actor, root: str, path: str) -> Usage:
        """See ``NodeRouter``."""
        return await self._allow(actor, root, LIST).index.usage(path)

    # uploads in parts

    async def create_upload(
        self, actor: Actor, root: str, path: str, context: bytes, options: WriteOptions | None = None
    ) -> Upload:
        """See ``NodeRouter``."""
        meta = None if options is None else options.meta
        store = self._find(actor, root)
        # The rights to tag and lock are asked for when the object is made; what tags and locks it may have, now.
        self._rights.require(actor, store, PUT, path, Details(asked=meta))
        if options is not None:
            options = msgspec.structs.replace(options, seal=self._wish(root, options.seal))
        return strip_terms(await store.create_upload(path, add_terms(actor, context, meta), options))

    async def read_upload(self, actor: Actor, root: str, upload_id: str) -> Upload:
        """See ``NodeRouter``."""
        return strip_terms(await (await self._allow_upload(actor, root, upload_id)).read_upload(upload_id))

    async def list_uploads(
        self, actor: Actor, root: str, prefix: str, after_key: str, after_id: str, limit: int
    ) -> list[Upload]:
        """See ``NodeRouter``."""
        store = self._allow(actor, root, "s3:ListBucketMultipartUploads")
        return [strip_terms(each) for each in await store.list_uploads(prefix, after_key, after_id, limit)]

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
        store = await self._allow_upload(actor, root, upload_id)
        return await store.put_part(upload_id, number, body, digest, size)

    async def list_parts(self, actor: Actor, root: str, upload_id: str, after: int, limit: int) -> list[Part]:
        """See ``NodeRouter``."""
        return await (await self._allow_upload(actor, root, upload_id)).list_parts(upload_id, after, limit)

    async def complete_upload(
        self, actor: Actor, root: str, upload_id: str, parts: Sequence[Part], etag: str, options: WriteOptions
    ) -> Node:
        """See ``NodeRouter``."""
        store = await self._allow_upload(actor, root, upload_id, options.meta)
        return await store.complete_upload(upload_id, parts, etag, options)

    async def abort_upload(self, actor: Actor, root: str, upload_id: str) -> None:
        """See ``NodeRouter``."""
        await (await self._allow_upload(actor, root, upload_id)).abort_upload(upload_id)


def _root(store: NodeStore) -> Root:
    return Root(store.config.name, store.config.created)


def _require_owner(actor: Actor) -> None:
    if actor.kind != "owner":
        raise Forbidden("Only the owner can make and remove buckets")


async def _read_all(reader: ObjectReader, size: int) -> AsyncIterator[bytes]:
    """All bytes of an open object; a file that shrinks meanwhile is an error, not a shorter copy."""
    offset = 0
    while offset < size:
        data = await reader.read(offset, min(_COPY_CHUNK, size - offset))
        if not data:
            raise Unavailable("The source became shorter while it was copied; try again")
        offset += len(data)
        yield data


__all__ = ["Roots", "Router"]
