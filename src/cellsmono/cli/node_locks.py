"""``cellsmono lock``: what users keep others from changing."""

from typing import Annotated

import typer

from cellsmono.cli.asking import ask
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat
from cellsmono.cli.output import Output, print_json, print_table, tell
from cellsmono.interfaces.node_locks import ClearLock, ListLocks, LockKind, NodeLock, SetLock

SET_EPILOG = """Examples:

  cellsmono lock set pydiods1/plan.odt --user alice

  cellsmono lock set pydiods1/archive --user alice --kind lock"""
LIST_EPILOG = """Examples:

  cellsmono lock list

  cellsmono lock list pydiods1/plan.odt"""
CLEAR_EPILOG = """Examples:

  cellsmono lock clear pydiods1/plan.odt

  cellsmono lock clear pydiods1/plan.odt --user alice"""

app = typer.Typer(
    help="Locks: what users keep others from changing.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

NodePath = Annotated[str, typer.Argument(metavar="PATH", help="A datasource and a path in it: pydiods1/plan.odt.")]


@app.command("set", epilog=SET_EPILOG)
def set_lock(
    path: NodePath,
    user: Annotated[str, typer.Option("--user", metavar="LOGIN", help="Who holds the lock.")],
    kind: Annotated[
        LockKind, typer.Option("--kind", help="Others change nothing; nobody does; or not the child with --name.")
    ] = LockKind.CONTENT,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The child of a child_lock.", show_default=False)
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Lock a file or folder for a user."""
    _print_locks([ask(data_dir, config, SetLock(path, user, kind, name))], output, is_one=True)


@app.command("list", epilog=LIST_EPILOG)
def list_locks(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Those on this node alone.")] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List locks."""
    _print_locks(ask(data_dir, config, ListLocks(path)), output)


@app.command("clear", epilog=CLEAR_EPILOG)
def clear_lock(
    path: NodePath,
    user: Annotated[
        str, typer.Option("--user", metavar="LOGIN", help="Those of this user alone.", show_default=False)
    ] = "",
    kind: Annotated[LockKind | None, typer.Option("--kind", help="Those of one kind.", show_default=False)] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Lift the locks on a file or folder."""
    ask(data_dir, config, ClearLock(path, user, kind))
    tell(f"{path} is not locked any more")


def _print_locks(locks: list[NodeLock], output: Output, is_one: bool = False) -> None:
    if output is Output.JSON:
        print_json(locks[0] if is_one else locks)
        return
    print_table(
        ("PATH", "KIND", "USER", "NAME"), [(lock.path, lock.kind.value, lock.login, lock.name) for lock in locks]
    )
