"""``cellsmono workspace``: what users see of the files."""

from typing import Annotated

import typer

from cellsmono.cli import quotas, templates
from cellsmono.cli.asking import ask, read_subject
from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, print_json, print_table, tell
from cellsmono.interfaces.people import (
    ChangeWorkspace,
    CreateWorkspace,
    DeleteWorkspace,
    GiveWorkspace,
    ListWorkspaces,
    TakeWorkspace,
)
from cellsmono.interfaces.workspaces import ShownWorkspace

CREATE_EPILOG = """Examples:

  cellsmono workspace create reports --root documents/reports

  cellsmono workspace create team --root plans=documents/plans \
--root pydiods1"""
LIST_EPILOG = """Examples:

  cellsmono workspace list

  cellsmono workspace list --user alice"""
EDIT_EPILOG = """Examples:

  cellsmono workspace edit reports --label "All reports" """
DELETE_EPILOG = """Examples:

  cellsmono workspace delete reports --yes"""
GIVE_EPILOG = """Examples:

  cellsmono workspace give reports --group /sales --read

  cellsmono workspace give reports --user alice --read --write"""
TAKE_EPILOG = """Examples:

  cellsmono workspace take reports --group /sales"""

app = typer.Typer(
    help="Workspaces: what users see of the files.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
app.command("quota", epilog=quotas.EPILOG)(quotas.quota)
app.add_typer(templates.app, name="template")

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The workspace, as it is called in paths.")]
User = Annotated[str, typer.Option("--user", metavar="LOGIN", help="The user.", show_default=False)]
Group = Annotated[
    str, typer.Option("--group", "-g", metavar="PATH", help="The group; / is everybody.", show_default=False)
]
RoleName = Annotated[str, typer.Option("--role", metavar="ROLE", help="The role.", show_default=False)]


@app.command("create", epilog=CREATE_EPILOG)
def create_workspace(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="What it is called in paths; the name of its bucket.")],
    root: Annotated[
        list[str],
        typer.Option(
            "--root", metavar="[NAME=]PATH", help="What it shows: DATASOURCE/FOLDER or TEMPLATE:NAME; repeat for more."
        ),
    ],
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="The name to show.", show_default=False)] = "",
    description: Annotated[
        str, typer.Option("--description", "-d", metavar="TEXT", help="What it is for.", show_default=False)
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Make a workspace. Nobody sees it before `give`."""
    roots = tuple(_split_root(each) for each in root)
    made = ask(data_dir, config, CreateWorkspace(slug, roots, label, description))
    _print_workspaces([made], output, is_one=True)


@app.command("list", epilog=LIST_EPILOG)
def list_workspaces(
    user: Annotated[
        str, typer.Option("--user", metavar="LOGIN", help="Those that this user sees, and how.", show_default=False)
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List workspaces, and what they show."""
    _print_workspaces(ask(data_dir, config, ListWorkspaces(user)), output)


@app.command("edit", epilog=EDIT_EPILOG)
def edit_workspace(
    slug: Slug,
    label: Annotated[
        str | None, typer.Option("--label", metavar="TEXT", help="The name to show.", show_default=False)
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", "-d", metavar="TEXT", help="What it is for.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Change a workspace's label and description."""
    changed = ask(data_dir, config, ChangeWorkspace(slug, label, description))
    _print_workspaces([changed], output, is_one=True)


@app.command("delete", epilog=DELETE_EPILOG)
def delete_workspace(slug: Slug, yes: Yes = False, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Remove a workspace. Files stay where they are."""
    confirm(f"Delete the workspace {slug}, and all rights in it?", yes)
    ask(data_dir, config, DeleteWorkspace(slug))
    tell(f"deleted {slug}")


@app.command("give", epilog=GIVE_EPILOG)
def give_workspace(
    slug: Slug,
    user: User = "",
    group: Group = "",
    role: RoleName = "",
    read: Annotated[bool, typer.Option("--read", help="May see and read what is in it.")] = False,
    write: Annotated[bool, typer.Option("--write", help="May make, change, move and delete.")] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Open a workspace to a user, group or role."""
    subject = read_subject(user, group, role)
    rights = tuple(name for name, is_given in (("read", read), ("write", write)) if is_given)
    ask(data_dir, config, GiveWorkspace(slug, subject, rights))
    tell(f"{subject.replace(':', ' ', 1)} may {' and '.join(rights)} in {slug}")


@app.command("take", epilog=TAKE_EPILOG)
def take_workspace(
    slug: Slug,
    user: User = "",
    group: Group = "",
    role: RoleName = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Take the rights in a workspace from somebody."""
    subject = read_subject(user, group, role)
    ask(data_dir, config, TakeWorkspace(slug, subject))
    tell(f"{subject.replace(':', ' ', 1)} has no rights in {slug} any more")


def _split_root(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    return (name, path) if equals and "/" not in name else ("", text)


def _print_workspaces(shown: list[ShownWorkspace], output: Output, is_one: bool = False) -> None:
    if output is Output.JSON:
        print_json(shown[0] if is_one else shown)
        return
    print_table(
        ("SLUG", "LABEL", "ROOT", "PATH", "RIGHTS"),
        [
            (
                each.workspace.slug,
                each.workspace.label,
                root.name,
                "(gone)" if root.path is None else root.path,
                " ".join(root.rights),
            )
            for each in shown
            for root in each.roots
        ],
    )
