"""``cellsmono user totp``: second factors."""

from typing import Annotated

import typer

from cellsmono.cli.asking import ask
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, format_time, print_fields, print_json, tell
from cellsmono.interfaces.signing_in import DisableTotp, EnableTotp, ReadTotp

ENABLE_EPILOG = """Examples:

  cellsmono user totp enable alice"""
DISABLE_EPILOG = """Examples:

  cellsmono user totp disable alice --yes"""
SHOW_EPILOG = """Examples:

  cellsmono user totp show alice"""

app = typer.Typer(
    help="Second factors: codes of a generator beside the password.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Login = Annotated[str, typer.Argument(metavar="LOGIN", help="The user.")]


@app.command("enable", epilog=ENABLE_EPILOG)
def enable_totp(
    login: Login, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """Ask a user for a code beside the password from now on. The secret is shown this once."""
    made = ask(data_dir, config, EnableTotp(login))
    if output is Output.JSON:
        print_json(made)
        return
    print_fields(
        [("secret", made.secret), ("address", made.uri), *(("recovery code", code) for code in made.recovery_codes)]
    )
    tell("Put the secret into a code generator and keep the recovery codes: none of it is shown again.")


@app.command("disable", epilog=DISABLE_EPILOG)
def disable_totp(login: Login, yes: Yes = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Let a user in with the password alone."""
    confirm(f"Remove the second factor of {login}? The password alone lets {login} in from then on.", yes)
    ask(data_dir, config, DisableTotp(login))
    tell(f"{login} needs no code any more")


@app.command("show", epilog=SHOW_EPILOG)
def show_totp(
    login: Login, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """Show whether a user has a second factor."""
    shown = ask(data_dir, config, ReadTotp(login))
    if output is Output.JSON:
        print_json(shown)
    else:
        print_fields(
            [
                ("second factor", "yes" if shown.is_enabled else "no"),
                ("since", format_time(shown.created)),
                ("recovery codes left", str(shown.recovery_codes)),
            ]
        )
