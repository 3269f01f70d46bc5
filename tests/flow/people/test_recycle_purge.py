"""What lies in recycle bins for long, or is too much, goes; what nobody deleted does not."""

import pytest

from cellsmono.data.jobs.purge import RecyclePurge
from cellsmono.interfaces.jobs import DeleteNodes
from cellsmono.interfaces.people import SetAcl

DAY = 86_400


@pytest.fixture(params=["blobs", "plain"])
async def town(town, request):
    town.name = request.param
    await town.perform(SetAcl(town.name, "group:/", {"recycle_root": "1"}))
    town.now = town.core.clock.time()
    ground = town.core.purge._ground

    class Clock:
        def time(self):
            return town.now

    town.clock = ground.clock = Clock()
    async with town.core.jobs.lifespan():
        yield town


async def delete(town, path, content):
    await town.put("alice", f"the-{town.name}", path, content)
    job = await town.perform(DeleteNodes("alice", (f"the-{town.name}/{path.partition('/')[0]}",)))
    await town.core.jobs.wait(job.id)


async def purge(town, days, most=0):
    old = town.core.purge
    made = RecyclePurge(old._ground, old._locator, days, most)
    await made.step()
    return made.last


async def lying(town):
    return [key.removeprefix("recycle_bin/") for key in await town.keys("alice", f"the-{town.name}", "recycle_bin/")]


async def test_what_is_old_goes(town):
    await delete(town, "old/in/a", b"x")
    town.now += 10 * DAY
    await delete(town, "young", b"x")
    await town.put("bob", f"the-{town.name}", "recycle_bin/his", b"x")
    assert (await purge(town, 0)).nodes == 0
    assert (await purge(town, 11)).nodes == 0
    assert await lying(town) == ["his", "old/in/a", "young"]
    done = await purge(town, 10)
    assert (done.nodes, done.failed) == (1, 0)
    assert await lying(town) == ["his", "young"]
    town.now += 1000 * DAY
    await purge(town, 10)
    assert await lying(town) == ["his"]


async def test_the_oldest_go_where_there_is_too_much(town):
    for number in range(4):
        await delete(town, f"{number}", b"x" * 100)
        town.now += 1
    assert (await purge(town, 0, 400)).nodes == 0
    assert (await purge(town, 0, 250)).nodes == 2
    assert await lying(town) == ["2", "3"]


async def test_what_was_taken_out_is_left_alone(town):
    slug = f"the-{town.name}"
    await delete(town, "a", b"x")
    await town.move("alice", slug, "recycle_bin/a", "kept")
    town.now += 100 * DAY
    await purge(town, 10)
    assert await town.keys("alice", slug) == ["kept"]
