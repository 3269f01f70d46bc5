"""The command line: its commands, and how errors become one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 no server answers, 4 refused, 5 done in part (entries
were skipped), 130 interrupted.
"""

import os
import sys
import traceback
from typing import Annotated

import typer

import cellsmono
from cellsmono.cli import (
    acls,
    config,
    datasources,
    encryption,
    files,
    groups,
    jobs,
    keys,
    node_locks,
    policies,
    roles,
    users,
    versions,
    workspaces,
)
from cellsmono.cli.doctor import EPILOG as DOCTOR_EPILOG
from cellsmono.cli.doctor import doctor
from cellsmono.cli.output import tell
from cellsmono.cli.ps import EPILOG as PS_EPILOG
from cellsmono.cli.ps import ps
from cellsmono.cli.serve import EPILOG as SERVE_EPILOG
from cellsmono.cli.serve import serve
from cellsmono.kernel.errors import CellsError

FAILED = 1
USAGE = 2
UNREACHABLE = 3
REFUSED = 4
PARTIAL = 5
INTERRUPTED = 130

_REFUSALS = frozenset({"forbidden", "conflict", "locked", "already_exists", "precondition_failed"})
_DEBUG = "--debug"

app = typer.Typer(
    name="cellsmono",
    help="Serve your folders over S3, indexed, and kept in step with the disk.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command(epilog=SERVE_EPILOG)(serve)
app.command(epilog=PS_EPILOG)(ps)
app.add_typer(datasources.app, name="ds")
app.add_typer(keys.app, name="key")
app.add_typer(users.app, name="user")
app.add_typer(groups.app, name="group")
app.add_typer(roles.app, name="role")
app.add_typer(acls.app, name="acl")
app.add_typer(policies.app, name="policy")
app.add_typer(workspaces.app, name="workspace")
app.add_typer(node_locks.app, name="lock")
app.add_typer(files.app, name="file")
app.add_typer(jobs.app, name="jobs")
app.add_typer(config.app, name="config")
app.add_typer(versions.app, name="versions")
app.add_typer(encryption.app, name="encryption")
app.command(epilog=DOCTOR_EPILOG)(doctor)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"cellsmono {cellsmono.__version__}")
        raise typer.Exit


@app.callback()
def prepare(
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Serve your folders over S3, indexed, and kept in step with the disk."""


def run_command_line(arguments: list[str]) -> int:
    """Run one command; returns the exit code. ``--debug`` may stand anywhere."""
    is_debug = _DEBUG in arguments
    plain = [argument for argument in arguments if argument != _DEBUG]
    try:
        app(plain, prog_name="cellsmono")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED if end.code else 0
    except KeyboardInterrupt:
        tell("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except BaseException as error:
        return report_error(error, is_debug)
    return 0


def report_error(error: BaseException, is_debug: bool) -> int:
    """Tell what went wrong in a line (with a traceback when asked for) and choose the exit code."""
    if is_debug:
        traceback.print_exception(error)
    if not isinstance(error, CellsError):
        tell(f"error: {type(error).__name__}: {error}" + ("" if is_debug else " (--debug shows where)"))
        return FAILED
    tell(f"error: {error.message}")
    if type(error).__name__ == "Unreachable":
        return UNREACHABLE
    if error.code == "invalid":
        return USAGE
    return REFUSED if error.code in _REFUSALS else FAILED
