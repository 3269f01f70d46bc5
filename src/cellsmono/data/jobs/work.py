"""One job at work: goes through its nodes, and keeps count of what was done and what could not be."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from cellsmono.data.jobs.ground import Ground, Spot
from cellsmono.data.jobs.store import Item, JobPlan
from cellsmono.interfaces.jobs import Job
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import CellsError, Forbidden, NotFound, QuotaExceeded, Unavailable

SAVE_EVERY = 64
"""Steps between two notes of how far a job is: after a kill so many are looked at once more."""
MOST_PROBLEMS = 100

Save = Callable[[Item], Awaitable[None]]


class Tally:
    """What was done so far."""

    def __init__(self, job: Job | None = None) -> None:
        self.done = 0 if job is None else job.done
        self.bytes = 0 if job is None else job.bytes
        self.total = self.done
        self.total_bytes = self.bytes
        self.problems: list[str] = []
        self.failed = 0

    def apply(self, job: Job) -> Job:
        """The job with these figures."""
        return msgspec.structs.replace(
            job,
            done=self.done,
            bytes=self.bytes,
            total=max(self.total, self.done) if self.total else 0,
            total_bytes=self.total_bytes,
            problems=tuple(self.problems),
        )


class Work:
    """What the steps of a job share. ``save`` notes durably how far an item is."""

    def __init__(self, ground: Ground, actor: Actor, plan: JobPlan, tally: Tally, save: Save) -> None:
        self.ground = ground
        self.router = ground.router
        self.actor = actor
        self.plan = plan
        self.tally = tally
        self._save = save
        self._unsaved = 0
        self._failed_before = tally.failed
        self._reserved: set[str] = set()

    def reserve(self, tree: str) -> None:
        """Keep a name for the item under way until ``end_item``."""
        self._reserved.add(tree)
        self.ground.names.reserved.add(tree)

    def end_item(self) -> None:
        """An item has ended: its names are taken, or free again."""
        self._failed_before = self.tally.failed
        self.ground.names.reserved -= self._reserved
        self._reserved.clear()

    async def save(self, item: Item) -> None:
        """Note how far an item is; durable when this returns."""
        self._unsaved = 0
        await self._save(item)

    async def advance(self, item: Item, path: str, size: int = 0) -> None:
        """One node of an item is done: ``path`` is its path in the workspace."""
        self.tally.done += 1
        self.tally.bytes += size
        if self.tally.failed == self._failed_before:
            item.cursor = path  # never past what failed: that is tried again when the job is resumed
        self._unsaved += 1
        if self._unsaved >= SAVE_EVERY:
            await self.save(item)

    def complain(self, spot_path: str, error: CellsError) -> None:
        """Something stays where it is. Raises what makes going on useless: a full storage, or one that is away."""
        if isinstance(error, QuotaExceeded | Unavailable):
            raise error
        self.tally.failed += 1
        if len(self.tally.problems) < MOST_PROBLEMS:
            self.tally.problems.append(f"{spot_path}: {error.message}")

    async def children(self, slug: str, folder: str, after: str, limit: int) -> list[Node]:
        """The children of a folder that the user may see; none where it is gone or may not be looked into."""
        try:
            return await self.router.list_children(self.actor, slug, folder, after, limit)
        except NotFound as error:
            if error.reason == "root":
                raise  # the workspace is not the user's any more
            return []
        except Forbidden as error:
            self.complain(f"{slug}/{folder}", error)
            return []

    async def expect(self, spot: Spot, node: Node) -> None:
        """Count what is to be done, where the user may know."""
        if not is_folder(node.path):
            self.tally.total += 1
            self.tally.total_bytes += node.size
            return
        try:
            usage = await self.router.usage(self.actor, spot.slug, node.path)
        except CellsError:
            return
        self.tally.total += usage.folders + usage.files + 1
        self.tally.total_bytes += usage.bytes


class Step(Protocol):
    """What a kind of job does with one of its nodes; does it once more from where it was after a kill."""

    async def __call__(self, work: Work, item: Item) -> None:
        """Do it. Raises what the job ends with, and CellsError for what this node can not have."""
