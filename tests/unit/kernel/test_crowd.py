"""How long a crowd is waited for, counted in turns of the event loop."""

import asyncio

from cellsmono.kernel.crowd import ROUNDS, gather_crowd


async def turns_of(waiting: list[int], most: int, patience: int, joins: frozenset[int] = frozenset()) -> int:
    """Turns that gathering took while somebody joined in these turns."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            if turns in joins:
                waiting.append(turns)
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    turns = 0
    await gather_crowd(waiting, most, patience)
    taken = turns
    counting.cancel()
    return taken


async def test_one_alone_waits_as_long_as_it_is_patient() -> None:
    assert [await turns_of([1], 64, patience) for patience in (0, 1, 5)] == [0, 1, 5]


async def test_each_newcomer_starts_the_patience_anew() -> None:
    assert await turns_of([1], 64, 3, frozenset({2, 5})) > await turns_of([1], 64, 3)


async def test_a_full_batch_goes_at_once() -> None:
    assert await turns_of([1, 2, 3], 3, 5) == 0


async def test_it_ends_although_callers_go_on_coming() -> None:
    assert await turns_of([1], 1000, 3, frozenset(range(1000))) == ROUNDS
