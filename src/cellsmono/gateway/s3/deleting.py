"""DeleteObject and DeleteObjects."""

from typing import Final

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_read, xml_write
from cellsmono.gateway.s3.addressing import check_key
from cellsmono.gateway.s3.conditions import strip_etag
from cellsmono.gateway.s3.errors import S3Error, from_domain
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.request import S3Context, S3Request, check_version
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.gateway.s3.writing import check_folder_conditions
from cellsmono.interfaces.datasource import NO_CONDITIONS, Conditions
from cellsmono.interfaces.paths import is_folder
from cellsmono.kernel.errors import CellsError, Conflict

# Of directory buckets alone. To ignore them would delete what the client wants to keep.
_OTHER_CONDITIONS: Final = ("x-amz-if-match-last-modified-time", "x-amz-if-match-size")


async def delete_object(s3: S3Context, request: S3Request) -> Reply:
    """DeleteObject: 204 also when there was nothing."""
    check_version(request.query)
    for name in _OTHER_CONDITIONS:
        if name in request.headers:
            raise S3Error("NotImplemented", fields={"Header": name})
    await _delete_one(s3, request, request.key, strip_etag(request.headers.get("if-match", "")))
    return reply_empty(204)


async def _delete_one(s3: S3Context, request: S3Request, key: str, wanted: str) -> None:
    """Delete one key, if an ETag is wanted only while it has that one. Raises NotFound where that is of nothing."""
    conditions = Conditions(if_match=wanted) if wanted else NO_CONDITIONS
    if is_folder(key):
        await check_folder_conditions(s3, request, key, conditions)
        conditions = NO_CONDITIONS
    try:
        await s3.router.delete_node(request.actor, request.bucket, key, conditions)
    except Conflict as error:
        # A folder that holds something and was never put as a key: there is no such key to delete.
        if error.reason != "not_empty":
            raise


async def delete_objects(s3: S3Context, request: S3Request) -> Reply:
    """DeleteObjects: up to 1,000 keys, each with an outcome of its own."""
    wanted = xml_read.read_delete(await read_document(s3, request, needs_digest=True))
    refused = [_refuse_entry(entry) for entry in wanted.entries]
    plain = [entry.key for entry, error in zip(wanted.entries, refused, strict=True) if not (error or entry.etag)]
    # Also with nothing to delete: the router knows whether the bucket is there.
    results = iter(await s3.router.delete_nodes(request.actor, request.bucket, plain))
    outcomes = []
    for entry, error in zip(wanted.entries, refused, strict=True):
        outcome = error
        if error is None:
            outcome = await _delete_matching(s3, request, entry) if entry.etag else _read_result(next(results))
        outcomes.append(xml_write.DeleteOutcome(entry.key, outcome, entry.version_id))
    return reply_xml(xml_write.write_delete_result(outcomes, quiet=wanted.quiet))


def _read_result(result: Exception | None) -> S3Error | None:
    if result is None or (isinstance(result, Conflict) and result.reason == "not_empty"):
        return None
    return from_domain(result)


async def _delete_matching(s3: S3Context, request: S3Request, entry: xml_read.DeleteEntry) -> S3Error | None:
    try:
        await _delete_one(s3, request, entry.key, entry.etag)
    except (CellsError, S3Error) as error:
        return from_domain(error)
    return None


def _refuse_entry(entry: xml_read.DeleteEntry) -> S3Error | None:
    """Why an entry can not even be tried: another version than the only one, a condition that is not supported."""
    try:
        check_key(entry.key)
        if entry.version_id not in {"", "null"}:
            raise S3Error("NoSuchVersion")
        if entry.last_modified or entry.size:
            raise S3Error("NotImplemented", "Only an ETag can be the condition of a deletion.")
    except S3Error as error:
        return error
    return None
