"""The lane in which a bucket's commits go: what waits is taken together, by one thread.

Measured on ext4: files of a batch that are flushed after all of them were written and their write-out was begun took a
quarter of the time of flushing each from one of eight threads, and a tenth of the CPU time; threads that make files in
the same folder only wait (spinning) for each other.
"""

import asyncio

from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.publishing import Job, Publisher
from cellsmono.datasource.objects.workers import Workers, see_through

BATCH_JOBS = 64
"""Commits that go together at most, so that the first does not wait for a crowd."""


class Lane:
    """The commits of one bucket. Lives on the event loop."""

    def __init__(self, bucket: LocalBucket, publisher: Publisher, workers: Workers) -> None:
        self._bucket = bucket
        self._publisher = publisher
        self._workers = workers
        self._waiting: list[tuple[Job, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

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
                batch, self._waiting = self._waiting[:BATCH_JOBS], self._waiting[BATCH_JOBS:]
                await self._publish(batch)
        finally:
            self._task = None

    async def _publish(self, batch: list[tuple[Job, asyncio.Future[None]]]) -> None:
        try:
            await self._workers.run(self._publisher.publish, self._bucket, [job for job, _ in batch])
        except BaseException as error:
            for job, _ in batch:
                job.error = job.error or error
            raise
        finally:
            for _, future in batch:
                if not future.done():
                    future.set_result(None)
