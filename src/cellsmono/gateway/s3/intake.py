"""Request bodies: off the connection, through the framing, into the storage or into a small document."""

from collections.abc import AsyncIterator

from multidict import CIMultiDict, CIMultiDictProxy

from cellsmono.gateway.http import Exchange, stream_body
from cellsmono.gateway.s3.body import IncomingBody, open_body
from cellsmono.gateway.s3.checksums import Algorithm, find_by_header
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.request import S3Context, S3Request


def stream_exchange(exchange: Exchange) -> AsyncIterator[bytes]:
    """The body as it comes off the connection. Raises S3Error IncompleteBody when it ends early or is malformed."""
    return stream_body(exchange, lambda: S3Error("IncompleteBody"))


def open_upload(s3: S3Context, request: S3Request, algorithm: Algorithm | None = None) -> IncomingBody:
    """The body of PutObject or UploadPart. Raises S3Error MissingContentLength when its end could not be told."""
    headers = request.headers
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise S3Error("MissingContentLength")
    return open_body(
        stream_exchange(request.exchange),
        request.identity,
        headers,
        algorithm=algorithm,
        max_size=s3.settings.max_put_bytes,
    )


async def read_document(
    s3: S3Context, request: S3Request, *, needs_digest: bool = False, has_object_checksum: bool = False
) -> bytes:
    """A small body as a whole, checked against every digest that came with it.

    ``needs_digest`` demands a Content-MD5 or an additional checksum, as AWS does for deletions of many.
    ``has_object_checksum`` says that checksum headers are about something else than this body. Raises S3Error
    MalformedXML for one that is larger than any valid document.
    """
    headers = request.headers
    if has_object_checksum:
        headers = CIMultiDictProxy(CIMultiDict(pair for pair in headers.items() if find_by_header(pair[0]) is None))
    body = open_body(stream_exchange(request.exchange), request.identity, headers, max_size=s3.settings.xml_bytes)
    if needs_digest and "content-md5" not in request.headers and body.digest.checksum() is None:
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    data = bytearray()
    try:
        async for piece in body.stream:
            body.digest.update(piece)
            data += piece
    except S3Error as error:
        if error.code == "EntityTooLarge":
            raise S3Error("MalformedXML") from error
        raise
    body.digest.verify()
    return bytes(data)
