"""``cellsmono workspace quota``: how much may lie in a workspace."""

import re
from typing import Annotated

import typer

from cellsmono.cli.asking import ask, read_subject
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat
from cellsmono.cli.output import Output, format_bytes, print_json, print_table
from cellsmono.interfaces.acls import ShownQuota
from cellsmono.interfaces.people import ListQuotas, SetQuota

EPILOG = """Examples:

  cellsmono workspace quota personal-files --set 10GiB --group /

  cellsmono workspace quota personal-files --user alice

  cellsmono workspace quota personal-files --clear --group /sales"""

_SIZE = re.compile(r"(\d{1,15})(?:([KMGT])(i?)B)?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def quota(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="The workspace, as it is called in paths.")],
    limit: Annotated[
        str,
        typer.Option("--set", metavar="SIZE", help="So much in each root: bytes, or 10GiB.", show_default=False),
    ] = "",
    clear: Annotated[bool, typer.Option("--clear", help="No quota for them any more.")] = False,
    user: Annotated[str, typer.Option("--user", metavar="LOGIN", help="The user.", show_default=False)] = "",
    group: Annotated[
        str, typer.Option("--group", "-g", metavar="PATH", help="The group; / is everybody.", show_default=False)
    ] = "",
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="The role.", show_default=False)] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Show the quotas of a workspace or of a user in it, or set them."""
    if limit and clear:
        raise typer.BadParameter("--set and --clear exclude each other")
    if limit or clear:
        subject = read_subject(user, group, role)
        shown = ask(data_dir, config, SetQuota(slug, subject, read_size(limit) if limit else None))
    elif group or role:
        raise typer.BadParameter("--group and --role go with --set and --clear; --user alone shows what counts for one")
    else:
        shown = ask(data_dir, config, ListQuotas(slug, user))
    if output is Output.JSON:
        print_json(shown)
    else:
        print_quotas(shown)


def read_size(text: str) -> int:
    """Bytes of ``1000``, ``10GiB`` (powers of 1024), ``10GB`` (powers of 1000). Exits with 2 for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no size: it is a number of bytes, or one with KiB, MB, GiB and so on")
    count, unit, binary = match.groups(default="")
    return int(count) * int((1024 if binary else 1000) ** _POWERS[unit.upper()])


def print_quotas(quotas: list[ShownQuota] | tuple[ShownQuota, ...]) -> None:
    """A table."""
    print_table(
        ("PATH", "QUOTA", "USED", "FOR", "IN"),
        [
            (
                each.path or "(gone)",
                format_bytes(each.limit),
                "" if each.used is None else format_bytes(each.used),
                f"{each.kind} {each.role}",
                each.workspace,
            )
            for each in quotas
        ],
    )
