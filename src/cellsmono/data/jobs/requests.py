"""Answers to requests about jobs. What can not be is refused before a job begins."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cellsmono.data.jobs.ground import Ground, Spot
from cellsmono.data.jobs.restoring import find_origin
from cellsmono.data.jobs.service import JobService
from cellsmono.data.jobs.store import JobPlan
from cellsmono.data.jobs.transfer import find_target
from cellsmono.interfaces import jobs as asked
from cellsmono.interfaces.jobs import Job, JobKind, JobState
from cellsmono.interfaces.node import Node, new_uuid
from cellsmono.interfaces.paths import name_of
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import AlreadyExists, Invalid

MOST_NODES = 10_000
SHOWN = 100
MOST_LISTED = 1_000


class JobRequests:
    """The handlers. ``find_user`` gives the UUID of a login, and raises NotFound."""

    def __init__(
        self,
        service: JobService,
        ground: Ground,
        find_user: Callable[[str], str],
        find_actor: Callable[[str, Sequence[str]], Actor],
    ) -> None:
        self._service = service
        self._ground = ground
        self._find_user = find_user
        self._find_actor = find_actor

    def handlers(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Which method answers which request."""
        return {
            asked.TransferNodes: self._transfer,
            asked.DeleteNodes: self._delete_nodes,
            asked.RestoreNodes: self._restore,
            asked.ListJobs: self._list,
            asked.StopJob: self._stop,
            asked.PauseJob: self._pause,
            asked.ResumeJob: self._resume,
            asked.DeleteJob: self._delete,
            asked.FindOrigins: self._find_origins,
        }

    async def _transfer(self, request: asked.TransferNodes) -> Job:
        if request.kind not in {JobKind.COPY, JobKind.MOVE}:
            raise Invalid("nodes are copied or moved")
        if not request.into and len(request.nodes) != 1:
            raise Invalid("only one node can get a new name; several come into a folder")
        plan = JobPlan(request.target, request.into, scopes=request.scopes)
        actor = self._actor(request.login, request.scopes)
        found = await self._find(actor, request.nodes)
        for spot, _ in found:
            target = await find_target(self._ground, actor, plan, spot)
            if request.kind is JobKind.MOVE:
                self._ground.require_write(spot)
            if not request.into and target.tree != spot.tree and await self._ground.is_taken(actor, target):
                raise AlreadyExists(f"There is {target.full!r} already", reason="exists", path=target.full)
        return await self._add(request.kind, actor, plan, found)

    async def _delete_nodes(self, request: asked.DeleteNodes) -> Job:
        actor = self._actor(request.login, request.scopes)
        found = await self._find(actor, request.nodes)
        for spot, _ in found:
            self._ground.require_write(spot)
        return await self._add(
            JobKind.DELETE, actor, JobPlan(permanently=request.permanently, scopes=request.scopes), found
        )

    async def _restore(self, request: asked.RestoreNodes) -> Job:
        actor = self._actor(request.login, request.scopes)
        found = await self._find(actor, request.nodes)
        for spot, node in found:
            self._ground.require_write(spot)
            self._ground.require_write((await find_origin(self._ground, actor, spot, node))[1])
        return await self._add(JobKind.RESTORE, actor, JobPlan(scopes=request.scopes), found)

    def _actor(self, login: str, scopes: Sequence[str]) -> Actor:
        return self._find_actor(self._find_user(login), scopes)

    async def _find(self, actor: Actor, nodes: Sequence[str]) -> list[tuple[Spot, Node]]:
        if not nodes:
            raise Invalid("name at least one file or folder")
        if len(nodes) > MOST_NODES:
            raise Invalid(f"at most {MOST_NODES} files and folders at once; name a folder that holds them")
        found = [await self._ground.find(actor, node) for node in nodes]
        for spot, _ in found:
            if spot.place.is_top:
                raise Invalid(f"{spot.full!r} is the root of a workspace", path=spot.full)
        return found

    async def _add(self, kind: JobKind, actor: Actor, plan: JobPlan, found: Sequence[tuple[Spot, Node]]) -> Job:
        nodes = [spot.full for spot, _ in found]
        first = name_of(found[0][0].path).rstrip("/")
        what = first if len(nodes) == 1 else f"{first} and {len(nodes) - 1} more"
        label = f"{kind.capitalize()} {what}" + (f" to {plan.target}" if plan.target else "")
        job = Job(
            id=new_uuid(),
            kind=kind,
            login=actor.name,
            user=actor.user,
            label=label,
            state=JobState.QUEUED,
            created=self._ground.clock.time(),
            nodes=tuple(nodes[:SHOWN]),
            target=plan.target,
        )
        return await self._service.add(job, plan, nodes)

    # jobs

    async def _list(self, request: asked.ListJobs) -> list[Job]:
        user = self._find_user(request.login) if request.login else ""
        limit, offset = min(max(request.limit, 0), MOST_LISTED), max(request.offset, 0)
        return await self._service.list_jobs(user, request.ids[:MOST_LISTED], limit, offset)

    async def _read(self, job_id: str, login: str) -> Job:
        return await self._service.read(job_id, self._find_user(login) if login else "")

    async def _stop(self, request: asked.StopJob) -> Job:
        return await self._service.halt(await self._read(request.id, request.login), JobState.STOPPED)

    async def _pause(self, request: asked.PauseJob) -> Job:
        return await self._service.halt(await self._read(request.id, request.login), JobState.PAUSED)

    async def _resume(self, request: asked.ResumeJob) -> Job:
        return await self._service.resume(await self._read(request.id, request.login))

    async def _delete(self, request: asked.DeleteJob) -> None:
        await self._service.delete(await self._read(request.id, request.login))

    async def _find_origins(self, request: asked.FindOrigins) -> dict[str, str]:
        found = await self._ground.origins.find(request.uuids[:MOST_NODES])
        return {uuid: origin.origin for uuid, origin in found.items()}
