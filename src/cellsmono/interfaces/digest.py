"""The least digest of a body: its MD5, for content that no client announced anything about."""

import hashlib

from cellsmono.interfaces.node import Checksum


class PlainDigest:
    """``ContentDigest`` that computes the ETag and has nothing to verify."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next bytes."""
        self._md5.update(data)

    def verify(self) -> None:
        """Nothing was announced, so nothing can differ."""

    def etag(self) -> str:
        """MD5 in hex."""
        return self._md5.hexdigest()

    def checksum(self) -> Checksum | None:
        """None: no additional checksum is computed."""
        return None
