"""When everything is compared next: how long the synchronizer waits, and which comparison comes then."""

import math

import pytest

from cellsmono.datasource.sync.schedule import Schedule
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.clock import ManualClock

HOUR = 3600.0


def make_schedule(clock, reconcile_seconds, full_reconcile_hours):
    config = DatasourceConfig(
        name="files", reconcile_seconds=reconcile_seconds, full_reconcile_hours=full_reconcile_hours
    )
    schedule = Schedule(config, clock)
    schedule.note(clock.monotonic(), full=True, changed=False)
    return schedule


@pytest.mark.parametrize("is_polling", [False, True])
def test_none_is_scheduled_where_both_are_switched_off(is_polling):
    assert make_schedule(ManualClock(), 0.0, 0.0).pause(is_polling=is_polling) == math.inf


@pytest.mark.parametrize("is_polling", [False, True])
def test_full_comparisons_come_by_themselves_where_quick_ones_are_switched_off(is_polling):
    clock = ManualClock()
    schedule = make_schedule(clock, 0.0, 2.0)
    clock.advance(HOUR)
    assert schedule.pause(is_polling=is_polling) == HOUR
    clock.advance(2 * HOUR)
    assert schedule.pause(is_polling=is_polling) == 0.0


def test_where_nothing_tells_of_changes_quick_ones_come_as_often_as_they_are_cheap():
    clock = ManualClock()
    schedule = make_schedule(clock, 30.0, 24.0)
    assert schedule.pause(is_polling=False) == 30.0
    assert schedule.pause(is_polling=True) < 30.0
    began = clock.monotonic()
    clock.advance(60.0)
    schedule.note(began, full=False, changed=False)
    assert schedule.pause(is_polling=True) == 30.0


async def test_whoever_doubts_is_heard_where_none_is_scheduled():
    schedule = make_schedule(ManualClock(), 0.0, 0.0)
    schedule.doubt()
    assert await schedule.wait(is_polling=False), "a full one"


async def test_a_burst_is_followed_by_a_quick_one_where_none_is_scheduled(monkeypatch):
    monkeypatch.setattr("cellsmono.datasource.sync.polling.LEAST_PAUSE", 0.0)
    schedule = make_schedule(ManualClock(), 0.0, 0.0)
    schedule.suspect()
    assert not await schedule.wait(is_polling=False)
