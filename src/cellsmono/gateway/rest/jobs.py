"""Jobs: copy, move, delete and restore, and what becomes of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.errors import RestError, bad_request
from cellsmono.gateway.rest.finding import PAGE, find_node
from cellsmono.gateway.rest.job_structs import (
    CtrlAnswer,
    CtrlCommand,
    JobAnswer,
    JobCommand,
    JobParameters,
    JobRequest,
    JobsCollection,
    JobSearch,
    JobTask,
    TaskStatus,
    show_job,
    show_task,
)
from cellsmono.gateway.rest.paths import NodePath, parse_path, require_inner
from cellsmono.interfaces.jobs import (
    DeleteJob,
    DeleteNodes,
    Job,
    JobKind,
    ListJobs,
    PauseJob,
    RestoreNodes,
    ResumeJob,
    StopJob,
    TransferNodes,
)
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.paths import name_of
from cellsmono.interfaces.users import Profile
from cellsmono.kernel.errors import NotFound

MOST_JOB_NODES: Final = 10_000
MOST_IDS: Final = 1_000
EVERYBODY: Final = "*"

_CONTROLS: Final[Mapping[JobCommand, type[StopJob | PauseJob | ResumeJob]]] = {
    JobCommand.PAUSE: PauseJob,
    JobCommand.RESUME: ResumeJob,
    JobCommand.STOP: StopJob,
}


async def find_all(rest: RestContext, call: Call, paths: Sequence[NodePath]) -> list[tuple[str, Node]]:
    """Nodes with their paths as jobs take them, where those of folders end in ``/``.

    Raises NotFound, Forbidden, and RestError (400, 403) for none, too many, and for a workspace.
    """
    if not 1 <= len(paths) <= MOST_JOB_NODES:
        raise bad_request(f"Name 1 to {MOST_JOB_NODES} nodes", "nodes")
    for path in paths:
        require_inner(path)
    found = [(path, await find_node(rest.router, call.actor, path)) for path in paths]
    return [(f"{path.root}/{node.path}", node) for path, node in found]


async def recycle(rest: RestContext, call: Call, paths: Sequence[str]) -> Job:
    """Begin to delete nodes: into the recycle bin, or for good what is in it and where there is none."""
    actor = call.actor
    return await rest.people.perform(DeleteNodes(actor.name, tuple(paths), scopes=actor.scopes))


async def restore(rest: RestContext, call: Call, paths: Sequence[str]) -> Job:
    """Begin to bring nodes back out of the recycle bin."""
    actor = call.actor
    return await rest.people.perform(RestoreNodes(actor.name, tuple(paths), actor.scopes))


async def create(rest: RestContext, call: Call, body: JobRequest) -> JobAnswer:
    """PUT /jobs/user/{JobName}: copy, move, delete or restore; it goes on after the answer."""
    name = call.parameters["JobName"]
    begin = _JOBS.get(name)
    if begin is None:
        raise RestError(404, "job_name", f"There is no job {name[:40]!r} to begin, but {', '.join(_JOBS)}")
    job = await begin(rest, call, _read_parameters(body.json_parameters))
    return JobAnswer(job.id)


def _read_parameters(text: str) -> JobParameters:
    try:
        return msgspec.json.decode(text or "{}", type=JobParameters)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise bad_request(f"JsonParameters can not be read: {error}", "json") from None
    except RecursionError:
        raise bad_request("JsonParameters has too many objects and lists inside each other", "json_depth") from None


async def _begin_copy(rest: RestContext, call: Call, about: JobParameters) -> Job:
    return await _transfer(rest, call, about, JobKind.COPY)


async def _begin_move(rest: RestContext, call: Call, about: JobParameters) -> Job:
    return await _transfer(rest, call, about, JobKind.MOVE)


async def _transfer(rest: RestContext, call: Call, about: JobParameters, kind: JobKind) -> Job:
    target = parse_path(about.target)
    if not target.root:
        raise bad_request("target is empty: it must be a path that begins with the name of a workspace", "target")
    nodes = tuple(path for path, _ in await find_all(rest, call, [parse_path(text) for text in about.nodes]))
    actor = call.actor
    return await rest.people.perform(
        TransferNodes(actor.name, kind, nodes, target.shown, about.target_parent, actor.scopes)
    )


async def _begin_delete(rest: RestContext, call: Call, about: JobParameters) -> Job:
    paths = [parse_path(text) for text in about.nodes]
    found = await find_all(rest, call, paths)
    if about.children_only:
        return await recycle(rest, call, await _find_children(rest, call, paths, found))
    return await recycle(rest, call, [path for path, _ in found])


async def _find_children(
    rest: RestContext, call: Call, paths: Sequence[NodePath], folders: Sequence[tuple[str, Node]]
) -> list[str]:
    found: list[str] = []
    for path, (_, folder) in zip(paths, folders, strict=True):
        if not folder.is_folder:
            raise bad_request(f"{path.shown!r} is a file, and has no children", "nodes")
        after, is_last = "", False
        while not is_last:
            page = await rest.router.list_children(call.actor, path.root, path.folder, after, PAGE)
            found += [f"{path.root}/{node.path}" for node in page]
            if len(found) > MOST_JOB_NODES:
                raise bad_request(f"There are more than {MOST_JOB_NODES} children: delete the folder itself", "nodes")
            is_last = len(page) < PAGE
            after = "" if is_last else name_of(page[-1].path)
    if not found:
        raise RestError(409, "empty", "There is nothing in it that could be deleted")
    return found


async def _begin_restore(rest: RestContext, call: Call, about: JobParameters) -> Job:
    found = await find_all(rest, call, [parse_path(text) for text in about.nodes])
    return await restore(rest, call, [path for path, _ in found])


_JOBS: Final[Mapping[str, Callable[[RestContext, Call, JobParameters], Awaitable[Job]]]] = {
    "copy": _begin_copy,
    "move": _begin_move,
    "delete": _begin_delete,
    "restore": _begin_restore,
}


async def search(rest: RestContext, call: Call, body: JobSearch) -> JobsCollection:
    """POST /jobs/user: one's own jobs; administrators may see those of others."""
    login = _choose_owner(call, body.owner)
    if len(body.job_ids) > MOST_IDS:
        raise bad_request(f"At most {MOST_IDS} jobs can be asked for at once", "job_ids")
    if body.tasks_offset < 0 or body.tasks_limit < 0:
        raise bad_request("TasksOffset and TasksLimit are at least 0", "tasks_limit")
    if call.caller.is_bound and not body.job_ids:
        raise RestError(403, "scope", "This token is bound to nodes: name the jobs in JobIDs")
    if body.events_only or body.timers_only:
        return JobsCollection()
    found = await rest.people.perform(ListJobs(login, tuple(body.job_ids), MOST_IDS))
    shown = [(job, _choose_tasks(job, body)) for job in found]
    is_any = body.load_tasks in {TaskStatus.UNKNOWN, TaskStatus.ANY}
    return JobsCollection([show_job(job, tasks) for job, tasks in shown if tasks or is_any])


def _choose_owner(call: Call, owner: str) -> str:
    """Whose jobs are wanted, empty for everybody's. Raises RestError (403)."""
    if owner in {"", call.user.login}:
        return call.user.login
    if call.caller.profile is not Profile.ADMIN or call.caller.is_bound:
        raise RestError(403, "forbidden", "The jobs of others are for administrators: leave out Owner for your own")
    return "" if owner == EVERYBODY else owner


def _choose_tasks(job: Job, body: JobSearch) -> list[JobTask]:
    task = show_task(job)
    if body.tasks_offset or body.load_tasks not in {TaskStatus.ANY, task.status}:
        return []
    return [task]


async def control(rest: RestContext, call: Call, body: CtrlCommand) -> CtrlAnswer:
    """PUT /jobs/user: pause, resume, stop or delete a job."""
    job_id = body.job_id or body.task_id
    if not job_id:
        raise bad_request("Name the job in JobId", "job_id")
    login = "" if call.caller.profile is Profile.ADMIN else call.user.login
    kind = _CONTROLS.get(body.cmd)
    try:
        if kind is not None:
            job = await rest.people.perform(kind(job_id, login))
            return CtrlAnswer(f"The job {job.id} is {job.state}")
        if body.cmd is JobCommand.DELETE:
            await rest.people.perform(DeleteJob(job_id, login))
            return CtrlAnswer(f"The job {job_id} was deleted")
    except NotFound:
        raise NotFound(f"There is no job {job_id[:80]!r}; POST /a/jobs/user lists them", reason="job") from None
    raise bad_request(f"Cmd must be Pause, Resume, Stop or Delete, not {body.cmd.value}", "cmd")
