"""Tags of objects."""

import msgspec

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_read, xml_write
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.reading import read_visible
from cellsmono.gateway.s3.request import S3Context, S3Request, check_version
from cellsmono.gateway.s3.respond import reply_empty, reply_xml


async def get_tagging(s3: S3Context, request: S3Request) -> Reply:
    """GetObjectTagging: an object without tags has an empty set."""
    check_version(request.query)
    node = await read_visible(s3, request)
    return reply_xml(xml_write.write_tagging(node.meta.tags))


async def put_tagging(s3: S3Context, request: S3Request) -> Reply:
    """PutObjectTagging."""
    check_version(request.query)
    tags = xml_read.read_tagging(await read_document(s3, request))
    await _set_tags(s3, request, tags)
    return reply_empty(200)


async def delete_tagging(s3: S3Context, request: S3Request) -> Reply:
    """DeleteObjectTagging."""
    check_version(request.query)
    await _set_tags(s3, request, {})
    return reply_empty(204)


async def _set_tags(s3: S3Context, request: S3Request, tags: dict[str, str]) -> None:
    await read_visible(s3, request)
    await s3.router.update_meta(
        request.actor, request.bucket, request.key, lambda meta: msgspec.structs.replace(meta, tags=tags)
    )
