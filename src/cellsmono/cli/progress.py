"""How far a long operation is: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from cellsmono.cli.output import format_bytes, tell
from cellsmono.interfaces.hashes import RehashProgress
from cellsmono.interfaces.migration import MigrationProgress
from cellsmono.interfaces.snapshots import SnapshotProgress
from cellsmono.interfaces.sync import Progress
from cellsmono.interfaces.version_policy import PruneProgress

LINE_SECONDS = 5.0
P = TypeVar("P")
Report = Callable[[Progress], None]


class Line(msgspec.Struct, frozen=True):
    """What is shown of some progress: a text, and how much is done of how much (0: not known)."""

    text: str
    done: int
    total: int


@contextmanager
def show_progress(title: str, *, is_terminal: bool | None = None) -> Iterator[Report]:
    """A function that takes the progress of a comparison, see ``show_lines``."""
    with show_lines(title, _describe, is_terminal=is_terminal) as report:
        yield report


@contextmanager
def show_snapshot_progress(title: str) -> Iterator[Callable[[SnapshotProgress], None]]:
    """A function that takes the progress of a dump or load, see ``show_lines``."""
    with show_lines(title, _describe_snapshot) as report:
        yield report


@contextmanager
def show_prune_progress(title: str) -> Iterator[Callable[[PruneProgress], None]]:
    """A function that takes the progress of a prune of versions, see ``show_lines``."""
    with show_lines(title, _describe_prune) as report:
        yield report


@contextmanager
def show_rehash_progress(title: str) -> Iterator[Callable[[RehashProgress], None]]:
    """A function that takes the progress of a rehash, see ``show_lines``."""
    with show_lines(title, _describe_rehash) as report:
        yield report


@contextmanager
def show_migration_progress(title: str) -> Iterator[Callable[[MigrationProgress], None]]:
    """A function that takes the progress of a migration, see ``show_lines``."""
    with show_lines(title, _describe_migration) as report:
        yield report


@contextmanager
def show_lines(
    title: str, describe: Callable[[P], Line], *, is_terminal: bool | None = None
) -> Iterator[Callable[[P], None]]:
    """A function that takes progress; what it shows goes to stderr and, on a terminal, disappears at the end."""
    is_terminal = sys.stderr.isatty() if is_terminal is None else is_terminal
    if is_terminal:
        with _show_bar(title) as show:
            yield lambda progress: show(describe(progress))
    else:
        show_line = _make_line_printer(title, time.monotonic)
        yield lambda progress: show_line(describe(progress))


def _describe(progress: Progress) -> Line:
    return Line(describe_progress(progress), progress.folders, progress.folders_total)


def _describe_snapshot(progress: SnapshotProgress) -> Line:
    show = format_bytes if progress.unit == "bytes" else str
    far = f" {show(progress.done)} of {show(progress.total)}" if progress.total else ""
    return Line(progress.phase + far, progress.done, progress.total)


def _describe_rehash(progress: RehashProgress) -> Line:
    eta = "" if progress.eta is None else f", {format_duration(progress.eta)} left"
    far = f"{format_bytes(progress.bytes)} of {format_bytes(progress.bytes_total)}"
    text = f"{progress.files}/{progress.files_total} files, {far}, {format_bytes(progress.rate)}/s{eta}"
    return Line(text, progress.bytes, progress.bytes_total)


def _describe_prune(progress: PruneProgress) -> Line:
    return Line(f"{progress.keys} keys, {progress.removed} versions removed", progress.keys, 0)


def _describe_migration(progress: MigrationProgress) -> Line:
    files = f"{progress.phase} {progress.files} of {progress.files_total} files"
    if not progress.bytes_total:
        return Line(files, progress.files, progress.files_total)
    rate = f"{format_bytes(progress.bytes)} of {format_bytes(progress.bytes_total)}, {format_bytes(progress.rate)}/s"
    eta = "" if progress.eta is None else f", {format_duration(progress.eta)} left"
    return Line(f"{files}, {rate}{eta}", progress.bytes, progress.bytes_total)


def describe_progress(progress: Progress) -> str:
    """One line: folders, entries, rate and the time that is left."""
    folders = f"{progress.folders}/{progress.folders_total}" if progress.folders_total else str(progress.folders)
    eta = "" if progress.eta is None else f", {format_duration(progress.eta)} left"
    return f"{folders} folders, {progress.entries} entries, {progress.rate:.0f}/s{eta}"


def format_duration(seconds: float) -> str:
    """A stretch of time: ``1h 02m``, ``3m 20s``, ``12s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def _make_line_printer(title: str, now: Callable[[], float]) -> Callable[[Line], None]:
    last = now()

    def report(line: Line) -> None:
        nonlocal last
        if now() - last >= LINE_SECONDS:
            last = now()
            tell(f"{title}: {line.text}")

    return report


@contextmanager
def _show_bar(title: str) -> Iterator[Callable[[Line], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn(title, markup=False),
        BarColumn(),
        TextColumn("{task.fields[line]}", markup=False),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, line="")

        def report(line: Line) -> None:
            bar.update(task, completed=line.done, total=line.total or None, line=line.text)

        yield report
