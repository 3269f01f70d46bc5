"""Snapshots: the index of a datasource as one file, kept on the datasource's own storage outside the visible tree."""

import enum
import re
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Protocol

import msgspec

from cellsmono.interfaces.sync import ResyncReport
from cellsmono.kernel.errors import Conflict, Invalid, NotFound

DEFAULT_BASENAME = "snapshot.db"

_BASENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class SnapshotOrigin(enum.StrEnum):
    """Who asked for a snapshot: somebody, the schedule, or a load that was about to replace the index."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    SAFETY = "safety"


class SnapshotHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot says about itself.

    ``version`` is that of the file format, ``schema`` that of the tables. ``datasource`` and ``format`` are those of
    the datasource, ``root`` is the UUID of its root. ``sequence`` is the number of its last event then. ``created`` is
    in seconds since 1970, UTC. ``database_bytes`` is the size without compression.
    """

    version: int
    schema: int
    datasource: str
    format: str
    root: str
    folders: int
    files: int
    bytes: int
    sequence: int
    created: float
    origin: SnapshotOrigin
    database_bytes: int


class StoredFile(msgspec.Struct, frozen=True):
    """A file of a ``SnapshotPlace``: its basename, size in bytes, and time of its last change."""

    name: str
    size: int
    mtime_ns: int


class SnapshotInfo(msgspec.Struct, frozen=True):
    """One snapshot of a listing. ``header`` is None, and ``problem`` says why, for one that can not be loaded."""

    name: str
    size: int
    header: SnapshotHeader | None = None
    problem: str = ""


class SnapshotPlace(Protocol):
    """Where the snapshots of one datasource lie: on its own storage, where no tree shows them.

    Files are named by basename (see ``check_basename``; others raise Invalid). They outlive a restart, the clean-up of
    leftovers, and the removal of the datasource from the configuration.
    """

    async def put(self, name: str, body: AsyncIterable[bytes]) -> int:
        """Store a file, replacing one of this name; returns its size. Durable when this returns.

        All or nothing: whatever happens meanwhile (an error of ``body``, a cancellation, a power cut), a reader sees
        the old file or the new one, whole. Raises QuotaExceeded, Unavailable, Forbidden.
        """

    def open(self, name: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a file, in pieces of at most 1 MiB; to be closed by who does not read to the end.

        Raises NotFound with the first piece.
        """

    async def list_files(self) -> list[StoredFile]:
        """All files, by name."""

    async def delete(self, name: str) -> None:
        """Remove a file, durably. Raises NotFound."""

    async def keeps_bucket(self) -> bool:
        """Whether files lie in the bucket itself, which can not be removed before they are."""


class LoadOptions(msgspec.Struct, frozen=True):
    """How to load.

    ``force_foreign`` takes the snapshot of another datasource, too. ``accept_lost_locks`` also takes one with object
    lock when the present index can not be read, so that nobody can tell which locks it lacks.
    """

    force_foreign: bool = False
    accept_lost_locks: bool = False


class LoadReport(msgspec.Struct, frozen=True):
    """What a load did.

    ``safety`` is the snapshot that holds the index as it was before; empty when there was none, or none that could be
    read (then ``kept`` is where its file was put). ``absent`` lists leaves of the snapshot whose bytes are not on the
    storage and which were left out, at most 1,000; ``absent_total`` counts all. ``adopted`` counts leaves that were
    recognised by path, size and time in another file than the one they were dumped from. ``differences`` is what the
    comparison with the storage carried over afterwards; None where nothing is compared. ``locks_unknown``: the snapshot
    has object lock, and the index before could not be read, so versions that were locked since may be missing or not
    be locked.
    """

    datasource: str
    snapshot: SnapshotInfo
    safety: str = ""
    kept: str = ""
    absent: tuple[str, ...] = ()
    absent_total: int = 0
    adopted: int = 0
    differences: ResyncReport | None = None
    locks_unknown: bool = False


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an export wrote into the folder ``target``.

    ``missing`` are leaves without a blob: nothing was written for them. ``differing`` are those whose bytes are not
    what the snapshot says (size or MD5): what is there was written. ``renamed`` are node paths that can not be file
    names and what they were written as. Each lists at most 1,000; the totals count all. ``versions`` are noncurrent
    ones that were written, ``versions_left`` those that were not asked for.
    """

    target: str
    snapshot: SnapshotHeader
    folders: int
    files: int
    bytes: int
    versions: int = 0
    versions_left: int = 0
    missing: tuple[str, ...] = ()
    missing_total: int = 0
    differing: tuple[str, ...] = ()
    differing_total: int = 0
    renamed: tuple[tuple[str, str], ...] = ()
    renamed_total: int = 0


class SnapshotProgress(msgspec.Struct, frozen=True):
    """How far a dump or load is: what it does now, how much of it is done, and of how much (0: not known).

    ``unit`` is ``bytes`` or ``nodes``.
    """

    phase: str
    done: int = 0
    total: int = 0
    unit: str = "bytes"


def snapshots_inside(bucket: str) -> Conflict:
    """The error for a bucket that can not be removed, because snapshots lie in it."""
    return Conflict(
        f"The bucket '{bucket}' is not empty: snapshots of its index are in it (`cellsmono ds snapshot {bucket} "
        "--operation list`). Delete them first.",
        reason="not_empty",
        path=bucket,
    )


def no_snapshot(name: str) -> NotFound:
    """The error for a basename under which nothing is."""
    return NotFound(f"There is no snapshot {name!r}.", reason="snapshot", path=name)


def check_basename(name: str) -> str:
    """The name itself. Raises Invalid for what is no basename of a snapshot."""
    if not _BASENAME.fullmatch(name):
        raise Invalid(
            f"{name!r} is no name for a snapshot: letters, digits, '.', '-' and '_', a letter or digit first, at most "
            "128 of them, and no folder.",
            reason="basename",
        )
    return name
