"""Conditional requests: RFC 9110 section 13 with S3's precedence, for reads, copy sources and writes.

ETags are compared without quotes; S3's are strong, but a client that quotes one weakly (a proxy compressed it) means
the same object when it asks whether its copy is current.
"""

from typing import Final

from multidict import MultiMapping

from cellsmono.gateway.s3 import dates
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.interfaces.datasource import NO_CONDITIONS, Conditions

_COPY_PREFIX: Final = "x-amz-copy-source-"


def split_etags(text: str) -> list[str]:
    """The ETags of an If-Match or If-None-Match header, without quotes and weakness marks."""
    return [strip_etag(piece) for piece in text.split(",") if piece.strip()]


def strip_etag(text: str) -> str:
    """One ETag without quotes and weakness mark."""
    return text.strip().removeprefix("W/").strip('"')


def _matches(header: str, etag: str) -> bool:
    wanted = split_etags(header)
    return "*" in wanted or etag in wanted


def _is_modified_since(header: str, mtime_ns: int) -> bool | None:
    """None when the date can not be read: such a condition is ignored (RFC 9110 section 13.1.3)."""
    seconds = dates.parse_http(header)
    return None if seconds is None else mtime_ns // dates.NS_PER_SECOND > seconds


def check_read(headers: MultiMapping[str], etag: str, mtime_ns: int) -> None:
    """Raise S3Error PreconditionFailed (412) or NotModified (304) where GET or HEAD must not go on.

    ``If-Match`` that holds overrules ``If-Unmodified-Since``; ``If-None-Match`` overrules ``If-Modified-Since``.
    """
    _check_must(headers, "if-match", "if-unmodified-since", etag, mtime_ns)
    if _is_unwanted(headers, "if-none-match", "if-modified-since", etag, mtime_ns):
        raise S3Error("NotModified")


def check_copy_source(headers: MultiMapping[str], etag: str, mtime_ns: int) -> None:
    """The same for the source of a copy (``x-amz-copy-source-if-*``), where every failure is 412."""
    _check_must(headers, f"{_COPY_PREFIX}if-match", f"{_COPY_PREFIX}if-unmodified-since", etag, mtime_ns)
    none_match, modified = f"{_COPY_PREFIX}if-none-match", f"{_COPY_PREFIX}if-modified-since"
    if _is_unwanted(headers, none_match, modified, etag, mtime_ns):
        raise S3Error("PreconditionFailed", fields={"Condition": none_match if none_match in headers else modified})


def _check_must(headers: MultiMapping[str], match: str, unmodified: str, etag: str, mtime_ns: int) -> None:
    wanted = headers.get(match)
    if wanted is not None:
        if not _matches(wanted, etag):
            raise S3Error("PreconditionFailed", fields={"Condition": _spell(match)})
        return
    since = headers.get(unmodified)
    if since is not None and _is_modified_since(since, mtime_ns):
        raise S3Error("PreconditionFailed", fields={"Condition": _spell(unmodified)})


def _is_unwanted(headers: MultiMapping[str], none_match: str, modified: str, etag: str, mtime_ns: int) -> bool:
    unwanted = headers.get(none_match)
    if unwanted is not None:
        return _matches(unwanted, etag)
    since = headers.get(modified)
    return since is not None and _is_modified_since(since, mtime_ns) is False


def _spell(name: str) -> str:
    return name if name.startswith("x-amz-") else name.title()


def is_range_current(headers: MultiMapping[str], etag: str, mtime_ns: int) -> bool:
    """Whether a Range header counts, given ``If-Range`` (RFC 9110 section 13.1.5): no such header, or it matches."""
    text = headers.get("if-range")
    if text is None:
        return True
    text = text.strip()
    if text.startswith("W/"):
        return False
    if text.startswith('"'):
        return text.strip('"') == etag
    seconds = dates.parse_http(text)
    if seconds is None:
        return text == etag
    return mtime_ns // dates.NS_PER_SECOND == seconds


def parse_write_conditions(headers: MultiMapping[str]) -> Conditions:
    """The conditions of a write: ``If-None-Match: *`` or ``If-Match: etag``; other forms are NotImplemented in S3."""
    none_match, match = headers.get("if-none-match"), headers.get("if-match")
    if none_match is None and match is None:
        return NO_CONDITIONS
    if none_match is not None and (match is not None or strip_etag(none_match) != "*"):
        raise S3Error("NotImplemented", fields={"Header": "If-None-Match"})
    wanted = split_etags(match) if match is not None else [""]
    if len(wanted) != 1:
        raise S3Error("NotImplemented", fields={"Header": "If-Match"})
    return Conditions(if_match=wanted[0], if_none_match="*" if none_match is not None else "")
