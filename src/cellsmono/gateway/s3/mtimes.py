"""Modification times that clients send along in user metadata, each tool in its own way.

rclone, s3fs and goofys put seconds since the epoch into ``x-amz-meta-mtime`` (rclone with a fraction of up to nine
digits); s3cmd puts ``mtime:<seconds>`` among others into ``x-amz-meta-s3cmd-attrs``.
"""

import re
from collections.abc import Mapping
from typing import Final

_SECONDS: Final = re.compile(r"(-?)(\d{1,11})(?:\.(\d{1,20}))?", re.ASCII)
_S3CMD: Final = re.compile(r"(?:^|/)mtime:(-?\d{1,11}(?:\.\d{1,20})?)(?:/|$)", re.ASCII)
_FIRST: Final = -(2**31)
_LAST: Final = 2**34
"""What ext4 can hold: 1901 to 2514, roughly."""


def read_mtime(user: Mapping[str, str]) -> int | None:
    """Nanoseconds since the epoch that the user metadata asks for; None when it says nothing sensible."""
    if not user:
        return None
    text = user.get("mtime")
    if text is not None:
        return parse_seconds(text)
    attributes = user.get("s3cmd-attrs")
    if attributes is not None:
        match = _S3CMD.search(attributes)
        if match is not None:
            return parse_seconds(match.group(1))
    return None


def parse_seconds(text: str) -> int | None:
    """``1700000000.25`` as nanoseconds, exactly; None for anything else and for times no file system can hold."""
    match = _SECONDS.fullmatch(text.strip())
    if match is None:
        return None
    sign, whole, fraction = match.groups()
    value = int(whole) * 1_000_000_000 + int((fraction or "")[:9].ljust(9, "0"))
    if sign:
        value = -value
    return value if _FIRST * 1_000_000_000 <= value <= _LAST * 1_000_000_000 else None
