"""Content of files by path: read whole or in ranges, and written as a whole."""

import re
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

from cellsmono.gateway.http import Exchange, Reply
from cellsmono.gateway.rest.bodies import stream_content
from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.conditional import format_date, is_not_modified, read_range, read_write_conditions
from cellsmono.gateway.rest.digests import Md5Digest, read_content_md5
from cellsmono.gateway.rest.errors import RestError, bad_request
from cellsmono.gateway.rest.paths import NodePath, parse_path, require_inner
from cellsmono.gateway.rest.showing import NULL_VERSION, show_node
from cellsmono.gateway.rest.tree_structs import NodeAnswer
from cellsmono.interfaces.datasource import OpenNode, WriteOptions
from cellsmono.interfaces.node import Node, NodeMeta
from cellsmono.interfaces.paths import name_of
from cellsmono.interfaces.sealing import Locked
from cellsmono.kernel.errors import Conflict, Forbidden, NotFound

DEFAULT_TYPE: Final = "application/octet-stream"
_FORM_TYPES: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
"""What tools say of any body unless they are told otherwise."""
_MTIME: Final = re.compile(r"(\d{1,10})(?:\.(\d{1,9})\d*)?", re.ASCII)
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f]")


async def read(rest: RestContext, call: Call, body: None) -> Reply:
    """GET and HEAD /io/{Node}."""
    path = require_inner(parse_path(call.parameters["Node"]))
    query = call.query
    opened = await _open(rest, call, path, query.get("versionId"))
    try:
        if isinstance(opened.reader, Locked):
            raise RestError(
                400, "client_key", "The content is encrypted with a key of its client; read it over S3 with that key"
            )
        return _reply(opened, call.exchange, is_inline=query.get("inline") == "true")
    except BaseException:
        opened.reader.close()
        raise


async def _open(rest: RestContext, call: Call, path: NodePath, version: str | None) -> OpenNode:
    if path.inner.endswith("/"):
        raise bad_request("A path that ends in / is a folder's, which has no content", "path")
    if version is not None:
        version = "" if version == NULL_VERSION else version
        return await rest.router.open_version(call.actor, path.root, path.leaf, version)
    try:
        return await rest.router.open_node(call.actor, path.root, path.leaf)
    except NotFound as error:
        what = f"workspace {path.root!r}" if error.reason == "root" else f"file {path.shown!r}"
        raise NotFound(f"There is no {what}", reason=error.reason, path=path.shown) from None


def _reply(opened: OpenNode, exchange: Exchange, *, is_inline: bool) -> Reply:
    node = opened.node
    etag = node.effective_etag
    headers = [
        ("ETag", f'"{etag}"'),
        ("Last-Modified", format_date(node.mtime_ns)),
        ("Cache-Control", "private, no-cache"),
    ]
    if is_not_modified(exchange.headers, etag, node.mtime_ns):
        opened.reader.close()
        return Reply(304, headers)
    found = read_range(exchange.headers, etag, node.mtime_ns, node.size)
    headers += [
        ("Accept-Ranges", "bytes"),
        ("Content-Type", _UNSAFE.sub("", node.meta.content_type or DEFAULT_TYPE)),
        ("Content-Disposition", _dispose(name_of(node.path), is_inline=is_inline)),
    ]
    if encoding := node.meta.headers.get("content-encoding"):
        headers.append(("Content-Encoding", _UNSAFE.sub("", encoding)))
    if found is None:
        return Reply(200, headers, file=opened.reader, length=node.size)
    headers.append(("Content-Range", found.content_range))
    return Reply(206, headers, file=opened.reader, offset=found.start, length=found.length)


def _dispose(name: str, *, is_inline: bool) -> str:
    """Content-Disposition with the name of the file, in the two forms of RFC 6266."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    return f"{'inline' if is_inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def write(rest: RestContext, call: Call, body: None) -> NodeAnswer:
    """PUT /io/{Node}: folders above are made."""
    path = require_inner(parse_path(call.parameters["Node"]))
    if path.inner.endswith("/"):
        raise bad_request("A path that ends in / is a folder's; POST /a/tree/create makes folders", "path")
    headers, exchange = call.exchange.headers, call.exchange
    if "Content-Range" in headers:
        raise bad_request("Content is written as a whole: leave Content-Range out", "content_range")
    size = exchange.content_length
    if size is None and "Transfer-Encoding" not in headers:
        raise RestError(411, "length_required", "Say how long the content is (Content-Length), or send it in chunks")
    if size is not None and size > rest.max_object_bytes:
        raise _too_large(rest)
    await refuse_folder(rest, call, path)
    options = WriteOptions(
        NodeMeta(content_type=_read_type(exchange)),
        _read_mtime(headers.get("X-OC-Mtime")),
        size,
        read_write_conditions(headers),
    )
    digest = Md5Digest(read_content_md5(headers.get("Content-MD5")))
    stream = _measure(stream_content(exchange), size, rest)
    node: Node = await rest.router.put_node(call.actor, path.root, path.leaf, stream, digest, options)
    return NodeAnswer(show_node(path.root, node))


async def refuse_folder(rest: RestContext, call: Call, path: NodePath) -> None:
    """Raise Conflict where a folder has the name; who may not see it gets what a write gets."""
    try:
        await rest.router.read_node(call.actor, path.root, path.folder)
    except (NotFound, Forbidden):
        return
    raise Conflict(f"{path.shown!r} is a folder", reason="is_folder", path=path.shown)


async def _measure(stream: AsyncIterator[bytes], size: int | None, rest: RestContext) -> AsyncIterator[bytes]:
    seen = 0
    async for piece in stream:
        seen += len(piece)
        if seen > rest.max_object_bytes:
            raise _too_large(rest)
        yield piece
    if size is not None and seen != size:
        raise bad_request("The body ended before it was complete", "incomplete")


def _too_large(rest: RestContext) -> RestError:
    return RestError(413, "too_large", f"A file has at most {rest.max_object_bytes} bytes here")


def _read_type(exchange: Exchange) -> str | None:
    kind = exchange.headers.get("Content-Type", "")
    return None if not kind or exchange.content_type in _FORM_TYPES else kind


def _read_mtime(text: str | None) -> int | None:
    """The time that the client gives the file, in nanoseconds; None where it gives none."""
    if text is None:
        return None
    match = _MTIME.fullmatch(text.strip())
    if match is None:
        raise bad_request("X-OC-Mtime must be seconds since the epoch, as 1700000000 or 1700000000.25", "mtime")
    return int(match[1]) * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))
