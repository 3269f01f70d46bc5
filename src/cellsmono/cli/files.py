"""``cellsmono file``: files and folders as a user sees them."""

import time
from typing import Annotated

import typer

from cellsmono.cli.asking import ask, read_pairs
from cellsmono.cli.jobs import print_job
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat
from cellsmono.cli.output import Output, format_bytes, format_time, print_fields, print_json, print_table
from cellsmono.interfaces.files import ListFiles, MakeFolder, SetFileMeta, ShownFile, StatFile
from cellsmono.interfaces.jobs import DeleteNodes, Job, JobKind, JobState, ListJobs, RestoreNodes, TransferNodes
from cellsmono.interfaces.people import Request
from cellsmono.kernel.errors import NotFound

LS_EPILOG = """Examples:

  cellsmono file ls --user alice

  cellsmono file ls common-files/plans --user alice"""
STAT_EPILOG = """Examples:

  cellsmono file stat common-files/plan.odt --user alice"""
MKDIR_EPILOG = """Examples:

  cellsmono file mkdir common-files/plans --user alice

  cellsmono file mkdir common-files/plans/2030/may -p --user alice"""
CP_EPILOG = """Examples:

  cellsmono file cp common-files/a.txt personal-files/ --user alice

  cellsmono file cp common-files/a common-files/b --user alice"""
MV_EPILOG = """Examples:

  cellsmono file mv common-files/a.txt common-files/b.txt --user alice"""
RM_EPILOG = """Examples:

  cellsmono file rm common-files/a.txt --user alice

  cellsmono file rm common-files/big --user alice --permanently"""
RESTORE_EPILOG = """Examples:

  cellsmono file restore common-files/recycle_bin/a.txt --user alice"""
META_EPILOG = """Examples:

  cellsmono file meta common-files/a.txt --user alice -s color=red"""

POLL_SECONDS = 0.3

app = typer.Typer(
    help="Files: look, copy, move and delete as a user.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

User = Annotated[str, typer.Option("--user", metavar="LOGIN", help="As whom.")]
Path = Annotated[str, typer.Argument(metavar="PATH", help="A workspace and a path in it: common-files/a.txt.")]
Paths = Annotated[list[str], typer.Argument(metavar="PATH...", help="Workspaces and paths in them.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")]


@app.command("ls", epilog=LS_EPILOG)
def list_files(
    user: User,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help="A folder. Without one: the workspaces.")] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List a folder."""
    files: list[ShownFile] = []
    while page := ask(data_dir, config, ListFiles(user, path, after=_name(files[-1]) if files else "")):
        files += page
    if output is Output.JSON:
        print_json(files)
        return
    print_table(
        ("NAME", "SIZE", "MODIFIED", "UUID"),
        [
            (_name(each), "" if each.is_folder else format_bytes(each.size), format_time(each.mtime), each.uuid)
            for each in files
        ],
    )


@app.command("stat", epilog=STAT_EPILOG)
def stat_file(
    path: Path, user: User, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """Show one file or folder."""
    _print_file(ask(data_dir, config, StatFile(user, path)), output)


@app.command("mkdir", epilog=MKDIR_EPILOG)
def make_folder(
    path: Path,
    user: User,
    parents: Annotated[
        bool, typer.Option("--parents", "-p", help="Make missing folders above too; one that is there is fine.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Make a folder."""
    _print_file(ask(data_dir, config, MakeFolder(user, path, parents)), output)


@app.command("meta", epilog=META_EPILOG)
def change_meta(
    path: Path,
    user: User,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="NAME=VALUE", help="Set one; empty: remove it.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Show or set metadata of a file."""
    request: Request[ShownFile] = SetFileMeta(user, path, read_pairs(given)) if given else StatFile(user, path)
    shown = ask(data_dir, config, request)
    if output is Output.JSON:
        print_json(shown.meta)
    else:
        print_fields(sorted(shown.meta.items()))


@app.command("cp", epilog=CP_EPILOG)
def copy_files(
    paths: Paths,
    user: User,
    detach: Detach = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Copy; the last path is a folder that is there, or the new name."""
    _transfer(JobKind.COPY, paths, user, detach, data_dir, config, output)


@app.command("mv", epilog=MV_EPILOG)
def move_files(
    paths: Paths,
    user: User,
    detach: Detach = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Move; the last path is a folder that is there, or the new name."""
    _transfer(JobKind.MOVE, paths, user, detach, data_dir, config, output)


@app.command("rm", epilog=RM_EPILOG)
def remove_files(
    paths: Paths,
    user: User,
    permanently: Annotated[bool, typer.Option("--permanently", help="Not into the recycle bin.")] = False,
    detach: Detach = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Delete: into the recycle bin of the workspace, where it has one."""
    _run(DeleteNodes(user, tuple(paths), permanently), detach, data_dir, config, output)


@app.command("restore", epilog=RESTORE_EPILOG)
def restore_files(
    paths: Paths,
    user: User,
    detach: Detach = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Bring back from the recycle bin."""
    _run(RestoreNodes(user, tuple(paths)), detach, data_dir, config, output)


def _transfer(
    kind: JobKind,
    paths: list[str],
    user: str,
    detach: bool,
    data_dir: str | None,
    config: str | None,
    output: Output,
) -> None:
    if len(paths) < 2:  # noqa: PLR2004 - what, and where to
        raise typer.BadParameter("name what, and where to")
    *nodes, target = paths
    into = len(nodes) > 1 or target.endswith("/")
    if not into:
        try:
            into = ask(data_dir, config, StatFile(user, target)).is_folder
        except NotFound:
            into = False
    _run(TransferNodes(user, kind, tuple(nodes), target, into), detach, data_dir, config, output)


def _run(request: Request[Job], detach: bool, data_dir: str | None, config: str | None, output: Output) -> None:
    """Begin a job in the running server and wait for its end; exits with 1 when something could not be done."""
    from cellsmono.cli.session import load_for, require_server

    require_server(load_for(data_dir, config))
    job = ask(data_dir, config, request)
    while not detach and not (job.state.is_over or job.state is JobState.PAUSED):
        time.sleep(POLL_SECONDS)
        job = ask(data_dir, config, ListJobs(ids=(job.id,)))[0]
    print_job(job, output)
    if job.state is JobState.FAILED:
        raise typer.Exit(1)


def _name(file: ShownFile) -> str:
    end = "/" if file.is_folder else ""
    return file.path.rstrip("/").rpartition("/")[2] + end


def _print_file(shown: ShownFile, output: Output) -> None:
    if output is Output.JSON:
        print_json(shown)
        return
    print_fields(
        [
            ("path", shown.path),
            ("uuid", shown.uuid),
            ("size", f"{shown.size} ({format_bytes(shown.size)})" + (f", {shown.files} files" if shown.files else "")),
            ("modified", format_time(shown.mtime)),
            *([] if shown.is_folder else [("etag", shown.etag), ("type", shown.content_type)]),
            *((f"meta {name}", value) for name, value in sorted(shown.meta.items())),
        ]
    )
