"""Parts of multipart uploads: upload, copy, list."""

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_listings, xml_write
from cellsmono.gateway.s3.checksums import Algorithm, find_algorithm, read_announced
from cellsmono.gateway.s3.conditions import check_copy_source
from cellsmono.gateway.s3.copying import read_copy_source, source_headers, source_version, stream_reader
from cellsmono.gateway.s3.digests import BodyDigest
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.intake import open_upload
from cellsmono.gateway.s3.metadata import refuse_header
from cellsmono.gateway.s3.numbers import read_count, read_encoding, read_marker
from cellsmono.gateway.s3.ranges import ByteRange, parse_copy_range
from cellsmono.gateway.s3.reading import MAX_PART_NUMBER, checksum_headers, open_source, read_part_number
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_xml
from cellsmono.gateway.s3.settings import OWNER
from cellsmono.gateway.s3.uploads import UploadContext, find_upload, read_context
from cellsmono.interfaces.objects import Part
from cellsmono.interfaces.paths import is_folder


async def upload_part(s3: S3Context, request: S3Request) -> Reply:
    """UploadPart."""
    number = read_part_number(request)
    _refuse_headers(request)
    upload = await find_upload(s3, request)
    context = read_context(upload)
    _check_algorithm(request, context)
    body = open_upload(s3, request, _algorithm_of(context))
    part = await s3.router.put_part(
        request.actor, request.bucket, upload.upload_id, number, body.stream, body.digest, body.size
    )
    return Reply(200, _part_headers(part))


def _refuse_headers(request: S3Request) -> None:
    for name, value in request.headers.items():
        if name[:6].lower() == "x-amz-":
            refuse_header(name.lower(), value)


def _algorithm_of(context: UploadContext) -> Algorithm | None:
    return find_algorithm(context.algorithm) if context.algorithm else None


def _check_algorithm(request: S3Request, context: UploadContext) -> None:
    """A part's checksum must be of the algorithm that the upload was begun with, if it was with one."""
    announced = read_announced(request.headers)
    if announced is None or not context.algorithm or announced.algorithm.name == context.algorithm:
        return
    raise S3Error(
        "InvalidRequest",
        f"Checksum Type mismatch occurred, expected checksum Type: {context.algorithm.lower()}, actual checksum Type:"
        f" {announced.algorithm.name.lower()}",
    )


def _part_headers(part: Part) -> list[tuple[str, str]]:
    headers = [("ETag", f'"{part.etag}"')]
    if part.checksum is not None:
        headers.append(checksum_headers(part.checksum)[0])
    return headers


async def copy_part(s3: S3Context, request: S3Request) -> Reply:
    """UploadPartCopy: a part out of (a range of) an object that is there."""
    number = read_part_number(request)
    _refuse_headers(request)
    source = read_copy_source(request)
    upload = await find_upload(s3, request)
    if is_folder(source.key):
        raise invalid_argument("A folder has no content to copy.", "x-amz-copy-source", source.key)
    opened = await open_source(s3, request, source.bucket, source.key, source_version(source))
    try:
        node = opened.node
        check_copy_source(request.headers, node.effective_etag, node.mtime_ns)
        start, length = _source_range(request, node.size)
        if length > s3.settings.max_put_bytes:
            raise S3Error("EntityTooLarge", fields={"ProposedSize": str(length)})
        digest = BodyDigest(algorithm=_algorithm_of(read_context(upload)))
        body = stream_reader(opened.reader, start, length)
        part = await s3.router.put_part(request.actor, request.bucket, upload.upload_id, number, body, digest, length)
    finally:
        opened.reader.close()
    document = xml_write.write_copy(part.etag, part.modified_ns, part.checksum, root="CopyPartResult")
    return reply_xml(document, source_headers(s3, source, node))


def _source_range(request: S3Request, size: int) -> tuple[int, int]:
    """Where to begin, and how many bytes."""
    header = request.headers.get("x-amz-copy-source-range")
    if header is None:
        return 0, size
    found: ByteRange = parse_copy_range(header, size)
    return found.start, found.length


async def list_parts(s3: S3Context, request: S3Request) -> Reply:
    """ListParts."""
    query = request.query
    limit = read_count(query, "max-parts")
    after = read_marker(query, "part-number-marker", MAX_PART_NUMBER)
    url_encoded = read_encoding(query)
    upload = await find_upload(s3, request)
    context = read_context(upload)
    found = await s3.router.list_parts(request.actor, request.bucket, upload.upload_id, after, limit + 1)
    parts = found[:limit]
    page = xml_listings.PartsPage(
        bucket=request.bucket,
        key=request.key,
        upload_id=upload.upload_id,
        parts=parts,
        owner=OWNER,
        marker=after,
        next=parts[-1].number if parts else 0,
        max_parts=limit,
        is_truncated=len(found) > limit > 0,
        url_encoded=url_encoded,
        checksum_algorithm=context.algorithm,
        checksum_type=context.type,
    )
    return reply_xml(xml_listings.write_list_parts(page))
