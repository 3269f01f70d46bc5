"""Fingerprints of folder listings: one XXH3 over every entry, so that an unchanged folder costs no comparison."""

import struct

import xxhash

_FACTS = struct.Struct("<qqQ")
pack_facts = _FACTS.pack


class Fingerprint:
    """XXH3 (128 bits) over name, size, mtime and inode of each entry, in the order in which they are added.

    A name is closed by a NUL, which no name holds, so that two listings never give the same bytes. A folder's name
    ends with ``/`` and its size counts as 0.
    """

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_128(b"entries.1")

    def add(self, name: bytes, size: int, mtime_ns: int, ino: int) -> None:
        """Take one entry."""
        self._hash.update(name + b"\0" + pack_facts(size, mtime_ns, ino))

    def add_packed(self, entries: bytes) -> None:
        """Take entries that were put together as ``add`` does."""
        self._hash.update(entries)

    def digest(self) -> bytes:
        """The 16 bytes."""
        return self._hash.digest()
