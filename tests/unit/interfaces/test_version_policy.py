"""Which versions of a key a policy keeps."""

import pytest

from cellsmono.interfaces.node import Facts, Node
from cellsmono.interfaces.version import Version
from cellsmono.interfaces.version_policy import (
    ALL,
    DeletedStrategy,
    KeepPeriod,
    VersionPolicy,
    find_cut,
    parse_periods,
)
from cellsmono.kernel.errors import Invalid

NOW = 1_000_000 * 10**9
MINUTE, HOUR, DAY = 60, 3600, 86_400


def version(age, size=1, *, latest=False, marker=False):
    """One that was replaced ``age`` seconds ago; the id tells the age."""
    node = None if marker else Node("k", "u", Facts(size, 0))
    since = 0 if latest else NOW - age * 10**9
    return Version("k", f"{age}", node, 0, 10**6 - age, is_latest=latest, since_ns=since)


def gone(policy, *versions):
    return [each.id for each, why in policy.choose(versions, NOW) if why]


CURRENT = version(0, latest=True)
DELETED = version(0, latest=True, marker=True)


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("", ()),
        ("0s=all", (KeepPeriod(0, ALL),)),
        ("1m=3, 1h=10 ,1d=5,4w=1,1y=0", tuple(map(KeepPeriod, (60, 3600, DAY, 28 * DAY, 365 * DAY), (3, 10, 5, 1, 0)))),
    ],
)
def test_periods_are_read(text, periods):
    assert parse_periods(text) == periods


@pytest.mark.parametrize("text", ["1h", "1h=", "h=1", "1x=1", "1h=-1", "1d=1, 1h=2", "1h=1, 1h=2", "1h=1,,2h=2", "all"])
def test_what_is_no_period_is_refused(text):
    with pytest.raises(Invalid) as error:
        parse_periods(text)
    assert error.value.reason == "periods"


def test_without_a_policy_all_is_kept():
    policy = VersionPolicy()
    assert policy.keeps_all
    assert gone(policy, CURRENT, *map(version, (1, HOUR, 999_999))) == []
    assert gone(policy, DELETED) == []


def test_each_period_keeps_its_newest_and_what_is_younger_than_all_stays():
    policy = VersionPolicy(parse_periods("10m=2, 1d=1, 3d=0"))
    ages = [1, 2, 599, 600, 601, 602, HOUR, DAY - 1, DAY, DAY + 1, 3 * DAY, 9 * DAY]
    assert gone(policy, CURRENT, *map(version, ages)) == [
        "602", "3600", "86399", "86401", "259200", "777600",
    ]  # fmt: skip
    assert gone(VersionPolicy(parse_periods("0s=all, 1d=0")), CURRENT, *map(version, (1, HOUR, DAY))) == ["86400"]


def test_sizes_bound_what_one_key_keeps():
    versions = [CURRENT, version(1, 40), version(2, 70), version(3, 30), version(4, 40)]
    assert gone(VersionPolicy(max_size=100), *versions) == ["2", "4"]
    assert gone(VersionPolicy(ignore_larger=39), *versions) == ["1", "2", "4"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (DeletedStrategy.KEEP_ALL, ["5"]),
        (DeletedStrategy.KEEP_LAST, ["2", "5"]),
        (DeletedStrategy.KEEP_NONE, ["1", "2", "5", "0"]),
    ],
)
def test_deleted_keys_keep_what_the_strategy_says(strategy, expected):
    policy = VersionPolicy(ignore_larger=10, deleted=strategy)
    versions = [version(1), version(2), version(5, 11)]
    assert gone(policy, DELETED, *versions) == expected
    assert gone(policy, CURRENT, *versions) == ["5"]
    assert gone(policy, DELETED) == ["0"], "a marker that hides nothing"


def test_markers_in_between_count_for_nothing():
    policy = VersionPolicy(parse_periods("0s=1"))
    assert gone(policy, CURRENT, version(1, marker=True), version(2), version(3)) == ["3"]


def test_the_oldest_of_all_go_until_the_rest_has_room():
    remaining = [(30, 5), (10, 7), (20, 1), (40, 2)]
    assert find_cut(remaining, 100) == -1
    assert find_cut(remaining, 15) == -1
    assert find_cut(remaining, 14) == 10
    assert find_cut(remaining, 7) == 20
    assert find_cut(remaining, 0) == 40
    assert find_cut([], 0) == -1
