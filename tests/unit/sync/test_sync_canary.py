"""The canary: what counts as proof that the watcher lost something."""

from cellsmono.datasource.sync.canary import Canary

OLD = 1_000_000_000
NOW = 100_000_000_000


def watched() -> Canary:
    canary = Canary()
    canary.begin(is_watching=True)
    canary.begin(is_watching=True)
    return canary


def test_a_silent_change_is_missed():
    canary = watched()
    canary.hear("told/")
    assert canary.find_missed([("told/", OLD), ("silent/", OLD)], NOW) == ["silent/"]


def test_what_was_heard_before_the_last_comparison_counts():
    canary = watched()
    canary.hear("told/")
    canary.begin(is_watching=True)
    assert canary.find_missed([("told/", OLD)], NOW) == []


def test_a_young_change_may_be_on_its_way():
    assert watched().find_missed([("silent/", NOW - 1)], NOW) == []


def test_nothing_is_held_against_a_watcher_that_was_away():
    canary = watched()
    canary.doubt()
    assert canary.find_missed([("silent/", OLD)], NOW) == []
    canary.begin(is_watching=True)
    assert canary.find_missed([("silent/", OLD)], NOW) == []
