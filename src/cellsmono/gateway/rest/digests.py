"""What content is hashed with while it is stored."""

import hashlib
from base64 import b64decode

from cellsmono.interfaces.node import Checksum
from cellsmono.kernel.errors import Invalid

_MD5_BYTES = 16


class Md5Digest:
    """``ContentDigest`` that computes the ETag, and compares it with a Content-MD5 if the client sent one."""

    def __init__(self, announced: bytes | None = None) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._announced = announced

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next bytes."""
        self._md5.update(data)

    def verify(self) -> None:
        """Raise Invalid (reason ``bad_digest``) for other content than was announced."""
        if self._announced is not None and self._md5.digest() != self._announced:
            raise Invalid("The content is not what Content-MD5 announced; send it again", reason="bad_digest")

    def etag(self) -> str:
        """MD5 in hex."""
        return self._md5.hexdigest()

    def checksum(self) -> Checksum | None:
        """None: no additional checksum is computed."""
        return None


def read_content_md5(text: str | None) -> bytes | None:
    """The value of a Content-MD5 header. Raises Invalid for one that is none."""
    if text is None:
        return None
    try:
        value = b64decode(text.strip(), validate=True)
    except ValueError:
        value = b""
    if len(value) != _MD5_BYTES:
        raise Invalid("Content-MD5 must be the base64 form of an MD5", reason="bad_digest")
    return value
