"""The mass-deletion guard and the tombstones."""

from cellsmono.datasource.sync.guard import DeletionGuard
from cellsmono.datasource.sync.tombstones import Tombstones
from cellsmono.interfaces.node import Facts, Node, new_uuid


def test_both_limits_must_be_passed_to_refuse():
    guard = DeletionGuard(0.5, 1000)
    assert guard.would_pass(1000, 1000, 0.0)
    assert guard.would_pass(5000, 10_000, 0.0)
    assert not guard.would_pass(5001, 10_000, 0.0)
    assert not guard.would_pass(1001, 1001, 0.0)


def test_what_goes_piece_by_piece_counts_together():
    guard = DeletionGuard(0.5, 1000)
    total = 10_000
    for step in range(50):
        assert guard.would_pass(100, total, step * 0.1)
        guard.note(100, step * 0.1)
        total -= 100
    assert not guard.would_pass(100, total, 5.0)


def test_the_window_slides():
    guard = DeletionGuard(0.5, 10, window=60.0)
    guard.note(10, 0.0)
    assert not guard.would_pass(1, 5, 59.0)
    assert guard.would_pass(5, 5, 61.0)


def leaf(path, ino, mtime_ns=1):
    return Node(path, new_uuid(), Facts(4, mtime_ns, ino, 1))


def test_a_tombstone_is_found_once_by_equal_facts():
    stones = Tombstones(grace=60.0)
    node = leaf("a", 7)
    stones.add(node, 0.0)
    assert stones.take(Facts(4, 2, 7, 1), 1.0) is None
    assert stones.take(node.facts, 1.0) is node
    assert stones.take(node.facts, 1.0) is None


def test_tombstones_expire_and_are_bounded():
    stones = Tombstones(grace=60.0, capacity=3)
    for ino in range(1, 6):
        stones.add(leaf("a", ino), 0.0)
    assert len(stones) == 3
    assert stones.take(leaf("a", 5).facts, 61.0) is None
    assert len(stones) == 0
