"""The file format of snapshots.

    offset       bytes
    0            9     b"CELLSNAP\\n"
    9            4     length of the header, big-endian
    13           n     header: one JSON object in UTF-8, see ``SnapshotHeader``
    13 + n       ...   the index, one SQLite database file, compressed as one zlib stream (RFC 1950)
    end - 32     32    SHA-256 of every byte before

The check sum stands at the end, so that a snapshot can be written in one pass to storages that can not go back; it
covers the header too, so that no byte of the file can change unnoticed.

``version`` in the header is that of this format. A reader refuses a newer one; keys that it does not know it ignores.
"""

import hashlib
import zlib
from collections.abc import Iterator

import msgspec

from cellsmono.interfaces.snapshots import SnapshotHeader
from cellsmono.kernel.errors import Corrupt, Invalid

VERSION = 1
MAGIC = b"CELLSNAP\n"
LEVEL = 4
"""How hard zlib tries: half the time of its default, and 5 % more bytes, for what an index holds."""

_LENGTH_BYTES = 4
_LARGEST_HEADER = 64 * 1024
_SUM_BYTES = hashlib.sha256().digest_size
_PIECE = 1024 * 1024


class SnapshotEncoder:
    """Makes the bytes of a snapshot from those of the database, piece by piece."""

    def __init__(self, header: SnapshotHeader) -> None:
        text = msgspec.json.encode(header)
        self._head = MAGIC + len(text).to_bytes(_LENGTH_BYTES, "big") + text
        self._sum = hashlib.sha256()
        self._zlib = zlib.compressobj(LEVEL)

    def encode(self, data: bytes) -> bytes:
        """What is to be written next; may be nothing."""
        head, self._head = self._head, b""
        return self._count(head + self._zlib.compress(data))

    def finish(self) -> bytes:
        """The last bytes."""
        head, self._head = self._head, b""
        rest = self._count(head + self._zlib.flush())
        return rest + self._sum.digest()

    def _count(self, data: bytes) -> bytes:
        self._sum.update(data)
        return data


class SnapshotDecoder:
    """Takes the bytes of a snapshot, piece by piece, and gives those of the database.

    What it gave may be used only after ``finish`` has returned. Raises Corrupt for bytes that are no snapshot or were
    altered, Invalid (reason ``version``) for a newer format.
    """

    def __init__(self, name: str, *, unpack: bool = True) -> None:
        """``name`` is for messages. Without ``unpack`` nothing is given, only checked."""
        self.header: SnapshotHeader | None = None
        self._name = name
        self._unpack = unpack
        self._pending = b""
        self._sum = hashlib.sha256()
        self._zlib = zlib.decompressobj()
        self._given = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Bytes of the database that are known now, in pieces of at most 1 MiB. Take them all before the next call."""
        self._pending += data
        if self.header is None and not self._read_header():
            return iter(())
        taken, self._pending = self._pending[:-_SUM_BYTES], self._pending[-_SUM_BYTES:]
        self._sum.update(taken)
        return self._decompress(taken) if self._unpack else iter(())

    def finish(self) -> SnapshotHeader:
        """All bytes were given: check them. Returns the header."""
        if self.header is None or len(self._pending) < _SUM_BYTES:
            raise self._wrong("it is cut short")
        if self._sum.digest() != self._pending:
            raise self._wrong("its check sum is wrong: it was cut short or altered")
        if self._unpack and (not self._zlib.eof or self._given != self.header.database_bytes):
            raise self._wrong("it holds less than it says")
        return self.header

    def _read_header(self) -> bool:
        start = len(MAGIC) + _LENGTH_BYTES
        if not MAGIC.startswith(self._pending[: len(MAGIC)]):
            raise self._wrong("it does not begin like one")
        if len(self._pending) < start:
            return False
        length = int.from_bytes(self._pending[len(MAGIC) : start], "big")
        if length > _LARGEST_HEADER:
            raise self._wrong("its header can not be read")
        if len(self._pending) < start + length:
            return False
        text = self._pending[start : start + length]
        self._sum.update(self._pending[: start + length])
        self._pending = self._pending[start + length :]
        self.header = self._parse(text)
        return True

    def _parse(self, text: bytes) -> SnapshotHeader:
        try:
            version = msgspec.json.decode(text, type=_Versioned).version
            if version > VERSION:
                raise Invalid(
                    f"The snapshot {self._name!r} has format {version}, this program knows up to {VERSION}: load it "
                    "with the newer cellsmono that wrote it.",
                    reason="version",
                )
            return msgspec.json.decode(text, type=SnapshotHeader)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._wrong("its header can not be read") from None

    def _decompress(self, data: bytes) -> Iterator[bytes]:
        limit = self.header.database_bytes if self.header is not None else 0
        try:
            while data and not self._zlib.eof:
                piece = self._zlib.decompress(data, _PIECE)
                data = self._zlib.unconsumed_tail
                self._given += len(piece)
                if self._given > limit:
                    raise self._wrong("it holds more than it says")
                yield piece
        except zlib.error:
            raise self._wrong("it can not be unpacked: it was altered") from None
        if data or self._zlib.unused_data:
            raise self._wrong("something was added to it")

    def _wrong(self, why: str) -> Corrupt:
        return Corrupt(f"{self._name!r} is no snapshot that can be used: {why}. Take another one.", reason="snapshot")


class _Versioned(msgspec.Struct):
    version: int
