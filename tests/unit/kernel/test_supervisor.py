import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cellsmono.kernel import supervisor as supervisor_module
from cellsmono.kernel.errors import AlreadyExists, Corrupt, NotFound, Unavailable
from cellsmono.kernel.registry import Kind, Registry
from cellsmono.kernel.service import ServiceState, ServiceStatus
from cellsmono.kernel.supervisor import Supervisor


class Recorder:
    """A service that writes down what happens to it."""

    def __init__(self, name: str, journal: list[str], *, tag: str = "test") -> None:
        self.name = name
        self.tag = tag
        self.journal = journal
        self.start_error: Exception | None = None
        self.stop_error: Exception | None = None
        self.hang_until: asyncio.Event | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        if self.start_error is not None:
            raise self.start_error
        self.journal.append(f"+{self.name}")
        try:
            yield
        finally:
            if self.hang_until is not None:
                await self.hang_until.wait()
            self.journal.append(f"-{self.name}")
        if self.stop_error is not None:
            raise self.stop_error


def states(registry: Registry) -> dict[str, ServiceState]:
    return {row.name: row.state for row in registry.list_rows()}


async def test_services_stop_in_reverse_order() -> None:
    journal: list[str] = []
    registry = Registry()
    async with Supervisor(registry) as supervisor:
        for name in ("a", "b", "c"):
            assert await supervisor.start(Recorder(name, journal))
        assert registry.is_ready()
        assert states(registry) == dict.fromkeys("abc", ServiceState.READY)
    assert journal == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert states(registry) == dict.fromkeys("abc", ServiceState.STOPPED)


async def test_front_doors_close_at_the_same_time_and_before_the_rest() -> None:
    journal: list[str] = []
    both_asked = asyncio.Barrier(2)

    class Door(Recorder):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            yield
            await both_asked.wait()
            self.journal.append(f"-{self.name}")

    async with Supervisor(Registry(), stop_timeout=10) as supervisor:
        await supervisor.start(Recorder("a", journal))
        await supervisor.start(Door("main", journal, tag="gateway"))
        await supervisor.start(Door("s3", journal, tag="gateway"))
    assert journal[0] == "+a"
    assert sorted(journal[1:3]) == ["-main", "-s3"]
    assert journal[3] == "-a"


async def test_a_needed_service_that_fails_is_raised_and_the_rest_stops() -> None:
    journal: list[str] = []
    registry = Registry()
    bad = Recorder("bad", journal)
    bad.start_error = RuntimeError("no such device")

    async def run() -> None:
        async with Supervisor(registry) as supervisor:
            await supervisor.start(Recorder("a", journal))
            await supervisor.start(bad)

    with pytest.raises(Unavailable, match=r"bad could not start: no such device"):
        await run()
    assert journal == ["+a", "-a"]
    assert states(registry)["bad"] is ServiceState.FAILED


async def test_a_domain_error_is_raised_as_it_is() -> None:
    bad = Recorder("bad", [])
    bad.start_error = Corrupt("the index is damaged")
    with pytest.raises(Corrupt, match="the index is damaged"):
        await Supervisor(Registry()).start(bad)


async def test_an_optional_service_that_fails_leaves_the_others_running() -> None:
    journal: list[str] = []
    registry = Registry()
    bad = Recorder("bad", journal)
    bad.start_error = NotFound("the folder is missing")
    async with Supervisor(registry) as supervisor:
        assert not await supervisor.start(bad, optional=True)
        assert await supervisor.start(Recorder("b", journal))
        assert registry.is_ready()
        rows = {row.name: row for row in registry.list_rows()}
        assert rows["bad"].detail == "the folder is missing"
        bad.start_error = None
        assert await supervisor.start(bad, optional=True), "a failed one may be started again"
    assert journal == ["+b", "+bad", "-bad", "-b"]


async def test_two_services_of_one_name_are_refused() -> None:
    async with Supervisor(Registry()) as supervisor:
        await supervisor.start(Recorder("a", []))
        with pytest.raises(AlreadyExists, match="'a'"):
            await supervisor.start(Recorder("a", []))


async def test_one_service_can_be_stopped_while_the_others_run() -> None:
    journal: list[str] = []
    registry = Registry()
    async with Supervisor(registry) as supervisor:
        await supervisor.start(Recorder("a", journal))
        await supervisor.start(Recorder("b", journal))
        await supervisor.stop_service("a")
        assert not supervisor.is_running("a")
        assert list(states(registry)) == ["b"]
        with pytest.raises(NotFound):
            await supervisor.stop_service("a")
    assert journal == ["+a", "+b", "-a", "-b"]


async def test_a_slow_stop_is_cancelled_after_its_deadline() -> None:
    journal: list[str] = []
    registry = Registry()
    slow = Recorder("slow", journal)
    slow.hang_until = asyncio.Event()
    async with Supervisor(registry) as supervisor:
        await supervisor.start(Recorder("a", journal))
        await supervisor.start(slow, stop_timeout=0.01)
    assert journal == ["+a", "+slow", "-a"]
    assert states(registry) == {"a": ServiceState.STOPPED, "slow": ServiceState.FAILED}


async def test_a_service_that_ignores_its_cancellation_does_not_block_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "GRACE_AFTER_CANCEL", 0.01)
    release = asyncio.Event()

    class Stubborn(Recorder):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            yield
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

    registry = Registry()
    async with Supervisor(registry) as supervisor:
        await supervisor.start(Stubborn("stubborn", []), stop_timeout=0.01)
    assert states(registry)["stubborn"] is ServiceState.FAILED
    release.set()


async def test_an_error_while_stopping_is_shown_and_the_others_stop() -> None:
    journal: list[str] = []
    registry = Registry()
    bad = Recorder("bad", journal)
    bad.stop_error = RuntimeError("could not flush")
    async with Supervisor(registry) as supervisor:
        await supervisor.start(Recorder("a", journal))
        await supervisor.start(bad)
    assert journal == ["+a", "+bad", "-bad", "-a"]
    assert {row.name: row.detail for row in registry.list_rows()}["bad"] == "could not flush"


async def test_a_needed_service_that_dies_is_reported() -> None:
    class Dying(Recorder):
        blow = asyncio.Event()

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            async def fail() -> None:
                await self.blow.wait()
                raise OSError("the disk is gone")

            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                yield

    registry = Registry()
    async with Supervisor(registry) as supervisor:
        dying = Dying("dying", [])
        await supervisor.start(dying)
        death = asyncio.create_task(supervisor.wait_for_death())
        dying.blow.set()
        error = await death
        assert "the disk is gone" in str(error.exceptions[0])  # type: ignore[attr-defined]
        assert states(registry) == {"dying": ServiceState.FAILED}
        assert not registry.is_ready()


async def test_a_start_that_is_cancelled_leaves_nothing_behind() -> None:
    entered = asyncio.Event()
    left = asyncio.Event()

    class Slow(Recorder):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            entered.set()
            try:
                await asyncio.Event().wait()
                yield
            finally:
                left.set()

    registry = Registry()
    supervisor = Supervisor(registry)
    starting = asyncio.create_task(supervisor.start(Slow("slow", [])))
    await entered.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert left.is_set()
    assert states(registry) == {"slow": ServiceState.STOPPED}


async def test_rows_show_what_a_service_says_about_itself() -> None:
    class Talking(Recorder):
        def status(self) -> ServiceStatus:
            return ServiceStatus(ServiceState.DEGRADED, "polling")

    class Confused(Recorder):
        def status(self) -> ServiceStatus:
            raise RuntimeError("no idea")

    registry = Registry()
    async with Supervisor(registry) as supervisor:
        await supervisor.start(Talking("talking", []), kind=Kind.GRPC)
        await supervisor.start(Confused("confused", [], tag="aaa"), kind=Kind.GRPC)
        await supervisor.start(Recorder("front", []), kind=Kind.GENERIC)
        rows = registry.list_rows()
        assert [row.name for row in rows] == ["front", "confused", "talking"]
        assert rows[2].state is ServiceState.DEGRADED
        assert rows[2].detail == "polling"
        assert "no idea" in rows[1].detail
        assert registry.is_ready(), "degraded services work"
