"""``cellsmono acl``: who may do what with which files."""

from typing import Annotated

import typer

from cellsmono.cli.asking import ask, read_pairs, read_subject
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat
from cellsmono.cli.output import Output, print_fields, print_json, print_table, tell
from cellsmono.cli.quotas import print_quotas
from cellsmono.interfaces.acls import Explanation, ShownAcl
from cellsmono.interfaces.people import DeleteAcl, ExplainAccess, ListAcls, SetAcl

SET_EPILOG = """Examples:

  cellsmono acl set documents --group / --read

  cellsmono acl set documents/reports --role Editors --read --write

  cellsmono acl set documents/reports/salaries --user bob --deny"""
LIST_EPILOG = """Examples:

  cellsmono acl list

  cellsmono acl list documents/reports

  cellsmono acl list --group /sales --output json"""
DELETE_EPILOG = """Examples:

  cellsmono acl delete documents/reports --role Editors

  cellsmono acl delete --id 12"""
EXPLAIN_EPILOG = """Examples:

  cellsmono acl explain alice documents/reports/2024.pdf

  cellsmono acl explain alice notes.txt --workspace personal-files"""

app = typer.Typer(
    help="Rights: who may do what with which files.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

NodePath = Annotated[
    str, typer.Argument(metavar="PATH", help="A datasource and a path in it: documents/reports. / is everything.")
]
User = Annotated[str, typer.Option("--user", metavar="LOGIN", help="The user.", show_default=False)]
Group = Annotated[
    str, typer.Option("--group", "-g", metavar="PATH", help="The group; / is everybody.", show_default=False)
]
WorkspaceSlug = Annotated[
    str,
    typer.Option("--workspace", "-w", metavar="SLUG", help="In this workspace alone.", show_default=False),
]
RoleName = Annotated[str, typer.Option("--role", metavar="ROLE", help="The role.", show_default=False)]


@app.command("set", epilog=SET_EPILOG)
def set_acl(
    path: NodePath,
    user: User = "",
    group: Group = "",
    role: RoleName = "",
    read: Annotated[bool, typer.Option("--read", help="May see and read it.")] = False,
    write: Annotated[bool, typer.Option("--write", help="May make, change, move and delete.")] = False,
    deny: Annotated[bool, typer.Option("--deny", help="May do nothing, there and below.")] = False,
    action: Annotated[
        list[str] | None,
        typer.Option("--action", metavar="NAME=VALUE", help="Another action, as quota=BYTES.", show_default=False),
    ] = None,
    workspace: WorkspaceSlug = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Give rights on a node and all that is below it."""
    actions = {name: "1" for name, is_given in (("read", read), ("write", write), ("deny", deny)) if is_given}
    request = SetAcl(path, read_subject(user, group, role), actions | read_pairs(action), workspace)
    _print_rows(ask(data_dir, config, request), output)


@app.command("list", epilog=LIST_EPILOG)
def list_acls(
    path: Annotated[str, typer.Argument(metavar="PATH", help="What is set on this node alone.")] = "",
    user: User = "",
    group: Group = "",
    role: RoleName = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List what is set on a node, or for somebody, or all."""
    subject = read_subject(user, group, role) if user or group or role else ""
    _print_rows(ask(data_dir, config, ListAcls(path, subject)), output)


@app.command("delete", epilog=DELETE_EPILOG)
def delete_acl(
    path: Annotated[str, typer.Argument(metavar="PATH", help="The node.")] = "",
    user: User = "",
    group: Group = "",
    role: RoleName = "",
    action: Annotated[
        list[str] | None,
        typer.Option("--action", metavar="NAME", help="This action alone; repeat for more.", show_default=False),
    ] = None,
    workspace: WorkspaceSlug = "",
    number: Annotated[int, typer.Option("--id", metavar="ID", help="The row of this id.", show_default=False)] = 0,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Remove what is set for somebody on a node."""
    if number and (path or user or group or role or action):
        raise typer.BadParameter("--id stands alone: it names one row")
    if not number and not path:
        raise typer.BadParameter("name the node and whom it is about, or a row by --id")
    if number:
        request = DeleteAcl(id=number)
    else:
        request = DeleteAcl(path, read_subject(user, group, role), tuple(action or ()), workspace)
    ask(data_dir, config, request)
    tell("deleted")


@app.command("explain", epilog=EXPLAIN_EPILOG)
def explain_access(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="The user.")],
    path: NodePath,
    workspace: Annotated[
        str,
        typer.Option("--workspace", "-w", metavar="SLUG", help="PATH is one in this workspace.", show_default=False),
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Say what a user may do with a node, and why."""
    found = ask(data_dir, config, ExplainAccess(login, path, workspace))
    if output is Output.JSON:
        print_json(found)
    else:
        _print_explanation(found)


def _print_rows(rows: list[ShownAcl], output: Output) -> None:
    if output is Output.JSON:
        print_json(rows)
        return
    print_table(
        ("ID", "PATH", "FOR", "ACTION", "VALUE", "IN"),
        [
            (
                row.acl.id,
                f"(gone: {row.acl.node})" if row.path is None else row.path or "/",
                f"{row.kind} {row.role}",
                row.acl.action,
                "" if row.acl.value == "1" else row.acl.value,
                row.workspace,
            )
            for row in rows
        ],
    )


def _print_explanation(found: Explanation) -> None:
    print_fields(
        [
            ("path", found.path or "/"),
            ("node", found.uuid or "nothing is there: what would be made there is judged alike"),
            ("user", found.login + (", who is locked out: nothing is possible" if found.is_locked_out else "")),
            ("may", " and ".join(found.rights) or "nothing"),
            ("why", found.why),
            ("roles", ", ".join(role.replace(":", " ", 1) for role in found.roles)),
        ]
    )
    if found.steps:
        print_table(
            ("", "PATH", "FOR", "RIGHTS", "IN"),
            [
                (step.effect, step.path or "/", f"{step.kind} {step.role}", " ".join(step.rights), step.workspace)
                for step in found.steps
            ],
        )
    if found.quotas:
        print_quotas(found.quotas)
