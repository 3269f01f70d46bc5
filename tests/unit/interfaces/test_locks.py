"""The rules of object lock: a table of what AWS does, and what must hold for every lock at any time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellsmono.interfaces.locks import (
    LockRule,
    ObjectLock,
    change_hold,
    change_retention,
    check_deletion,
    is_as_strong,
    is_locked,
)
from cellsmono.kernel.errors import Forbidden

NS = 1_000_000_000
NOW = 1_700_000_000
LATER, EARLIER = NOW + 100, NOW - 100

MODES = st.sampled_from(["", "GOVERNANCE", "COMPLIANCE"])
TIMES = st.integers(NOW - 50, NOW + 50)
LOCKS = st.none() | st.builds(
    lambda mode, until, hold: ObjectLock(mode, until if mode else 0, hold),
    MODES,
    TIMES,
    st.sampled_from(["", "ON", "OFF"]),
)


def is_deletable(lock, now=NOW, *, bypass=False):
    try:
        check_deletion(lock, now * NS, bypass=bypass)
    except Forbidden:
        return False
    return True


def changed(lock, mode, until, now=NOW, *, bypass=False):
    try:
        return change_retention(lock, mode, until, now * NS, bypass=bypass)
    except Forbidden:
        return None


def test_the_refusal_is_in_the_words_of_aws():
    for act in (check_deletion, lambda lock, now: change_retention(lock, "", 0, now)):
        with pytest.raises(Forbidden, match=r"^Access Denied because object protected by object lock\.$") as error:
            act(ObjectLock("COMPLIANCE", LATER), NOW * NS)
        assert error.value.reason == "locked"


@pytest.mark.parametrize(
    ("lock", "plainly", "bypassing"),
    [
        (None, True, True),
        (ObjectLock(), True, True),
        (ObjectLock("GOVERNANCE", LATER), False, True),
        (ObjectLock("GOVERNANCE", NOW), True, True),
        (ObjectLock("COMPLIANCE", LATER), False, False),
        (ObjectLock("COMPLIANCE", EARLIER), True, True),
        (ObjectLock(hold="ON"), False, False),
        (ObjectLock(hold="OFF"), True, True),
        (ObjectLock("GOVERNANCE", LATER, "ON"), False, False),
        (ObjectLock("GOVERNANCE", EARLIER, "ON"), False, False),
        (ObjectLock("COMPLIANCE", LATER, "OFF"), False, False),
    ],
)
def test_what_can_be_deleted(lock, plainly, bypassing):
    assert (is_deletable(lock), is_deletable(lock, bypass=True)) == (plainly, bypassing)


@pytest.mark.parametrize(
    ("old", "mode", "until", "plainly", "bypassing"),
    [
        (None, "COMPLIANCE", LATER, True, True),
        (ObjectLock("GOVERNANCE", LATER), "GOVERNANCE", LATER + 1, True, True),
        (ObjectLock("GOVERNANCE", LATER), "GOVERNANCE", LATER, True, True),
        (ObjectLock("GOVERNANCE", LATER), "GOVERNANCE", LATER - 1, False, True),
        (ObjectLock("GOVERNANCE", LATER), "COMPLIANCE", LATER + 1, False, True),
        (ObjectLock("GOVERNANCE", LATER), "", 0, False, True),
        (ObjectLock("GOVERNANCE", EARLIER), "", 0, True, True),
        (ObjectLock("COMPLIANCE", LATER), "COMPLIANCE", LATER + 1, True, True),
        (ObjectLock("COMPLIANCE", LATER), "COMPLIANCE", LATER - 1, False, False),
        (ObjectLock("COMPLIANCE", LATER), "GOVERNANCE", LATER + 1, False, False),
        (ObjectLock("COMPLIANCE", LATER), "", 0, False, False),
        (ObjectLock("COMPLIANCE", EARLIER), "GOVERNANCE", LATER, True, True),
        (ObjectLock(hold="ON"), "GOVERNANCE", LATER, True, True),
    ],
)
def test_what_retention_can_become(old, mode, until, plainly, bypassing):
    hold = "" if old is None else old.hold
    for bypass, allowed in ((False, plainly), (True, bypassing)):
        assert changed(old, mode, until, bypass=bypass) == (ObjectLock(mode, until, hold) if allowed else None)


def test_a_hold_comes_and_goes_apart_from_retention():
    held = change_hold(ObjectLock("COMPLIANCE", LATER), "ON")
    assert held == ObjectLock("COMPLIANCE", LATER, "ON")
    assert change_hold(held, "OFF") == ObjectLock("COMPLIANCE", LATER, "OFF")
    assert change_hold(None, "ON") == ObjectLock(hold="ON")


@given(LOCKS, st.lists(st.tuples(MODES, TIMES, st.booleans(), TIMES), max_size=8), TIMES)
def test_no_series_of_changes_lets_a_compliant_version_go_before_its_end(lock, changes, at):
    """Whoever asks what, and whenever: while COMPLIANCE lasts, its end only moves away."""
    first = lock
    now = NOW - 50
    for mode, until, bypass, later in sorted(changes, key=lambda change: change[3]):
        now = max(now, later)
        lock = changed(lock, mode, until, now, bypass=bypass) or lock
        if first is not None and first.mode == "COMPLIANCE" and now < first.until:
            assert lock.mode == "COMPLIANCE"
            assert lock.until >= first.until
    if first is not None and first.mode == "COMPLIANCE" and max(now, at) < first.until:
        assert not is_deletable(lock, max(now, at), bypass=True)


@given(LOCKS, MODES, TIMES, TIMES)
def test_without_bypass_a_change_never_weakens(lock, mode, until, now):
    new = changed(lock, mode, until, now)
    if new is not None:
        assert is_as_strong(new, lock, now * NS)
        assert new.hold == ("" if lock is None else lock.hold)


@given(LOCKS, LOCKS, TIMES, TIMES)
def test_a_stronger_lock_keeps_whatever_the_weaker_one_keeps(strong, weak, now, at):
    if is_as_strong(strong, weak, now * NS) and at >= now:
        for bypass in (False, True):
            assert is_deletable(weak, at, bypass=bypass) or not is_deletable(strong, at, bypass=bypass)
    assert is_as_strong(strong, strong, now * NS)


@given(LOCKS, TIMES)
def test_only_locked_versions_are_refused(lock, now):
    assert is_deletable(lock, now) is not is_locked(lock, now * NS)


def at(year, month, day, second=0):
    return int(datetime(year, month, day, 0, 0, second, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("rule", "now_ns", "expected"),
    [
        (LockRule("GOVERNANCE", days=1), at(2023, 3, 1) * NS, ObjectLock("GOVERNANCE", at(2023, 3, 2))),
        (LockRule("GOVERNANCE", days=1), at(2023, 3, 1) * NS + 1, ObjectLock("GOVERNANCE", at(2023, 3, 2, 1))),
        (LockRule("COMPLIANCE", years=1), at(2023, 3, 1) * NS, ObjectLock("COMPLIANCE", at(2024, 3, 1))),
        (LockRule("COMPLIANCE", years=1), at(2024, 2, 29) * NS, ObjectLock("COMPLIANCE", at(2025, 3, 1))),
        (LockRule("COMPLIANCE", years=100), at(2024, 2, 29) * NS, ObjectLock("COMPLIANCE", at(2124, 2, 29))),
        (LockRule(), at(2023, 3, 1) * NS, ObjectLock()),
    ],
)
def test_what_new_versions_get(rule, now_ns, expected):
    assert rule.lock_new(ObjectLock(), now_ns) == expected


def test_what_an_upload_asks_for_comes_before_the_default():
    rule = LockRule("COMPLIANCE", days=10)
    assert rule.lock_new(ObjectLock("GOVERNANCE", LATER, "ON"), NOW * NS) == ObjectLock("GOVERNANCE", LATER, "ON")
    assert rule.lock_new(ObjectLock(hold="ON"), NOW * NS).mode == "COMPLIANCE"
    assert rule.lock_new(ObjectLock(hold="ON"), NOW * NS).hold == "ON"
