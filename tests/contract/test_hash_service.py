"""The service that fills in hashes by itself: it hears of new content, rests, gives way, and remembers trouble."""

import asyncio
import hashlib

import pytest

from cellsmono.datasource.hashing.service import HashService
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.hashes import RehashOptions
from cellsmono.interfaces.node import BLOCK_BYTES
from cellsmono.interfaces.patch import Patch, PutLeaf, SetHash
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.service import ServiceState

WRONG = "0" * 32
LARGE = bytes(BLOCK_BYTES + 1)


class HastyClock(ManualClock):
    """A second passes with every look at it, so that every piece of work earns a rest."""

    def monotonic(self):
        self.advance(1)
        return super().monotonic()


async def chunks(data):
    yield data


async def put(nodes, path, data=b"data"):
    return await nodes.put_node(path, chunks(data), PlainDigest(), WriteOptions())


async def put_unhashed(nodes, path):
    node = await put(nodes, path)
    await nodes.index.apply(Patch((PutLeaf(path, node.facts, etag="0-2", blob=node.blob),)))
    return await nodes.index.read_node(path)


async def wait_until_hashed(nodes):
    async with asyncio.timeout(30):
        while (await nodes.index.count_unhashed()).files:
            await asyncio.sleep(0)


async def wait_for(service, state):
    async with asyncio.timeout(30):
        while service.status().state is not state:
            await asyncio.sleep(0)


def event_of(node, kind=EventKind.CREATE):
    return NodeEvent(1, kind, node.path, node.uuid, 0, node=node)


async def test_what_lacks_a_hash_at_the_start_or_comes_later_is_hashed(nodes):
    await put_unhashed(nodes, "a/first")
    await put(nodes, "large", LARGE)
    service = HashService(nodes, ManualClock(), fills=True)
    async with service.lifespan():
        await wait_until_hashed(nodes)
        assert (await nodes.index.read_node("a/first")).content_hash == hashlib.md5(b"data").hexdigest()
        assert (await nodes.index.read_node("large")).block_hash
        service.hear([event_of(await put_unhashed(nodes, "second"))])
        await wait_until_hashed(nodes)
        await put_unhashed(nodes, "third")
        service.hear([event_of(await nodes.index.read_node(""), EventKind.RELOAD)])
        await wait_until_hashed(nodes)
        assert service.status().state is ServiceState.READY


async def test_without_filling_in_it_works_only_when_asked(nodes):
    await put_unhashed(nodes, "a")
    service = HashService(nodes, ManualClock(), fills=False)
    async with service.lifespan():
        service.hear([event_of(await nodes.index.read_node("a"))])
        await asyncio.sleep(0)
        assert (await nodes.index.count_unhashed()).files == 1
        assert (await service.rehash("", RehashOptions())).hashed == 1


async def test_content_that_contradicts_its_hash_is_told_of_read_once_and_forgotten_when_mended(nodes, monkeypatch):
    node = await put(nodes, "rotten", LARGE)
    await nodes.index.apply(Patch((SetHash("rotten", node.facts, WRONG, blob=node.blob, replaces=True),)))
    rotten = await nodes.index.read_node("rotten")
    read, read_content = [], nodes.read_content

    async def count(node, take):
        read.append(node.path)
        return await read_content(node, take)

    monkeypatch.setattr(nodes, "read_content", count)
    service = HashService(nodes, ManualClock(), fills=True)
    async with service.lifespan():
        await wait_for(service, ServiceState.DEGRADED)
        assert "'rotten'" in service.status().detail
        service.hear([event_of(rotten)])
        later = await put_unhashed(nodes, "later")
        service.hear([event_of(later)])
        async with asyncio.timeout(30):
            while not (await nodes.index.read_node("later")).is_hashed:
                await asyncio.sleep(0)
        assert read == ["rotten", "later"]
        assert service.status().state is ServiceState.DEGRADED
        assert (await service.rehash("rotten", RehashOptions(force=True))).replaced == 1
        await wait_for(service, ServiceState.READY)
        assert read == ["rotten", "later", "rotten"]


async def test_it_ends_in_the_middle_of_its_rest(nodes):
    await put_unhashed(nodes, "a")
    await put_unhashed(nodes, "b")
    service = HashService(nodes, HastyClock(), fills=True)
    async with asyncio.timeout(5), service.lifespan():
        async with asyncio.timeout(5):
            while not service.status().detail:
                await asyncio.sleep(0)
    async with HashService(nodes, ManualClock(), fills=True).lifespan():
        await wait_until_hashed(nodes)


async def test_it_gives_way_to_whoever_asks(nodes, monkeypatch):
    for path in ("a", "b"):
        await put_unhashed(nodes, path)
    begun, go_on = asyncio.Event(), asyncio.Event()
    read, read_content = [], nodes.read_content

    async def hold(node, take):
        read.append(node.path)
        if len(read) == 1:
            begun.set()
            await go_on.wait()
        return await read_content(node, take)

    monkeypatch.setattr(nodes, "read_content", hold)
    service = HashService(nodes, ManualClock(), fills=True)
    asked = asyncio.create_task(service.rehash("a", RehashOptions()))
    await begun.wait()
    async with service.lifespan():
        for _ in range(100):
            await asyncio.sleep(0)
        assert read == ["a"]
        go_on.set()
        await asked
        await wait_until_hashed(nodes)
    assert read == ["a", "b"]


@pytest.mark.parametrize("is_known", [True, False])
async def test_only_content_without_a_hash_wakes_it(nodes, is_known, monkeypatch):
    service = HashService(nodes, ManualClock(), fills=True)
    woken = []
    monkeypatch.setattr(service._worker, "wake", lambda: woken.append(True))
    node = await (put if is_known else put_unhashed)(nodes, "a")
    service.hear([event_of(node), event_of(await nodes.index.read_node(""))])
    assert bool(woken) is not is_known
