"""Jobs on the wire, and what is asked and answered about them."""

import msgspec

from cellsmono.gateway.rest.proto_json import ProtoEnum
from cellsmono.gateway.rest.tree_structs import BackgroundJob, TreeNode
from cellsmono.interfaces.jobs import Job, JobState


class TaskStatus(ProtoEnum):
    """How far a task is. Interrupted: somebody stopped it. Unknown and Any are for questions alone."""

    UNKNOWN = "Unknown"
    IDLE = "Idle"
    RUNNING = "Running"
    FINISHED = "Finished"
    INTERRUPTED = "Interrupted"
    PAUSED = "Paused"
    ANY = "Any"
    ERROR = "Error"
    QUEUED = "Queued"


class JobCommand(ProtoEnum):
    """What to do with a job. Those after Delete are for jobs that run more than once, which are not here."""

    NONE = "None"
    PAUSE = "Pause"
    RESUME = "Resume"
    STOP = "Stop"
    DELETE = "Delete"
    RUN_ONCE = "RunOnce"
    INACTIVE = "Inactive"
    ACTIVE = "Active"


class JobTask(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A run of a job: each has one, of the same id. Times are seconds since the epoch, ``progress`` is 0 to 1."""

    id: str = msgspec.field(name="ID", default="")
    job_id: str = msgspec.field(name="JobID", default="")
    status: TaskStatus = TaskStatus.UNKNOWN
    status_message: str = ""
    trigger_owner: str = ""
    start_time: int = 0
    end_time: int = 0
    can_stop: bool = False
    can_pause: bool = False
    has_progress: bool = False
    progress: float = 0


class UserJob(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """One job; ``owner`` is a login, ``tasks`` come where they were asked for."""

    id: str = msgspec.field(name="ID", default="")
    label: str = ""
    owner: str = ""
    created_at: int = 0
    tasks: list[JobTask] = []


class JobSearch(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Which jobs: of an ``owner`` (empty: one's own; ``*``: of everybody), or those of ``job_ids``.

    ``load_tasks`` Unknown brings no tasks, Any all, and any other status the jobs with such a task. None of the jobs
    here waits for an event or a time.
    """

    owner: str = ""
    events_only: bool = False
    timers_only: bool = False
    load_tasks: TaskStatus = TaskStatus.UNKNOWN
    job_ids: list[str] = msgspec.field(name="JobIDs", default_factory=list)
    tasks_offset: int = 0
    tasks_limit: int = 0


class JobsCollection(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Jobs, the newest first."""

    jobs: list[UserJob] = []


class JobRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """What the job is about, as JSON text: ``{"nodes": [...], "target": "...", "targetParent": true}``."""

    job_name: str = ""
    json_parameters: str = ""


class JobParameters(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What ``json_parameters`` hold. ``nodes`` and ``target`` are paths; ``target`` is for copies and moves.

    With ``target_parent`` the target is the folder to come into, without it the new path of a single node. With
    ``children_only`` what is in the folders is deleted, and they stay.
    """

    nodes: list[str] = []
    target: str = ""
    target_parent: bool = False
    children_only: bool = False


class JobAnswer(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The job that began."""

    job_uuid: str = ""


class CtrlCommand(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """What to do with which job: Pause, Resume, Stop or Delete."""

    cmd: JobCommand = JobCommand.NONE
    job_id: str = ""
    task_id: str = ""


class CtrlAnswer(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """What became of it, for people."""

    msg: str = ""


class RestoreRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Nodes in recycle bins, by ``path``, to be brought back to where they were."""

    nodes: list[TreeNode] = []


class RestoreAnswer(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The jobs that do it."""

    restore_jobs: list[BackgroundJob] = []


STATUSES = {
    JobState.QUEUED: TaskStatus.QUEUED,
    JobState.RUNNING: TaskStatus.RUNNING,
    JobState.PAUSED: TaskStatus.PAUSED,
    JobState.FINISHED: TaskStatus.FINISHED,
    JobState.FAILED: TaskStatus.ERROR,
    JobState.STOPPED: TaskStatus.INTERRUPTED,
}


def show_job(job: Job, tasks: list[JobTask]) -> UserJob:
    """A job as clients know it."""
    return UserJob(job.id, job.label, job.login, int(job.created), tasks)


def show_task(job: Job) -> JobTask:
    """The one task of a job."""
    return JobTask(
        id=job.id,
        job_id=job.id,
        status=STATUSES[job.state],
        status_message=job.message,
        trigger_owner=job.login,
        start_time=int(job.started),
        end_time=int(job.ended),
        can_stop=not job.state.is_over,
        can_pause=not job.state.is_over,
        has_progress=True,
        progress=job.progress or 0,  # the default itself, which is left out
    )
