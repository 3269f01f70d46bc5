"""The router over datasources: for the owner each datasource is a root; others see what its configuration opens."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Protocol

from cellsmono.data.router.digest import PlainDigest
from cellsmono.interfaces.datasource import (
    NO_CONDITIONS,
    Conditions,
    ContentDigest,
    CopyOptions,
    NodeStore,
    OpenNode,
    WriteOptions,
)
from cellsmono.interfaces.index import KeyPage, Usage
from cellsmono.interfaces.node import FolderKind, Node, NodeMeta
from cellsmono.interfaces.objects import ObjectReader, Part, PartDigest, Upload
from cellsmono.interfaces.router import Actor, Root
from cellsmono.kernel.errors import AlreadyExists, Forbidden, NotFound, PreconditionFailed, Unavailable

_COPY_CHUNK = 1 << 20


class Roots(Protocol):
    """The datasources that are there now, and how they come and go."""

    def find(self, name: str) -> NodeStore | None:
        """The datasource of this name when it is ready, else None. Raises Unavailable for one that failed to start."""

    def names(self) -> list[str]:
        """The names of all datasources that are ready, sorted."""

    async def create(self, name: str) -> NodeStore:
        """Make a new empty datasource that survives a restart."""

    async def delete(self, name: str) -> None:
        """Remove an empty datasource for good. Raises Conflict (reason ``not_empty``)."""


class Router:
    """``NodeRouter`` that maps the first step of a path to a datasource."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    # roots

    async def list_roots(self, actor: Actor) -> list[Root]:
        """See ``NodeRouter``."""
        if actor.kind == "anonymous":
            raise Forbidden("Sign the request to list the buckets")
        stores = (self._roots.find(name) for name in self._roots.names())
        return [_root(store) for store in stores if store is not None]

    async def read_root(self, actor: Actor, root: str) -> Root:
        """See ``NodeRouter``."""
        return _root(self._readable(actor, root))

    async def create_root(self, actor: Actor, root: str) -> Root:
        """See ``NodeRouter``."""
        _require_owner(actor)
        if self._roots.find(root) is not None:
            raise AlreadyExists(f"The bucket {root!r} exists already and is yours", reason="root", path=root)
        return _root(await self._roots.create(root))

    async def delete_root(self, actor: Actor, root: str) -> None:
        """See ``NodeRouter``."""
        _require_owner(actor)
        self._writable(actor, root)
        await self._roots.delete(root)

    # nodes

    async def read_node(self, actor: Actor, root: str, path: str) -> Node:
        """See ``NodeRouter``."""
        return await self._readable(actor, root).read_node(path)

    async def open_node(self, actor: Actor, root: str, path: str) -> OpenNode:
        """See ``NodeRouter``."""
        return await self._readable(actor, root).open_node(path)

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
        return await self._writable(actor, root).put_node(path, body, digest, options)

    async def create_folder(
        self, actor: Actor, root: str, path: str, kind: FolderKind, meta: NodeMeta | None = None
    ) -> Node:
        """See ``NodeRouter``."""
        return await self._writable(actor, root).create_folder(path, kind, meta)

    async def copy_node(
        self, actor: Actor, source_root: str, source: str, root: str, path: str, options: CopyOptions
    ) -> Node:
        """See ``NodeRouter``."""
        origin, target = self._readable(actor, source_root), self._writable(actor, root)
        if origin is target:
            return await target.copy_node(source, path, options)
        opened = await origin.open_node(source)
        try:
            node = opened.node
            if options.source_etag and node.effective_etag != options.source_etag:
                raise PreconditionFailed(
                    f"{source!r} is not the version that was asked for", reason="source_changed", path=source
                )
            write = WriteOptions(
                meta=node.meta if options.meta is None else options.meta,
                mtime_ns=node.mtime_ns if options.mtime_ns is None else options.mtime_ns,
                size=node.size,
                conditions=options.conditions,
            )
            return await target.put_node(path, _read_all(opened.reader, node.size), PlainDigest(), write)
        finally:
            opened.reader.close()

    async def move_node(self, actor: Actor, root: str, source: str, path: str) -> Node:
        """See ``NodeRouter``."""
        return await self._writable(actor, root).move_node(source, path)

    async def delete_node(self, actor: Actor, root: str, path: str, conditions: Conditions = NO_CONDITIONS) -> bool:
        """See ``NodeRouter``."""
        return await self._writable(actor, root).delete_node(path, conditions)

    async def delete_nodes(self, actor: Actor, root: str, paths: Sequence[str]) -> list[Exception | None]:
        """See ``NodeRouter``."""
        return await self._writable(actor, root).delete_nodes(paths)

    async def update_meta(self, actor: Actor, root: str, path: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """See ``NodeRouter``."""
        return await self._writable(actor, root).update_meta(path, change)

    # listings

    async def list_children(self, actor: Actor, root: str, path: str, after: str = "", limit: int = 1000) -> list[Node]:
        """See ``NodeRouter``."""
        return await self._readable(actor, root).index.list_children(path, after, limit)

    async def list_keys(
        self, actor: Actor, root: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> KeyPage:
        """See ``NodeRouter``."""
        return await self._readable(actor, root).index.list_keys(prefix, delimiter, after, limit)

    async def usage(self, actor: Actor, root: str, path: str) -> Usage:
        """See ``NodeRouter``."""
        return await self._readable(actor, root).index.usage(path)

    # uploads in parts

    async def create_upload(self, actor: Actor, root: str, path: str, context: bytes) -> Upload:
        """See ``NodeRouter``."""
        return await self._writable(actor, root).create_upload(path, context)

    async def read_upload(self, actor: Actor, root: str, upload_id: str) -> Upload:
        """See ``NodeRouter``."""
        return await self._writable(actor, root).read_upload(upload_id)

    async def list_uploads(
        self, actor: Actor, root: str, prefix: str, after_key: str, after_id: str, limit: int
    ) -> list[Upload]:
        """See ``NodeRouter``."""
        return await self._writable(actor, root).list_uploads(prefix, after_key, after_id, limit)

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
        return await self._writable(actor, root).put_part(upload_id, number, body, digest, size)

    async def list_parts(self, actor: Actor, root: str, upload_id: str, after: int, limit: int) -> list[Part]:
        """See ``NodeRouter``."""
        return await self._writable(actor, root).list_parts(upload_id, after, limit)

    async def complete_upload(
        self, actor: Actor, root: str, upload_id: str, parts: Sequence[Part], etag: str, options: WriteOptions
    ) -> Node:
        """See ``NodeRouter``."""
        return await self._writable(actor, root).complete_upload(upload_id, parts, etag, options)

    async def abort_upload(self, actor: Actor, root: str, upload_id: str) -> None:
        """See ``NodeRouter``."""
        await self._writable(actor, root).abort_upload(upload_id)

    # rights

    def _readable(self, actor: Actor, root: str) -> NodeStore:
        store = self._find(actor, root)
        if actor.kind == "anonymous" and store.config.anonymous not in ("read", "write"):
            raise Forbidden("This bucket is not open to unsigned requests", path=root)
        return store

    def _writable(self, actor: Actor, root: str) -> NodeStore:
        store = self._find(actor, root)
        if actor.kind == "anonymous" and store.config.anonymous != "write":
            raise Forbidden("This bucket is not open to unsigned writes", path=root)
        return store

    def _find(self, actor: Actor, root: str) -> NodeStore:
        store = self._roots.find(root)
        if store is not None:
            return store
        if actor.kind == "anonymous":
            # Whether a bucket exists is nobody's business who did not sign.
            raise Forbidden("Sign the request", path=root)
        raise NotFound(f"There is no bucket {root!r}", reason="root", path=root)


def _root(store: NodeStore) -> Root:
    return Root(store.config.name, store.config.created)


def _require_owner(actor: Actor) -> None:
    if actor.kind == "anonymous":
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
