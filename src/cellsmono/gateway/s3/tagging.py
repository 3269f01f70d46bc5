"""Tags of objects."""

import msgspec

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_read, xml_write
from cellsmono.gateway.s3.circumstances import with_tags
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.gateway.s3.versioning import read_visible, update_visible, version_headers


async def get_tagging(s3: S3Context, request: S3Request) -> Reply:
    """GetObjectTagging: an object without tags has an empty set."""
    node = await read_visible(s3, request)
    return reply_xml(xml_write.write_tagging(node.meta.tags), version_headers(s3, request.bucket, node.version))


async def put_tagging(s3: S3Context, request: S3Request) -> Reply:
    """PutObjectTagging."""
    tags = xml_read.read_tagging(await read_document(s3, request))
    request.actor = with_tags(request.actor, tags)
    return reply_empty(200, await _set_tags(s3, request, tags))


async def delete_tagging(s3: S3Context, request: S3Request) -> Reply:
    """DeleteObjectTagging."""
    return reply_empty(204, await _set_tags(s3, request, {}))


async def _set_tags(s3: S3Context, request: S3Request, tags: dict[str, str]) -> list[tuple[str, str]]:
    """Replace the tags of what the request is about; returns the headers that say which version that was."""
    await read_visible(s3, request)
    node = await update_visible(s3, request, lambda meta: msgspec.structs.replace(meta, tags=tags))
    return version_headers(s3, request.bucket, node.version)
