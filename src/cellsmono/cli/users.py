"""``cellsmono user``: people who share this installation."""

import secrets
from typing import Annotated

import typer

from cellsmono.cli import key_pairs, sessions, tokens, totp
from cellsmono.cli.asking import ask, ask_password, read_duration, read_pairs
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, format_time, print_fields, print_json, print_table, tell
from cellsmono.interfaces.people import (
    ChangeUser,
    CheckPassword,
    CreateUser,
    DeleteUser,
    ListUsers,
    LockUser,
    ReadUser,
    SetPassword,
    UnlockUser,
)
from cellsmono.interfaces.signing_in import CreateReset
from cellsmono.interfaces.users import Profile, User

CREATE_EPILOG = """Examples:

  cellsmono user create alice --display-name "Alice Ames" --password

  echo "$PASSWORD" | cellsmono user create bob --group /sales --password

  cellsmono user create carol --generate --profile admin"""
LIST_EPILOG = """Examples:

  cellsmono user list --group /sales --output json"""
SHOW_EPILOG = """Examples:

  cellsmono user show alice"""
EDIT_EPILOG = """Examples:

  cellsmono user edit alice --group /sales --attribute email=a@example.org

  cellsmono user edit alice --attribute email="""
DELETE_EPILOG = """Examples:

  cellsmono user delete alice --yes"""
SET_EPILOG = """Examples:

  cellsmono user set-password alice

  cellsmono user set-password alice --generate"""
RESET_EPILOG = """Examples:

  cellsmono user reset-link alice

  cellsmono user reset-link alice --expires 7d --output json"""
CHECK_EPILOG = """Examples:

  echo "$PASSWORD" | cellsmono user check-password alice"""
PROFILE_EPILOG = """Examples:

  cellsmono user set-profile alice admin"""
LOCK_EPILOG = """Examples:

  cellsmono user lock alice"""
UNLOCK_EPILOG = """Examples:

  cellsmono user unlock alice"""

GENERATED_LENGTH = 18
"""Random bytes of a generated password: 24 characters."""

app = typer.Typer(
    help="Users: people who share this installation.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

app.add_typer(tokens.app, name="token")
app.add_typer(key_pairs.app, name="key")
app.add_typer(sessions.app, name="session")
app.add_typer(totp.app, name="totp")

Login = Annotated[str, typer.Argument(metavar="LOGIN", help="The user.")]
GroupPath = Annotated[str, typer.Option("--group", "-g", metavar="PATH", help="The group, as /sales/europe.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make a random password and show it this once.")]
Attributes = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        "-a",
        metavar="NAME=VALUE",
        help="An attribute, empty to remove it; repeat for more.",
        show_default=False,
    ),
]


@app.command("create", epilog=CREATE_EPILOG)
def create_user(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="What the user is called.")],
    group: GroupPath = "/",
    profile: Annotated[Profile, typer.Option("--profile", help="What kind of user it is.")] = Profile.STANDARD,
    display_name: Annotated[
        str, typer.Option("--display-name", metavar="TEXT", help="The name to show.", show_default=False)
    ] = "",
    attribute: Attributes = None,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password, or read it from the standard input.")
    ] = False,
    generate: Generate = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Make a user."""
    attributes = read_pairs(attribute)
    if display_name:
        attributes["displayName"] = display_name
    chosen = _choose_password(generate) if password or generate else ""
    user = ask(data_dir, config, CreateUser(login, group, profile, attributes, chosen))
    _print_user(user, output, chosen if generate else "")
    if not chosen:
        tell(f"no password yet: `cellsmono user set-password {login}` gives one")


@app.command("list", epilog=LIST_EPILOG)
def list_users(
    group: GroupPath = "/", data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """List the users of a group and of those below it."""
    users = ask(data_dir, config, ListUsers(group))
    if output is Output.JSON:
        print_json(users)
        return
    print_table(
        ("LOGIN", "GROUP", "PROFILE", "NAME", "LAST LOGIN", "LOCKS"),
        [
            (
                user.login,
                user.group,
                user.profile,
                user.attributes.get("displayName", ""),
                format_time(user.last_login),
                ", ".join(user.locks),
            )
            for user in users
        ],
    )


@app.command("show", epilog=SHOW_EPILOG)
def show_user(
    login: Login, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """Show one user."""
    _print_user(ask(data_dir, config, ReadUser(login)), output)


@app.command("edit", epilog=EDIT_EPILOG)
def edit_user(
    login: Login,
    group: Annotated[
        str | None, typer.Option("--group", "-g", metavar="PATH", help="Move to this group.", show_default=False)
    ] = None,
    attribute: Attributes = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Change a user's group and attributes."""
    request = ChangeUser(login, group=group, attributes=read_pairs(attribute))
    _print_user(ask(data_dir, config, request), output)


@app.command("delete", epilog=DELETE_EPILOG)
def delete_user(login: Login, yes: Yes = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Remove a user. Files stay where they are."""
    confirm(f"Delete the user {login}, with everything that lets {login} in?", yes)
    ask(data_dir, config, DeleteUser(login))
    tell(f"deleted {login}")


@app.command("set-password", epilog=SET_EPILOG)
def set_password(
    login: Login,
    generate: Generate = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Give a user a new password."""
    chosen = _choose_password(generate)
    ask(data_dir, config, SetPassword(login, chosen))
    if output is Output.JSON:
        print_json({"login": login} | ({"password": chosen} if generate else {}))
    elif generate:
        print_fields([("password", chosen)])
        tell("Keep the password now: it is not shown again.")
    else:
        tell(f"{login} has a new password")


@app.command("reset-link", epilog=RESET_EPILOG)
def make_reset_link(
    login: Login,
    expires: Annotated[
        str, typer.Option("--expires", "-e", metavar="TIME", help="How long it is good: 15m, 24h, 30d.")
    ] = "24h",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Make a link with which a user chooses a new password, once."""
    from cellsmono.app.oidc_clients import find_site
    from cellsmono.cli.session import load_for

    site = find_site(load_for(data_dir, config).config.server)
    made = ask(data_dir, config, CreateReset(login, read_duration(expires)))
    link = f"{site}/oidc/reset?token={made.secret}"
    if output is Output.JSON:
        print_json({"login": made.login, "link": link, "expires": made.expires})
    else:
        print_fields([("link", link), ("expires", format_time(made.expires))])
        tell(f"Give the link to {made.login} alone: it is not shown again.")


@app.command("check-password", epilog=CHECK_EPILOG)
def check_password(
    login: Login,
    code: Annotated[
        str, typer.Option("--code", metavar="CODE", help="The code of the second factor.", show_default=False)
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Try a password as a sign-in would."""
    user = ask(data_dir, config, CheckPassword(login, ask_password(is_new=False), code))
    if output is Output.JSON:
        print_json(user)
    else:
        tell(f"{user.login} may come in")


@app.command("set-profile", epilog=PROFILE_EPILOG)
def set_profile(
    login: Login,
    profile: Annotated[Profile, typer.Argument(metavar="PROFILE", help="anon, shared, standard or admin.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Make a user another kind of user."""
    _print_user(ask(data_dir, config, ChangeUser(login, profile=profile)), output)


@app.command("lock", epilog=LOCK_EPILOG)
def lock_user(
    login: Login, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """Keep a user out, whatever the user signs with."""
    _print_user(ask(data_dir, config, LockUser(login)), output)


@app.command("unlock", epilog=UNLOCK_EPILOG)
def unlock_user(
    login: Login, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """Let a user in again."""
    _print_user(ask(data_dir, config, UnlockUser(login)), output)


def _choose_password(generate: bool) -> str:
    return secrets.token_urlsafe(GENERATED_LENGTH) if generate else ask_password(is_new=True)


def _print_user(user: User, output: Output, password: str = "") -> None:
    if output is Output.JSON:
        print_json({"user": user, "password": password} if password else user)
        return
    print_fields(
        [
            ("login", user.login),
            ("group", user.group),
            ("profile", user.profile),
            ("uuid", user.uuid),
            ("created", format_time(user.created)),
            ("last login", format_time(user.last_login)),
            ("password", password or ("set" if user.has_password else "none")),
            ("locks", ", ".join(user.locks) or "none"),
            *sorted(user.attributes.items()),
        ]
    )
    if password:
        tell("Keep the password now: it is not shown again.")
