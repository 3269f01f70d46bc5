"""Jobs: copying, moving, deleting and restoring of files and folders on behalf of a user, however long it takes.

Paths are those that users see: the slug of a workspace, ``/``, and a path in it; folders may be written with or without
the ``/`` at their end. What is asked for is looked at before it begins, with the errors of ``kernel.errors``; what goes
wrong later stands in the job.
"""

import enum

import msgspec

from cellsmono.interfaces.people import Request

BIN_NAME = "recycle_bin"
"""The folder in a recycle root into which deleted nodes are moved."""


class JobKind(enum.StrEnum):
    """What a job does."""

    COPY = "copy"
    MOVE = "move"
    DELETE = "delete"
    RESTORE = "restore"


class JobState(enum.StrEnum):
    """How far a job is. A job that ran when the server ended goes on when it starts again."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self in {JobState.FINISHED, JobState.FAILED, JobState.STOPPED}


class Job(msgspec.Struct, frozen=True):
    """One job. Times are seconds since the epoch, UTC, 0 for what has not happened yet.

    ``nodes`` are what was asked for, at most the first hundred. ``done`` counts files and folders, ``bytes`` content;
    ``total`` and ``total_bytes`` are what is expected, 0 while that is not known. ``message`` says how it stands, for
    people; ``problems`` are sentences about single nodes that stayed where they were, the first hundred.
    """

    id: str
    kind: JobKind
    login: str
    user: str
    label: str
    state: JobState
    created: float
    nodes: tuple[str, ...] = ()
    target: str = ""
    message: str = ""
    done: int = 0
    total: int = 0
    bytes: int = 0
    total_bytes: int = 0
    problems: tuple[str, ...] = ()
    started: float = 0.0
    ended: float = 0.0

    @property
    def progress(self) -> float:
        """How much is done, 0 to 1."""
        if self.state is JobState.FINISHED:
            return 1.0
        if self.total_bytes:
            return min(self.bytes / self.total_bytes, 1.0)
        return min(self.done / self.total, 1.0) if self.total else 0.0


class TransferNodes(Request[Job], frozen=True):
    """Copy or move nodes (``kind``) as a user.

    With ``into`` the target is a folder, and what is there already keeps its name: the new one gets a number. Without,
    there is one node, and the target is its new path, which must be free (AlreadyExists). Within one datasource a move
    is one step whatever a folder holds, and keeps UUIDs; to another datasource each file is copied, compared and
    deleted, and gets a UUID of its own.

    ``scopes`` are those of the token through which the user asks, here and below.
    """

    login: str
    kind: JobKind
    nodes: tuple[str, ...]
    target: str
    into: bool = True
    scopes: tuple[str, ...] = ()


class DeleteNodes(Request[Job], frozen=True):
    """Delete nodes as a user: into the recycle bin of the workspace, if it has one and they are not in it already.

    ``permanently`` passes the bin over. The roots of a workspace can not be deleted.
    """

    login: str
    nodes: tuple[str, ...]
    permanently: bool = False
    scopes: tuple[str, ...] = ()


class RestoreNodes(Request[Job], frozen=True):
    """Bring nodes back from the recycle bin to where they were. Folders above are made again; where something else has
    the name by now the restored one gets a number. Raises Conflict (reason ``origin``) for what nobody deleted.
    """

    login: str
    nodes: tuple[str, ...]
    scopes: tuple[str, ...] = ()


class ListJobs(Request[list[Job]], frozen=True):
    """Jobs, the newest first: those of a user, or of everybody without a login; of these ids, or all."""

    login: str = ""
    ids: tuple[str, ...] = ()
    limit: int = 100
    offset: int = 0


class StopJob(Request[Job], frozen=True):
    """End a job where it is: what is done stays done, and no file is half copied.

    For a ``login`` only its own jobs are there, here and below. A job that is over stays as it is.
    """

    id: str
    login: str = ""


class PauseJob(Request[Job], frozen=True):
    """Let a job rest until ``ResumeJob``. Raises Conflict for one that is over."""

    id: str
    login: str = ""


class ResumeJob(Request[Job], frozen=True):
    """Go on with a job that rests, or that was stopped or failed: with what is not done yet."""

    id: str
    login: str = ""


class DeleteJob(Request[None], frozen=True):
    """Forget a job that is over. Raises Conflict for one that is not."""

    id: str
    login: str = ""


class FindOrigins(Request[dict[str, str]], frozen=True):
    """Where nodes in recycle bins were before, as tree paths, by UUID. Those that nobody deleted are left out."""

    uuids: tuple[str, ...]
