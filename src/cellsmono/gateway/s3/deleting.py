"""DeleteObject and DeleteObjects."""

import asyncio
from collections.abc import Iterable
from typing import Final

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_read, xml_write
from cellsmono.gateway.s3.addressing import check_key
from cellsmono.gateway.s3.conditions import strip_etag
from cellsmono.gateway.s3.errors import S3Error, from_domain
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.locking import wants_bypass
from cellsmono.gateway.s3.reading import etag_of
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.gateway.s3.versioning import (
    asked_version,
    marker_headers,
    parse_version_id,
    show_version_id,
    version_headers,
)
from cellsmono.gateway.s3.writing import check_folder_conditions
from cellsmono.interfaces.datasource import NO_CONDITIONS, Conditions
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.version import Removal, Version
from cellsmono.kernel.errors import CellsError, Conflict, NotFound

# Of directory buckets alone. To ignore them would delete what the client wants to keep.
_OTHER_CONDITIONS: Final = ("x-amz-if-match-last-modified-time", "x-amz-if-match-size")
_TOGETHER: Final = 64
"""Versions that are deleted at once: they share the commits of the index."""


async def delete_object(s3: S3Context, request: S3Request) -> Reply:
    """DeleteObject: 204 also when there was nothing."""
    version = asked_version(request)
    for name in _OTHER_CONDITIONS:
        if name in request.headers:
            raise S3Error("NotImplemented", fields={"Header": name})
    wanted = strip_etag(request.headers.get("if-match", ""))
    if version is not None:
        gone = await _delete_version(s3, request, request.key, version, wanted)
        is_marker = gone is not None and gone.node is None
        describe = marker_headers if is_marker else version_headers
        return reply_empty(204, describe(s3, request.bucket, version))
    marker = (await _delete_one(s3, request, request.key, wanted)).marker
    return reply_empty(204, [] if marker is None else marker_headers(s3, request.bucket, marker))


async def _delete_one(s3: S3Context, request: S3Request, key: str, wanted: str) -> Removal:
    """Delete one key, if an ETag is wanted only while it has that one. Raises NotFound where that is of nothing."""
    conditions = Conditions(if_match=wanted) if wanted else NO_CONDITIONS
    if is_folder(key):
        await check_folder_conditions(s3, request, key, conditions)
        conditions = NO_CONDITIONS
    try:
        return await s3.router.remove_node(request.actor, request.bucket, key, conditions)
    except Conflict as error:
        # A folder that holds something and was never put as a key: there is no such key to delete.
        if error.reason != "not_empty":
            raise
        return Removal(False)


async def _delete_version(s3: S3Context, request: S3Request, key: str, version: str, wanted: str) -> Version | None:
    """Delete one version for good and return it; None when there was none. Its content never changes."""
    try:
        if wanted:
            found = await s3.router.read_version(request.actor, request.bucket, key, version)
            if found.node is None or wanted not in ("*", etag_of(found.node)):
                raise S3Error("PreconditionFailed", fields={"Condition": "If-Match"})
        bypass = wants_bypass(request)
        return await s3.router.delete_version(request.actor, request.bucket, key, version, bypass=bypass)
    except NotFound as error:
        if error.reason != "version" or wanted:
            raise
    except Conflict as error:
        if error.reason != "not_empty":
            raise
    return None


async def delete_objects(s3: S3Context, request: S3Request) -> Reply:
    """DeleteObjects: up to 1,000 keys and versions, each with an outcome of its own."""
    wanted = xml_read.read_delete(await read_document(s3, request, needs_digest=True))
    outcomes: dict[int, xml_write.DeleteOutcome] = {}
    plain: list[int] = []
    apart: list[int] = []
    for at, entry in enumerate(wanted.entries):
        error = _refuse_entry(entry)
        if error is not None:
            outcomes[at] = xml_write.DeleteOutcome(entry.key, error, entry.version_id)
        else:
            (apart if entry.version_id or entry.etag else plain).append(at)
    # Also with nothing to delete: the router knows whether the bucket is there.
    keys = [wanted.entries[at].key for at in plain]
    results = await s3.router.delete_nodes(request.actor, request.bucket, keys)
    outcomes |= {at: _tell(wanted.entries[at].key, result) for at, result in zip(plain, results, strict=True)}
    for start in range(0, len(apart), _TOGETHER):
        some = apart[start : start + _TOGETHER]
        done = await asyncio.gather(*(_delete_entry(s3, request, wanted.entries[at]) for at in some))
        outcomes |= dict(zip(some, done, strict=True))
    return reply_xml(xml_write.write_delete_result(_in_order(outcomes), quiet=wanted.quiet))


def _in_order(outcomes: dict[int, xml_write.DeleteOutcome]) -> Iterable[xml_write.DeleteOutcome]:
    return (outcomes[at] for at in sorted(outcomes))


def _tell(key: str, result: Exception | str | None) -> xml_write.DeleteOutcome:
    if isinstance(result, str):
        return xml_write.DeleteOutcome(key, marker=show_version_id(result))
    if result is None or (isinstance(result, Conflict) and result.reason == "not_empty"):
        return xml_write.DeleteOutcome(key)
    return xml_write.DeleteOutcome(key, from_domain(result))


async def _delete_entry(s3: S3Context, request: S3Request, entry: xml_read.DeleteEntry) -> xml_write.DeleteOutcome:
    try:
        if not entry.version_id:
            return _tell(entry.key, (await _delete_one(s3, request, entry.key, entry.etag)).marker)
        gone = await _delete_version(s3, request, entry.key, parse_version_id(entry.version_id), entry.etag)
    except (CellsError, S3Error) as error:
        return xml_write.DeleteOutcome(entry.key, from_domain(error), entry.version_id)
    marker = entry.version_id if gone is not None and gone.node is None else ""
    return xml_write.DeleteOutcome(entry.key, None, entry.version_id, marker)


def _refuse_entry(entry: xml_read.DeleteEntry) -> S3Error | None:
    """Why an entry can not even be tried: an id that no version can have, a condition that is not supported."""
    try:
        check_key(entry.key)
        if entry.version_id:
            parse_version_id(entry.version_id)
        if entry.last_modified or entry.size:
            raise S3Error("NotImplemented", "Only an ETag can be the condition of a deletion.")
    except S3Error as error:
        return error
    return None
