"""Versions: what a datasource keeps of the content that a key had before it was replaced or deleted, as S3 has it.

A key's versions stand in one order, newest first. The newest one is what the key shows: content, which is then a leaf
of the tree, or a *delete marker*, which shows nothing. All others are *noncurrent*. The *null version* is the one that
was written while versioning was off or suspended; a key has at most one. Versions belong to their key: a node that
moves takes its present content along, and what the key had before stays where it was, below a delete marker.

The id of a version is 32 hexadecimal digits, that of the null version is empty (clients know it as ``null``).
"""

import enum
import os
import re

import msgspec

from cellsmono.interfaces.node import Node
from cellsmono.kernel.errors import NotFound

_ORDER_DIGITS = 14
_ID = re.compile(r"[0-9a-f]{32}")


class Versioning(enum.StrEnum):
    """Whether a datasource keeps versions: it never did, it does, or it did and keeps those that there are."""

    OFF = ""
    ENABLED = "Enabled"
    SUSPENDED = "Suspended"


class Version(msgspec.Struct, frozen=True):
    """One version of a key.

    ``node`` tells of its content, None for a delete marker; ``mtime_ns`` is that of the content, or when the marker was
    made. ``sequence`` grows with each version of a key. ``since_ns`` is when a newer one took its place, 0 for the
    newest one, which ``is_latest``.
    """

    key: str
    id: str
    node: Node | None
    mtime_ns: int
    sequence: int
    is_latest: bool = False
    since_ns: int = 0

    @property
    def size(self) -> int:
        """Bytes of content."""
        return 0 if self.node is None else self.node.size


class VersionPage(msgspec.Struct, frozen=True):
    """A page of versions: by key in byte order, those of a key newest first; a str is a common prefix.

    ``next_key`` and ``next_version`` are what to pass for the next page, empty on the last one. They lead on rightly
    also when the version that they stand for is gone by then, which need not be its id.
    """

    entries: tuple[Version | str, ...]
    next_key: str = ""
    next_version: str = ""


class Removal(msgspec.Struct, frozen=True):
    """What a deletion did: whether there was something, and the delete marker that stands there now, if one does.

    ``marker`` is its id (empty: the null version), None where no marker was made.
    """

    existed: bool
    marker: str | None = None


def new_version_id(now_ns: int) -> str:
    """A fresh id. It begins with the time in microseconds, so that ids tell their order as long as the clock does."""
    return f"{now_ns // 1000:0{_ORDER_DIGITS}x}{os.urandom(9).hex()}"


def is_version_id(text: str) -> bool:
    """Whether this can be the id of a version other than the null version."""
    return _ID.fullmatch(text) is not None


def sequence_of(version: str) -> int:
    """Which sequence number an id speaks of; 0 for the null version, which tells nothing."""
    return int(version[:_ORDER_DIGITS], 16) if version else 0


def marker_of(version: Version) -> str:
    """What a page that ends with this version gives as ``next_version``."""
    if sequence_of(version.id) == version.sequence:
        return version.id
    return f"{version.sequence:0{_ORDER_DIGITS}x}".ljust(32, "0")


def missing_version(path: str, version: str) -> NotFound:
    """The error (reason ``version``) for a version that is not there."""
    return NotFound(f"{path!r} has no version {version or 'null'}", reason="version", path=path)
