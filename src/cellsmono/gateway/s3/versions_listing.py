"""ListObjectVersions: of a bucket without versioning, each key is its own null version."""

import msgspec

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_listings
from cellsmono.gateway.s3.listing import list_page
from cellsmono.gateway.s3.numbers import require_arguments
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_xml
from cellsmono.gateway.s3.settings import OWNER


async def list_versions(s3: S3Context, request: S3Request) -> Reply:
    """ListObjectVersions."""
    query = request.query
    require_arguments(query, "key-marker", "version-id-marker")
    key_marker, version_marker = query.get("key-marker"), query.get("version-id-marker")
    page = await list_page(s3, request, key_marker)
    document = xml_listings.write_list_versions(
        msgspec.structs.replace(page, owner=OWNER), key_marker=key_marker, version_marker=version_marker
    )
    return reply_xml(document)
