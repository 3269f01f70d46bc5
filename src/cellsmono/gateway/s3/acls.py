"""Access control lists: the owner may do everything, nobody else anything, and that can not be changed."""

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_read, xml_write
from cellsmono.gateway.s3.buckets import require_owner
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.metadata import refuse_header
from cellsmono.gateway.s3.reading import read_visible
from cellsmono.gateway.s3.request import S3Context, S3Request, check_version
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.gateway.s3.settings import OWNER, OWNER_ID


async def get_bucket_acl(s3: S3Context, request: S3Request) -> Reply:
    """GetBucketAcl."""
    await s3.router.read_root(request.actor, request.bucket)
    return reply_xml(xml_write.write_acl(OWNER))


async def get_object_acl(s3: S3Context, request: S3Request) -> Reply:
    """GetObjectAcl."""
    check_version(request.query)
    await read_visible(s3, request)
    return reply_xml(xml_write.write_acl(OWNER))


async def put_bucket_acl(s3: S3Context, request: S3Request) -> Reply:
    """PutBucketAcl: what says the same as the ACL that is there is accepted."""
    require_owner(request)
    await s3.router.read_root(request.actor, request.bucket)
    await _check_acl(s3, request)
    return reply_empty(200)


async def put_object_acl(s3: S3Context, request: S3Request) -> Reply:
    """PutObjectAcl: as PutBucketAcl."""
    require_owner(request)
    check_version(request.query)
    await read_visible(s3, request)
    await _check_acl(s3, request)
    return reply_empty(200)


async def _check_acl(s3: S3Context, request: S3Request) -> None:
    headers = request.headers
    for name, value in headers.items():
        if name[:6].lower() == "x-amz-":
            refuse_header(name.lower(), value)
    body = await read_document(s3, request)
    if body.strip():
        _check_document(body)
    elif "x-amz-acl" not in headers:
        raise S3Error("MissingSecurityHeader", "Your request was missing a required header: x-amz-acl")


def _check_document(body: bytes) -> None:
    """Accept the one ACL there is, as tools write it back after they have read it."""
    root = xml_read.parse_xml(body, "AccessControlPolicy")
    for grant in root.iter("Grant"):
        grantees = grant.findall("Grantee")
        permission = xml_read.child_text(grant, "Permission")
        if len(grantees) != 1:
            raise S3Error("MalformedACLError")
        owner = xml_read.child_text(grantees[0], "ID", "")
        if permission != "FULL_CONTROL" or owner != OWNER_ID:
            raise S3Error("AccessControlListNotSupported")
