"""``cellsmono doctor``."""

from pathlib import Path
from typing import Annotated

import typer

from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat
from cellsmono.cli.output import Output, print_json, print_table

EPILOG = """Examples:

  cellsmono doctor

  cellsmono doctor /srv/photos --output json"""


def doctor(
    folders: Annotated[
        list[str] | None,
        typer.Argument(metavar="FOLDER", help="Folders to look at besides the configured ones.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Look for what would get in the way, with remedies.

    Limits of inotify and of open files, SQLite, abilities of the file systems, clock, permissions. Exit code 1 when
    there is a problem.
    """
    from cellsmono.app.doctor import Grade, examine
    from cellsmono.cli.session import find_folders, load_for

    loaded = load_for(data_dir, config)
    places = {Path(each).expanduser().absolute() for each in folders or []} | find_folders(loaded)
    findings = examine(loaded, sorted(places))
    if output is Output.JSON:
        print_json(findings)
    else:
        print_table(("", "TOPIC", "FINDING"), [(each.grade, each.topic, each.text) for each in findings])
        remedies = [(each.topic, each.remedy) for each in findings if each.remedy]
        if remedies:
            print()  # noqa: T201
            print_table(("TOPIC", "REMEDY"), remedies)
    if any(each.grade is Grade.PROBLEM for each in findings):
        raise typer.Exit(1)
