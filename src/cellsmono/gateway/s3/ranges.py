"""Byte ranges of reads and of part copies (RFC 9110 section 14, as S3 narrows it)."""

import re
from typing import Final

import msgspec

from cellsmono.gateway.s3.errors import S3Error, invalid_argument

_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,20})-(\d{0,20})[ \t]*", re.ASCII | re.IGNORECASE)
_COPY_RANGE: Final = re.compile(r"bytes=(\d{1,20})-(\d{1,20})", re.ASCII)


class ByteRange(msgspec.Struct, frozen=True, gc=False):
    """Bytes ``start`` to ``end`` (inclusive) of ``size``."""

    start: int
    end: int
    size: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.end - self.start + 1

    @property
    def content_range(self) -> str:
        """The Content-Range header."""
        return f"bytes {self.start}-{self.end}/{self.size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The range to send; None for the whole object.

    A malformed header, another unit and several ranges mean the whole object, as in S3. Raises S3Error InvalidRange
    (416, with ``Content-Range: bytes */size``) when the range starts behind the end.
    """
    if not header:
        return None
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return _suffix(header, last, size)
    start = int(first)
    end = int(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise _unsatisfiable(header, size)
    return ByteRange(start, min(end, size - 1), size)


def _suffix(header: str, last: str, size: int) -> ByteRange | None:
    if not last:
        return None
    length = int(last)
    if length == 0 or size == 0:
        raise _unsatisfiable(header, size)
    return ByteRange(max(size - length, 0), size - 1, size)


def _unsatisfiable(header: str, size: int) -> S3Error:
    return S3Error(
        "InvalidRange",
        fields={"RangeRequested": header, "ActualObjectSize": str(size)},
        headers={"Content-Range": f"bytes */{size}"},
    )


def parse_copy_range(header: str, size: int) -> ByteRange:
    """``x-amz-copy-source-range``: exactly ``bytes=first-last``, within the source. Raises S3Error InvalidArgument."""
    name = "x-amz-copy-source-range"
    match = _COPY_RANGE.fullmatch(header)
    if match is None or int(match.group(2)) < int(match.group(1)):
        raise invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the"
            " zero-based offsets of the first and last bytes to copy",
            name,
            header,
        )
    start, end = int(match.group(1)), int(match.group(2))
    if end >= size:
        raise invalid_argument(f"Range specified is not valid for source object of size: {size}", name, header)
    return ByteRange(start, end, size)
