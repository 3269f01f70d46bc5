"""``cellsmono key``: access keys."""

import sys
from typing import Annotated

import typer

from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, format_time, print_fields, print_json, print_table, tell

CREATE_EPILOG = """Examples:

  cellsmono key create

  cellsmono key create --description "backup of the laptop" --output json"""
LIST_EPILOG = """Examples:

  cellsmono key list --output json"""
REVOKE_EPILOG = """Examples:

  cellsmono key revoke CMEXAMPLEEXAMPLE0000 --yes"""

app = typer.Typer(
    help="Access keys: who may sign requests.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


@app.command("create", epilog=CREATE_EPILOG)
def create_key(
    description: Annotated[
        str, typer.Option("--description", "-d", metavar="TEXT", help="What it is for.", show_default=False)
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Make a key pair. The secret is shown this once."""
    from cellsmono.cli.session import load_for, perform

    key = perform(load_for(data_dir, config), lambda operations: operations.create_key(description))
    if output is Output.JSON:
        print_json(key)
    else:
        print_fields([("access key", key.access_key), ("secret key", key.secret)])
        tell("Keep the secret now: it is not shown again.")


@app.command("list", epilog=LIST_EPILOG)
def list_keys(data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE) -> None:
    """List active keys, without their secrets."""
    from cellsmono.cli.session import load_for, perform

    keys = perform(load_for(data_dir, config), lambda operations: operations.list_keys())
    rows = [
        {"access_key": key.access_key, "description": key.description, "created": key.created, "preset": key.preset}
        for key in keys
    ]
    if output is Output.JSON:
        print_json(rows)
    else:
        print_table(
            ("ACCESS KEY", "CREATED", "DESCRIPTION"),
            [(key.access_key, "preset" if key.preset else format_time(key.created), key.description) for key in keys],
        )


@app.command("revoke", epilog=REVOKE_EPILOG)
def revoke_key(
    access_key: Annotated[str, typer.Argument(metavar="ACCESS_KEY", help="The key to revoke.")],
    yes: Yes = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Make a key unusable at once."""
    from cellsmono.cli.session import load_for, perform

    confirm(f"Revoke the key {access_key}? Whoever uses it is refused from then on.", yes)
    perform(load_for(data_dir, config), lambda operations: operations.revoke_key(access_key))
    tell(f"revoked {access_key}")


def ask_secret() -> str:
    """A secret key: asked for at a terminal, else the first line of the standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Secret key", hide_input=True, err=True))
    return sys.stdin.readline().strip()


def confirm(question: str, is_agreed: bool) -> None:
    """Ask before something that can not be undone; without a terminal ``--yes`` must be given. Exits with 2 or 4."""
    if is_agreed:
        return
    if not sys.stdin.isatty():
        tell("error: there is no terminal to ask at; give --yes")
        raise typer.Exit(2)
    if not typer.confirm(question, err=True):
        tell("nothing was done")
        raise typer.Exit(4)
