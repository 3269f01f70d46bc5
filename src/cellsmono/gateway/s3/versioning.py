"""Versions of objects: how requests name them, and what answers say about them."""

from collections.abc import Callable
from typing import Final

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_read, xml_write
from cellsmono.gateway.s3.buckets import require_owner
from cellsmono.gateway.s3.dates import format_http
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.interfaces.node import FolderKind, Node, NodeMeta
from cellsmono.interfaces.version import Version, Versioning, is_version_id
from cellsmono.kernel.errors import Forbidden, NotFound

NULL: Final = "null"
"""What clients call the null version."""

_MARKER: Final = ("x-amz-delete-marker", "true")


async def get_versioning(s3: S3Context, request: S3Request) -> Reply:
    """GetBucketVersioning."""
    await s3.router.read_root(request.actor, request.bucket)
    return reply_xml(xml_write.write_versioning(s3.router.find_versioning(request.bucket)))


async def put_versioning(s3: S3Context, request: S3Request) -> Reply:
    """PutBucketVersioning. What was never enabled can be suspended, too: GetBucketVersioning tells what was put."""
    require_owner(request)
    await s3.router.read_root(request.actor, request.bucket)
    status = Versioning(xml_read.read_versioning(await read_document(s3, request)))
    if status is Versioning.OFF:
        raise S3Error("IllegalVersioningConfigurationException")
    await s3.router.set_versioning(request.actor, request.bucket, status)
    return reply_empty(200)


def parse_version_id(text: str) -> str:
    """An id as datasources have it. Raises S3Error InvalidArgument for one that no version can have."""
    if text == NULL:
        return ""
    if not is_version_id(text):
        message = "Invalid version id specified" if text else "Version id cannot be the empty string"
        raise invalid_argument(message, "versionId", text)
    return text


def show_version_id(version: str) -> str:
    """An id as clients know it."""
    return version or NULL


def asked_version(request: S3Request) -> str | None:
    """The id of the version that a request is about, None for the current one. Raises S3Error InvalidArgument."""
    return parse_version_id(request.query.get("versionId")) if "versionId" in request.query else None


def version_headers(s3: S3Context, bucket: str, version: str | None) -> list[tuple[str, str]]:
    """Which version an answer is about, in buckets that have or had versioning; None: about none."""
    if version is None or s3.router.find_versioning(bucket) is Versioning.OFF:
        return []
    return [("x-amz-version-id", show_version_id(version))]


def marker_headers(s3: S3Context, bucket: str, version: str) -> list[tuple[str, str]]:
    """As ``version_headers``, for a delete marker."""
    return [_MARKER, *version_headers(s3, bucket, version)]


async def read_visible(s3: S3Context, request: S3Request) -> Node:
    """The node, or one version of it, that a request is about; see ``read_current`` and ``content_of``."""
    version = asked_version(request)
    if version is None:
        return await read_current(s3, request, request.bucket, request.key)
    found = await s3.router.read_version(request.actor, request.bucket, request.key, version)
    return content_of(found)


async def update_visible(s3: S3Context, request: S3Request, change: Callable[[NodeMeta], NodeMeta]) -> Node:
    """Replace the metadata of what a request is about."""
    version = asked_version(request)
    if version is None:
        return await s3.router.update_meta(request.actor, request.bucket, request.key, change)
    return await s3.router.update_version_meta(request.actor, request.bucket, request.key, version, change)


async def read_current(s3: S3Context, request: S3Request, bucket: str, key: str) -> Node:
    """The node of a key. Folders that are only implied by keys below them are no objects: NoSuchKey.

    Where a delete marker stands NoSuchKey says so.
    """
    try:
        node = await s3.router.read_node(request.actor, bucket, key)
    except NotFound as error:
        raise await explain_missing(s3, request, bucket, key, error) from None
    if node.is_folder and node.kind is FolderKind.IMPLICIT:
        raise S3Error("NoSuchKey")
    return node


async def explain_missing(s3: S3Context, request: S3Request, bucket: str, key: str, error: NotFound) -> Exception:
    """What to raise for a key that shows nothing."""
    if error.reason == "root" or s3.router.find_versioning(bucket) is Versioning.OFF:
        return error
    try:
        latest = await s3.router.read_latest(request.actor, bucket, key)
    except Forbidden:  # who may list the key and not read it hears no more than that it shows nothing
        return error
    if latest is None or latest.node is not None:
        return error
    return S3Error("NoSuchKey", fields={"Key": key}, headers=dict(marker_headers(s3, bucket, latest.id)))


def content_of(version: Version) -> Node:
    """The content of a version. Raises S3Error MethodNotAllowed for a delete marker, which can only be deleted."""
    if version.node is not None:
        return version.node
    raise S3Error(
        "MethodNotAllowed",
        fields={"Method": "GET", "ResourceType": "DeleteMarker"},
        headers={_MARKER[0]: _MARKER[1], "Allow": "DELETE", "Last-Modified": format_http(version.mtime_ns)},
    )
