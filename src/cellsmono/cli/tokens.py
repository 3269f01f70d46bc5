"""``cellsmono user token``: personal access tokens."""

from typing import Annotated

import typer

from cellsmono.cli.asking import ask, read_duration
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, format_time, print_fields, print_json, print_table, tell
from cellsmono.interfaces.people import CreateToken, ListTokens, RevokeToken

CREATE_EPILOG = """Examples:

  cellsmono user token create alice --description laptop --expires 30d

  cellsmono user token create bob --scope node:$UUID:rw"""
LIST_EPILOG = """Examples:

  cellsmono user token list

  cellsmono user token list alice --output json"""
REVOKE_EPILOG = """Examples:

  cellsmono user token revoke alice 0example00 --yes"""

app = typer.Typer(
    help="Tokens: what stands for a user in programs.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("create", epilog=CREATE_EPILOG)
def create_token(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="Whose it is.")],
    description: Annotated[
        str, typer.Option("--description", "-d", metavar="TEXT", help="What it is for.", show_default=False)
    ] = "",
    expires: Annotated[
        str, typer.Option("--expires", "-e", metavar="TIME", help="How long it is good: 15m, 24h, 30d or never.")
    ] = "never",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            "-s",
            metavar="node:UUID:rw",
            help="Good for this node and what is below it alone; repeat for more.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the token and nothing else.")] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Make a token. It is shown this once."""
    seconds = read_duration(expires)
    made = ask(data_dir, config, CreateToken(login, description, tuple(scope or ()), seconds))
    if quiet:
        typer.echo(made.secret)
        return
    if output is Output.JSON:
        print_json(made)
        return
    token = made.token
    print_fields(
        [
            ("token", made.secret),
            ("id", token.id),
            ("expires", format_time(token.expires)),
            *(("scope", each) for each in token.scopes),
        ]
    )
    tell("Keep the token now: it is not shown again.")


@app.command("list", epilog=LIST_EPILOG)
def list_tokens(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="Whose tokens; without one, everybody's.")] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List tokens and sessions, without what they are."""
    tokens = ask(data_dir, config, ListTokens(login))
    if output is Output.JSON:
        print_json(tokens)
        return
    print_table(
        ("ID", "LOGIN", "KIND", "CREATED", "EXPIRES", "LAST USED", "SCOPES", "DESCRIPTION"),
        [
            (
                token.id,
                token.login,
                token.kind.value,
                format_time(token.created),
                format_time(token.expires),
                format_time(token.last_used),
                " ".join(token.scopes) or "all",
                token.description,
            )
            for token in tokens
        ],
    )


@app.command("revoke", epilog=REVOKE_EPILOG)
def revoke_token(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="Whose it is.")],
    token: Annotated[str, typer.Argument(metavar="ID", help="The id, as the list shows it.")],
    yes: Yes = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Make a token unusable at once, or end a session."""
    confirm(f"Revoke the token {token} of {login}? Whoever uses it is refused from then on.", yes)
    ask(data_dir, config, RevokeToken(login, token))
    tell(f"revoked {token}")
