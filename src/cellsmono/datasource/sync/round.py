"""One round of looking: what is still to be visited, and what was found and waits until the whole round was seen."""

from collections.abc import Set
from typing import Literal

import msgspec

from cellsmono.datasource.sync.context import Origin, Tally
from cellsmono.interfaces.patch import FolderScanned, MoveNode, Operation, Patch, PutLeaves

MOST_RETRIES = 5

Count = Literal["created", "updated", "moved", ""]


class Visit(msgspec.Struct, frozen=True):
    """A folder to be listed. ``fingerprint`` is the listing that its rows are known to equal, empty: none.

    ``discover``: find out only which known folders turned up here or below; rows are compared later. ``is_settled``: it
    was found out, and the row keeps the path, whatever the folder's marker says.
    """

    path: str
    fingerprint: bytes = b""
    mtime_ns: int = 0
    ctime_ns: int = 0
    discover: bool = False
    is_settled: bool = False


class Step(msgspec.Struct, frozen=True):
    """One operation, and what it counts as in the report (nothing: book-keeping)."""

    path: str
    operation: Operation
    count: Count = ""

    @property
    def weight(self) -> int:
        """How many nodes it is about."""
        return len(self.operation.names) if isinstance(self.operation, PutLeaves) else 1

    def paths(self) -> list[str]:
        """The nodes it is about."""
        if isinstance(self.operation, PutLeaves):
            return [self.path + name for name in self.operation.names]
        return [self.path]

    def without(self, touched: Set[str]) -> tuple["Step | None", list[str]]:
        """What is left of it when these paths (without trailing ``/``) are left out, and those of its own."""
        operation = self.operation
        if not isinstance(operation, PutLeaves):
            bare = self.path.rstrip("/")
            return (None, [bare]) if bare in touched else (self, [])
        left_out = [path for path in self.paths() if path in touched]
        if not left_out:
            return self, []
        pairs = zip(operation.names, operation.facts, strict=True)
        kept = [(name, facts) for name, facts in pairs if self.path + name not in touched]
        if not kept:
            return None, left_out
        names, facts = zip(*kept, strict=True)
        return Step(self.path, PutLeaves(self.path, names, facts), self.count), left_out


class Round:
    """The state of one round.

    ``accept`` lets it pass the guards against mass deletion, ``bulk`` says that the index is empty.

    ``visits`` is a stack of folders to be listed. ``leaves`` are keys (without trailing ``/``) to be looked at one by
    one, ``gone`` rows that a look or a complete listing did not find, ``replaced`` rows whose name is taken by an
    entry of the other type. ``relocations`` maps folder paths to the UUID of the folder that stands there now,
    ``foreign`` holds paths where another folder of unknown origin stands. ``walks`` are folders whose whole subtree
    has to be compared. ``busy`` are folders in which somebody was at work, ``unfinished`` those that stayed busy. Who
    ``has_given_up`` left something else: only a comparison of everything finds it again.
    ``displaced`` are keys to be looked at again when folders have got their places, ``put_off`` all that ever were.
    ``moved_from`` (dry run only) are sources of moves. ``deferred`` is the book-keeping of folders whose sub folders
    were new: it is stored last, so that a round that ends early looks at them again.
    """

    def __init__(self, origin: Origin, *, dry_run: bool = False, accept: bool = False) -> None:
        self.origin = origin
        self.dry_run = dry_run
        self.accept = accept
        self.bulk = False
        self.tally = Tally()
        self.visits: list[Visit] = []
        self.leaves: dict[str, None] = {}
        self.gone: dict[str, None] = {}
        self.replaced: dict[str, None] = {}
        self.relocations: dict[str, str] = {}
        self.foreign: dict[str, None] = {}
        self.walks: dict[str, None] = {}
        self.deferred: list[FolderScanned] = []
        self.busy: dict[str, Visit] = {}
        self.unfinished: set[str] = set()
        self.has_given_up = False
        self.displaced: dict[str, None] = {}
        self.put_off: set[str] = set()
        self.moved_from: set[str] = set()
        self._retries: dict[str, int] = {}

    @property
    def stayed_busy(self) -> list[str]:
        """Folders in which somebody was at work whenever they were visited: of ``unfinished`` what time alone mends."""
        return [path for path, count in self._retries.items() if count > MOST_RETRIES]

    def retry(self, visit: Visit) -> None:
        """Visit a folder again when those who are busy in it are done; give up after some times."""
        count = self._retries.get(visit.path, 0) + 1
        self._retries[visit.path] = count
        if count <= MOST_RETRIES:
            self.busy[visit.path] = visit
        else:
            self.unfinished.add(visit.path)

    def patch(self, steps: list[Step]) -> Patch | None:
        """The patch of these steps, counted; None in a dry run, where they are noted instead."""
        for step in steps:
            if self.dry_run and isinstance(step.operation, MoveNode):
                self.moved_from.add(step.operation.source)
            if step.count:
                setattr(self.tally, step.count, getattr(self.tally, step.count) + step.weight)
                if self.dry_run:
                    for path in step.paths():
                        self.tally.line({"created": "+", "updated": "~", "moved": ">"}[step.count], path)
        if self.dry_run or not steps:
            return None
        operations = tuple(step.operation for step in steps)
        return Patch(operations, origin=self.origin, bulk=self.bulk, more=self.bulk)
