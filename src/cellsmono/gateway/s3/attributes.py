"""GetObjectAttributes."""

from typing import Final

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_write
from cellsmono.gateway.s3.client_keys import check_key
from cellsmono.gateway.s3.dates import format_http
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.reading import MAX_PART_NUMBER, check_read_conditions, etag_of
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_xml
from cellsmono.gateway.s3.versioning import asked_version, read_visible, version_headers
from cellsmono.interfaces.node import Node, PartInfo

_NAMES: Final = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})
_MAX_PARTS: Final = 1000


async def get_attributes(s3: S3Context, request: S3Request) -> Reply:
    """GetObjectAttributes: of an object, what the header ``x-amz-object-attributes`` lists."""
    wanted = _read_wanted(request)
    limit = _read_number(request, "x-amz-max-parts", _MAX_PARTS, _MAX_PARTS)
    marker = _read_number(request, "x-amz-part-number-marker", 0, MAX_PART_NUMBER)
    node = await read_visible(s3, request)
    await check_key(s3, request, node, asked_version(request))
    check_read_conditions(request, etag_of(node), node.mtime_ns)
    parts = node.meta.parts if "ObjectParts" in wanted else ()
    chosen = _choose_parts(node, marker, limit) if parts else []
    page = xml_write.AttributesPage(
        etag=etag_of(node) if "ETag" in wanted else None,
        checksum=node.meta.checksum if "Checksum" in wanted else None,
        size=node.size if "ObjectSize" in wanted else None,
        storage_class=_storage_class(node) if "StorageClass" in wanted else None,
        parts_total=len(parts),
        parts=[part for part in chosen if part.checksum is not None],
        marker=marker,
        next=chosen[-1].number if chosen else 0,
        max_parts=limit,
        is_truncated=bool(parts) and (chosen[-1].number if chosen else marker) < parts[-1].number,
    )
    headers = [("Last-Modified", format_http(node.mtime_ns)), *version_headers(s3, request.bucket, node.version)]
    return reply_xml(xml_write.write_attributes(page), headers)


def _storage_class(node: Node) -> str:
    return node.meta.headers.get("x-amz-storage-class", "STANDARD")


def _choose_parts(node: Node, marker: int, limit: int) -> list[PartInfo]:
    return [part for part in node.meta.parts if part.number > marker][:limit]


def _read_wanted(request: S3Request) -> set[str]:
    text = ",".join(request.headers.getall("x-amz-object-attributes", ()))
    wanted = {name.strip() for name in text.split(",") if name.strip()}
    if not wanted:
        raise S3Error(
            "InvalidRequest",
            "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
        )
    if not wanted <= _NAMES:
        raise invalid_argument("Invalid attribute name specified.", "x-amz-object-attributes", text)
    return wanted


def _read_number(request: S3Request, header: str, default: int, limit: int) -> int:
    text = request.headers.get(header)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10):  # noqa: PLR2004 - digits of an int
        raise invalid_argument(f"Argument {header} must be an integer", header, text)
    return min(int(text), limit)
