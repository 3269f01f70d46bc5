"""A browser upload form (``multipart/form-data``, RFC 7578), read as a stream: fields first, then the file.

What comes after the file is ignored, as S3 does, but the closing boundary must be there: without it the file may have
been cut short, and nothing is stored.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator
from email.message import Message
from typing import Final

from multidict import CIMultiDict

from cellsmono.gateway.s3.errors import S3Error

MAX_BEFORE_FILE: Final = 20 * 1024
"""Bytes of fields before the file, as AWS limits them."""
MAX_FIELDS: Final = 200
_MAX_PART_HEADERS: Final = 4096
_MAX_AFTER_FILE: Final = 64 * 1024
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]", re.ASCII)
_NOT_HEADERS: Final = frozenset(
    {"awsaccesskeyid", "bucket", "content-length", "file", "key", "policy", "signature", "success_action_redirect"}
    | {"success_action_status", "transfer-encoding", "x-amz-algorithm", "x-amz-content-sha256", "x-amz-credential"}
    | {"x-amz-date", "x-amz-decoded-content-length", "x-amz-signature", "x-amz-trailer"}
)


class Form:
    """A form up to its file. ``fields`` have lower-case names; ``filename`` is without folders.

    Iterate ``file`` once, to its end: it raises S3Error when the form is cut short.
    """

    __slots__ = ("fields", "file", "filename")

    def __init__(self, fields: dict[str, str], filename: str, file: AsyncIterator[bytes]) -> None:
        self.fields = fields
        self.filename = filename
        self.file = file

    def headers(self) -> CIMultiDict[str]:
        """The fields that stand for headers of an upload (``Content-Type``, ``x-amz-meta-*``, checksums, ...)."""
        return CIMultiDict((name, value) for name, value in self.fields.items() if name not in _NOT_HEADERS)


async def read_form(stream: AsyncIterable[bytes], content_type: str) -> Form:
    """Read a form up to its file. Raises S3Error.

    ``${filename}`` in the key is replaced by the name of the file that the user chose, as S3 does before it looks at
    the policy.
    """
    source = _Source(stream, _read_boundary(content_type))
    await source.skip_preamble()
    fields: dict[str, str] = {}
    while True:
        name, filename = _parse_part_headers(await source.read_until(b"\r\n\r\n", _MAX_PART_HEADERS))
        if name == "file":
            filename = re.split(r"[/\\]", filename)[-1]
            if "key" in fields:
                fields["key"] = fields["key"].replace("${filename}", filename)
            return Form(fields, filename, source.read_file())
        value = await source.read_until(source.delimiter, MAX_BEFORE_FILE)
        if name in fields or len(fields) >= MAX_FIELDS:
            raise S3Error("MalformedPOSTRequest", f"The form has too many fields, or the field {name} twice.")
        fields[name] = _decode(value)
        if await source.is_last():
            raise S3Error("IncorrectNumberOfFilesInPostRequest")


def _decode(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise S3Error("MalformedPOSTRequest", "The form's fields must be UTF-8.") from None


def _read_boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise S3Error("MalformedPOSTRequest", "The form must be multipart/form-data with a boundary.")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise S3Error("MalformedPOSTRequest", "The form's boundary is not valid.")
    return boundary.encode("ascii")


def _parse_part_headers(block: bytes) -> tuple[str, str]:
    """Lower-case name and file name of a part."""
    for line in _decode(block).split("\r\n"):
        header, _, value = line.partition(":")
        if header.strip().lower() == "content-disposition":
            disposition, _, parameters = value.partition(";")
            names = dict(_parse_parameters(parameters))
            if disposition.strip().lower() == "form-data" and names.get("name"):
                return names["name"].lower(), names.get("filename", "")
    raise S3Error("MalformedPOSTRequest", "A part of the form has no name.")


_PARAMETER: Final = re.compile(r'\s*([A-Za-z0-9*_-]{1,64})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"\s]*))\s*(?:;|$)')


def _parse_parameters(text: str) -> list[tuple[str, str]]:
    pairs = []
    for match in _PARAMETER.finditer(text):
        name, quoted, plain = match.groups()
        # Browsers escape quotes and line ends by percent codes (WHATWG), others by a backslash; a lone backslash is
        # part of a path.
        value = plain if quoted is None else quoted.replace('\\"', '"')
        pairs.append((name.lower(), value.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")))
    return pairs


class _Source:
    """The stream with a buffer in front of it."""

    def __init__(self, stream: AsyncIterable[bytes], boundary: bytes) -> None:
        self._stream = aiter(stream)
        # As if a line end stood before the first boundary, so that all of them look alike.
        self._buffer = bytearray(b"\r\n")
        self.delimiter = b"\r\n--" + boundary
        self._seen = 0

    async def _more(self) -> bool:
        try:
            data = await anext(self._stream)
        except StopAsyncIteration:
            return False
        self._buffer += data
        return True

    async def read_until(self, mark: bytes, limit: int) -> bytes:
        """Bytes up to a mark, which is taken too. The fields before the file may be 20 KiB together."""
        start = 0
        while (at := self._buffer.find(mark, start)) < 0:
            if len(self._buffer) > limit + len(mark):
                raise S3Error("MaxPostPreDataLengthExceededError")
            start = max(0, len(self._buffer) - len(mark) + 1)
            if not await self._more():
                raise S3Error("MalformedPOSTRequest", "The form ended before its file.")
        self._seen += at
        if self._seen > MAX_BEFORE_FILE or at > limit:
            raise S3Error("MaxPostPreDataLengthExceededError")
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return found

    async def skip_preamble(self) -> None:
        await self.read_until(self.delimiter, MAX_BEFORE_FILE)
        if await self.is_last():
            raise S3Error("IncorrectNumberOfFilesInPostRequest")

    async def is_last(self) -> bool:
        """Take what follows a delimiter; True when it was the closing one."""
        while len(self._buffer) < 2:  # noqa: PLR2004 - two dashes, or a line end
            if not await self._more():
                raise S3Error("MalformedPOSTRequest", "The form ended in the middle of a boundary.")
        mark = bytes(self._buffer[:2])
        del self._buffer[:2]
        if mark not in {b"--", b"\r\n"}:
            raise S3Error("MalformedPOSTRequest", "A boundary of the form is not followed by a line end.")
        return mark == b"--"

    async def read_file(self) -> AsyncIterator[bytes]:
        delimiter = self.delimiter
        while (at := self._buffer.find(delimiter)) < 0:
            safe = len(self._buffer) - len(delimiter) + 1
            if safe > 0:
                yield bytes(self._buffer[:safe])
                del self._buffer[:safe]
            if not await self._more():
                raise S3Error("IncompleteBody", "The form ended before its closing boundary.")
        if at:
            yield bytes(self._buffer[:at])
        del self._buffer[: at + len(delimiter)]
        if not await self.is_last():
            await self._skip_rest()

    async def _skip_rest(self) -> None:
        skipped = 0
        closing = self.delimiter + b"--"
        while self._buffer.find(closing) < 0:
            cut = max(0, len(self._buffer) - len(closing) + 1)
            skipped += cut
            del self._buffer[:cut]
            if skipped > _MAX_AFTER_FILE:
                raise S3Error("MalformedPOSTRequest", "Too much follows the file in the form.")
            if not await self._more():
                raise S3Error("IncompleteBody", "The form ended before its closing boundary.")
