"""Access control lists of buckets and objects."""

from collections.abc import Mapping
from typing import Final

import msgspec

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_write
from cellsmono.gateway.s3.buckets import require_owner
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.grants import GRANTS, is_acl_header, read_acl_document, read_acl_headers
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.metadata import refuse_header
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.gateway.s3.settings import OWNER
from cellsmono.gateway.s3.versioning import read_visible, update_visible
from cellsmono.interfaces.bucket_settings import NO_SETTINGS, CannedAcl
from cellsmono.interfaces.node import NodeMeta

_WIDTH: Final[dict[str, int]] = {acl: width for width, acl in enumerate(GRANTS)}
_OPEN_BUCKETS: Final[dict[str, CannedAcl]] = {"": "", "read": "public-read", "write": "public-read-write"}
_OPEN_OBJECTS: Final[dict[str, CannedAcl]] = {"": "", "read": "public-read", "write": "public-read"}
"""What a datasource that is configured ``anonymous`` opens, as an ACL."""


async def get_bucket_acl(s3: S3Context, request: S3Request) -> Reply:
    """GetBucketAcl."""
    await s3.router.read_root(request.actor, request.bucket)
    return _reply_acl(_show_bucket_acl(s3, request.bucket))


async def get_object_acl(s3: S3Context, request: S3Request) -> Reply:
    """GetObjectAcl."""
    node = await read_visible(s3, request)
    return _reply_acl(_show_acl(s3, request.bucket, node.meta.acl, _OPEN_OBJECTS))


def _show_bucket_acl(s3: S3Context, bucket: str) -> CannedAcl:
    settings = s3.router.find_settings(bucket) or NO_SETTINGS
    return _show_acl(s3, bucket, settings.acl, _OPEN_BUCKETS)


def _show_acl(s3: S3Context, bucket: str, kept: str, opened: Mapping[str, CannedAcl]) -> CannedAcl:
    """What an ACL, if it counts, and the configuration open together: each holds all that a narrower one does."""
    settings = s3.router.find_settings(bucket) or NO_SETTINGS
    configured = opened[s3.router.find_anonymous(bucket)]
    if not settings.has_acls:
        return configured
    return max(configured, *(acl for acl in GRANTS if acl == kept), key=_WIDTH.__getitem__)


def _reply_acl(acl: CannedAcl) -> Reply:
    return reply_xml(xml_write.write_acl(OWNER, sorted(GRANTS[acl])))


async def put_bucket_acl(s3: S3Context, request: S3Request) -> Reply:
    """PutBucketAcl. What tools read and write back unchanged is taken also where ACLs are disabled."""
    require_owner(request)
    await s3.router.read_root(request.actor, request.bucket)
    acl = await _read_acl(s3, request)
    settings = s3.router.find_settings(request.bucket) or NO_SETTINGS
    if settings.has_acls or acl != _show_bucket_acl(s3, request.bucket):
        await s3.router.change_settings(
            request.actor, request.bucket, "s3:PutBucketAcl", lambda old: msgspec.structs.replace(old, acl=acl)
        )
    return reply_empty(200)


async def put_object_acl(s3: S3Context, request: S3Request) -> Reply:
    """PutObjectAcl."""
    node = await read_visible(s3, request)
    acl = await _read_acl(s3, request)
    await s3.router.check_meta(request.actor, request.bucket, request.key, NodeMeta(acl=acl))
    if acl != node.meta.acl:
        await update_visible(s3, request, lambda meta: msgspec.structs.replace(meta, acl=acl))
    return reply_empty(200)


async def _read_acl(s3: S3Context, request: S3Request) -> CannedAcl:
    for name, value in request.headers.items():
        if name[:6].lower() == "x-amz-" and not is_acl_header(name.lower()):
            refuse_header(name.lower(), value)
    acl = read_acl_headers(request.headers)
    body = await read_document(s3, request)
    if body.strip():
        if acl is not None:
            raise S3Error("UnexpectedContent")
        return read_acl_document(body)
    if acl is None:
        raise S3Error("MissingSecurityHeader", "Your request was missing a required header: x-amz-acl")
    return acl
