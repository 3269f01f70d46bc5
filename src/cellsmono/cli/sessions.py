"""``cellsmono user session``: where users are signed in."""

from typing import Annotated

import typer

from cellsmono.cli.asking import ask
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, format_time, print_json, print_table, tell
from cellsmono.interfaces.people import EndSession, ListSessions

LIST_EPILOG = """Examples:

  cellsmono user session list

  cellsmono user session list alice --output json"""
REVOKE_EPILOG = """Examples:

  cellsmono user session revoke alice 0example00 --yes"""

app = typer.Typer(
    help="Sessions: where users are signed in.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("list", epilog=LIST_EPILOG)
def list_sessions(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="Whose sessions; without one, everybody's.")] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List sessions of clients and browsers."""
    sessions = ask(data_dir, config, ListSessions(login))
    if output is Output.JSON:
        print_json(sessions)
        return
    print_table(
        ("ID", "LOGIN", "KIND", "CLIENT", "CREATED", "LAST USED", "EXPIRES", "ADDRESS", "AGENT"),
        [
            (
                each.id,
                each.login,
                each.kind.value,
                each.client,
                format_time(each.created),
                format_time(each.last_used),
                format_time(each.expires),
                each.address,
                each.agent,
            )
            for each in sessions
        ],
    )


@app.command("revoke", epilog=REVOKE_EPILOG)
def revoke_session(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="Whose it is.")],
    session: Annotated[str, typer.Argument(metavar="ID", help="The id, as the list shows it.")],
    yes: Yes = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """End a session at once."""
    confirm(f"End the session {session} of {login}? Whoever uses it must sign in again.", yes)
    ask(data_dir, config, EndSession(login, session))
    tell(f"ended {session}")
