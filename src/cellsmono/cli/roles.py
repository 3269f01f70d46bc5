"""``cellsmono role``: what rights are given to, and users have."""

from typing import Annotated

import typer

from cellsmono.cli.asking import ask
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, print_json, print_table, tell
from cellsmono.interfaces.people import ChangeRole, CreateRole, DeleteRole, GiveRole, ListRoles, TakeRole
from cellsmono.interfaces.roles import Role
from cellsmono.interfaces.users import Profile

CREATE_EPILOG = """Examples:

  cellsmono role create Editors

  cellsmono role create Guests --auto-apply shared --auto-apply anon"""
LIST_EPILOG = """Examples:

  cellsmono role list

  cellsmono role list --user alice"""
EDIT_EPILOG = """Examples:

  cellsmono role edit Editors --label Writers

  cellsmono role edit Guests --no-auto-apply"""
DELETE_EPILOG = """Examples:

  cellsmono role delete Editors --yes"""
GIVE_EPILOG = """Examples:

  cellsmono role give Editors alice bob"""
TAKE_EPILOG = """Examples:

  cellsmono role take Editors bob"""

app = typer.Typer(
    help="Roles: what rights are given to, and users have.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="The role, by label or UUID.")]
Logins = Annotated[list[str], typer.Argument(metavar="LOGIN...", help="The users.")]
AutoApply = Annotated[
    list[Profile] | None,
    typer.Option("--auto-apply", help="Applies to all users with this profile; repeat for more.", show_default=False),
]


@app.command("create", epilog=CREATE_EPILOG)
def create_role(
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What it is called.")],
    team: Annotated[bool, typer.Option("--team", help="A team: made by users among themselves.")] = False,
    auto_apply: AutoApply = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Make a role."""
    _print_roles([ask(data_dir, config, CreateRole(label, team, tuple(auto_apply or ())))], output, is_one=True)


@app.command("list", epilog=LIST_EPILOG)
def list_roles(
    user: Annotated[
        str,
        typer.Option("--user", metavar="LOGIN", help="Every role of this user, the weakest first.", show_default=False),
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List roles; those of groups and users only with --user."""
    _print_roles(ask(data_dir, config, ListRoles(user)), output)


@app.command("edit", epilog=EDIT_EPILOG)
def edit_role(
    role: RoleName,
    label: Annotated[
        str | None, typer.Option("--label", metavar="TEXT", help="Call it so.", show_default=False)
    ] = None,
    auto_apply: AutoApply = None,
    no_auto_apply: Annotated[bool, typer.Option("--no-auto-apply", help="Applies to those alone who have it.")] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Change a role's label, and to whom it applies."""
    profiles = () if no_auto_apply else None if auto_apply is None else tuple(auto_apply)
    _print_roles([ask(data_dir, config, ChangeRole(role, label, profiles))], output, is_one=True)


@app.command("delete", epilog=DELETE_EPILOG)
def delete_role(role: RoleName, yes: Yes = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Remove a role and its rights."""
    confirm(f"Delete the role {role}, and all rights that were given to it?", yes)
    ask(data_dir, config, DeleteRole(role))
    tell(f"deleted {role}")


@app.command("give", epilog=GIVE_EPILOG)
def give_role(role: RoleName, logins: Logins, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Give a role to users; roles that are given later are stronger."""
    for login in logins:
        ask(data_dir, config, GiveRole(role, login))
        tell(f"{login} has {role}")


@app.command("take", epilog=TAKE_EPILOG)
def take_role(role: RoleName, logins: Logins, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Take a role from users."""
    for login in logins:
        ask(data_dir, config, TakeRole(role, login))
        tell(f"{login} has {role} no more")


def _print_roles(roles: list[Role], output: Output, is_one: bool = False) -> None:
    if output is Output.JSON:
        print_json(roles[0] if is_one else roles)
        return
    print_table(
        ("ROLE", "KIND", "APPLIES TO", "MEMBERS", "UUID"),
        [(role.label, role.kind, ", ".join(role.auto_applies), ", ".join(role.members), role.uuid) for role in roles],
    )
