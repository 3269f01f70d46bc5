"""Unix sockets at paths of any length."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_ADDRESS = 107
"""Bytes of a unix socket's path that the kernel takes (``sun_path``, unix(7)), without the ending NUL."""


@contextmanager
def short_socket_path(path: Path) -> Iterator[Path]:
    """A path of the same socket that the kernel takes: the path itself, or one through an open folder when too long."""
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield path
        return
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}") / path.name
    finally:
        os.close(descriptor)
