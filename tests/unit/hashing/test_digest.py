"""The block hash, against its definition and values that other programs compute."""

import hashlib

import pytest

from cellsmono.datasource.hashing.digest import BlockHash, NodeDigest
from cellsmono.interfaces.hashes import HashAlgorithm
from cellsmono.interfaces.node import BLOCK_BYTES, hash_one_block

PATTERN = bytes(range(256)) * 4096  # 1 MiB
SIZES = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 5]


def content_of(size: int) -> bytes:
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def define(content: bytes) -> str:
    """The definition, word for word: the last block is always appended, and a full one is not followed by another."""
    blocks = [content[start : start + BLOCK_BYTES] for start in range(0, len(content), BLOCK_BYTES)] or [b""]
    return hashlib.md5(b"".join(hashlib.md5(block).digest() for block in blocks)).hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_blocks_are_hashed_by_their_definition(size):
    content = content_of(size)
    found = BlockHash()
    for start in range(0, size, 3_000_001):
        found.update(content[start : start + 3_000_001])
        assert found.hexdigest() == found.hexdigest()
    assert found.hexdigest() == define(content)
    if size <= BLOCK_BYTES:
        assert found.hexdigest() == hash_one_block(hashlib.md5(content).hexdigest())


def test_known_values():
    empty, hello = BlockHash(), BlockHash()
    hello.update(b"hello")
    assert empty.hexdigest() == "59adb24ef3cdbe0297f05b395827453f"
    assert hello.hexdigest() == "62109206880d38a4010a98e11243924a"


@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_only_what_is_asked_for_or_free_is_computed(algorithm):
    large = NodeDigest(BLOCK_BYTES + 1, algorithm)
    content = content_of(BLOCK_BYTES + 1)
    large.update(content)
    md5 = hashlib.md5(content).hexdigest()
    assert large.content_hash == ("" if algorithm is HashAlgorithm.CELLS else md5)
    assert large.block_hash == ("" if algorithm is HashAlgorithm.MD5 else define(content))
    small = NodeDigest(5, algorithm)
    small.update(b"hello")
    assert (small.content_hash, small.block_hash) == (hashlib.md5(b"hello").hexdigest(), "")
