"""Conditional requests and byte ranges (RFC 9110, sections 13 and 14)."""

import calendar
import re
from email.utils import formatdate, parsedate_to_datetime
from typing import Final

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.rest.errors import RestError, bad_request
from cellsmono.interfaces.datasource import NO_CONDITIONS, Conditions

_NS: Final = 1_000_000_000
_LAST_SECOND: Final = 253_402_300_799  # of the year 9999
_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.ASCII | re.IGNORECASE)


class ByteRange(msgspec.Struct, frozen=True):
    """``length`` bytes from ``start`` on, of ``size``."""

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        """The Content-Range header."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


def format_date(time_ns: int) -> str:
    """A time as headers have it."""
    return formatdate(min(max(time_ns // _NS, 0), _LAST_SECOND), usegmt=True)


def _parse_date(text: str) -> int | None:
    """Seconds since the epoch; None for what is no date, which is ignored then."""
    try:
        return calendar.timegm(parsedate_to_datetime(text).utctimetuple())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _etags(text: str) -> list[str]:
    return [piece.strip().removeprefix("W/").strip('"') for piece in text.split(",") if piece.strip()]


def _matches(text: str, etag: str) -> bool:
    wanted = _etags(text)
    return "*" in wanted or etag in wanted


def is_not_modified(headers: MultiMapping[str], etag: str, mtime_ns: int) -> bool:
    """Whether the client has this content already. Raises RestError (412) where a condition does not hold."""
    seconds = mtime_ns // _NS
    match, none_match = headers.get("If-Match"), headers.get("If-None-Match")
    unmodified, modified = headers.get("If-Unmodified-Since"), headers.get("If-Modified-Since")
    if match is not None:
        if not _matches(match, etag):
            raise _failed("If-Match")
    elif unmodified is not None and (since := _parse_date(unmodified)) is not None and seconds > since:
        raise _failed("If-Unmodified-Since")
    if none_match is not None:
        return _matches(none_match, etag)
    return modified is not None and (since := _parse_date(modified)) is not None and seconds <= since


def _failed(name: str) -> RestError:
    return RestError(412, "precondition_failed", f"{name} does not hold: there is other content")


def read_write_conditions(headers: MultiMapping[str]) -> Conditions:
    """``If-Match`` with one ETag or ``*``, or ``If-None-Match: *``. Raises RestError (400) for anything else."""
    match, none_match = headers.get("If-Match"), headers.get("If-None-Match")
    if match is None and none_match is None:
        return NO_CONDITIONS
    if none_match is not None and (match is not None or none_match.strip() != "*"):
        raise bad_request("A write takes If-None-Match: * alone, or If-Match alone", "condition")
    wanted = _etags(match or "")
    if match is not None and len(wanted) != 1:
        raise bad_request("If-Match must hold one ETag", "condition")
    return Conditions(if_match=wanted[0] if wanted else "", if_none_match="*" if none_match is not None else "")


def read_range(headers: MultiMapping[str], etag: str, mtime_ns: int, size: int) -> ByteRange | None:
    """The range to send, None for the whole: also where the header is no single range of bytes, as RFC 9110 has it.

    Raises RestError (416) for one that begins behind the end.
    """
    text = headers.get("Range")
    if text is None or not _is_current(headers.get("If-Range"), etag, mtime_ns):
        return None
    match = _RANGE.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size - 1
        is_empty = not int(last) or not size
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
        is_empty = start >= size
    if is_empty:
        raise RestError(416, "range", f"The content has {size} bytes", [("Content-Range", f"bytes */{size}")])
    return ByteRange(start, end - start + 1, size)


def _is_current(text: str | None, etag: str, mtime_ns: int) -> bool:
    """Whether ``If-Range`` lets the range count: weak ETags never do."""
    if text is None:
        return True
    text = text.strip()
    if text.startswith('"'):
        return text.strip('"') == etag
    return _parse_date(text) == mtime_ns // _NS if not text.startswith("W/") else False
