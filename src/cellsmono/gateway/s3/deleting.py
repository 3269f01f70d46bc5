"""DeleteObject and DeleteObjects."""

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_read, xml_write
from cellsmono.gateway.s3.addressing import check_key
from cellsmono.gateway.s3.conditions import strip_etag
from cellsmono.gateway.s3.errors import S3Error, from_domain
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.reading import etag_of
from cellsmono.gateway.s3.request import S3Context, S3Request, check_version
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.interfaces.datasource import NO_CONDITIONS, Conditions
from cellsmono.kernel.errors import Conflict, NotFound


async def delete_object(s3: S3Context, request: S3Request) -> Reply:
    """DeleteObject: 204 also when there was nothing."""
    check_version(request.query)
    wanted = request.headers.get("if-match")
    conditions = Conditions(if_match=strip_etag(wanted)) if wanted is not None else NO_CONDITIONS
    try:
        await s3.router.delete_node(request.actor, request.bucket, request.key, conditions)
    except NotFound as error:
        if error.reason == "root" or wanted is None:
            raise
        raise S3Error("PreconditionFailed", fields={"Condition": "If-Match"}) from error
    except Conflict as error:
        # A folder that holds something and was never put as a key: there is no such key to delete.
        if error.reason != "not_empty":
            raise
    return reply_empty(204)


async def _check_match(s3: S3Context, request: S3Request, key: str, wanted: str) -> None:
    try:
        node = await s3.router.read_node(request.actor, request.bucket, key)
    except NotFound as error:
        if error.reason == "root":
            raise
        raise S3Error("PreconditionFailed", fields={"Condition": "If-Match"}) from error
    if wanted not in ("*", etag_of(node)):
        raise S3Error("PreconditionFailed", fields={"Condition": "If-Match"})


async def delete_objects(s3: S3Context, request: S3Request) -> Reply:
    """DeleteObjects: up to 1,000 keys, each with an outcome of its own."""
    wanted = xml_read.read_delete(await read_document(s3, request, needs_digest=True))
    await s3.router.read_root(request.actor, request.bucket)
    refused = [await _refuse_entry(s3, request, entry) for entry in wanted.entries]
    keys = [entry.key for entry, error in zip(wanted.entries, refused, strict=True) if error is None]
    results = iter(await s3.router.delete_nodes(request.actor, request.bucket, keys) if keys else [])
    outcomes = []
    for entry, error in zip(wanted.entries, refused, strict=True):
        outcome = error if error is not None else _read_result(next(results))
        outcomes.append(xml_write.DeleteOutcome(entry.key, outcome, entry.version_id))
    return reply_xml(xml_write.write_delete_result(outcomes, quiet=wanted.quiet))


def _read_result(result: Exception | None) -> S3Error | None:
    if result is None or (isinstance(result, Conflict) and result.reason == "not_empty"):
        return None
    return from_domain(result)


async def _refuse_entry(s3: S3Context, request: S3Request, entry: xml_read.DeleteEntry) -> S3Error | None:
    """Why an entry can not even be tried: another version than the only one, an ETag that is not there."""
    try:
        check_key(entry.key)
        if entry.version_id not in {"", "null"}:
            raise S3Error("NoSuchVersion")
        if entry.last_modified or entry.size:
            raise S3Error("NotImplemented", "Only an ETag can be the condition of a deletion.")
        if entry.etag:
            await _check_match(s3, request, entry.key, entry.etag)
    except S3Error as error:
        return error
    return None
