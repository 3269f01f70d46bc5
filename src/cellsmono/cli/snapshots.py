"""``cellsmono ds snapshot``: the index of a datasource, saved and brought back."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from cellsmono.app.config_sources import LoadedConfig
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, format_bytes, format_time, print_json, print_table, tell
from cellsmono.interfaces.snapshots import DEFAULT_BASENAME, LoadOptions, SnapshotInfo

FAILED = 1
REFUSED = 4
PARTIAL = 5
SHOWN_ABSENT = 20

SNAPSHOT_EPILOG = """Examples:

  cellsmono ds snapshot photos --operation dump

  cellsmono ds snapshot photos --operation list

  cellsmono ds snapshot photos --operation load --basename snapshot.db"""


class Operation(enum.StrEnum):
    """What is done with a snapshot."""

    DUMP = "dump"
    LOAD = "load"
    LIST = "list"
    DELETE = "delete"


def manage_snapshots(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The datasource.")],
    operation: Annotated[Operation, typer.Option(help="What is to be done.")] = Operation.LIST,
    basename: Annotated[
        str, typer.Option(metavar="BASENAME", help="The snapshot's name, without any folder.")
    ] = DEFAULT_BASENAME,
    force_foreign: Annotated[
        bool, typer.Option("--force-foreign", help="Load the snapshot of another datasource, too.")
    ] = False,
    accept_lost_locks: Annotated[
        bool,
        typer.Option(
            "--accept-lost-locks",
            help="Load a snapshot with object lock although the index can not be read: locks made since are lost.",
        ),
    ] = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Save the index of a datasource, list what was saved, or load it.

    Loading overrides the index; the present one is dumped before. Exit code 1 when a listed snapshot is damaged, 5 when
    files of a loaded one were not there any more.
    """
    from cellsmono.cli.session import load_for

    loaded = load_for(data_dir, config)
    if operation is Operation.DUMP:
        _dump(loaded, name, basename, output)
    elif operation is Operation.LOAD:
        options = LoadOptions(force_foreign, accept_lost_locks)
        _load(loaded, name, basename, options, output, is_agreed=yes)
    elif operation is Operation.DELETE:
        _delete(loaded, name, basename, is_agreed=yes)
    else:
        _list(loaded, name, output)


def locate_snapshot(text: str) -> str:
    """What ``--from-snapshot`` names: a file by its absolute path, or else a basename as it is."""
    if "/" in text or Path(text).is_file():
        return str(Path(text).resolve())
    return text


def _dump(loaded: LoadedConfig, name: str, basename: str, output: Output) -> None:
    from cellsmono.cli.progress import show_snapshot_progress
    from cellsmono.cli.session import perform

    with show_snapshot_progress(f"dump {name}") as note:
        info = perform(loaded, lambda operations: operations.dump_snapshot(name, basename, note))
    if output is Output.JSON:
        print_json(info)
    elif info.header is not None:
        tell(f"{basename}: {info.header.files} files, {format_bytes(info.size)}")


def _list(loaded: LoadedConfig, name: str, output: Output) -> None:
    from cellsmono.cli.session import perform

    infos = perform(loaded, lambda operations: operations.list_snapshots(name))
    if output is Output.JSON:
        print_json(infos)
    else:
        print_table(("BASENAME", "TAKEN", "BY", "FILES", "SIZE", "STATE"), map(_describe, infos))
    if any(info.problem for info in infos):
        raise typer.Exit(FAILED)


def _describe(info: SnapshotInfo) -> tuple[object, ...]:
    if info.header is None:
        return info.name, "?", "?", "?", format_bytes(info.size), info.problem
    header = info.header
    return info.name, format_time(header.created), header.origin, header.files, format_bytes(info.size), "ok"


def _delete(loaded: LoadedConfig, name: str, basename: str, *, is_agreed: bool) -> None:
    from cellsmono.cli.session import perform

    confirm(f"Delete the snapshot {basename!r} of {name!r}?", is_agreed)
    perform(loaded, lambda operations: operations.delete_snapshot(name, basename))
    tell(f"{basename!r} is deleted")


def _load(
    loaded: LoadedConfig, name: str, basename: str, options: LoadOptions, output: Output, *, is_agreed: bool
) -> None:
    from cellsmono.cli.describe import describe_load
    from cellsmono.cli.output import print_fields
    from cellsmono.cli.progress import show_snapshot_progress
    from cellsmono.cli.session import perform

    confirm(f"Override the index of {name!r} with the snapshot {basename!r}? Files are not touched.", is_agreed)
    with show_snapshot_progress(f"load {name}") as note:
        report = perform(loaded, lambda operations: operations.load_snapshot(name, basename, options, note))
    if output is Output.JSON:
        print_json(report)
    else:
        print_fields(describe_load(report))
        if report.locks_unknown:
            tell("warning: versions that were locked since this snapshot may be missing now, or not be locked")
        for path in report.absent[:SHOWN_ABSENT]:
            tell(f"absent: {path}")
        if report.absent_total > SHOWN_ABSENT:
            tell(f"... and {report.absent_total - SHOWN_ABSENT} more (--output json shows up to 1,000)")
    if report.differences is not None and report.differences.held:
        tell(
            f"held: {report.differences.held}; `cellsmono ds resync {name} --accept-deletes` carries the deletions over"
        )
        raise typer.Exit(REFUSED)
    if report.absent_total:
        raise typer.Exit(PARTIAL)
