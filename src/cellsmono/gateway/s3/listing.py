"""ListObjects, both versions."""

import msgspec

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_listings
from cellsmono.gateway.s3.errors import invalid_argument
from cellsmono.gateway.s3.numbers import make_token, read_count, read_encoding, read_token
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_xml
from cellsmono.gateway.s3.settings import OWNER
from cellsmono.gateway.s3.xml_listings import ListingPage
from cellsmono.interfaces.index import KeyPage
from cellsmono.interfaces.node import EMPTY_MD5, Node


async def list_objects(s3: S3Context, request: S3Request) -> Reply:
    """ListObjects, or ListObjectsV2 when the query says ``list-type=2``."""
    query = request.query
    if not query or "list-type" not in query:
        return await _list_v1(s3, request)
    if query.get("list-type") != "2":
        raise invalid_argument("Invalid List Type specified in Request", "list-type", query.get("list-type"))
    request.exchange.operation = "ListObjectsV2"
    return await _list_v2(s3, request)


async def _list_v1(s3: S3Context, request: S3Request) -> Reply:
    marker = request.query.get("marker")
    page = await list_page(s3, request, marker)
    page = msgspec.structs.replace(page, owner=OWNER)
    return reply_xml(xml_listings.write_list_v1(page, marker))


async def _list_v2(s3: S3Context, request: S3Request) -> Reply:
    query = request.query
    start_after = query.get("start-after")
    token = read_token(query)
    page = await list_page(s3, request, start_after if token is None else token)
    fetch_owner = query.get("fetch-owner").lower() == "true"
    page = msgspec.structs.replace(
        page, owner=OWNER if fetch_owner else None, next=make_token(page.next) if page.next else ""
    )
    document = xml_listings.write_list_v2(
        page, start_after=start_after, token=None if token is None else query.get("continuation-token")
    )
    return reply_xml(document)


async def list_page(s3: S3Context, request: S3Request, after: str) -> ListingPage:
    """A page of keys and common prefixes after a key, as the query asks for it."""
    query = request.query
    limit = read_count(query, "max-keys")
    url_encoded = read_encoding(query)
    prefix, delimiter = query.get("prefix"), query.get("delimiter")
    if limit:
        found = await s3.router.list_keys(request.actor, request.bucket, prefix, delimiter, after, limit)
    else:
        await s3.router.read_root(request.actor, request.bucket)
        found = KeyPage(())
    return ListingPage(
        bucket=request.bucket,
        entries=[as_key(e) if e.__class__ is Node and e.path.endswith("/") else e for e in found.entries],
        prefix=prefix,
        delimiter=delimiter,
        max_keys=limit,
        url_encoded=url_encoded,
        is_truncated=bool(found.next_after),
        next=found.next_after,
    )


def as_key(folder: Node) -> Node:
    """A folder as the empty object that S3 shows it as."""
    return msgspec.structs.replace(folder, etag=EMPTY_MD5)
