"""``cellsmono ds export``: the files of a flat datasource, without any server."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat
from cellsmono.cli.output import Output, print_json, tell

PARTIAL = 5
SHOWN = 20

EXPORT_EPILOG = """Examples:

  cellsmono ds export archive /mnt/rescued

  cellsmono ds export --snapshot archive.db --blobs /mnt/disk/archive /rescued"""


def export_tree(
    target: Annotated[
        list[str], typer.Argument(metavar="[NAME] DEST", help="The datasource, and a new folder for its files.")
    ],
    basename: Annotated[
        str,
        typer.Option(
            metavar="BASENAME",
            help="The snapshot to export; the newest that is whole if not given.",
            show_default=False,
        ),
    ] = "",
    snapshot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A snapshot that is a file.", show_default=False)
    ] = None,
    blobs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The folder with the blobs.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Write a flat datasource as plain files, without a server.

    All that it takes is a snapshot and the blobs. Nothing is changed but DEST. Exit code 5 when files are missing or
    are not what the snapshot says.
    """
    from cellsmono.app.export import export_datasource, export_file
    from cellsmono.cli.describe import describe_export
    from cellsmono.cli.output import print_fields
    from cellsmono.cli.progress import show_snapshot_progress

    if (snapshot is None) != (blobs is None) or len(target) != (2 if snapshot is None else 1):
        tell("error: give NAME and DEST, or --snapshot FILE, --blobs FOLDER and DEST")
        raise typer.Exit(2)
    goal = Path(target[-1]).absolute()
    with show_snapshot_progress("export") as note:
        if snapshot is not None and blobs is not None:
            report = asyncio.run(export_file(snapshot, blobs, goal, note))
        else:
            folder = _find_folder(target[0], data_dir, config)
            report = asyncio.run(export_datasource(target[0], folder, basename, goal, note))
    if output is Output.JSON:
        print_json(report)
    else:
        print_fields(describe_export(report))
        _tell_some("missing", report.missing)
        _tell_some("differing", report.differing)
        _tell_some("renamed", [f"{path} is {name}" for path, name in report.renamed])
    if report.missing_total or report.differing_total:
        raise typer.Exit(PARTIAL)


def _find_folder(name: str, data_dir: str | None, config: str | None) -> Path:
    from cellsmono.cli.session import load_for, perform
    from cellsmono.interfaces.datasource import Storage
    from cellsmono.kernel.errors import Invalid

    info = perform(load_for(data_dir, config), lambda operations: operations.read_datasource(name))
    if info.config.storage is not Storage.LOCAL:
        raise Invalid(f"The datasource {name!r} lies on another S3 server; only one in a local folder is exported.")
    return Path(info.config.folder)


def _tell_some(what: str, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        tell(f"{what}: {line}")
    if len(lines) > SHOWN:
        tell("... and more (--output json shows up to 1,000)")
