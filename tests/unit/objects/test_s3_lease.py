"""Leases: one process holds a bucket, and none that lost it goes on writing."""

import asyncio
import secrets

import msgspec
import pytest

from cellsmono.datasource.objects.s3 import lease as lease_module
from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.lease import KEY, LASTS_SECONDS, MARGIN_SECONDS, Lease, Record
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.processes import Process, this_process
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import Locked, Unavailable

ELSEWHERE = Process("far-away", 17, "another-boot", "pid:[1]", "5")
BUCKET = "docs"


async def chunks(*parts):
    for part in parts:
        yield part


class Site:
    """A bucket, and whoever wants to hold it. Waiting moves the clock and calls ``meanwhile``."""

    def __init__(self, url):
        self.clock = ManualClock()
        self.store = S3Store("data.objects.gateway1", Endpoint(url, "us-east-1", "access", "secret"), clock=self.clock)
        self.place = Place(BUCKET, f"lease-{secrets.token_hex(6)}", "base/")
        self.waited = 0.0
        self.meanwhile = None

    async def pause(self, seconds):
        self.waited += seconds
        self.clock.advance(seconds)
        if self.meanwhile is not None:
            await self.meanwhile()

    def make(self):
        return Lease(self.store.connection, self.place, self.clock, self.pause)

    async def ask(self, operation, **arguments):
        client = await self.store.connection.client()
        return await getattr(client, operation)(**self.place.at(KEY), **arguments)

    async def read(self):
        async with (await self.ask("get_object"))["Body"] as stream:
            return msgspec.json.decode(await stream.read(), type=Record)

    async def plant(self, process=ELSEWHERE, token="theirs"):
        await self.ask("put_object", Body=msgspec.json.encode(Record(token, "2026-11-25T10:00:00Z", process)))


@pytest.fixture
async def site(moto_server):
    made = Site(moto_server)
    await made.store.create_bucket(made.place.bucket)
    made.store.add_bucket(made.place)
    yield made
    await made.store.close()


@pytest.fixture
def ignorant(site, monkeypatch):
    """The server knows no conditions, and does as if it were not asked for any."""
    real = lease_module.ask

    async def ask(connection, operation, key="", **arguments):
        for name in ("IfMatch", "IfNoneMatch"):
            arguments.pop(name, None)
        return await real(connection, operation, key, **arguments)

    monkeypatch.setattr(lease_module, "ask", ask)


@pytest.fixture
def strict(site, monkeypatch):
    """The server refuses requests with conditions that it does not know."""
    from cellsmono.kernel.errors import Invalid

    real = lease_module.ask

    async def ask(connection, operation, key="", **arguments):
        if {"IfMatch", "IfNoneMatch"} & set(arguments):
            raise Invalid("not implemented", reason="unsupported")
        return await real(connection, operation, key, **arguments)

    monkeypatch.setattr(lease_module, "ask", ask)


async def test_it_says_who_holds_and_is_gone_when_it_is_given_back(site):
    lease = site.make()
    await lease.take()
    record = await site.read()
    assert record.process == this_process()
    assert record.process.is_running() is True
    with pytest.raises(Locked) as caught:
        await site.make().take()
    assert caught.value.reason == "held"
    for part in (record.process.host, str(record.process.pid), record.since, "Stop that one"):
        assert part in caught.value.message
    turn = record.turn
    await lease.renew()
    assert (await site.read()).turn > turn
    await lease.release()
    again = site.make()
    await again.take()
    assert site.waited == 0
    await again.release()
    with pytest.raises(Exception, match="NoSuchKey"):
        await site.read()


async def test_of_many_that_come_together_one_holds(site):
    leases = [site.make() for _ in range(6)]
    results = await asyncio.gather(*(lease.take() for lease in leases), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert all(result is None or isinstance(result, Locked) for result in results)
    for lease, result in zip(leases, results, strict=True):
        if result is None:
            await lease.release()


async def test_that_of_a_process_of_this_machine_that_ended_is_taken_over_at_once(site):
    for process in (
        msgspec.structs.replace(this_process(), pid=2**22 + 5),
        msgspec.structs.replace(this_process(), started="1"),
        this_process(),  # by a store that could not give it back
    ):
        await site.plant(process)
        lease = site.make()
        await lease.take()
        assert (await site.read()).process == this_process()
        await lease.release()
    assert site.waited == 0


async def test_one_from_elsewhere_is_watched_until_it_must_have_run_out(site):
    await site.plant()
    lease = site.make()
    await lease.take()
    assert LASTS_SECONDS + MARGIN_SECONDS < site.waited < LASTS_SECONDS + 3 * MARGIN_SECONDS
    await lease.release()


async def test_one_from_elsewhere_that_rested_for_long_is_taken_over_at_once(site, monkeypatch):
    await site.plant()
    monkeypatch.setattr(lease_module, "_age_of", lambda answer: LASTS_SECONDS + MARGIN_SECONDS + 1)
    lease = site.make()
    await lease.take()
    assert site.waited == 0
    await lease.release()


async def test_one_from_elsewhere_that_is_renewed_meanwhile_is_left_alone(site):
    async def renew():
        await site.plant(token=f"theirs {site.waited}")

    await site.plant()
    site.meanwhile = renew
    with pytest.raises(Locked, match="far-away"):
        await site.make().take()
    assert (await site.read()).process == ELSEWHERE


async def test_what_is_no_lease_is_treated_as_one_from_elsewhere(site):
    await site.ask("put_object", Body=b"not json")
    lease = site.make()
    await lease.take()
    assert site.waited > LASTS_SECONDS
    assert (await site.read()).process == this_process()
    await lease.release()


@pytest.mark.parametrize("server", ["honest", "ignorant", "strict"])
async def test_who_comes_back_after_somebody_took_it_over_writes_no_more(site, request, server, monkeypatch):
    if server != "honest":
        request.getfixturevalue(server)
    lease = site.make()
    # A renewal in the background, between reading and writing while another one is planted, would replace that one.
    monkeypatch.setattr(lease._worker, "wake", lambda: None)
    await lease.take()
    await lease.renew()
    assert lease.describe_loss() == ""
    site.clock.advance(LASTS_SECONDS + 1)
    assert "could not be renewed" in lease.describe_loss()
    await lease.renew()
    assert lease.describe_loss() == "", "nobody was there meanwhile"
    await site.plant()
    await lease.renew()
    assert "far-away" in lease.describe_loss()
    assert "restart" in lease.describe_loss()
    await lease.renew()
    await lease.release()
    assert (await site.read()).process == ELSEWHERE, "another one's is never touched"


@pytest.mark.parametrize("server", ["ignorant", "strict"])
async def test_where_the_server_knows_no_conditions_it_is_read_back(site, request, server):
    request.getfixturevalue(server)
    lease = site.make()
    await lease.take()
    assert site.waited == lease_module.SETTLE_SECONDS
    with pytest.raises(Locked):
        await site.make().take()
    await lease.release()
    site.meanwhile = site.plant
    with pytest.raises(Locked, match="same moment"):
        await site.make().take()
    assert (await site.read()).process == ELSEWHERE


async def test_a_lease_that_was_removed_is_lost(site):
    lease = site.make()
    await lease.take()
    await site.ask("delete_object")
    await lease.renew()
    assert "emptied" in lease.describe_loss()
    await lease.release()


async def test_an_answer_that_was_lost_is_no_loss(site, monkeypatch):
    lease, real = site.make(), lease_module.ask
    lost = [0]

    async def ask(connection, operation, key="", **arguments):
        answer = await real(connection, operation, key, **arguments)
        if operation == "put_object" and lost[0]:
            lost[0] -= 1
            raise Unavailable("the connection broke", reason="offline")
        return answer

    await lease.take()
    monkeypatch.setattr(lease_module, "ask", ask)
    lost[0] = 1
    await lease.renew()
    await lease.renew()
    assert lease.describe_loss() == ""
    site.clock.advance(LASTS_SECONDS - 1)
    assert lease.describe_loss() == ""
    lost[0] = 1
    await lease.renew()
    site.clock.advance(2)
    assert "the connection broke" in lease.describe_loss()
    await lease.renew()
    assert lease.describe_loss() == ""
    await lease.release()


async def test_a_wall_clock_that_went_on_while_the_machine_slept_counts(site):
    lease = site.make()
    await lease.take()
    site.clock.jump(LASTS_SECONDS + 1)
    assert lease.describe_loss()
    site.clock.jump(-2 * LASTS_SECONDS)
    assert lease.describe_loss() == ""
    await lease.release()


async def test_a_store_that_lost_its_hold_writes_nothing_and_reads_on(site):
    store = site.store
    await store.hold_bucket(BUCKET)
    await store.commit(await store.stage(BUCKET, chunks(b"kept")), "x")
    staged = await store.stage(BUCKET, chunks(b"late"))
    await site.plant()
    await store.holds._leases[BUCKET].renew()
    assert "far-away" in store.describe_loss(BUCKET)
    for call in (
        store.commit(staged, "x"),
        store.stage(BUCKET, chunks(b"new")),
        store.delete(BUCKET, "x"),
        store.delete_many(BUCKET, ["x"]),
        store.create_upload(BUCKET, "x"),
    ):
        with pytest.raises(Unavailable) as caught:
            await call
        assert caught.value.reason == "hold_lost"
    reader = await store.open(BUCKET, "x")
    assert await reader.read(0, 10) == b"kept"
    reader.close()


async def test_a_read_only_bucket_is_not_held(site):
    store = site.store
    store.add_bucket(msgspec.structs.replace(site.place, name="seen", read_only=True))
    await store.hold_bucket("seen")
    with pytest.raises(Exception, match="NoSuchKey"):
        await site.read()
