"""ListMultipartUploads."""

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_listings
from cellsmono.gateway.s3.numbers import read_count, read_encoding, require_arguments
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_xml
from cellsmono.gateway.s3.settings import OWNER
from cellsmono.gateway.s3.uploads import PAGE, read_context
from cellsmono.interfaces.objects import Upload


async def list_uploads(s3: S3Context, request: S3Request) -> Reply:
    """ListMultipartUploads, with prefix, delimiter and markers."""
    query = request.query
    require_arguments(query, "key-marker", "upload-id-marker")
    limit = read_count(query, "max-uploads")
    url_encoded = read_encoding(query)
    key_marker, id_marker = query.get("key-marker"), query.get("upload-id-marker")
    prefix, delimiter = query.get("prefix"), query.get("delimiter")
    entries: list[Upload | str] = []
    more = False
    if limit:
        entries, more = await _collect(s3, request, prefix, delimiter, key_marker, id_marker, limit)
    else:
        await s3.router.read_root(request.actor, request.bucket)
    last = entries[-1] if entries else ""
    contexts = ((each.upload_id, read_context(each)) for each in entries if isinstance(each, Upload))
    page = xml_listings.UploadsPage(
        bucket=request.bucket,
        entries=entries,
        owner=OWNER,
        prefix=prefix,
        delimiter=delimiter,
        key_marker=key_marker,
        upload_id_marker=id_marker,
        next_key=(last if isinstance(last, str) else last.key) if more else "",
        next_upload_id=last.upload_id if more and isinstance(last, Upload) else "",
        max_uploads=limit,
        is_truncated=more,
        url_encoded=url_encoded,
    )
    checksums = {upload_id: (context.algorithm, context.type) for upload_id, context in contexts}
    return reply_xml(xml_listings.write_list_uploads(page, checksums))


async def _collect(
    s3: S3Context, request: S3Request, prefix: str, delimiter: str, after_key: str, after_id: str, limit: int
) -> tuple[list[Upload | str], bool]:
    """Up to ``limit`` uploads and common prefixes, and whether there are more."""
    entries: list[Upload | str] = []
    at_key, at_id = after_key, after_id
    while True:
        page = await s3.router.list_uploads(request.actor, request.bucket, prefix, at_key, at_id, PAGE)
        for upload in page:
            entry = _roll_up(upload, prefix, delimiter)
            if isinstance(entry, str):
                if (entries and entries[-1] == entry) or (after_key and after_key.startswith(entry)):
                    continue
            elif upload.key == after_key and not after_id:
                continue
            if len(entries) == limit:
                return entries, True
            entries.append(entry)
        if len(page) < PAGE:
            return entries, False
        at_key, at_id = page[-1].key, page[-1].upload_id


def _roll_up(upload: Upload, prefix: str, delimiter: str) -> Upload | str:
    """The upload itself, or the common prefix that stands for it."""
    at = upload.key.find(delimiter, len(prefix)) if delimiter else -1
    return upload if at < 0 else upload.key[: at + len(delimiter)]
