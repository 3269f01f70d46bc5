"""Small files with secrets: for their owner alone, and whole whatever happens while they are written."""

import os
import secrets
from pathlib import Path

_OTHERS = 0o077


def write_private(path: Path, data: bytes) -> None:
    """Replace a file in one step, with mode 0600; on the disk when this returns. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_open_to_others(path: Path) -> bool:
    """Whether anybody but the owner may read or write a file. Raises OSError."""
    return bool(path.stat().st_mode & _OTHERS)
