"""What is sent along with a body to protect it: a CRC32 for the server, a SHA-256 for the signature.

They are computed while the body comes in, in the same threads: the client would read it all once more on the event
loop, or send it in a framing with a trailer, which older servers do not know. What the hasher of the body computes
anyway is taken from there, the CRC32 of a piece too: it follows from those of all bytes before and behind the piece.
"""

import base64
import hashlib
import zlib
from collections.abc import Sequence

from cellsmono.interfaces.objects import Hasher, SumHasher


class Sums:
    """The sums of one piece. ``source`` takes the same bytes and computes some of them.

    ``is_whole`` says that the piece is all that it takes; else it took what came before, and may take more once ``end``
    was called.
    """

    def __init__(self, *, crc32: bool, sha256: bool, source: SumHasher | None = None, is_whole: bool = True) -> None:
        if source is not None and not is_whole and not (crc32 and "CRC32" in source.sums):
            source = None
        known = frozenset() if source is None else source.sums if is_whole else frozenset({"CRC32"})
        self._source = source
        self._before = 0 if source is None or is_whole else _crc32_so_far(source)
        self._size = 0
        self._crc32: int | None = 0 if crc32 and "CRC32" not in known else None
        self._sha256 = hashlib.sha256() if sha256 and "SHA256" not in known else None
        self._wants = crc32, sha256

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next bytes."""
        self._size += len(data)
        if self._sha256 is not None:
            self._sha256.update(data)
        if self._crc32 is not None:
            self._crc32 = zlib.crc32(data, self._crc32)

    def end(self) -> None:
        """Nothing more comes: what the source knows is read from it now."""
        if self._source is None or self._crc32 is not None or not self._wants[0]:
            return
        whole = _crc32_so_far(self._source)
        self._crc32 = whole ^ _move_crc32(self._before, self._size) if self._before else whole

    def tell(self) -> tuple[str, str]:
        """CRC32 and SHA-256 as they are sent; empty where they are not wanted."""
        wants_crc32, wants_sha256 = self._wants
        self.end()
        crc32 = encode_crc32(self._crc32 or 0) if wants_crc32 else ""
        return crc32, self._find_sha256().hex() if wants_sha256 else ""

    def _find_sha256(self) -> bytes:
        if self._sha256 is not None or self._source is None:
            return b"" if self._sha256 is None else self._sha256.digest()
        return self._source.sum_of("SHA256")


def _crc32_so_far(source: SumHasher) -> int:
    return int.from_bytes(source.sum_of("CRC32"), "big")


def _move_crc32(value: int, size: int) -> int:
    """What a CRC32 adds to the one of its bytes and ``size`` more."""
    from awscrt import checksums as crt

    moved: int = crt.combine_crc32(value, 0, size)
    return moved


def find_source(hashers: Sequence[Hasher]) -> SumHasher | None:
    """The hasher that knows sums of all it takes."""
    return next((hasher for hasher in hashers if isinstance(hasher, SumHasher)), None)


def split_lanes(hashers: Sequence[Hasher]) -> list[Sequence[Hasher]]:
    """The hashers as groups that may work side by side."""
    lanes: list[Sequence[Hasher]] = []
    together: list[Hasher] = []
    for hasher in hashers:
        if isinstance(hasher, SumHasher):
            lanes += [[lane] for lane in hasher.lanes()]
        else:
            together.append(hasher)
    return [*lanes[1:], [*lanes[0], *together]] if lanes else [together]


def encode_crc32(value: int) -> str:
    """As S3 writes it in a header."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()
