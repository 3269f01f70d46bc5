"""Parts of multipart uploads: upload, copy, list."""

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_listings, xml_write
from cellsmono.gateway.s3.checksums import Algorithm, find_algorithm, read_announced
from cellsmono.gateway.s3.client_keys import (
    COPY_PREFIX,
    PREFIX,
    ClientKey,
    SecretDigest,
    read_client_key,
    unlock,
)
from cellsmono.gateway.s3.conditions import check_copy_source
from cellsmono.gateway.s3.copying import read_copy_source, source_headers, source_version, stream_reader
from cellsmono.gateway.s3.digests import BodyDigest
from cellsmono.gateway.s3.encryption import SEALED
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.intake import open_upload
from cellsmono.gateway.s3.metadata import refuse_header
from cellsmono.gateway.s3.numbers import read_count, read_encoding, read_marker
from cellsmono.gateway.s3.ranges import ByteRange, parse_copy_range
from cellsmono.gateway.s3.reading import MAX_PART_NUMBER, checksum_headers, open_source, read_part_number
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_xml
from cellsmono.gateway.s3.settings import OWNER
from cellsmono.gateway.s3.uploads import UploadContext, find_upload, find_upload_key, read_context
from cellsmono.interfaces.objects import Part, Upload
from cellsmono.interfaces.paths import is_folder


async def upload_part(s3: S3Context, request: S3Request) -> Reply:
    """UploadPart."""
    number = read_part_number(request)
    _refuse_headers(request)
    upload = await find_upload(s3, request)
    context = read_context(upload)
    _check_algorithm(request, context)
    client_key = _read_key(s3, request, upload, context)
    body = open_upload(s3, request, _algorithm_of(context))
    part = await s3.router.put_part(
        request.actor, request.bucket, upload.upload_id, number, body.stream, _hide(body.digest, client_key), body.size
    )
    return Reply(200, _part_headers(part) + _sealed_headers(context, client_key))


def _read_key(s3: S3Context, request: S3Request, upload: Upload, context: UploadContext) -> ClientKey | None:
    """The client's key, which each part must bring again; it is remembered until the upload is completed."""
    key = find_upload_key(s3, request, upload, context)
    if key is not None and read_client_key(s3, request.exchange, request.headers) is None:
        raise S3Error(
            "InvalidRequest",
            "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate"
            " encryption parameters.",
        )
    if key is not None:
        s3.upload_keys.keep(upload.upload_id, key.secret)
    return key


def _hide(digest: BodyDigest, key: ClientKey | None) -> "BodyDigest | SecretDigest":
    return digest if key is None else SecretDigest(digest)


def _sealed_headers(context: UploadContext, key: ClientKey | None) -> list[tuple[str, str]]:
    if key is not None:
        return key.headers()
    return list(SEALED) if context.is_sealed else []


def _refuse_headers(request: S3Request) -> None:
    for name, value in request.headers.items():
        if name[:6].lower() == "x-amz-" and not name.lower().startswith(PREFIX):
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
    context = read_context(upload)
    client_key = _read_key(s3, request, upload, context)
    source_key = read_client_key(s3, request.exchange, request.headers, COPY_PREFIX)
    opened = await open_source(s3, request, source.bucket, source.key, source_version(source))
    try:
        await unlock(opened, source_key)
        node = opened.node
        check_copy_source(request.headers, node.effective_etag, node.mtime_ns)
        start, length = _source_range(request, node.size)
        if length > s3.settings.max_put_bytes:
            raise S3Error("EntityTooLarge", fields={"ProposedSize": str(length)})
        digest = _hide(BodyDigest(algorithm=_algorithm_of(context)), client_key)
        body = stream_reader(opened.reader, start, length)
        part = await s3.router.put_part(request.actor, request.bucket, upload.upload_id, number, body, digest, length)
    finally:
        opened.reader.close()
    document = xml_write.write_copy(part.etag, part.modified_ns, part.checksum, root="CopyPartResult")
    headers = source_headers(s3, source, node)
    return reply_xml(document, headers + _sealed_headers(context, client_key))


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
