"""Times on the wire: ISO 8601 in XML, RFC 9110 dates in headers, the compact ISO form in signatures."""

import calendar
import re
import time
from email.utils import parsedate_to_datetime
from typing import Final

NS_PER_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400
_MAX_CACHED: Final = 4096
# Years 1 to 9999, beyond which neither form can be written.
_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUTES: Final = tuple(f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(1440))
_SECONDS: Final = tuple(f"{second:02d}.000Z" for second in range(60))
_COMPACT: Final = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)

_days: dict[int, str] = {}
_http_dates: dict[int, str] = {}
_compact_seconds: dict[str, int] = {}


def _clamp(seconds: int) -> int:
    return min(max(seconds, _FIRST_SECOND), _LAST_SECOND)


def format_iso(time_ns: int) -> str:
    """``2013-05-24T00:00:00.000Z``: S3 keeps the form of milliseconds and always writes 000."""
    # One line per key of a listing ends here: plain arithmetic and no call on the common way.
    seconds = time_ns // NS_PER_SECOND
    day = seconds // _DAY
    date = _days.get(day)
    if date is None:
        if seconds != _clamp(seconds):
            return format_iso(_clamp(seconds) * NS_PER_SECOND)
        date = _remember_day(day)
    second = seconds - day * _DAY
    return f"{date}{_MINUTES[second // 60]}{_SECONDS[second % 60]}"


def _remember_day(day: int) -> str:
    # Listings name many times of few days, so that the calendar is computed once a day of the year.
    if len(_days) >= _MAX_CACHED:
        _days.clear()
    at = time.gmtime(day * _DAY)
    date = _days[day] = f"{at.tm_year:04d}-{at.tm_mon:02d}-{at.tm_mday:02d}T"
    return date


def format_http(time_ns: int) -> str:
    """``Fri, 24 May 2013 00:00:00 GMT`` (RFC 9110 section 5.6.7), whole seconds."""
    seconds = _clamp(time_ns // NS_PER_SECOND)
    text = _http_dates.get(seconds)
    if text is None:
        if len(_http_dates) >= _MAX_CACHED:
            _http_dates.clear()
        at = time.gmtime(seconds)
        text = _http_dates[seconds] = (
            f"{_WEEKDAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04d}"
            f" {at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} GMT"
        )
    return text


def parse_http(text: str) -> int | None:
    """Seconds since the epoch of an HTTP date in any of its three old forms; None when it is none."""
    try:
        # Without a zone or with ``-0000`` the result is naive: HTTP dates are UTC all the same.
        return calendar.timegm(parsedate_to_datetime(text).utctimetuple())
    except (ValueError, TypeError, IndexError, OverflowError):
        return _parse_asctime(text)


def _parse_asctime(text: str) -> int | None:
    try:
        return calendar.timegm(time.strptime(text.strip(), "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return None


def format_compact(seconds: int) -> str:
    """``20130524T000000Z``, the form that signatures use."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def parse_compact(text: str) -> int | None:
    """Seconds since the epoch of ``20130524T000000Z``; None when it is not of that form or no such moment."""
    seconds = _compact_seconds.get(text)
    if seconds is not None:
        return seconds
    match = _COMPACT.fullmatch(text)
    if match is None:
        return None
    try:
        seconds = calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None
    if len(_compact_seconds) >= _MAX_CACHED:
        _compact_seconds.clear()
    _compact_seconds[text] = seconds
    return seconds


def parse_iso(text: str) -> float | None:
    """Seconds since the epoch of ``2013-05-24T00:00:00.000Z`` (fraction optional), as policies have it; or None."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z", text.strip(), re.ASCII)
    if match is None:
        return None
    try:
        whole = calendar.timegm(time.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
    return whole + float(match.group(2) or 0)
