"""``data.jobs``: runs jobs, several at a time, each as its user. What is under way goes on after a restart."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from msgspec.structs import replace

from cellsmono.data.jobs.ground import Ground
from cellsmono.data.jobs.removing import delete_item
from cellsmono.data.jobs.restoring import restore_item
from cellsmono.data.jobs.store import Item, JobPlan, JobStore
from cellsmono.data.jobs.transfer import copy_item, move_item
from cellsmono.data.jobs.work import Step, Tally, Work
from cellsmono.interfaces.jobs import Job, JobKind, JobState
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import CellsError, Conflict, NotFound
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceStatus
from cellsmono.kernel.tasks import create_task

log = get_logger("jobs")

MOST_AT_ONCE = 8
"""Jobs that run at the same time; others wait for their turn."""

STEPS: Mapping[JobKind, Step] = {
    JobKind.COPY: copy_item,
    JobKind.MOVE: move_item,
    JobKind.DELETE: delete_item,
    JobKind.RESTORE: restore_item,
}
_DONE = {
    JobKind.COPY: "copied",
    JobKind.MOVE: "moved",
    JobKind.DELETE: "deleted",
    JobKind.RESTORE: "restored",
}


class _Live:
    """A job that was handed over: as it is now, its task, and what it is to become when it is cancelled."""

    def __init__(self, job: Job, tally: Tally) -> None:
        self.job = job
        self.tally = tally
        self.wish: JobState | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def shown(self) -> Job:
        return self.tally.apply(self.job)


class JobService:
    """The service. Jobs that are added while it does not run wait for it."""

    name = "data.jobs"
    tag = "scheduler"

    def __init__(self, store: JobStore, ground: Ground, find_actor: Callable[[str, Sequence[str]], Actor]) -> None:
        self._store = store
        self._ground = ground
        self._find_actor = find_actor
        self._live: dict[str, _Live] = {}
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._is_running = False

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Jobs run while it is entered. At the end each stops between two steps, and goes on the next time."""
        self._is_running = True
        for job in await self._store.list_open():
            if job.state is not JobState.PAUSED:
                self._start(job)
        try:
            yield
        finally:
            self._is_running = False
            tasks = [live.task for live in self._live.values() if live.task is not None]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    def status(self) -> ServiceStatus:
        """How many there are."""
        states = [live.job.state for live in self._live.values()]
        running = states.count(JobState.RUNNING)
        return ServiceStatus(detail=f"{running} running, {len(states) - running} waiting" if states else "")

    async def add(self, job: Job, plan: JobPlan, nodes: Sequence[str]) -> Job:
        """Take a job over; it is stored when this returns, and begins by itself."""
        await self._store.add(job, plan, nodes)
        if self._is_running:
            self._start(job)
        return job

    async def list_jobs(self, user: str, ids: Sequence[str], limit: int, offset: int) -> list[Job]:
        """Jobs as they are now, the newest first."""
        found = await self._store.list_jobs(user, ids, limit, offset)
        return [self._live[job.id].shown if job.id in self._live else job for job in found]

    async def read(self, job_id: str, user: str = "") -> Job:
        """One job; for a user only its own. Raises NotFound."""
        found = await self._store.read(job_id)
        job = found[0] if found is not None else None
        if job_id in self._live:
            job = self._live[job_id].shown
        if job is None or user not in {"", job.user}:
            raise NotFound(f"There is no job {job_id!r}; `cellsmono jobs list` shows all", reason="job")
        return job

    async def halt(self, job: Job, state: JobState) -> Job:
        """Stop a job or let it rest. Raises Conflict for a pause of one that is over."""
        live = self._live.get(job.id)
        if live is not None and live.task is not None:
            live.wish = state
            live.task.cancel()
            await asyncio.wait([live.task])
            return await self.read(job.id)
        if job.state.is_over:
            if state is JobState.PAUSED:
                raise Conflict(f"The job {job.id} is over", reason="over")
            return job
        job = replace(job, state=state, message=state.value, ended=self._now() if state.is_over else 0.0)
        await self._store.save(job)
        return job

    async def resume(self, job: Job) -> Job:
        """Go on with one that rests, was stopped or failed. Raises Conflict for one that is finished or under way."""
        if job.state not in {JobState.PAUSED, JobState.STOPPED, JobState.FAILED}:
            raise Conflict(f"The job {job.id} is {job.state}, so there is nothing to go on with", reason="over")
        job = replace(job, state=JobState.QUEUED, message="", problems=(), ended=0.0)
        await self._store.save(job)
        if self._is_running:
            self._start(job)
        return job

    async def delete(self, job: Job) -> None:
        """Forget a job. Raises Conflict for one that is not over."""
        if not job.state.is_over:
            raise Conflict(f"The job {job.id} is {job.state}; stop it first", reason="running")
        await self._store.delete(job.id)

    async def wait(self, job_id: str) -> Job:
        """The job when nothing happens with it any more, for now."""
        live = self._live.get(job_id)
        if live is not None and live.task is not None:
            await asyncio.wait([live.task])
        return await self.read(job_id)

    # running

    def _start(self, job: Job) -> None:
        live = _Live(job, Tally(job))
        self._live[job.id] = live
        live.task = create_task(self._run(live), f"data.jobs:{job.id}")

    async def _run(self, live: _Live) -> None:
        try:
            async with self._turns:
                live.job = replace(live.job, state=JobState.RUNNING, started=live.job.started or self._now())
                await self._work(live)
                live.job = self._end(live)
        except asyncio.CancelledError:
            if live.wish is None:
                await self._store.save(live.shown)
                raise  # the server ends: what was under way is found as it was
            ended = self._now() if live.wish is JobState.STOPPED else 0.0
            message = f"{live.wish}: {live.tally.done} {_DONE[live.job.kind]}"
            live.job = replace(live.job, state=live.wish, message=message, ended=ended)
        except CellsError as error:
            live.job = replace(live.job, state=JobState.FAILED, message=error.message, ended=self._now())
        except Exception as error:
            log.exception("a job failed", job=live.job.id, kind=live.job.kind)
            message = f"internal error: {type(error).__name__}; see the server's log"
            live.job = replace(live.job, state=JobState.FAILED, message=message, ended=self._now())
        finally:
            if live.job.state not in {JobState.QUEUED, JobState.RUNNING}:
                await self._store.save(live.shown)
            self._live.pop(live.job.id, None)

    async def _work(self, live: _Live) -> None:
        found = await self._store.read(live.job.id)
        if found is None:
            raise NotFound("The job was deleted", reason="job")
        plan = found[1]
        # Looked up anew: the user may have been locked out or deleted since.
        actor = self._find_actor(live.job.user, plan.scopes)
        tally = live.tally

        async def save(item: Item) -> None:
            await self._store.save(live.shown, item)

        work = Work(self._ground, actor, plan, tally, save)
        step = STEPS[live.job.kind]
        for item in await self._store.list_items(live.job.id):
            failed = tally.failed
            try:
                await step(work, item)
            except CellsError as error:
                work.complain(item.source, error)
            finally:
                work.end_item()
            item.is_done = tally.failed == failed
            await work.save(item)

    def _end(self, live: _Live) -> Job:
        tally = live.tally
        word = _DONE[live.job.kind]
        message, state = f"{tally.done} {word}", JobState.FINISHED
        if tally.failed:
            first = tally.problems[0] if tally.problems else ""
            message, state = f"{tally.done} {word}, {tally.failed} not: {first}", JobState.FAILED
        return replace(live.job, state=state, message=message, ended=self._now())

    def _now(self) -> float:
        return self._ground.clock.time()
