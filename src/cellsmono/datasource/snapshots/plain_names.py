"""Names of files for keys that may be anything at all."""

import os

from cellsmono.datasource.objects.names import RESERVED

LONGEST = 255
"""Bytes of a name that every file system takes."""


def make_plain(segment: str, uuid: str, *, other: bool = False) -> bytes:
    """The name of a file or folder for a segment of a node path (a trailing ``/`` is left out).

    A segment that can be a name is its own. Of others (empty, dots alone, too long, with a NUL, reserved) one is made
    that tells what it was; ``other`` asks for one that is not taken by the segment itself, by an end of the UUID.
    """
    plain = segment.removesuffix("/").replace("\0", "_")
    if plain in ("", ".", "..") or plain in RESERVED:
        plain = "_" + plain
    name = os.fsencode(plain)
    if len(name) <= LONGEST and not other:
        return name
    return _end_with(name, f"~{uuid[-12:]}")


def make_dated(segment: str, ending: str) -> bytes:
    """The name of a file for a segment of a node path and an ending that tells it from others of that segment."""
    return _end_with(make_plain(segment, ""), ending)


def _end_with(name: bytes, ending: str) -> bytes:
    return name[: LONGEST - len(ending)].decode("utf-8", "ignore").encode() + ending.encode()
