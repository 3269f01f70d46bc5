"""``cellsmono policy``: policies, which deny more than rights and routes do."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cellsmono.cli.asking import ask
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, print_json, print_table, tell
from cellsmono.interfaces.people import DeletePolicyGroup, ListPolicyGroups, PutPolicyGroup, RestorePolicies
from cellsmono.interfaces.policies import PolicyGroup

LIST_EPILOG = """Examples:

  cellsmono policy list

  cellsmono policy list --output json"""
SET_EPILOG = """Examples:

  cellsmono policy set office-hours.json

  cellsmono policy set -"""
DELETE_EPILOG = """Examples:

  cellsmono policy delete office-hours --yes"""
RESTORE_EPILOG = """Examples:

  cellsmono policy restore --yes"""

app = typer.Typer(
    help="Policies: who may do what under which conditions.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("list", epilog=LIST_EPILOG)
def list_policies(data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE) -> None:
    """List groups of policies; as JSON with all that is in them."""
    groups = ask(data_dir, config, ListPolicyGroups())
    if output is Output.JSON:
        print_json(groups)
        return
    print_table(
        ("GROUP", "ABOUT", "POLICIES", "NAME"),
        [(each.uuid, each.resource_group, len(each.policies), each.name) for each in groups],
    )


@app.command("set", epilog=SET_EPILOG)
def set_policies(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The group as JSON, as `list` has it; - for stdin.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Make a group of policies, or replace one."""
    import msgspec

    from cellsmono.kernel.errors import Invalid

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        group = msgspec.json.decode(text, type=PolicyGroup)
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} is no group of policies: {error}") from None
    tell(f"set {ask(data_dir, config, PutPolicyGroup(group)).uuid}")


@app.command("delete", epilog=DELETE_EPILOG)
def delete_policies(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="The group.")],
    yes: Yes = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Delete a group of policies."""
    confirm(f"Delete the policies {group}?", yes)
    ask(data_dir, config, DeletePolicyGroup(group))
    tell(f"deleted {group}")


@app.command("restore", epilog=RESTORE_EPILOG)
def restore_policies(yes: Yes = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Bring the default policies back; others stay."""
    confirm("Put the default policies in the place of what was made of them?", yes)
    ask(data_dir, config, RestorePolicies())
    tell("restored the default policies")
