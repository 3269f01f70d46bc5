"""Holds against limits, whatever comes in between."""

import asyncio

import pytest

from cellsmono.data.router.quotas import STEP, Hold, MeteredBody, Quotas
from cellsmono.interfaces.index import Usage
from cellsmono.kernel.errors import QuotaExceeded


class Figures(dict):
    """A meter of sizes by folder; ``meanwhile`` is called between the look and its answer."""

    meanwhile = None

    async def measure(self, path):
        found = Usage(0, 0, self.get(path, 0))
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        await asyncio.sleep(0)
        return found


@pytest.fixture
def figures():
    return Figures()


@pytest.fixture
def quotas(figures):
    return Quotas(figures)


async def chunks(*pieces):
    for piece in pieces:
        yield piece


async def test_content_that_arrives_during_a_look_is_not_forgotten(quotas, figures):
    first = Hold(quotas, [("a/", 10)], "x")
    await first.take(6)

    def arrive():
        figures["a/"] = 6  # the sum that was read does not have it yet
        first.release()

    figures.meanwhile = arrive
    with pytest.raises(QuotaExceeded):
        await Hold(quotas, [("a/", 10)], "y").take(5)
    figures["a/"] = 0
    second = Hold(quotas, [("a/", 10)], "z")
    await second.take(10)
    second.release()
    assert not quotas._ledgers


async def test_a_hold_that_went_without_content_makes_room(quotas, figures):
    first = Hold(quotas, [("a/", 10)], "x")
    await first.take(6)
    figures.meanwhile = first.release
    await Hold(quotas, [("a/", 10)], "y").take(10)


async def test_all_folders_or_none(quotas):
    with pytest.raises(QuotaExceeded):
        await Hold(quotas, [("a/", 10), ("a/b/", 5)], "x").take(6)
    await Hold(quotas, [("a/", 10)], "x").take(10)
    with pytest.raises(QuotaExceeded):
        await Hold(quotas, [("a/b/", 5), ("a/", 10)], "x").take(1)
    await Hold(quotas, [("a/b/", 5)], "x").take(5)


async def test_what_is_replaced_is_asked_for_when_it_matters(quotas, figures):
    asked = []

    async def replaced():
        asked.append(1)
        return 4

    figures["a/"] = 5
    async with quotas.holding([("a/", 10)], "x", 5, replaced):
        assert not asked
    async with quotas.holding([("a/", 10)], "x", 9, replaced) as hold:
        assert asked == [1]
        with pytest.raises(QuotaExceeded):
            await hold.take(1)
        await hold.give_back(2)
        await hold.take(2)
        with pytest.raises(QuotaExceeded):
            await Hold(quotas, [("a/", 10)], "y").take(1)
    assert asked == [1]
    await Hold(quotas, [("a/", 10)], "y").take(5)


async def test_one_hold_is_shared_by_several(quotas):
    hold = Hold(quotas, [("a/", 10)], "x")
    done = await asyncio.gather(*(hold.take(3) for _ in range(5)), return_exceptions=True)
    assert [each for each in done if each is None] == [None] * 3
    assert hold.size == 9


async def test_a_body_is_counted_in_steps(quotas, figures):
    limit = 3 * STEP + 10
    hold = Hold(quotas, [("a/", limit)], "x")
    pieces = [b"x" * (STEP // 2)] * 6 + [b"x" * 10]
    assert [piece async for piece in MeteredBody(chunks(*pieces), hold, 0)] == pieces
    assert hold.size == limit
    with pytest.raises(QuotaExceeded):
        [_ async for _ in MeteredBody(chunks(b"x"), Hold(quotas, [("a/", limit)], "y"), 0)]


async def test_a_body_that_is_longer_than_announced_is_counted(quotas):
    async with quotas.holding([("a/", 10)], "x", 5) as hold:
        body = MeteredBody(chunks(b"12345", b"67890", b"1"), hold, 5)
        assert [await anext(body), await anext(body)] == [b"12345", b"67890"]
        with pytest.raises(QuotaExceeded):
            await anext(body)
