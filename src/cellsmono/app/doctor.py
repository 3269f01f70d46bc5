"""Looks at the machine for what would get in the way, each finding with its remedy."""

import datetime
import enum
import errno
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cellsmono.app.config_sources import LoadedConfig
from cellsmono.app.data_dir import describe_exposure
from cellsmono.app.process import FEW_FILES

INOTIFY = Path("/proc/sys/fs/inotify")
OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables, which the schemas use."""
FIXED_SQLITE = (3, 51, 3)
"""The first version in which a restart of the WAL can not race with a checkpoint of another connection."""
COUNT_LIMIT = 200_000
COUNT_SECONDS = 5.0
SLOW_SYNC_SECONDS = 0.05
_BUILT = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC).timestamp()
_FICLONE = 0x40049409


class Grade(enum.StrEnum):
    """How grave a finding is."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. ``remedy`` is empty when nothing has to be done."""

    topic: str
    grade: Grade
    text: str
    remedy: str = ""


def examine(loaded: LoadedConfig, folders: list[Path]) -> list[Finding]:
    """Everything. ``folders`` are those that are served."""
    return [
        *examine_python(),
        *examine_sqlite(sqlite3.sqlite_version_info),
        *examine_limits(),
        *examine_clock(time.time()),
        *examine_data_dir(loaded.data_dir),
        *examine_inotify(folders, INOTIFY),
        *(finding for folder in folders for finding in examine_folder(folder)),
    ]


def examine_python() -> Iterator[Finding]:
    """The interpreter and the file system's encoding."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", Grade.OK, f"Python {version}")
    if sys.getfilesystemencoding().lower().replace("-", "") != "utf8":
        yield Finding(
            "encoding", Grade.PROBLEM, f"file names are read as {sys.getfilesystemencoding()}", "set LANG=C.UTF-8"
        )


def examine_sqlite(version: tuple[int, int, int]) -> Iterator[Finding]:
    """The linked SQLite."""
    text = f"SQLite {'.'.join(map(str, version))}"
    if version < OLDEST_SQLITE:
        yield Finding("sqlite", Grade.PROBLEM, f"{text} is too old", "use a Python that links SQLite 3.37 or newer")
    elif version < FIXED_SQLITE:
        yield Finding(
            "sqlite",
            Grade.NOTE,
            f"{text} has a rare fault when two processes write one database (fixed in 3.51.3); cellsmono writes "
            "through one connection only",
            "do not write to its databases with other programs while it runs",
        )
    else:
        yield Finding("sqlite", Grade.OK, text)


def examine_limits() -> Iterator[Finding]:
    """How many files may be open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FEW_FILES:
        yield Finding(
            "open files",
            Grade.WARNING,
            f"at most {hard} files may be open at once",
            f"raise it to {FEW_FILES} or more: `ulimit -Hn`, /etc/security/limits.conf, or LimitNOFILE= in systemd",
        )
    else:
        yield Finding("open files", Grade.OK, f"up to {hard if hard != resource.RLIM_INFINITY else 'any number'}")


def examine_clock(now: float) -> Iterator[Finding]:
    """Whether the clock can be right: S3 clients that differ by more than 15 minutes are refused."""
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < _BUILT:
        yield Finding(
            "clock", Grade.PROBLEM, f"the clock says {shown}", "set it, for example with timedatectl set-ntp true"
        )
    else:
        yield Finding("clock", Grade.OK, shown)


def examine_data_dir(folder: Path) -> Iterator[Finding]:
    """The data folder: there, writable, private, with room."""
    if not folder.exists():
        yield Finding("data folder", Grade.NOTE, f"{folder} does not exist yet; the first start makes it")
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "data folder", Grade.PROBLEM, f"{folder} is not writable", "change its owner, or choose another: --data-dir"
        )
        return
    if exposure := describe_exposure(folder):
        yield Finding("data folder", Grade.WARNING, exposure.partition(";")[0], f"chmod 700 {folder}")
    else:
        yield Finding("data folder", Grade.OK, str(folder))
    yield from _examine_sync(folder, "data folder")


def examine_inotify(folders: list[Path], settings: Path) -> Iterator[Finding]:
    """Whether the kernel's limits let every folder be watched."""
    limit = _read_number(settings / "max_user_watches")
    if limit is None:
        yield Finding("inotify", Grade.NOTE, "there is no inotify here; changes are found by polling")
        return
    needed, is_complete = count_folders(folders)
    counted = f"{needed} folders" if is_complete else f"more than {needed} folders"
    if needed * 1.1 > limit:
        wanted = max(524_288, 2 * needed)
        yield Finding(
            "inotify",
            Grade.WARNING,
            f"{counted} are served, and {limit} can be watched; the rest is found by polling",
            f"sysctl fs.inotify.max_user_watches={wanted} (and in /etc/sysctl.d/ to keep it)",
        )
    else:
        yield Finding("inotify", Grade.OK, f"{counted}, and {limit} can be watched")
    queued = _read_number(settings / "max_queued_events")
    if queued is not None and queued < 16_384:  # noqa: PLR2004 - the kernel's own default
        yield Finding(
            "inotify queue",
            Grade.NOTE,
            f"only {queued} events are queued; bursts cost a scan of the folders",
            "sysctl fs.inotify.max_queued_events=65536",
        )


def examine_folder(folder: Path) -> Iterator[Finding]:
    """A served folder: what its file system can do."""
    topic = f"folder {folder}"
    if not folder.is_dir():
        yield Finding(
            topic, Grade.PROBLEM, "does not exist", "make it, mount its disk, or take it off the configuration"
        )
        return
    if not os.access(folder, os.R_OK | os.X_OK):
        yield Finding(topic, Grade.PROBLEM, "is not readable", "change its permissions or the user who runs the server")
        return
    if not os.access(folder, os.W_OK):
        yield Finding(topic, Grade.NOTE, "is read-only for this user: S3 can read it and not write")
        return
    able: list[str] = []
    unable: list[str] = []
    for name, is_able in probe_abilities(folder).items():
        (able if is_able else unable).append(name)
    yield Finding(topic, Grade.OK, "can " + ", ".join(able) if able else "is plain")
    if "extended attributes" in unable:
        yield Finding(
            topic,
            Grade.NOTE,
            "has no extended attributes: metadata of S3 objects is kept in the index alone, and is not "
            "copied with the files",
        )
    if "rename durably" in unable:
        yield Finding(
            topic,
            Grade.WARNING,
            "can not sync folders: a power cut may undo acknowledged writes",
            "serve it from a local file system such as ext4, xfs or btrfs",
        )
    yield from _examine_sync(folder, topic)


def probe_abilities(folder: Path) -> dict[str, bool]:
    """What can be done in a folder, tried out with files that are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".cellsmono-doctor-", dir=folder) as place:
        source = Path(place) / "a"
        source.write_bytes(b"x")
        return {
            "extended attributes": _can(lambda: os.setxattr(source, "user.cellsmono.probe", b"1")),
            "unnamed files": _can(lambda: os.close(os.open(place, os.O_TMPFILE | os.O_WRONLY, 0o600))),
            "reflinks": _can(lambda: _clone(source, Path(place) / "b")),
            "rename durably": _can(lambda: _sync_folder(Path(place))),
        }


def count_folders(folders: list[Path]) -> tuple[int, bool]:
    """How many folders there are at and below these, and whether all were counted: it stops when it takes too long."""
    count, deadline = 0, time.monotonic() + COUNT_SECONDS
    waiting = [os.fspath(folder) for folder in folders]
    while waiting:
        if count >= COUNT_LIMIT or time.monotonic() > deadline:
            return count, False
        try:
            with os.scandir(waiting.pop()) as entries:
                count += 1
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return count, True


def _examine_sync(folder: Path, topic: str) -> Iterator[Finding]:
    """How long the disk takes to acknowledge a write."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".cellsmono-doctor-", dir=folder) as file:
            begun = time.monotonic()
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
            seconds = time.monotonic() - begun
    except OSError as error:
        yield Finding(
            topic, Grade.PROBLEM, f"a file can not be written and synced: {error.strerror}", "free some space?"
        )
        return
    if seconds > SLOW_SYNC_SECONDS:
        yield Finding(
            topic,
            Grade.NOTE,
            f"the disk takes {seconds * 1000:.0f} ms to sync a small file; so does every durable write",
            'a faster disk, or durability = "relaxed" where the last seconds may be lost at a power cut',
        )


def _can(attempt: object) -> bool:
    try:
        attempt()  # type: ignore[operator]
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return False
    return True


def _clone(source: Path, target: Path) -> None:
    import fcntl

    with source.open("rb") as reader, target.open("wb") as writer:
        fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
