"""The two hashes of content, and when both are known."""

import hashlib

import pytest

from cellsmono.interfaces.node import BLOCK_BYTES, Facts, Node, hash_one_block


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "59adb24ef3cdbe0297f05b395827453f"), (b"hello", "62109206880d38a4010a98e11243924a")],
)
def test_the_block_hash_of_one_block_follows_from_its_md5(content, expected):
    md5 = hashlib.md5(content).hexdigest()
    assert hash_one_block(md5) == expected
    assert Node("a", "", Facts(len(content), 0), content_hash=md5).cells_hash == expected


def test_content_above_one_block_has_a_block_hash_of_its_own():
    one, more = Facts(BLOCK_BYTES, 0), Facts(BLOCK_BYTES + 1, 0)
    md5, blocks = "0" * 32, "1" * 32
    assert Node("a", "", one, content_hash=md5).cells_hash == hash_one_block(md5)
    assert Node("a", "", more, content_hash=md5).cells_hash == ""
    assert Node("a", "", more, content_hash=md5, block_hash=blocks).cells_hash == blocks
    assert Node("a", "", more, block_hash=blocks).cells_hash == blocks


def test_a_leaf_is_hashed_when_every_hash_is_known():
    small, large = Facts(BLOCK_BYTES, 0), Facts(BLOCK_BYTES + 1, 0)
    assert Node("a", "", small).cells_hash == ""
    assert not Node("a", "", small).is_hashed
    assert Node("a", "", small, content_hash="0" * 32).is_hashed
    assert not Node("a", "", large, content_hash="0" * 32).is_hashed
    assert not Node("a", "", large, block_hash="0" * 32).is_hashed
    assert Node("a", "", large, content_hash="0" * 32, block_hash="0" * 32).is_hashed
