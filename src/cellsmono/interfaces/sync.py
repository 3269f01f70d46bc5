"""The synchronizer service: one way, from the storage to the index."""

import enum
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from cellsmono.interfaces.node import Facts
from cellsmono.interfaces.objects import Skipped


class SyncState(enum.StrEnum):
    """What the synchronizer of a datasource is doing.

    OFFLINE: the root is missing (unmounted disk); nothing is deleted. HELD: a scan would delete more than the guard
    allows and waits for somebody to accept it. DEGRADED: it follows by polling because watching is not possible.
    """

    STARTING = "starting"
    WATCHING = "watching"
    SCANNING = "scanning"
    DEGRADED = "degraded"
    HELD = "held"
    OFFLINE = "offline"
    STOPPED = "stopped"

    @property
    def is_fine(self) -> bool:
        """Whether nobody has to do anything about it."""
        return self not in (SyncState.DEGRADED, SyncState.HELD, SyncState.OFFLINE)


class ResyncOptions(msgspec.Struct, frozen=True):
    """How to resync.

    ``full`` stats every file instead of trusting unchanged folders. ``dry_run`` reports and changes nothing.
    ``accept_deletes`` lets a scan pass the mass-deletion guard.
    """

    full: bool = False
    dry_run: bool = False
    accept_deletes: bool = False


class Progress(msgspec.Struct, frozen=True):
    """How far a resync is. ``folders_total`` is 0 while unknown; ``eta`` is in seconds, None if unknown."""

    folders: int
    folders_total: int
    entries: int
    rate: float
    eta: float | None
    path: str = ""


class ResyncReport(msgspec.Struct, frozen=True):
    """What a resync found. The counts are of nodes whose row was (dry run: would be) changed.

    ``held`` is empty or says why deletions were not applied. ``skipped`` lists at most 1,000 entries; ``skipped_total``
    counts all. ``changes`` (dry run only) are lines such as ``+ a/b.txt``, at most 1,000.
    """

    path: str
    folders: int = 0
    entries: int = 0
    created: int = 0
    updated: int = 0
    moved: int = 0
    deleted: int = 0
    skipped_total: int = 0
    skipped: tuple[Skipped, ...] = ()
    seconds: float = 0.0
    held: str = ""
    cancelled: bool = False
    dry_run: bool = False
    changes: tuple[str, ...] = ()

    @property
    def changed(self) -> int:
        """Rows that were changed in any way."""
        return self.created + self.updated + self.moved + self.deleted


class SyncStatus(msgspec.Struct, frozen=True):
    """What is told about a synchronizer. Times are seconds since the epoch, 0 for never."""

    state: SyncState
    detail: str = ""
    last_reconciled: float = 0.0
    pending: int = 0
    lag: float = 0.0
    watcher: str = ""
    skipped: dict[str, int] = {}
    last_report: ResyncReport | None = None
    last_error: str = ""


class Syncer(Protocol):
    """The one actor of a datasource that carries what is on the storage into the index.

    Never writes, renames or deletes user data; only marker files. A row is deleted only after a complete listing of its
    parent lacked it (or a direct look found nothing).
    """

    async def ingest(self, paths: Iterable[str]) -> int:
        """Look at these keys now and carry what is there into the index; returns how many rows changed.

        A key may be given with or without a trailing ``/``: what is on the storage decides. A folder that is new is
        scanned whole. When this returns, reads of the index see it. The caller must not hold a claim on the paths.
        """

    async def resync(
        self,
        path: str = "",
        options: ResyncOptions = ResyncOptions(),
        progress: Callable[[Progress], None] | None = None,
    ) -> ResyncReport:
        """Compare a subtree with the storage and repair the index. One runs at a time; a second one waits.

        Cancelling the awaiting task stops it between two folders; what was done stays, and the next one goes on quickly
        because unchanged folders are skipped. Raises NotFound when ``path`` is neither in the index nor on the storage.
        """

    def look_soon(self, told: Iterable[tuple[str, Facts | None]]) -> None:
        """Look at these keys after a moment of quiet, because somebody told of changes there; returns at once.

        ``Facts`` are what is there now as far as that was told, None for what is gone or unknown: what the index says
        as well is not looked at.
        """

    def status(self) -> SyncStatus:
        """What it is doing now."""
