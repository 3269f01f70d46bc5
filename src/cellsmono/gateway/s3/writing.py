"""PutObject."""

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3.body import IncomingBody
from cellsmono.gateway.s3.conditions import parse_write_conditions
from cellsmono.gateway.s3.encryption import read_wish
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.expiration import expiration_headers
from cellsmono.gateway.s3.intake import open_upload
from cellsmono.gateway.s3.locking import with_lock
from cellsmono.gateway.s3.metadata import read_meta
from cellsmono.gateway.s3.mtimes import read_mtime
from cellsmono.gateway.s3.reading import checksum_headers
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.versioning import version_headers
from cellsmono.interfaces.datasource import NO_CONDITIONS, Conditions, WriteOptions
from cellsmono.interfaces.node import EMPTY_MD5, FolderKind, Node, NodeMeta
from cellsmono.interfaces.paths import is_folder
from cellsmono.kernel.errors import NotFound


async def put_object(s3: S3Context, request: S3Request) -> Reply:
    """PutObject; a key that ends in ``/`` makes a folder."""
    headers = request.headers
    meta = read_meta(headers, request.key)
    meta = with_lock(s3, request.bucket, request.key, meta, headers, needs_digest=True)
    conditions = parse_write_conditions(headers)
    wish = await read_wish(s3, request)
    body = open_upload(s3, request)
    if is_folder(request.key):
        return await _put_folder(s3, request, body, meta, conditions)
    node = await s3.router.put_node(
        request.actor,
        request.bucket,
        request.key,
        body.stream,
        wish.hide(body.digest),
        WriteOptions(wish.mark(meta), read_mtime(meta.user), body.size, conditions, wish.seal),
    )
    about = written_headers(node) + wish.headers(node) + version_headers(s3, request.bucket, node.version)
    return Reply(200, about + expiration_headers(s3, request, node))


def written_headers(node: Node) -> list[tuple[str, str]]:
    """What an answer to an upload says about the new object."""
    headers = [("ETag", f'"{node.etag or node.effective_etag}"')]
    if node.meta.checksum is not None:
        headers += checksum_headers(node.meta.checksum)
    return headers


async def _put_folder(
    s3: S3Context, request: S3Request, body: IncomingBody, meta: NodeMeta, conditions: Conditions
) -> Reply:
    await drain_empty(body)
    await check_folder_conditions(s3, request, request.key, conditions)
    await s3.router.create_folder(request.actor, request.bucket, request.key, FolderKind.MARKER, meta)
    headers = [("ETag", f'"{EMPTY_MD5}"')]
    checksum = body.digest.checksum()
    if checksum is not None:
        headers += checksum_headers(checksum)
    return Reply(200, headers)


async def drain_empty(body: IncomingBody) -> None:
    """Read a body that must be empty, and verify that it is the one that was announced."""
    if body.size:
        raise _not_empty()
    async for piece in body.stream:
        if piece:
            raise _not_empty()
    body.digest.verify()


def _not_empty() -> S3Error:
    return invalid_argument(
        "A key that ends in '/' is a folder here and can not have content. Leave the body empty, or drop the '/'.",
        "Content-Length",
        "not 0",
    )


async def check_folder_conditions(s3: S3Context, request: S3Request, key: str, conditions: Conditions) -> None:
    """If-None-Match and If-Match for the folder marker ``key``, whose ETag never changes."""
    if conditions == NO_CONDITIONS:
        return
    try:
        node = await s3.router.read_node(request.actor, request.bucket, key)
        exists = node.kind is not FolderKind.IMPLICIT
    except NotFound as error:
        if error.reason == "root":
            raise
        exists = False
    if conditions.if_none_match and exists:
        raise S3Error("PreconditionFailed", fields={"Condition": "If-None-Match"})
    if conditions.if_match:
        if not exists:
            raise S3Error("NoSuchKey")
        if conditions.if_match not in ("*", EMPTY_MD5):
            raise S3Error("PreconditionFailed", fields={"Condition": "If-Match"})
