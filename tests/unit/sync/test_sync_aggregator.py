"""The aggregator: when a batch is due, and when it is given up."""

from cellsmono.datasource.sync.aggregator import Aggregator, Hint


def hints(*paths):
    return [Hint(path) for path in paths]


def test_a_batch_is_due_after_quiet():
    gathered = Aggregator(quiet=0.1, ceiling=0.5)
    gathered.add(hints("a"), 10.0)
    assert gathered.take(10.05) is None
    gathered.add(hints("b"), 10.08)
    assert gathered.take(10.15) is None
    batch = gathered.take(10.181)
    assert batch is not None
    assert list(batch.paths) == ["a", "b"]
    assert batch.since == 10.0
    assert gathered.take(11.0) is None


def test_no_hint_waits_longer_than_the_ceiling():
    gathered = Aggregator(quiet=0.1, ceiling=0.5)
    for step in range(6):
        gathered.add(hints("a"), 10.0 + step * 0.09)
    assert gathered.next_due() == 10.5
    assert gathered.take(10.5) is not None


def test_a_deep_hint_stays_deep():
    gathered = Aggregator()
    gathered.add([Hint("a", True), Hint("a", False), Hint("b", False)], 0.0)
    batch = gathered.take(0.0, force=True)
    assert batch is not None
    assert batch.paths == {"a": True, "b": False}


def test_a_flood_forgets_its_paths():
    gathered = Aggregator(flood=10)
    gathered.add(hints(*map(str, range(11))), 1.0)
    gathered.add(hints("more"), 2.0)
    assert len(gathered) == 1
    batch = gathered.take(2.5, force=True)
    assert batch is not None
    assert batch.flood
    assert batch.paths == {}
    assert batch.since == 1.0
    gathered.add(hints("next"), 3.0)
    batch = gathered.take(4.0)
    assert batch is not None
    assert not batch.flood


def test_nothing_is_never_due():
    assert Aggregator().next_due() is None
    assert Aggregator().take(1.0, force=True) is None
    assert Aggregator().oldest is None
