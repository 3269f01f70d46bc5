"""ListObjectVersions."""

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_versions
from cellsmono.gateway.s3.numbers import read_count, read_encoding, require_arguments
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_xml
from cellsmono.gateway.s3.settings import OWNER
from cellsmono.gateway.s3.versioning import parse_version_id
from cellsmono.interfaces.version import VersionPage


async def list_versions(s3: S3Context, request: S3Request) -> Reply:
    """ListObjectVersions. Of a bucket that never had versioning, each key is its own null version."""
    query = request.query
    require_arguments(query, "key-marker", "version-id-marker")
    limit = read_count(query, "max-keys")
    url_encoded = read_encoding(query)
    prefix, delimiter = query.get("prefix"), query.get("delimiter")
    key_marker, version_marker = query.get("key-marker"), query.get("version-id-marker")
    after_version = parse_version_id(version_marker) if version_marker else None
    found = VersionPage(())
    if limit:
        found = await s3.router.list_versions(
            request.actor, request.bucket, prefix, delimiter, key_marker, after_version, limit
        )
    else:
        await s3.router.read_root(request.actor, request.bucket)
    page = xml_versions.VersionsPage(
        bucket=request.bucket,
        found=found,
        owner=OWNER,
        prefix=prefix,
        delimiter=delimiter,
        key_marker=key_marker,
        version_marker=version_marker,
        max_keys=limit,
        url_encoded=url_encoded,
    )
    return reply_xml(xml_versions.write_list_versions(page))
