"""CopyObject."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_write
from cellsmono.gateway.s3.addressing import CopySource, parse_copy_source
from cellsmono.gateway.s3.checksums import find_algorithm
from cellsmono.gateway.s3.client_keys import COPY_PREFIX, ClientKey, is_client_sealed, read_client_key, unlock
from cellsmono.gateway.s3.conditions import check_copy_source, parse_write_conditions
from cellsmono.gateway.s3.digests import BodyDigest
from cellsmono.gateway.s3.encryption import Wish, read_wish
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.expiration import expiration_headers
from cellsmono.gateway.s3.locking import with_lock
from cellsmono.gateway.s3.metadata import read_meta
from cellsmono.gateway.s3.mtimes import read_mtime
from cellsmono.gateway.s3.reading import etag_of, open_source
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_xml
from cellsmono.gateway.s3.versioning import parse_version_id, read_current, version_headers
from cellsmono.gateway.s3.writing import check_folder_conditions
from cellsmono.interfaces.datasource import Conditions, CopyOptions, WriteOptions
from cellsmono.interfaces.node import FolderKind, Node, NodeMeta
from cellsmono.interfaces.objects import ObjectReader
from cellsmono.interfaces.paths import is_folder
from cellsmono.kernel.errors import Conflict, PreconditionFailed

READ_BYTES: Final = 1024 * 1024
_LOOKS: Final = 5
"""How often a source is looked at again that was replaced while it was to be copied."""
_DIRECTIVES: Final = frozenset({"COPY", "REPLACE"})
_SELF: Final = (
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's"
    " metadata, storage class, website redirect location or encryption attributes."
)

_MARKER: Final = "The source of a copy request may not specifically refer to a delete marker by version id."


async def copy_object(s3: S3Context, request: S3Request) -> Reply:
    """CopyObject: within a bucket or across buckets, with new metadata or the source's."""
    headers = request.headers
    source = read_copy_source(request)
    replaces_meta = _read_directive(request, "x-amz-metadata-directive") == "REPLACE"
    replaces_tags = _read_directive(request, "x-amz-tagging-directive") == "REPLACE"
    asked = with_lock(s3, request.bucket, request.key, read_meta(headers, request.key), headers)
    conditions = parse_write_conditions(headers)
    wish = await read_wish(s3, request)
    algorithm = headers.get("x-amz-checksum-algorithm", "")
    if algorithm:
        algorithm = find_algorithm(algorithm).name
    await _check_empty_body(request)
    for _ in range(_LOOKS):
        try:
            return await _copy_version(
                s3, request, source, asked, replaces_meta, replaces_tags, conditions, algorithm, wish
            )
        except PreconditionFailed as error:
            # The source was replaced after it was looked at: the new one is copied, if the client's conditions allow.
            if error.reason != "source_changed":
                raise
    raise Conflict("The source keeps changing while it is copied; repeat when it rests.", path=source.key)


async def _copy_version(
    s3: S3Context,
    request: S3Request,
    source: CopySource,
    asked: NodeMeta,
    replaces_meta: bool,
    replaces_tags: bool,
    conditions: Conditions,
    algorithm: str,
    wish: Wish,
) -> Reply:
    """Copy the version of the source that is there now."""
    headers = request.headers
    node, is_current = await read_source(s3, request, source)
    is_same = is_current and (source.bucket, source.key) == (request.bucket, request.key)
    if is_same and not replaces_meta and wish == Wish() and not _changes_otherwise(node, asked):
        raise S3Error("InvalidRequest", _SELF)
    meta = wish.mark(merge_meta(node.meta, asked, replaces_meta=replaces_meta, replaces_tags=replaces_tags))
    source_key = read_client_key(s3, request.exchange, headers, COPY_PREFIX)
    is_secret = is_client_sealed(node) or source_key is not None or wish.client_key is not None
    mtime_ns = read_mtime(meta.user)
    if is_folder(request.key) or node.is_folder:
        copied = await _copy_folder(s3, request, node, meta, conditions)
    elif is_secret or (algorithm and (meta.checksum is None or meta.checksum.algorithm != algorithm)):
        copied = await _copy_by_reading(
            s3, request, source, node, meta, mtime_ns, conditions, algorithm, wish, source_key
        )
    else:
        options = CopyOptions(
            meta=meta,
            mtime_ns=mtime_ns,
            conditions=conditions,
            source_etag=node.effective_etag,
            source_version=source_version(source),
            seal=wish.seal,
        )
        copied = await s3.router.copy_node(
            request.actor, source.bucket, source.key, request.bucket, request.key, options
        )
    about = source_headers(s3, source, node) + version_headers(s3, request.bucket, copied.version)
    about += wish.headers(copied) + expiration_headers(s3, request, copied)
    return reply_xml(xml_write.write_copy(etag_of(copied), copied.mtime_ns, copied.meta.checksum), about)


def read_copy_source(request: S3Request) -> CopySource:
    """The source that ``x-amz-copy-source`` names. Raises S3Error InvalidArgument."""
    source = parse_copy_source(request.headers["x-amz-copy-source"])
    source_version(source)
    return source


def source_version(source: CopySource) -> str | None:
    """The id of the version that is to be copied, None for the current one. Raises S3Error InvalidArgument."""
    return parse_version_id(source.version_id) if source.version_id else None


def source_headers(s3: S3Context, source: CopySource, node: Node) -> list[tuple[str, str]]:
    """Which version was copied."""
    return [("x-amz-copy-source-version-id", value) for _, value in version_headers(s3, source.bucket, node.version)]


async def read_source(s3: S3Context, request: S3Request, source: CopySource) -> tuple[Node, bool]:
    """The source, or the version of it that is asked for, if the conditions hold, and whether it is the current one."""
    version, is_current = source_version(source), True
    if version is None:
        node = await read_current(s3, request, source.bucket, source.key)
    else:
        found = await s3.router.read_version(request.actor, source.bucket, source.key, version)
        if found.node is None:
            raise S3Error("InvalidRequest", _MARKER)
        node, is_current = found.node, found.is_latest
    check_copy_source(request.headers, etag_of(node), node.mtime_ns)
    return node, is_current


def _read_directive(request: S3Request, name: str) -> str:
    value = request.headers.get(name, "COPY")
    if value not in _DIRECTIVES:
        subject = "metadata" if name == "x-amz-metadata-directive" else "tagging"
        raise invalid_argument(f"Unknown {subject} directive.", name, value)
    return value


async def _check_empty_body(request: S3Request) -> None:
    """A copy has no body; one that is there means that the client believes to upload something."""
    request.exchange.accept_body()
    if await request.exchange.content.readany():
        raise S3Error("UnexpectedContent")


def _changes_otherwise(node: Node, asked: NodeMeta) -> bool:
    storage = asked.headers.get("x-amz-storage-class")
    return storage is not None and storage != node.meta.headers.get("x-amz-storage-class")


def merge_meta(old: NodeMeta, asked: NodeMeta, *, replaces_meta: bool, replaces_tags: bool) -> NodeMeta:
    """The copy's metadata. The checksums describe the bytes, which stay: they are kept in any case.

    Storage class, redirect, ACL and lock are never taken over from the source, as in S3.
    """
    kept = {"x-amz-storage-class", "x-amz-website-redirect-location"}
    if replaces_meta:
        base = msgspec.structs.replace(asked, checksum=old.checksum, parts=old.parts)
    else:
        headers = {name: value for name, value in old.headers.items() if name not in kept}
        headers |= {name: value for name, value in asked.headers.items() if name in kept}
        base = msgspec.structs.replace(old, headers=headers, acl=asked.acl, lock=asked.lock)
    return msgspec.structs.replace(base, tags=asked.tags if replaces_tags else old.tags)


async def _copy_folder(s3: S3Context, request: S3Request, node: Node, meta: NodeMeta, conditions: Conditions) -> Node:
    if not (is_folder(request.key) and node.is_folder):
        if node.size or node.is_folder:
            raise invalid_argument(
                "A folder (a key that ends in '/') can only be copied to a folder, and a file only to a file.",
                "x-amz-copy-source",
                request.headers["x-amz-copy-source"],
            )
        meta = msgspec.structs.replace(meta, checksum=None, parts=())
    await check_folder_conditions(s3, request, request.key, conditions)
    return await s3.router.create_folder(request.actor, request.bucket, request.key, FolderKind.MARKER, meta)


async def _copy_by_reading(
    s3: S3Context,
    request: S3Request,
    source: CopySource,
    node: Node,
    meta: NodeMeta,
    mtime_ns: int | None,
    conditions: Conditions,
    algorithm: str,
    wish: Wish,
    source_key: ClientKey | None,
) -> Node:
    """Copy by reading, because a checksum is asked for that nobody has computed yet, or a client's key is needed."""
    opened = await open_source(s3, request, source.bucket, source.key, source_version(source))
    try:
        await unlock(opened, source_key)
        if opened.node.effective_etag != node.effective_etag:
            raise S3Error("OperationAborted", "The source changed while it was copied. Please try again.")
        size = opened.node.size
        options = WriteOptions(
            meta=msgspec.structs.replace(meta, checksum=None, parts=()),
            mtime_ns=node.mtime_ns if mtime_ns is None else mtime_ns,
            size=size,
            conditions=conditions,
            seal=wish.seal,
        )
        known = meta.checksum.algorithm if meta.checksum is not None else ""
        chosen = algorithm or known
        digest = wish.hide(BodyDigest(algorithm=find_algorithm(chosen) if chosen else None))
        body = stream_reader(opened.reader, 0, size)
        return await s3.router.put_node(request.actor, request.bucket, request.key, body, digest, options)
    finally:
        opened.reader.close()


async def stream_reader(reader: ObjectReader, offset: int, length: int) -> AsyncIterator[bytes]:
    """Bytes of an open object. Raises S3Error InternalError when it turns out shorter than it was."""
    end = offset + length
    while offset < end:
        data = await reader.read(offset, min(READ_BYTES, end - offset))
        if not data:
            raise S3Error("InternalError", "The source became shorter while it was read. Please try again.")
        offset += len(data)
        yield data
