"""How sealed bytes are laid out, and the arithmetic of their sizes.

A sealed blob is a header of 96 bytes, then frames. Each frame is up to 64 KiB of content, encrypted with AES-256-GCM,
and its tag of 16 bytes; all but the last are full. Empty content is one empty frame. Integers are big-endian:

```
 0   8  magic "CELLSEAL"
 8   1  version (1)
 9   1  kind: 0 sealed with a data key, 1 with a client's own key
10   1  size of a frame as a power of two (16)
11   5  zero
16   8  id of the data key (zero for a client's)
24   8  number of the seal, which the blob's name bears, too
32  32  salt
64  32  HMAC-SHA256 of the 64 bytes before
```

HKDF-SHA256 (RFC 5869) makes 64 bytes of the data key and the salt: the first half is the key of the frames, the other
that of the HMAC. So each blob has a key of its own, and a wrong key is told from altered bytes. A frame's nonce is its
number, from 0, in 12 bytes; its additional data are the number in 8 bytes and one byte that is 1 for the last frame.
Frames that are cut off, moved, repeated or taken from another blob do not decrypt; a blob in the place of another has
another number in its header than in its name.
"""

import hmac
import os
import struct

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cellsmono.kernel.errors import Corrupt, Invalid

MAGIC = b"CELLSEAL"
VERSION = 1
HEADER_BYTES = 96
FRAME_BYTES = 1 << 16
TAG_BYTES = 16
SEALED_FRAME_BYTES = FRAME_BYTES + TAG_BYTES
NO_KEY = bytes(8)

WITH_DATA_KEY = 0
WITH_CLIENT_KEY = 1

_FIXED = struct.Struct(">8sBBB5x8sQ32s")
_BITS = 16
_INFO = b"cellsmono sealed blob 1"


def sealed_size(plain: int) -> int:
    """Bytes that content of so many bytes takes once it is sealed."""
    return HEADER_BYTES + plain + TAG_BYTES * count_frames(plain)


def plain_size(sealed: int) -> int | None:
    """Bytes of content in so many sealed bytes; None when no content takes so many."""
    frames = -(-(sealed - HEADER_BYTES) // SEALED_FRAME_BYTES)
    plain = sealed - HEADER_BYTES - TAG_BYTES * frames
    return plain if frames > 0 and plain >= 0 and sealed_size(plain) == sealed else None


def count_frames(plain: int) -> int:
    """How many frames content of so many bytes has."""
    return max(1, -(-plain // FRAME_BYTES))


class Header(msgspec.Struct, frozen=True):
    """What stands before the frames. ``key`` is the id of the data key, ``seal`` the number in the blob's name."""

    kind: int
    key: bytes
    seal: int
    salt: bytes
    check: bytes = b""

    def fixed(self) -> bytes:
        """What the HMAC covers."""
        return _FIXED.pack(MAGIC, VERSION, self.kind, _BITS, self.key, self.seal, self.salt)


def read_header(data: bytes, name: str) -> Header:
    """Take a header apart; it is not checked by that. Raises Corrupt, Invalid for one of a newer program."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        raise Corrupt(f"'{name}' has no header of sealed content; put it back from a backup.", reason="seal", path=name)
    _, version, kind, bits, key, seal, salt = _FIXED.unpack(data[: _FIXED.size])
    header = Header(kind, key, seal, salt, data[_FIXED.size : HEADER_BYTES])
    is_known = version == VERSION and bits == _BITS and kind in (WITH_DATA_KEY, WITH_CLIENT_KEY)
    if not is_known or header.fixed() != data[: _FIXED.size]:
        raise Invalid(f"'{name}' was sealed by a newer cellsmono, or was altered; use that one, or a newer one.")
    return header


class Frames:
    """Encrypts and decrypts the frames of one blob. Calls may come from any thread."""

    def __init__(self, secret: bytes, header: Header) -> None:
        made = HKDF(SHA256(), 64, header.salt, _INFO).derive(secret)
        self._cipher = AESGCM(made[:32])
        self.header = header.fixed() + hmac.digest(made[32:], header.fixed(), "sha256")
        """The header as it is stored."""

    def fits(self, header: Header) -> bool:
        """Whether the secret is the one that this header was made with."""
        return hmac.compare_digest(self.header[_FIXED.size :], header.check)

    def encrypt(self, number: int, data: bytes | memoryview, *, is_last: bool) -> bytes:
        """One frame as it is stored."""
        return self._cipher.encrypt(number.to_bytes(12, "big"), data, _bound(number, is_last=is_last))

    def decrypt(self, number: int, data: bytes | memoryview, *, is_last: bool) -> bytes:
        """The content of a frame. Raises ``InvalidTag``."""
        return self._cipher.decrypt(number.to_bytes(12, "big"), data, _bound(number, is_last=is_last))

    def decrypt_run(self, first: int, data: bytes, frames: int, name: str) -> bytes:
        """The content of frames that follow each other; ``frames`` are in the blob in all. Raises Corrupt."""
        view = memoryview(data)
        pieces = []
        try:
            if not view:
                raise InvalidTag
            for number, at in enumerate(range(0, len(view), SEALED_FRAME_BYTES), start=first):
                piece = view[at : at + SEALED_FRAME_BYTES]
                pieces.append(self.decrypt(number, piece, is_last=number == frames - 1))
        except (InvalidTag, ValueError):
            raise Corrupt(
                f"The sealed bytes of '{name}' were altered or damaged; put the blob back from a backup.",
                reason="seal",
                path=name,
            ) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _bound(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(8, "big") + (b"\x01" if is_last else b"\x00")


class Sealer:
    """Seals one content as it comes in."""

    def __init__(self, secret: bytes, key: bytes, seal: int, kind: int = WITH_DATA_KEY) -> None:
        self._frames = Frames(secret, Header(kind, key, seal, os.urandom(32)))
        self._number = 0
        self._waiting = bytearray()
        self._head = self._frames.header

    def update(self, data: bytes) -> bytes:
        """Take the next bytes; what can be stored by now. A full frame waits until it is known not to be the last."""
        self._waiting += data
        full = max(0, (len(self._waiting) - 1) // FRAME_BYTES)
        if not full:
            return b""
        pieces = [self._take_head()]
        with memoryview(self._waiting) as view:
            for at in range(0, full * FRAME_BYTES, FRAME_BYTES):
                with view[at : at + FRAME_BYTES] as piece:
                    pieces.append(self._frames.encrypt(self._number, piece, is_last=False))
                self._number += 1
        del self._waiting[: full * FRAME_BYTES]
        return b"".join(pieces)

    def finish(self) -> bytes:
        """The rest."""
        return self._take_head() + self._frames.encrypt(self._number, bytes(self._waiting), is_last=True)

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head
