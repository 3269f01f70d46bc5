"""The data folder: made for its owner alone, used by one process at a time."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.errors import Forbidden, Invalid, Locked

LOCK_NAME = "cellsmono.lock"
DIRTY_NAME = "cellsmono.running"
SERVED_NAME = "served.json"
_OTHERS = 0o077


def prepare_data_dir(folder: Path) -> None:
    """Make the data folder (mode 0700) when it is missing. Raises Forbidden, Invalid."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise Invalid(f"the data folder {folder} is a file; choose another with --data-dir") from None
    except OSError as error:
        raise Forbidden(
            f"the data folder {folder} can not be made: {error.strerror}; choose another with --data-dir"
        ) from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise Forbidden(f"the data folder {folder} is not writable; choose another with --data-dir or change its owner")


def describe_exposure(folder: Path) -> str:
    """Why the data folder is open to others, empty when it is not: it holds secrets."""
    mode = folder.stat().st_mode & 0o777
    if mode & _OTHERS:
        return f"{folder} is open to other users (mode {mode:03o}); run: chmod 700 {folder}"
    return ""


@contextmanager
def lock_data_dir(folder: Path) -> Iterator[None]:
    """Hold the data folder exclusively. Raises Locked when another process has it.

    The lock is the kernel's (``flock``) and goes with the process, however it ends; the file only tells who has it.
    """
    path = folder / LOCK_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(_describe_holder(descriptor, folder), reason="data_dir", path=str(folder)) from None
        except OSError as error:
            raise Invalid(
                f"the file system of {folder} can not lock files ({error.strerror}); keep the data folder on a local "
                "disk: --data-dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(descriptor)


def is_data_dir_locked(folder: Path) -> bool:
    """Whether a process holds the data folder now. Raises Forbidden when it belongs to somebody else."""
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        raise Forbidden(f"the data folder {folder} belongs to another user; run this as that user") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def mark_running(folder: Path) -> bool:
    """Note that a server runs; returns whether the last one ended cleanly (or there was none)."""
    path = folder / DIRTY_NAME
    was_clean = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.close(descriptor)
    return was_clean


def mark_stopped(folder: Path) -> None:
    """Note that the server ended cleanly."""
    (folder / DIRTY_NAME).unlink(missing_ok=True)


def remember_folders(folder: Path, sources: Sequence[DatasourceConfig]) -> None:
    """Note which datasources the command line named, so that commands find them when no server runs."""
    path = folder / SERVED_NAME
    if not sources:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(msgspec.json.encode(sources))
    fresh.replace(path)


def recall_folders(folder: Path) -> list[DatasourceConfig]:
    """The datasources that the command line of the last server named; a note that can not be read is no note."""
    try:
        return msgspec.json.decode((folder / SERVED_NAME).read_bytes(), type=list[DatasourceConfig])
    except (OSError, msgspec.DecodeError):
        return []


def _describe_holder(descriptor: int, folder: Path) -> str:
    pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    who = f"another cellsmono (pid {pid})" if pid.isdigit() else "another cellsmono"
    return f"{who} uses {folder}; stop it, or give this one its own --data-dir"
