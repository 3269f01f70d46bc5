"""The body of an upload, ready to be stored: what is in the framing, and the digest that vouches for it.

One function for PutObject and UploadPart, so that no handler can forget one of the checks.
"""

from collections.abc import AsyncIterable, AsyncIterator

from multidict import MultiMapping

from cellsmono.gateway.s3.checksums import (
    Algorithm,
    declared_trailers,
    decode_content_md5,
    decode_value,
    find_by_header,
    read_announced,
)
from cellsmono.gateway.s3.chunked import ChunkDecoder
from cellsmono.gateway.s3.digests import BodyDigest, ChunkVerifier
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.identity import Identity
from cellsmono.gateway.s3.payload import PayloadMode

_MAX_DIGITS = 19
_MANY_PIECES = 8


class IncomingBody:
    """A body to be stored. Iterate ``stream`` once; hand ``digest`` to the storage beside it.

    ``size`` is the announced number of payload bytes, None when none was announced.
    """

    __slots__ = ("digest", "size", "stream")

    def __init__(self, stream: AsyncIterator[bytes], digest: BodyDigest, size: int | None) -> None:
        self.stream = stream
        self.digest = digest
        self.size = size


def open_body(
    stream: AsyncIterable[bytes],
    identity: Identity,
    headers: MultiMapping[str],
    *,
    algorithm: Algorithm | None = None,
    max_size: int | None = None,
) -> IncomingBody:
    """Prepare the body of an upload for storing.

    ``stream`` is what came off the wire (transfer coding removed). ``algorithm`` is the additional checksum to compute
    when the client announced none (an upload in parts has one). Raises S3Error at once for headers that are wrong or
    a size above ``max_size``; the stream raises it for a body that is, and the digest's ``verify`` raises Invalid.
    """
    mode = identity.payload
    size = read_size(headers, is_chunked=mode.is_chunked)
    if max_size is not None and size is not None and size > max_size:
        raise S3Error("EntityTooLarge", fields={"ProposedSize": str(size), "MaxSizeAllowed": str(max_size)})
    trailers = declared_trailers(headers)
    has_trailer = mode in {PayloadMode.CHUNKS_SIGNED_TRAILER, PayloadMode.CHUNKS_UNSIGNED_TRAILER}
    if trailers and not has_trailer:
        raise S3Error("InvalidRequest", "x-amz-trailer needs an x-amz-content-sha256 of STREAMING-...-TRAILER.")
    announced = read_announced(headers)
    if announced is not None:
        algorithm = announced.algorithm
    md5 = headers.get("content-md5")
    chunks = ChunkVerifier(identity.signing) if identity.signing is not None else None
    digest = BodyDigest(
        md5=decode_content_md5(md5) if md5 is not None else None,
        payload_sha256=identity.payload_sha256,
        algorithm=algorithm,
        checksum=announced.value if announced is not None else None,
        chunks=chunks,
    )
    if mode.is_chunked:
        decoder = ChunkDecoder(verifier=chunks, has_trailer=has_trailer, trailers=trailers, decoded_length=size)
        return IncomingBody(_decode(stream, decoder, digest, max_size), digest, size)
    return IncomingBody(_measure(stream, size, max_size), digest, size)


def read_size(headers: MultiMapping[str], *, is_chunked: bool) -> int | None:
    """The announced number of payload bytes: ``x-amz-decoded-content-length`` when chunked, else ``Content-Length``."""
    name = "x-amz-decoded-content-length" if is_chunked else "content-length"
    text = headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise invalid_argument(f"The value of {name} is not a number of bytes.", name, text)
    return int(text)


async def _decode(
    stream: AsyncIterable[bytes], decoder: ChunkDecoder, digest: BodyDigest, max_size: int | None
) -> AsyncIterator[bytes]:
    async for data in stream:
        pieces = decoder.feed(data)
        if max_size is not None and decoder.decoded > max_size:
            raise S3Error("EntityTooLarge", fields={"MaxSizeAllowed": str(max_size)})
        if len(pieces) > _MANY_PIECES:
            # A client may make each byte a chunk of its own; the storage is not to pay for that.
            yield b"".join(pieces)
            continue
        for piece in pieces:
            yield piece
    decoder.close()
    for name, value in decoder.trailers.items():
        algorithm = find_by_header(name)
        if algorithm is not None:
            digest.expect_checksum(decode_value(algorithm, value))


async def _measure(stream: AsyncIterable[bytes], size: int | None, max_size: int | None) -> AsyncIterator[bytes]:
    seen = 0
    async for data in stream:
        seen += len(data)
        if max_size is not None and seen > max_size:
            raise S3Error("EntityTooLarge", fields={"MaxSizeAllowed": str(max_size)})
        yield data
    if size is not None and seen != size:
        raise S3Error("IncompleteBody")
