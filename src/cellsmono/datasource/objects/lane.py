"""The lane in which a bucket's commits go: what waits is taken together, by one thread.

Measured on ext4: files of a batch that are flushed after all of them were written and their write-out was begun took a
quarter of the time of flushing each from one of eight threads, and a tenth of the CPU time; threads that make files in
the same folder only wait (spinning) for each other. What does not wait for the disk is done on the event loop while
that is calm (see ``kernel.calm``): the system calls of a small file, made from a thread, each fought the loop for the
interpreter's lock, and cost more than the file.
"""

import asyncio
from collections.abc import Sequence

from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.publishing import Batch, Job, Publisher
from cellsmono.datasource.objects.workers import Workers, see_through
from cellsmono.datasource.objects.writer import SmallBytes
from cellsmono.kernel.calm import Calm
from cellsmono.kernel.crowd import gather_crowd
from cellsmono.kernel.errors import Unavailable

BATCH_JOBS = 64
"""Commits that go together at most, so that the first does not wait for a crowd."""
PATIENCE = 2
FLUSH_PATIENCE = 5
"""Turns of the loop without a newcomer after which commits begin: without a flush, and with one, which is dearer."""
BRIEF_JOBS = 16
"""Commits that the loop works on at most before it looks at something else: well below a millisecond."""


class Lane:
    """The commits of one bucket. Lives on the event loop."""

    def __init__(self, bucket: LocalBucket, publisher: Publisher, workers: Workers) -> None:
        self._bucket = bucket
        self._publisher = publisher
        self._workers = workers
        self._waiting: list[tuple[Job, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._calm = Calm()

    async def commit(self, job: Job) -> None:
        """Make a job's bytes visible; when this returns, or is cancelled, it is decided. Raises the job's error."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"objects-commit {self._bucket.name}")
        await see_through(future)
        if job.error is not None:
            raise job.error

    async def _run(self) -> None:
        try:
            while self._waiting:
                patience = FLUSH_PATIENCE if self._bucket.durable else PATIENCE
                await gather_crowd(self._waiting, BATCH_JOBS, patience)
                batch, self._waiting = self._waiting[:BATCH_JOBS], self._waiting[BATCH_JOBS:]
                await self._publish(batch)
        finally:
            self._task = None
            waiting, self._waiting = self._waiting, []
            _settle(waiting, Unavailable("The object service was stopped before this was written.", reason="closed"))

    async def _publish(self, batch: list[tuple[Job, asyncio.Future[None]]]) -> None:
        jobs = [job for job, _ in batch]
        try:
            if self._may_be_brief(jobs):
                await self._publish_briefly(jobs)
            else:
                await self._workers.run(self._publisher.publish, self._bucket, jobs)
        except BaseException as error:
            _settle(batch, error)
            if not isinstance(error, Exception):
                raise
        else:
            _settle(batch, None)

    def _may_be_brief(self, jobs: list[Job]) -> bool:
        return bool(self._calm) and self._bucket.work.is_made and all(isinstance(job.kept, SmallBytes) for job in jobs)

    async def _publish_briefly(self, jobs: list[Job]) -> None:
        """Small files for folders that are there: on the loop, all but the flushes."""
        batch = Batch(self._publisher, self._bucket, jobs)
        try:
            is_brief = await self._prepare_briefly(batch, len(jobs)) and not self._bucket.durable
            if is_brief:
                self._calm.run(batch.finish)
            else:
                await self._workers.run(batch.finish)
        finally:
            batch.close()  # there is something left to do only when no thread took the job

    async def _prepare_briefly(self, batch: Batch, size: int) -> bool:
        """Prepare files on the loop for as long as it is calm; whether all of them were."""
        for start in range(0, size, BRIEF_JOBS):
            if start:
                await asyncio.sleep(0)
            if not (self._calm and self._calm.run(batch.prepare_known, start, start + BRIEF_JOBS)):
                return False
        return True


def _settle(batch: Sequence[tuple[Job, asyncio.Future[None]]], error: BaseException | None) -> None:
    """Tell who waits that it is decided; ``error`` goes to those that have none of their own."""
    for job, future in batch:
        if error is not None:
            job.error = job.error or error
        if not future.done():
            future.set_result(None)
