"""Buckets: list, create, delete, and what is asked about them."""

from typing import Final, cast

import msgspec

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_listings, xml_read, xml_write
from cellsmono.gateway.s3.addressing import is_bucket_name
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.grants import is_acl_header, read_acl_headers
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.metadata import refuse_header
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.gateway.s3.settings import OWNER
from cellsmono.interfaces.bucket_settings import Ownership
from cellsmono.interfaces.router import Root

_MAX_BUCKETS: Final = 10_000
_NS_PER_SECOND: Final = 1_000_000_000

DEFAULT_OWNERSHIP: Final = "BucketOwnerEnforced"
_OWNERSHIPS: Final = frozenset({DEFAULT_OWNERSHIP, "BucketOwnerPreferred", "ObjectWriter"})


async def list_buckets(s3: S3Context, request: S3Request) -> Reply:
    """ListBuckets, in pages where ``max-buckets`` asks for them."""
    query = request.query
    prefix, after = query.get("prefix"), query.get("continuation-token")
    limit = _read_max_buckets(query.get("max-buckets")) if "max-buckets" in query else _MAX_BUCKETS
    roots = await s3.router.list_roots(request.actor)
    found = [root for root in roots if root.name.startswith(prefix) and root.name > after]
    page = found[:limit]
    document = xml_listings.write_list_buckets(
        [(root.name, _created_ns(root)) for root in page],
        OWNER,
        region=s3.settings.region if "max-buckets" in query else "",
        prefix=prefix,
        token=page[-1].name if len(found) > len(page) else "",
    )
    return reply_xml(document)


def _created_ns(root: Root) -> int:
    return int(root.created * _NS_PER_SECOND)


def _read_max_buckets(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0  # noqa: PLR2004 - digits
    if not 1 <= number <= _MAX_BUCKETS:
        raise invalid_argument(
            f"Argument max-buckets must be an integer between 1 and {_MAX_BUCKETS}", "max-buckets", text
        )
    return number


async def head_bucket(s3: S3Context, request: S3Request) -> Reply:
    """HeadBucket."""
    await s3.router.read_root(request.actor, request.bucket)
    return reply_empty(200, [("x-amz-bucket-region", s3.settings.region), ("x-amz-access-point-alias", "false")])


async def create_bucket(s3: S3Context, request: S3Request) -> Reply:
    """CreateBucket: a new datasource, empty."""
    headers = request.headers
    if not is_bucket_name(request.bucket):
        raise S3Error("InvalidBucketName", fields={"BucketName": request.bucket})
    for name, value in headers.items():
        if name[:6].lower() == "x-amz-" and not is_acl_header(name.lower()):
            refuse_header(name.lower(), value)
    acl = read_acl_headers(headers) or ""
    ownership = read_ownership(headers.get("x-amz-object-ownership", DEFAULT_OWNERSHIP))
    if acl and ownership == DEFAULT_OWNERSHIP:
        raise S3Error("InvalidBucketAclWithObjectOwnership")
    location = xml_read.read_location(await read_document(s3, request))
    if location not in {"", s3.settings.region}:
        raise S3Error("InvalidLocationConstraint", fields={"LocationConstraint": location})
    locks = headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true"
    await s3.router.create_root(request.actor, request.bucket, object_lock=locks)
    if ownership != DEFAULT_OWNERSHIP:
        await s3.router.change_settings(
            request.actor,
            request.bucket,
            "s3:PutBucketOwnershipControls",
            lambda old: msgspec.structs.replace(old, ownership=ownership, acl=acl),
        )
    return reply_empty(200, [("Location", f"/{request.bucket}")])


def read_ownership(text: str) -> Ownership:
    """An ObjectOwnership as a client writes it. Raises S3Error InvalidArgument."""
    if text not in _OWNERSHIPS:
        raise invalid_argument("Invalid x-amz-object-ownership", "x-amz-object-ownership", text)
    return cast(Ownership, text)


async def delete_bucket(s3: S3Context, request: S3Request) -> Reply:
    """DeleteBucket: of an empty one."""
    await s3.router.delete_root(request.actor, request.bucket)
    return reply_empty(204)


async def get_location(s3: S3Context, request: S3Request) -> Reply:
    """GetBucketLocation."""
    await s3.router.read_root(request.actor, request.bucket)
    return reply_xml(xml_write.write_location(s3.settings.region))


def require_owner(request: S3Request) -> None:
    """Refuse a request of anybody else that would change a setting. Raises S3Error AccessDenied."""
    if request.actor.kind != "owner":
        raise S3Error("AccessDenied")
