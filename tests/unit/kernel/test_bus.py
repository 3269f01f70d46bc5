import asyncio

import pytest

from cellsmono.kernel.bus import Bus, Topic

NUMBERS: Topic[int] = Topic("numbers")


async def test_every_subscriber_gets_every_event_in_order() -> None:
    bus = Bus()
    with bus.subscribe(NUMBERS, "one") as one, bus.subscribe(NUMBERS, "two") as two:
        for number in range(5):
            bus.publish(NUMBERS, number)
        assert [await anext(one) for _ in range(5)] == list(range(5))
        assert [await anext(two) for _ in range(5)] == list(range(5))


async def test_topics_are_told_apart_by_name() -> None:
    bus = Bus()
    with bus.subscribe(NUMBERS, "one") as one:
        bus.publish(Topic("others"), 1)
        bus.publish(Topic("numbers"), 2)
        assert one.get_nowait() == 2
        assert one.get_nowait() is None


async def test_overflow_drops_the_newest_and_says_so() -> None:
    bus = Bus()
    with bus.subscribe(NUMBERS, "slow", size=2) as slow:
        for number in range(5):
            bus.publish(NUMBERS, number)
        assert slow.missed
        assert slow.missed_count == 3
        assert [slow.get_nowait(), slow.get_nowait(), slow.get_nowait()] == [0, 1, None]
        assert slow.take_missed() == 3
        assert not slow.missed
        bus.publish(NUMBERS, 9)
        assert slow.get_nowait() == 9


async def test_close_ends_the_iteration_after_what_is_queued() -> None:
    bus = Bus()
    subscription = bus.subscribe(NUMBERS, "one")
    bus.publish(NUMBERS, 1)
    subscription.close()
    subscription.close()
    bus.publish(NUMBERS, 2)
    assert [event async for event in subscription] == [1]
    assert bus.list_subscriptions() == []


async def test_close_wakes_a_waiting_reader() -> None:
    bus = Bus()
    subscription = bus.subscribe(NUMBERS, "one")

    async def read_all() -> list[int]:
        return [event async for event in subscription]

    reader = asyncio.create_task(read_all())
    await asyncio.sleep(0)
    subscription.close()
    assert await reader == []


async def test_a_cancelled_reader_does_not_swallow_the_event_of_another() -> None:
    bus = Bus()
    with bus.subscribe(NUMBERS, "shared") as shared:
        first = asyncio.create_task(anext(shared))  # type: ignore[arg-type]
        second = asyncio.create_task(anext(shared))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        bus.publish(NUMBERS, 7)
        first.cancel()
        assert await second == 7
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_two_readers_share_a_burst() -> None:
    bus = Bus()
    with bus.subscribe(NUMBERS, "shared") as shared:
        readers = [asyncio.create_task(anext(shared)) for _ in range(3)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        for number in range(3):
            bus.publish(NUMBERS, number)
        assert sorted(await asyncio.gather(*readers)) == [0, 1, 2]


def test_a_subscription_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        Bus().subscribe(NUMBERS, "none", size=0)


async def test_subscribing_inside_of_a_publish_loop_is_safe() -> None:
    bus = Bus()
    one = bus.subscribe(NUMBERS, "one")
    two = bus.subscribe(NUMBERS, "two")
    one.close()
    bus.publish(NUMBERS, 1)
    assert two.get_nowait() == 1
