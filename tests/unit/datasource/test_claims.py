import asyncio
import random

import pytest

from cellsmono.datasource.claims import Claims


async def hold(claims, path, entered, leave):
    async with claims.claim(path):
        entered.set()
        await leave.wait()


@pytest.fixture
async def held():
    """Start tasks that hold a path until told to leave."""
    running = []

    async def start(claims, path):
        entered, leave = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(hold(claims, path, entered, leave))
        running.append((task, leave))
        await entered.wait()
        return leave, task

    yield start
    for task, leave in running:
        leave.set()
        await task


@pytest.mark.parametrize(
    ("first", "second", "conflict"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/b", "a/b/", True),
        ("a/", "a/b", True),
        ("a/b/c", "a/", True),
        ("a/", "ab", False),
        ("ab/c", "a/", False),
        ("", "x/y", True),
        ("x/y", "", True),
        ("a/b/", "a/c/", False),
    ],
)
async def test_claims_conflict_on_equal_and_covered_paths_only(held, first, second, conflict):
    claims = Claims()
    await held(claims, first)
    assert claims.is_claimed(second) is conflict


async def test_a_waiter_gets_the_claim_when_it_is_released(held):
    claims = Claims()
    leave, _ = await held(claims, "a/")
    got = asyncio.Event()

    async def wait_for_it():
        async with claims.claim("a/b", "c"):
            got.set()

    task = asyncio.create_task(wait_for_it())
    await asyncio.sleep(0)
    assert not got.is_set()
    assert not claims.is_claimed("c"), "a waiter must hold nothing meanwhile"
    leave.set()
    await task
    assert got.is_set()
    assert not claims.is_claimed("")


async def test_a_cancelled_waiter_leaves_nothing_behind(held):
    claims = Claims()
    leave, holder = await held(claims, "a")
    waiter = asyncio.create_task(hold(claims, "a", asyncio.Event(), asyncio.Event()))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    leave.set()
    await holder
    async with asyncio.timeout(5), claims.claim("a"):
        assert claims.is_claimed("a")


async def test_a_watch_learns_what_was_claimed_before_and_during_it(held):
    claims = Claims()
    await held(claims, "f/before")
    async with claims.watch("f/") as watch:
        async with claims.claim("f/during", "f/sub/", "f/sub2/deep", "other"):
            pass
        assert watch.touched == {"f/before", "f/during", "f/sub"}
        assert not watch.is_upset
    async with claims.claim("f/after"):
        pass
    assert "f/after" not in watch.touched


@pytest.mark.parametrize("folder", ["", "f/", "f/g/"])
async def test_a_claim_on_the_folder_or_above_it_upsets_a_watch(folder):
    claims = Claims()
    async with claims.watch("f/g/") as watch, claims.claim(folder):
        assert watch.is_upset


async def test_no_two_holders_ever_overlap():
    claims, rng, holding = Claims(), random.Random(7), []
    paths = ["a", "a/", "a/b", "a/b/", "a/b/c", "ab", "ab/", ""]

    def overlaps(one, other):
        return one.rstrip("/") == other.rstrip("/") or any(
            (x.endswith("/") and y.startswith(x)) or not x for x, y in ((one, other), (other, one))
        )

    async def worker():
        for _ in range(30):
            wanted = rng.sample(paths, rng.choice([1, 2]))
            async with claims.claim(*wanted):
                assert not any(overlaps(w, h) for w in wanted for h in holding)
                holding.extend(wanted)
                await asyncio.sleep(0)
                for path in wanted:
                    holding.remove(path)

    async with asyncio.timeout(30):
        await asyncio.gather(*(worker() for _ in range(8)))
    assert not claims.is_claimed("")
