"""The aws-chunked framing: payload in chunks with hexadecimal sizes, perhaps signed, perhaps with trailing headers.

Source: "Signature calculations for the authorization header: transferring a payload in multiple chunks" and
"... in multiple chunks with trailing headers" in the Amazon S3 API reference. On the wire::

    <size>[;chunk-signature=<64 hex>]\\r\\n <payload> \\r\\n      any number of times
    0[;chunk-signature=<64 hex>]\\r\\n
    <name>:<value>\\r\\n                                         trailing headers
    x-amz-trailer-signature:<64 hex>\\r\\n                       where chunks are signed
    \\r\\n

Clients of one family end a trailing header by a bare newline and write the blank line one too often, once before the
trailer's signature or at the end; that much is taken, everything else must be exact.
"""

import enum
import re
from collections.abc import AsyncIterable, AsyncIterator, Collection
from typing import Final

from cellsmono.gateway.s3.digests import ChunkVerifier
from cellsmono.gateway.s3.errors import S3Error

MAX_LINE: Final = 1024
"""Bytes of a chunk header or trailing header with its line end."""
MAX_TRAILERS: Final = 8
MAX_CHUNK: Final = 5 * 1024**3
"""Bytes of one chunk: no object that is put in one request is larger."""

_HEADER: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_TRAILER: Final = re.compile(rb"([A-Za-z0-9-]{1,128})[ \t]*:[ \t]*([\x21-\x7e]{0,512})[ \t]*")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"


class _State(enum.Enum):
    HEADER = enum.auto()
    PAYLOAD = enum.auto()
    PAYLOAD_END = enum.auto()
    TRAILER = enum.auto()
    DONE = enum.auto()


class ChunkDecoder:
    """The framing as a state machine without I/O: ``feed`` bytes, then ``close``.

    ``verifier`` is given when chunks must be signed; it is told what to expect and verifies the payload where that is
    hashed. ``trailers`` are the lower-case names that were declared: exactly those must come. ``decoded_length`` is
    the announced size of the payload in bytes, None when it was not announced. Every violation raises S3Error.
    """

    def __init__(
        self,
        *,
        verifier: ChunkVerifier | None = None,
        has_trailer: bool = False,
        trailers: Collection[str] = (),
        decoded_length: int | None = None,
    ) -> None:
        self._verifier = verifier
        self._has_trailer = has_trailer
        self._declared = frozenset(trailers)
        self._announced = decoded_length
        self._state = _State.HEADER
        self._pending = b""
        self._left = 0
        self._trailer_signature = ""
        self._loose_line = False
        self._spare_blank = False
        self.decoded = 0
        """Payload bytes so far."""
        self.trailers: dict[str, str] = {}
        """What the trailing headers said, complete after ``close``."""

    @property
    def is_done(self) -> bool:
        """Whether the end of the body was seen."""
        return self._state is _State.DONE

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes off the wire; returns the pieces of payload in them. Raises S3Error."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        out: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            state = self._state
            if state is _State.PAYLOAD:
                at = self._take_payload(data, at, out)
                continue
            after = self._take_end(data, at) if state is _State.PAYLOAD_END else self._take_line(data, at)
            if after < 0:
                self._pending = data[at:]
                break
            at = after
        return out

    def close(self) -> None:
        """No more bytes will come. Raises S3Error IncompleteBody when the end was not reached, or too early."""
        if self._pending == b"\r" or self._state is not _State.DONE or self._pending:
            raise S3Error("IncompleteBody", "The aws-chunked body ended before its final chunk was complete.")

    def _take_payload(self, data: bytes, at: int, out: list[bytes]) -> int:
        piece = data[at : at + self._left]
        out.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._state = _State.PAYLOAD_END
        return at + len(piece)

    def _take_end(self, data: bytes, at: int) -> int:
        if data[at : at + 2] == b"\r\n":
            self._state = _State.HEADER
            return at + 2
        if data[at:] == b"\r":
            return -1
        raise _malformed("a chunk is longer than its size")

    def _take_line(self, data: bytes, at: int) -> int:
        """Handle one line; returns where the next one begins, or -1 when it is not complete yet."""
        newline = data.find(b"\n", at, at + MAX_LINE)
        if newline < 0:
            if len(data) - at >= MAX_LINE:
                raise _malformed("a line is too long")
            return -1
        has_return = newline > at and data[newline - 1] == 13  # noqa: PLR2004 - a carriage return
        line = data[at : newline - has_return]
        if self._state is _State.HEADER:
            if not has_return:
                raise _malformed("a chunk header must end in CR LF")
            self._take_header(line)
        elif self._state is _State.TRAILER:
            self._take_trailer(line, has_return)
        else:
            self._take_rest(line, has_return)
        return newline + 1

    def _take_header(self, line: bytes) -> None:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise _malformed("a chunk header is not a hexadecimal size with an optional chunk-signature")
        size = int(match.group(1), 16)
        signature = match.group(2)
        if size > MAX_CHUNK:
            raise S3Error("EntityTooLarge")
        if (signature is not None) != (self._verifier is not None):
            raise _malformed("a chunk is signed where it must not be, or not where it must")
        self.decoded += size
        if self._announced is not None and (
            self.decoded > self._announced or (not size and self.decoded != self._announced)
        ):
            raise _wrong_length()
        if self._verifier is not None:
            self._verifier.expect_chunk(size, match.group(2).decode("ascii"))
        self._left = size
        self._state = _State.PAYLOAD if size else _State.TRAILER

    def _take_trailer(self, line: bytes, has_return: bool) -> None:
        if not line:
            self._take_blank(has_return)
            return
        if not self._has_trailer or self._trailer_signature:
            raise S3Error("MalformedTrailerError")
        match = _TRAILER.fullmatch(line)
        if match is None or len(self.trailers) >= MAX_TRAILERS:
            raise S3Error("MalformedTrailerError")
        name, value = match.group(1).decode("ascii").lower(), match.group(2).decode("ascii")
        self._loose_line = not has_return
        if name == _TRAILER_SIGNATURE:
            if self._verifier is None or _SIGNATURE.fullmatch(value) is None:
                raise S3Error("MalformedTrailerError")
            self._trailer_signature = value
        elif name in self.trailers or name not in self._declared:
            raise S3Error("MalformedTrailerError")
        else:
            self.trailers[name] = value

    def _take_blank(self, has_return: bool) -> None:
        if not has_return:
            raise S3Error("MalformedTrailerError")
        needs_signature = self._has_trailer and self._verifier is not None and not self._trailer_signature
        if needs_signature and self._loose_line:
            # The one blank line that belongs to the newline before it.
            self._loose_line = False
            return
        if needs_signature or self._declared - self.trailers.keys():
            raise S3Error("MalformedTrailerError")
        if self._verifier is not None and self._has_trailer:
            canonical = "".join(f"{name}:{value}\n" for name, value in sorted(self.trailers.items()))
            self._verifier.expect_trailer(canonical.encode("ascii"), self._trailer_signature)
        self._spare_blank = self._loose_line
        self._state = _State.DONE

    def _take_rest(self, line: bytes, has_return: bool) -> None:
        if line or not has_return or not self._spare_blank:
            raise _malformed("there are bytes after the end of the body")
        self._spare_blank = False


async def decode_chunked(stream: AsyncIterable[bytes], decoder: ChunkDecoder) -> AsyncIterator[bytes]:
    """The payload of an aws-chunked stream. Raises S3Error; after the last piece the decoder has the trailers."""
    async for data in stream:
        for piece in decoder.feed(data):
            yield piece
    decoder.close()


def _malformed(what: str) -> S3Error:
    return S3Error("InvalidRequest", f"The aws-chunked body is malformed: {what}.")


def _wrong_length() -> S3Error:
    return S3Error(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header.",
    )
