"""The supervisor: starts services in order, stops them in reverse, each within a deadline.

Each service's lifespan is entered, held and left in one task of its own. So a service may keep task groups and
timeouts open while it lives, single services can be stopped and started while the others run (a datasource that is
added or removed), and a service that dies is noticed at once.
"""

import asyncio
from collections.abc import Collection
from types import TracebackType
from typing import Self

from cellsmono.kernel.errors import CellsError, NotFound, Unavailable
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.registry import Kind, Registry
from cellsmono.kernel.service import HasStatus, Service, ServiceState
from cellsmono.kernel.tasks import create_task, list_tasks

log = get_logger("supervisor")

DEFAULT_STOP_TIMEOUT = 10.0
GRACE_AFTER_CANCEL = 2.0


class _Running:
    """One started service and the task that holds its lifespan."""

    def __init__(self, service: Service, is_needed: bool, stop_timeout: float) -> None:
        self.service = service
        self.is_needed = is_needed
        self.stop_timeout = stop_timeout
        self.entered = asyncio.Event()
        self.leave = asyncio.Event()
        self.error: BaseException | None = None
        self.task: asyncio.Task[None] | None = None

    async def live(self) -> None:
        try:
            async with self.service.lifespan():
                self.entered.set()
                await self.leave.wait()
        except asyncio.CancelledError as error:
            self.error = error
        except BaseException as error:
            self.error = error
            if not isinstance(error, Exception):
                raise


class Supervisor:
    """Owns the services of the process. Use it as an async context manager: leaving it stops everything.

    Services stop one by one in reverse order; but neighbours with a tag in ``together`` stop at the same time: several
    front doors close at once, and their deadlines do not add up.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        stop_timeout: float = DEFAULT_STOP_TIMEOUT,
        together: Collection[str] = ("gateway",),
    ) -> None:
        self.registry = registry
        self.stop_timeout = stop_timeout
        self._together = frozenset(together)
        self._running: dict[str, _Running] = {}
        self._death: asyncio.Future[BaseException] | None = None

    async def start(
        self,
        service: Service,
        *,
        kind: Kind = Kind.GENERIC,
        optional: bool = False,
        stop_timeout: float | None = None,
    ) -> bool:
        """Start a service and wait until it is ready.

        An ``optional`` one that fails is shown as failed, logged, and False is returned; the failure of any other is
        raised: a CellsError as it is, anything else as Unavailable that names the service. ``stop_timeout`` is in
        seconds, for this service's own stop.
        """
        probe = service.status if isinstance(service, HasStatus) else None
        self.registry.add(service.name, service.tag, kind, needed=not optional, probe=probe)
        run = _Running(service, not optional, self.stop_timeout if stop_timeout is None else stop_timeout)
        run.task = create_task(run.live(), service.name)
        try:
            await self._wait_until_entered(run)
        except BaseException:  # this start itself was cancelled
            await self._end(run)
            self.registry.set_state(service.name, ServiceState.STOPPED)
            raise
        if not run.entered.is_set():
            return self._note_failed_start(run)
        self._running[service.name] = run
        self.registry.set_state(service.name, ServiceState.READY)
        run.task.add_done_callback(lambda _: self._note_end(run))
        log.debug("service is ready", service=service.name)
        return True

    async def stop_service(self, name: str, *, forget: bool = True) -> None:
        """Stop one service while the others run; ``forget`` also takes it off the registry. Raises NotFound."""
        run = self._running.pop(name, None)
        if run is None:
            raise NotFound(f"no service named {name!r} is running")
        await self._stop(run)
        if forget:
            self.registry.remove(name)

    async def stop(self) -> None:
        """Stop every service, the last started first. May be called again."""
        while self._running:
            await asyncio.gather(*(self._stop(run) for run in self._take_last()))

    async def wait_for_death(self) -> BaseException:
        """Return when a needed service ended by itself after it was ready, with what it ended with."""
        if self._death is None:
            self._death = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._death)

    def is_running(self, name: str) -> bool:
        """Whether a service of this name is started and was not stopped."""
        return name in self._running

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _take_last(self) -> list[_Running]:
        """The last started service, with the ones before it that stop together with it."""
        _, last = self._running.popitem()
        group = [last]
        while self._running and last.service.tag in self._together:
            before = next(reversed(self._running.values()))
            if before.service.tag != last.service.tag:
                break
            group.append(before)
            self._running.popitem()
        return group

    async def _wait_until_entered(self, run: _Running) -> None:
        assert run.task is not None  # noqa: S101 - for the type checker
        waiting = create_task(_wait(run.entered), f"{run.service.name}:starting")
        try:
            await asyncio.wait([run.task, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def _note_failed_start(self, run: _Running) -> bool:
        name, error = run.service.name, run.error
        text = str(error) or type(error).__name__
        self.registry.set_state(name, ServiceState.FAILED, text)
        if not run.is_needed:
            log.error(
                "service could not start, the others go on", service=name, error=text, exc_info=_unforeseen(error)
            )
            return False
        if isinstance(error, CellsError):
            raise error
        raise Unavailable(f"the service {name} could not start: {text}") from error

    def _note_end(self, run: _Running) -> None:
        """A lifespan ended. When nobody asked for it the service has died."""
        name = run.service.name
        if run.leave.is_set() or self._running.get(name) is not run:
            return
        del self._running[name]
        error = run.error or Unavailable(f"the service {name} ended by itself")
        text = str(error) or type(error).__name__
        self.registry.set_state(name, ServiceState.FAILED, text)
        log.error("service died", service=name, error=text, exc_info=_unforeseen(error))
        if run.is_needed:
            if self._death is None:
                self._death = asyncio.get_running_loop().create_future()
            if not self._death.done():
                self._death.set_result(error)

    async def _stop(self, run: _Running) -> None:
        name = run.service.name
        self.registry.set_state(name, ServiceState.STOPPING)
        is_gone = await self._end(run)
        if not is_gone:
            self.registry.set_state(name, ServiceState.FAILED, "did not stop")
        elif run.error is not None:
            text = str(run.error) or type(run.error).__name__
            self.registry.set_state(name, ServiceState.FAILED, text)
            log.error("service did not stop cleanly", service=name, error=text, exc_info=_unforeseen(run.error))
        else:
            self.registry.set_state(name, ServiceState.STOPPED)
            log.debug("service stopped", service=name)

    async def _end(self, run: _Running) -> bool:
        """Let a lifespan end: ask, then cancel, then give up. False when its task would not end."""
        assert run.task is not None  # noqa: S101 - for the type checker
        name = run.service.name
        run.leave.set()
        if not run.entered.is_set():
            run.task.cancel()
        done, _ = await asyncio.wait([run.task], timeout=run.stop_timeout)
        if done:
            return True
        log.warning(
            "service still runs after its time to stop and is cancelled",
            service=name,
            seconds=run.stop_timeout,
            still_running=list_tasks(name),
        )
        run.task.cancel()
        done, _ = await asyncio.wait([run.task], timeout=GRACE_AFTER_CANCEL)
        if not done:
            log.error(
                "service ignores its cancellation and is left behind", service=name, still_running=list_tasks(name)
            )
        return bool(done)


def _unforeseen(error: BaseException | None) -> BaseException | None:
    """The error when its traceback helps: not for errors that are written for people."""
    return None if error is None or isinstance(error, (CellsError, asyncio.CancelledError)) else error


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
