"""How far a long operation is: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cellsmono.cli.output import tell
from cellsmono.interfaces.sync import Progress

LINE_SECONDS = 5.0
Report = Callable[[Progress], None]


@contextmanager
def show_progress(title: str, *, is_terminal: bool | None = None) -> Iterator[Report]:
    """A function that takes progress; what it shows goes to stderr and, on a terminal, disappears at the end."""
    is_terminal = sys.stderr.isatty() if is_terminal is None else is_terminal
    if is_terminal:
        with _show_bar(title) as report:
            yield report
    else:
        yield _make_line_printer(title, time.monotonic)


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


def _make_line_printer(title: str, now: Callable[[], float]) -> Report:
    last = now()

    def report(progress: Progress) -> None:
        nonlocal last
        if now() - last >= LINE_SECONDS:
            last = now()
            tell(f"{title}: {describe_progress(progress)}")

    return report


@contextmanager
def _show_bar(title: str) -> Iterator[Report]:
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

        def report(progress: Progress) -> None:
            total = progress.folders_total or None
            bar.update(task, completed=progress.folders, total=total, line=describe_progress(progress))

        yield report
