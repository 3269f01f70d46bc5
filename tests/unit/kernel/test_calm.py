"""When short calls may run on the event loop, and when they had better not."""

from collections.abc import Callable

import pytest

from cellsmono.kernel.calm import FIRST_PAUSE, LONGEST_PAUSE, STALL_SECONDS, Calm


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> Callable[[], float]:
        def call() -> float:
            self.now += seconds
            return seconds

        return call


@pytest.fixture
def time() -> Time:
    return Time()


def test_short_calls_stay_on_the_loop(time: Time) -> None:
    calm = Calm(time)
    assert calm
    for _ in range(1000):
        assert calm.run(time.spend(STALL_SECONDS / 2)) == STALL_SECONDS / 2
    assert calm


def test_a_stall_sends_the_next_calls_elsewhere_for_a_while(time: Time) -> None:
    calm = Calm(time)
    calm.run(time.spend(STALL_SECONDS * 2))
    assert not calm
    time.now += FIRST_PAUSE
    assert calm


def test_stalls_that_go_on_are_met_ever_more_rarely(time: Time) -> None:
    calm = Calm(time)
    pauses = []
    for _ in range(10):
        calm.run(time.spend(STALL_SECONDS * 2))
        begun = time.now
        while not calm:
            time.now += 0.5
        pauses.append(time.now - begun)
    assert pauses[:4] == [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4, FIRST_PAUSE * 8]
    assert max(pauses) == pauses[-1] == LONGEST_PAUSE


def test_a_stall_long_after_the_last_one_is_a_first_one_again(time: Time) -> None:
    calm = Calm(time)
    for _ in range(3):
        calm.run(time.spend(STALL_SECONDS * 2))
        time.now += 10
    time.now += LONGEST_PAUSE * 2
    calm.run(time.spend(STALL_SECONDS * 2))
    time.now += FIRST_PAUSE
    assert calm


def test_an_error_is_passed_on_and_its_time_counts(time: Time) -> None:
    calm = Calm(time)

    def fail() -> None:
        time.now += STALL_SECONDS * 2
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        calm.run(fail)
    assert not calm
