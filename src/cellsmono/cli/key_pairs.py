"""``cellsmono user key``: key pairs of users."""

from typing import Annotated

import typer

from cellsmono.cli.asking import ask
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, format_time, print_fields, print_json, print_table, tell
from cellsmono.interfaces.people import CreateKeyPair, ListKeyPairs, RevokeKeyPair

CREATE_EPILOG = """Examples:

  cellsmono user key create alice --description laptop"""
LIST_EPILOG = """Examples:

  cellsmono user key list

  cellsmono user key list alice --output json"""
REVOKE_EPILOG = """Examples:

  cellsmono user key revoke alice CUEXAMPLEEXAMPLE0000 --yes"""

app = typer.Typer(
    help="Key pairs of users, to sign S3 requests with.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("create", epilog=CREATE_EPILOG)
def create_pair(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="Whose it is.")],
    description: Annotated[
        str, typer.Option("--description", "-d", metavar="TEXT", help="What it is for.", show_default=False)
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Make a key pair. The secret is shown this once."""
    pair = ask(data_dir, config, CreateKeyPair(login, description))
    if output is Output.JSON:
        print_json(pair)
    else:
        print_fields([("access key", pair.access_key), ("secret key", pair.secret)])
        tell("Keep the secret now: it is not shown again.")


@app.command("list", epilog=LIST_EPILOG)
def list_pairs(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="Whose keys; without one, everybody's.")] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List key pairs, without their secrets."""
    pairs = ask(data_dir, config, ListKeyPairs(login))
    if output is Output.JSON:
        print_json(
            [
                {"access_key": pair.access_key, "login": pair.login, "description": pair.description}
                | {"created": pair.created}
                for pair in pairs
            ]
        )
        return
    print_table(
        ("ACCESS KEY", "LOGIN", "CREATED", "DESCRIPTION"),
        [(pair.access_key, pair.login, format_time(pair.created), pair.description) for pair in pairs],
    )


@app.command("revoke", epilog=REVOKE_EPILOG)
def revoke_pair(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="Whose it is.")],
    access_key: Annotated[str, typer.Argument(metavar="ACCESS_KEY", help="The key to revoke.")],
    yes: Yes = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Make a key pair unusable at once."""
    confirm(f"Revoke the key {access_key} of {login}? Whoever uses it is refused from then on.", yes)
    ask(data_dir, config, RevokeKeyPair(login, access_key))
    tell(f"revoked {access_key}")
