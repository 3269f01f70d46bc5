"""Facts of S3 objects: the ETag takes the part of the inode, so that equal facts mean equal content."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import xxhash

from cellsmono.interfaces.node import BY_CONTENT, Facts
from cellsmono.kernel.errors import Unavailable


def make_facts(size: int, etag: str, mtime_ns: int) -> Facts:
    """Facts of an object of this size and ETag (with or without quotes)."""
    ino = xxhash.xxh3_64_intdigest(etag.strip('"').encode()) >> 1
    return Facts(size, mtime_ns, ino or 1, BY_CONTENT)


def etag_of(answer: Mapping[str, Any]) -> str:
    """The ETag in an answer or listing. Raises Unavailable when the server gives none: versions can not be told."""
    etag: str = answer.get("ETag", "")
    if not etag:
        raise Unavailable(
            "The S3 server tells no ETags, without which changed objects can not be told; let it keep metadata.",
            reason="unsupported",
        )
    return etag


def time_ns(when: datetime) -> int:
    """Nanoseconds since the epoch of a server's time, which has whole seconds."""
    return int(when.timestamp()) * 1_000_000_000


def facts_of_entry(entry: Mapping[str, Any]) -> Facts:
    """Facts of an object in a listing; its time is that of the last write, whatever the client set."""
    return make_facts(entry["Size"], etag_of(entry), time_ns(entry["LastModified"]))
