"""``cellsmono group``: the tree in which users are."""

from typing import Annotated

import typer

from cellsmono.cli.asking import ask
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, format_time, print_json, print_table, tell
from cellsmono.interfaces.people import CreateGroup, DeleteGroup, ListGroups

CREATE_EPILOG = """Examples:

  cellsmono group create /sales

  cellsmono group create /sales/europe"""
LIST_EPILOG = """Examples:

  cellsmono group list --output json"""
DELETE_EPILOG = """Examples:

  cellsmono group delete /sales/europe --yes"""

app = typer.Typer(
    help="Groups: the tree in which users are.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

Path = Annotated[str, typer.Argument(metavar="PATH", help="The group, as /sales/europe.")]


@app.command("create", epilog=CREATE_EPILOG)
def create_group(
    path: Path, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """Make a group; those above it must be there."""
    group = ask(data_dir, config, CreateGroup(path))
    if output is Output.JSON:
        print_json(group)
    else:
        tell(f"made the group {group.path}")


@app.command("list", epilog=LIST_EPILOG)
def list_groups(
    path: Annotated[str, typer.Argument(metavar="PATH", help="The group to begin with.")] = "/",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List a group and all groups below it."""
    groups = ask(data_dir, config, ListGroups(path))
    if output is Output.JSON:
        print_json(groups)
    else:
        print_table(
            ("PATH", "CREATED", "UUID"),
            [(group.path, format_time(group.created) if group.created else "", group.uuid) for group in groups],
        )


@app.command("delete", epilog=DELETE_EPILOG)
def delete_group(path: Path, yes: Yes = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Remove an empty group."""
    confirm(f"Delete the group {path}?", yes)
    ask(data_dir, config, DeleteGroup(path))
    tell(f"deleted {path}")
