"""The two hashes of one content, computed while it is read."""

import hashlib

from cellsmono.interfaces.hashes import HashAlgorithm
from cellsmono.interfaces.node import BLOCK_BYTES


class BlockHash:
    """The MD5 of the MD5s of consecutive blocks. A last block that is full is not followed by an empty one."""

    def __init__(self) -> None:
        self._all = hashlib.md5(usedforsecurity=False)
        self._block = hashlib.md5(usedforsecurity=False)
        self._left = BLOCK_BYTES

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        view = memoryview(data)
        while view:
            if not self._left:
                self._all.update(self._block.digest())
                self._block, self._left = hashlib.md5(usedforsecurity=False), BLOCK_BYTES
            piece = view[: self._left]
            self._block.update(piece)
            self._left -= len(piece)
            view = view[len(piece) :]

    def hexdigest(self) -> str:
        """The hash of everything so far, in hex."""
        result = self._all.copy()
        result.update(self._block.digest())
        return result.hexdigest()


class NodeDigest:
    """The hashes of content of ``size`` bytes that an algorithm asks for. What costs nothing comes along."""

    def __init__(self, size: int, algorithm: HashAlgorithm) -> None:
        is_one_block = size <= BLOCK_BYTES
        wants_md5 = is_one_block or algorithm is not HashAlgorithm.CELLS
        self._md5 = hashlib.md5(usedforsecurity=False) if wants_md5 else None
        self._blocks = None if is_one_block or algorithm is HashAlgorithm.MD5 else BlockHash()

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._md5 is not None:
            self._md5.update(data)
        if self._blocks is not None:
            self._blocks.update(data)

    @property
    def content_hash(self) -> str:
        """The MD5 in hex; empty when it is not asked for."""
        return "" if self._md5 is None else self._md5.hexdigest()

    @property
    def block_hash(self) -> str:
        """The block hash in hex; empty when it is not asked for, and for one block, whose MD5 tells it."""
        return "" if self._blocks is None else self._blocks.hexdigest()
