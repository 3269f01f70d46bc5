"""Free names: what is there already keeps its own, what comes gets a number."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

MOST_TRIED = 10_000


class Names:
    """Lets one at a time choose a name in a folder and take it, so that no two take the same one.

    ``reserved`` are tree paths that were chosen and where nothing is yet.
    """

    def __init__(self) -> None:
        self.reserved: set[str] = set()
        self._locks: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def choosing(self, folder: str) -> AsyncIterator[None]:
        """While it is entered nobody else chooses in this folder (a tree path)."""
        lock, users = self._locks.setdefault(folder, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                self._locks.pop(folder, None)


async def find_free(path: str, is_taken: Callable[[str], Awaitable[bool]]) -> str:
    """The path, or the first one with a number in its name that is free: ``a-1.txt`` for ``a.txt``, ``b-1/``."""
    if not await is_taken(path):
        return path
    for number in range(1, MOST_TRIED):
        candidate = number_path(path, number)
        if not await is_taken(candidate):
            return candidate
    raise AssertionError(f"{MOST_TRIED} names like {path!r} are taken")


def number_path(path: str, number: int) -> str:
    """A path with a number before the suffix of its last name."""
    end = "/" if path.endswith("/") else ""
    plain = path.removesuffix("/")
    folder, slash, name = plain.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if end or not stem:
        return f"{folder}{slash}{name}-{number}{end}"
    return f"{folder}{slash}{stem}-{number}{dot}{suffix}"
