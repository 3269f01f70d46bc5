"""What is mirrored in an object's own metadata, so that it survives the index, and other tools see what they know.

Content type, standard headers and user metadata are stored as such. What has no place there (our ETag, checksums,
parts, tags, text that no header can hold) is JSON under ``x-amz-meta-cellsmono``; the time of modification is
``x-amz-meta-cellsmono-mtime``, in nanoseconds. S3 allows 2 KiB in all: what does not fit is left to the index.

The path of a blob, which its key does not tell, is ``x-amz-meta-cellsmono-path``, or ``x-amz-meta-cellsmono-path64``
(its UTF-8 as base64) where no header can hold it as it is. It always fits: user metadata is left to the index first.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cellsmono.datasource.objects.s3.facts import etag_of, make_facts, time_ns
from cellsmono.interfaces.node import Facts, NodeAttributes, NodeMeta

EXTRA = "cellsmono"
ETAG_OF_SERVER = "*"
"""In place of an ETag: it is the one that the server made, from the same parts."""

MTIME = "cellsmono-mtime"
PATH = "cellsmono-path"
PATH_64 = "cellsmono-path64"
MOST_BYTES = 2048

_HEADERS = {
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
}
_MD5 = re.compile(r"[0-9a-f]{32}")
_MADE_OF_MD5 = re.compile(r"[0-9a-f]{32}(-[1-9][0-9]*)?")
_FOREIGN_TYPES = frozenset({"", "binary/octet-stream", "application/octet-stream"})


def write_metadata(mtime_ns: int, attributes: NodeAttributes | None) -> dict[str, Any]:
    """Arguments for a call that stores an object."""
    if attributes is None:
        return {"Metadata": {MTIME: str(mtime_ns)}}
    meta = attributes.meta
    found: dict[str, Any] = {}
    if _fits(meta.content_type or ""):
        found["ContentType"] = meta.content_type
    found |= {_HEADERS[name]: value for name, value in meta.headers.items() if name in _HEADERS and _fits(value)}
    user = {name: value for name, value in meta.user.items() if _fits(name) and _fits(value) and not _is_ours(name)}
    rest = msgspec.structs.replace(
        meta,
        content_type=None if "ContentType" in found else meta.content_type,
        headers={name: value for name, value in meta.headers.items() if _HEADERS.get(name) not in found},
        user={name: value for name, value in meta.user.items() if name not in user},
    )
    found["Metadata"] = _choose(user, {MTIME: str(mtime_ns), **_write_path(attributes.path)}, attributes, rest)
    return found


def _choose(user: dict[str, str], ours: dict[str, str], attributes: NodeAttributes, rest: NodeMeta) -> dict[str, str]:
    """User metadata, our own, and what has no header of its own; as much of it as there is room for."""
    bare = NodeMeta(checksum=rest.checksum)
    choices = [(user, rest), (user, msgspec.structs.replace(rest, parts=())), (user, bare)]
    if attributes.path:  # no other tool reads blobs, and without the index the path is what matters
        choices.append(({}, bare))
    for mine, kept in choices:
        extra = {**mine, **ours, EXTRA: _encode(msgspec.structs.replace(attributes, meta=kept, path=""))}
        if sum(len(name) + len(value) for name, value in extra.items()) <= MOST_BYTES:
            return extra
    return {**user, **ours}


def _write_path(path: str) -> dict[str, str]:
    if not path:
        return {}
    if _fits(path) and "  " not in path:  # servers may make one space of two
        return {PATH: path}
    return {PATH_64: base64.b64encode(path.encode()).decode()}


def _read_path(metadata: Mapping[str, str]) -> str:
    try:
        return metadata.get(PATH) or base64.b64decode(metadata.get(PATH_64, ""), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _encode(attributes: NodeAttributes) -> str:
    return json.dumps(msgspec.to_builtins(attributes), separators=(",", ":"))


def _fits(text: str) -> bool:
    """Whether a header can hold this text as it is."""
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()


def _is_ours(name: str) -> bool:
    return name in (EXTRA, MTIME, PATH, PATH_64)


def read_facts(head: Mapping[str, Any], size: int) -> Facts:
    """Facts of an object from the headers of its answer."""
    return make_facts(size, etag_of(head), read_mtime(head))


def read_mtime(head: Mapping[str, Any]) -> int:
    """The time that was set with the object, else that of its last write."""
    try:
        return int(head.get("Metadata", {}).get(MTIME, ""))
    except ValueError:
        return time_ns(head["LastModified"])


def _etag_of_server(head: Mapping[str, Any]) -> str:
    """The server's ETag where it was made of MD5s, as ours are."""
    etag = etag_of(head).strip('"')
    return etag if _MADE_OF_MD5.fullmatch(etag) else ""


def _is_of_other_bytes(etag: str, head: Mapping[str, Any]) -> bool:
    """Whether an ETag that was mirrored contradicts the server's: a copy may have taken bytes that were not meant.

    Where the server's is no MD5 (encryption under a key of its own) this is true as well; then ours is forgotten.
    """
    server = head.get("ETag", "").strip('"')
    return bool(_MD5.fullmatch(etag) and _MD5.fullmatch(server)) and etag != server


def read_metadata(head: Mapping[str, Any]) -> NodeAttributes | None:
    """What is mirrored at an object, also by other tools; None when its bytes alone tell as much."""
    metadata = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
    extra = _decode(metadata.get(EXTRA, ""))
    user = {name: value for name, value in metadata.items() if not _is_ours(name)}
    headers = {name: head[field] for name, field in _HEADERS.items() if head.get(field)}
    kind, path = head.get("ContentType", ""), _read_path(metadata)
    if extra is None:
        if not user and not headers and kind in _FOREIGN_TYPES and not path:
            return None
        meta = NodeMeta(content_type=None if kind in _FOREIGN_TYPES else kind, headers=headers, user=user)
        return NodeAttributes(head["ContentLength"], read_mtime(head), "", meta, path)
    # The server's own type stands where none was given: then the bytes say nothing about it.
    kind = extra.meta.content_type or (None if kind in _FOREIGN_TYPES and not extra.meta.content_type else kind)
    meta = msgspec.structs.replace(
        extra.meta, content_type=kind, headers={**headers, **extra.meta.headers}, user={**user, **extra.meta.user}
    )
    etag = _etag_of_server(head) if extra.etag == ETAG_OF_SERVER else extra.etag
    if _is_of_other_bytes(etag, head):
        etag, meta = "", msgspec.structs.replace(meta, checksum=None)
    return NodeAttributes(head["ContentLength"], read_mtime(head), etag, meta, path)


def _decode(text: str) -> NodeAttributes | None:
    try:
        return msgspec.json.decode(text, type=NodeAttributes)
    except (msgspec.DecodeError, ValueError):
        return None
