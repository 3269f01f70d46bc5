"""GetObject and HeadObject."""

from typing import Final

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import conditions
from cellsmono.gateway.s3.client_keys import check_key, is_client_sealed, read_client_key, unlock
from cellsmono.gateway.s3.dates import format_http
from cellsmono.gateway.s3.encryption import refuse_wish, sealed_headers
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.expiration import expiration_headers
from cellsmono.gateway.s3.locking import lock_headers
from cellsmono.gateway.s3.metadata import is_header_safe, write_meta
from cellsmono.gateway.s3.ranges import ByteRange, parse_range
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.versioning import asked_version, content_of, explain_missing, read_visible, version_headers
from cellsmono.interfaces.datasource import OpenNode
from cellsmono.interfaces.node import EMPTY_MD5, Checksum, Node
from cellsmono.interfaces.paths import is_folder
from cellsmono.kernel.errors import Invalid, NotFound

FOLDER_TYPE: Final = "application/x-directory"
MAX_PART_NUMBER: Final = 10_000

_OVERRIDES: Final = {
    "response-content-type": "Content-Type",
    "response-content-language": "Content-Language",
    "response-expires": "Expires",
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
}
_CONDITIONAL: Final = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


async def get_object(s3: S3Context, request: S3Request) -> Reply:
    """GetObject: the whole object or version, a range of it, or one of its parts."""
    refuse_wish(request)
    version = asked_version(request)
    if is_folder(request.key):
        return _reply_folder(await read_visible(s3, request), request)
    opened = await open_source(s3, request, request.bucket, request.key, version)
    try:
        client_key = read_client_key(s3, request.exchange, request.headers)
        await unlock(opened, client_key)
        reply = _reply_node(opened.node, request, opened.reader)
        if client_key is not None:
            reply.headers += client_key.headers(has_mark=not is_client_sealed(opened.node))
        reply.headers += _about(s3, request, opened.node, version)
        return reply
    except BaseException:
        opened.reader.close()
        raise


async def open_source(s3: S3Context, request: S3Request, bucket: str, key: str, version: str | None) -> OpenNode:
    """Open a leaf, or one version of it, for reading."""
    try:
        if version is None:
            return await s3.router.open_node(request.actor, bucket, key)
        return await s3.router.open_version(request.actor, bucket, key, version)
    except NotFound as error:
        if version is not None:
            raise
        raise await explain_missing(s3, request, bucket, key, error) from None
    except Invalid as error:
        if error.reason == "marker" and version is not None:
            content_of(await s3.router.read_version(request.actor, bucket, key, version))
        raise


async def head_object(s3: S3Context, request: S3Request) -> Reply:
    """HeadObject: what GetObject would say, without the bytes."""
    refuse_wish(request)
    node = await read_visible(s3, request)
    version = asked_version(request)
    about_key = [] if node.is_folder else await check_key(s3, request, node, version)
    reply = _reply_folder(node, request) if node.is_folder else _reply_node(node, request, None)
    reply.headers += about_key + _about(s3, request, node, version)
    return reply


def _about(s3: S3Context, request: S3Request, node: Node, version: str | None) -> list[tuple[str, str]]:
    """Which version this is, and what keeps it; rules that let an object go are about the current one."""
    found = version_headers(s3, request.bucket, node.version) + lock_headers(request, node.meta)
    return found if version is not None else found + expiration_headers(s3, request, node)


def etag_of(node: Node) -> str:
    """The ETag to show for a leaf or a folder marker, without quotes."""
    return EMPTY_MD5 if node.is_folder else node.effective_etag


def _reply_folder(node: Node, request: S3Request) -> Reply:
    check_read_conditions(request, EMPTY_MD5, node.mtime_ns)
    headers = [
        ("ETag", f'"{EMPTY_MD5}"'),
        ("Last-Modified", format_http(node.mtime_ns)),
        ("Accept-Ranges", "bytes"),
    ]
    written = write_meta(node.meta, node.path)
    if not node.meta.content_type:
        written[0] = ("Content-Type", FOLDER_TYPE)
    return Reply(200, _override(headers + written, request), length=0)


def _reply_node(node: Node, request: S3Request, file: object) -> Reply:
    etag, mtime_ns, size = node.effective_etag, node.mtime_ns, node.size
    check_read_conditions(request, etag, mtime_ns)
    headers = [("ETag", f'"{etag}"'), ("Last-Modified", format_http(mtime_ns)), ("Accept-Ranges", "bytes")]
    headers += write_meta(node.meta, node.path)
    headers += sealed_headers(node)
    query = request.query
    part = read_part_number(request) if query and "partNumber" in query else 0
    found = _part_range(node, part, request) if part else _asked_range(request, etag, mtime_ns, size)
    checksum = node.meta.checksum
    if part:
        if node.meta.parts:
            headers.append(("x-amz-mp-parts-count", str(len(node.meta.parts))))
            checksum = _part_checksum(node, part)
    elif found is not None and found.length != size:
        checksum = None  # it is one of the whole object, and clients would compare it with what they got
    if checksum is not None and request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers += checksum_headers(checksum)
    if query:
        headers = _override(headers, request)
    if found is None:
        return _reply_bytes(200, headers, file, 0, size)
    headers.append(("Content-Range", found.content_range))
    return _reply_bytes(206, headers, file, found.start, found.length)


def _part_checksum(node: Node, part: int) -> Checksum | None:
    """The checksum of one part; its type is the one that was chosen for the whole upload."""
    own, whole = node.meta.parts[part - 1].checksum, node.meta.checksum
    return None if own is None or whole is None else Checksum(own.algorithm, own.value, whole.type)


def _reply_bytes(status: int, headers: list[tuple[str, str]], file: object, offset: int, length: int) -> Reply:
    return Reply(status, headers, file=file, offset=offset, length=length)  # type: ignore[arg-type]


def checksum_headers(checksum: Checksum) -> list[tuple[str, str]]:
    """A checksum and its type as response headers."""
    return [
        (f"x-amz-checksum-{checksum.algorithm.lower()}", checksum.value),
        ("x-amz-checksum-type", checksum.type),
    ]


def check_read_conditions(request: S3Request, etag: str, mtime_ns: int) -> None:
    """Conditional headers; a 304 carries what the object's own answer would say about caching."""
    headers = request.headers
    if not any(name in headers for name in _CONDITIONAL):
        return
    try:
        conditions.check_read(headers, etag, mtime_ns)
    except S3Error as error:
        if error.code == "NotModified":
            error.headers = {"ETag": f'"{etag}"', "Last-Modified": format_http(mtime_ns)}
        raise


def _asked_range(request: S3Request, etag: str, mtime_ns: int, size: int) -> ByteRange | None:
    header = request.headers.get("range")
    if header is None or not conditions.is_range_current(request.headers, etag, mtime_ns):
        return None
    return parse_range(header, size)


def read_part_number(request: S3Request) -> int:
    """The part number of a query, 1 to 10,000. Raises S3Error InvalidArgument."""
    text = request.query.get("partNumber")
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0  # noqa: PLR2004 - digits
    if not 1 <= number <= MAX_PART_NUMBER:
        raise invalid_argument(
            f"Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive", "partNumber", text
        )
    return number


def _part_range(node: Node, part: int, request: S3Request) -> ByteRange | None:
    if "range" in request.headers:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    parts = node.meta.parts
    if part > max(len(parts), 1):
        raise S3Error(
            "InvalidPartNumber", fields={"PartNumberRequested": str(part), "ActualPartCount": str(len(parts) or 1)}
        )
    if not parts:
        return ByteRange(0, node.size - 1, node.size) if node.size else None
    start = sum(each.size for each in parts[: part - 1])
    length = parts[part - 1].size
    return ByteRange(start, start + length - 1, node.size) if length else None


def _override(headers: list[tuple[str, str]], request: S3Request) -> list[tuple[str, str]]:
    """Response headers that the query sets. Only a signed request may: else links could be made to serve anything."""
    wanted: dict[str, str] = {}
    for name, header in _OVERRIDES.items():
        if name not in request.query:
            continue
        if not request.identity.access_key:
            raise S3Error(
                "InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests."
            )
        value = request.query.get(name)
        if not is_header_safe(value):
            raise invalid_argument("A response header can not hold control characters.", name, value)
        if value:
            wanted[header] = value
    if not wanted:
        return headers
    return [pair for pair in headers if pair[0] not in wanted] + list(wanted.items())
