"""Migration: the bytes of a datasource go to another place, or into another format, and its tree stays as it is."""

import enum
from typing import Any

import msgspec

from cellsmono.interfaces.datasource import DatasourceConfig, Format


class MigrationAction(enum.StrEnum):
    """What is done about a migration.

    PLAN: say what would be done, and change nothing. RUN: begin, or go on with the one that was begun, up to the
    switch. FINISH: after the switch, remove the old bytes. ABORT: before the switch, remove the copies.
    """

    PLAN = "plan"
    RUN = "run"
    FINISH = "finish"
    ABORT = "abort"


class MigrationPhase(enum.StrEnum):
    """How far a migration is. It is never told about one that was finished or aborted: then there is none."""

    COPYING = "copying"
    SWITCHED = "switched"
    ABORTING = "aborting"


class MigrationOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for.

    ``format`` and ``target`` may be left out to go on with a migration that was begun. ``target`` is an absolute
    folder, ``s3://BUCKET/PREFIX``, or a name: that of a folder or bucket beside the present one. ``values`` are fields
    of ``DatasourceConfig`` for a bucket (endpoint, keys, ...). With ``move`` objects are removed from the source as
    soon as their copies are safe; nothing of the datasource is served until it is switched.
    """

    action: MigrationAction = MigrationAction.RUN
    format: Format | None = None
    target: str = ""
    values: dict[str, Any] = {}
    move: bool = False


class Obstacle(enum.StrEnum):
    """What keeps a leaf or folder from being migrated.

    KEY: the target can not hold its path. BESIDE: a file has the name of a folder. MISSING: its bytes are not there.
    SIZE: they are not as many as the index says. DIFFERS: they have not the MD5 that was recorded. ALTERED: its copy
    was changed or removed, or something is at the target that was not copied. SPACE: the target has not enough room.
    """

    KEY = "key"
    BESIDE = "beside"
    MISSING = "missing"
    SIZE = "size"
    DIFFERS = "differs"
    ALTERED = "altered"
    SPACE = "space"


class MigrationProblem(msgspec.Struct, frozen=True):
    """One obstacle, and a sentence about it."""

    obstacle: Obstacle
    path: str
    detail: str = ""


class CarriedSnapshot(msgspec.Struct, frozen=True):
    """A snapshot that goes along: its name, size and time in the old place, and its name in the new one."""

    name: str
    kept_as: str
    size: int
    mtime_ns: int


class MigrationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a migration did or would do.

    ``files``, ``folders`` and ``bytes`` are what the datasource holds, ``versions`` and ``version_bytes`` noncurrent
    versions with content that are to be copied, too: all unless both places are structured. ``done_files`` and
    ``done_bytes`` are what is at the target of all that. ``free`` is the room at the target in bytes after PLAN and
    RUN, None where nobody can tell. ``problems`` lists at most 1,000; while there are any nothing is switched.
    ``skipped`` counts entries of the source that are not served (links, sockets) and stay where they are.
    ``snapshots`` counts those that go along. ``left`` lists what FINISH found changed or unknown in the old place and
    did not remove, at most 1,000.
    """

    datasource: str
    action: MigrationAction
    phase: MigrationPhase | None
    source: str
    target: str
    format: Format
    move: bool = False
    files: int = 0
    folders: int = 0
    bytes: int = 0
    versions: int = 0
    version_bytes: int = 0
    done_files: int = 0
    done_bytes: int = 0
    free: int | None = None
    problems: tuple[MigrationProblem, ...] = ()
    problems_total: int = 0
    skipped: int = 0
    snapshots: int = 0
    removed: int = 0
    left: tuple[str, ...] = ()
    left_total: int = 0
    seconds: float = 0.0


class MigrationProgress(msgspec.Struct, frozen=True):
    """How far a migration is. ``rate`` is bytes a second; ``eta`` seconds, None if unknown."""

    phase: str
    files: int = 0
    files_total: int = 0
    bytes: int = 0
    bytes_total: int = 0
    rate: float = 0.0
    eta: float | None = None


class MigrationState(msgspec.Struct, frozen=True, kw_only=True):
    """A migration that was begun, as it is remembered over a restart. The configurations hold secrets.

    ``snapshots`` are those whose copies are at the target, or may be.
    """

    version: int = 1
    phase: MigrationPhase
    source: DatasourceConfig
    target: DatasourceConfig
    move: bool = False
    snapshots: tuple[CarriedSnapshot, ...] = ()
