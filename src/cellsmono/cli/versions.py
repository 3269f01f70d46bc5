"""``cellsmono versions``: what keys held before; list it, bring it back, remove what is not kept any more."""

from typing import Annotated

import typer

from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, format_bytes, format_time, print_fields, print_json, print_table, tell
from cellsmono.interfaces.locks import ON, ObjectLock
from cellsmono.interfaces.operations import Operations
from cellsmono.interfaces.version import Version, VersionPage
from cellsmono.interfaces.version_policy import PruneReport

PARTIAL = 5
PAGE = 1000
NULL = "null"

LIST_EPILOG = """Examples:

  cellsmono versions list archive

  cellsmono versions list archive 2024/report.txt --output json"""

RESTORE_EPILOG = """Examples:

  cellsmono versions restore archive 2024/report.txt

  cellsmono versions restore archive a.txt --version null"""

PRUNE_EPILOG = """Examples:

  cellsmono versions prune archive --dry-run

  cellsmono versions prune archive"""

app = typer.Typer(
    help="Versions: list, restore and prune what files held before.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The datasource.")]


@app.command("list", epilog=LIST_EPILOG)
def list_versions(
    name: Name,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="Only keys that begin so.", show_default=False)] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """List the versions of all files, those of each file newest first."""
    from cellsmono.cli.session import load_for, perform

    async def read_all(operations: Operations) -> list[Version]:
        found, page = list[Version](), VersionPage(())
        while True:
            after = page.next_version if page.next_key else None
            page = await operations.list_versions(name, prefix, page.next_key, after, PAGE)
            found += [entry for entry in page.entries if isinstance(entry, Version)]
            if not page.next_key:
                return found

    versions = perform(load_for(data_dir, config), read_all)
    if output is Output.JSON:
        print_json(versions)
    else:
        print_table(("KEY", "VERSION", "MODIFIED", "SIZE", "STATE"), map(describe_version, versions))


def describe_version(version: Version) -> tuple[object, ...]:
    """The cells of one line."""
    state = "current" if version.is_latest else f"until {format_time(version.since_ns / 1e9)}"
    size: object = format_bytes(version.size)
    if version.node is None:
        size, state = "-", f"deleted, {state}"
    elif version.node.meta.lock is not None:
        state = ", ".join((state, *_describe_lock(version.node.meta.lock)))
    return version.key, version.id or NULL, format_time(version.mtime_ns / 1e9), size, state


def _describe_lock(lock: ObjectLock) -> list[str]:
    told = [f"{lock.mode.lower()} lock until {format_time(lock.until)}"] if lock.mode else []
    return [*told, "legal hold"] if lock.hold == ON else told


@app.command("restore", epilog=RESTORE_EPILOG)
def restore_version(
    name: Name,
    path: Annotated[str, typer.Argument(metavar="PATH", help="The file.")],
    version: Annotated[
        str,
        typer.Option(
            metavar="ID", help="Which version; without, the newest that is not shown now.", show_default=False
        ),
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Bring back what a file held before.

    Also of one that was deleted. What it holds now becomes a version, so that nothing is lost.
    """
    from cellsmono.cli.session import load_for, perform

    chosen = None if not version else "" if version == NULL else version
    node = perform(load_for(data_dir, config), lambda operations: operations.restore_version(name, path, chosen))
    if output is Output.JSON:
        print_json(node)
    else:
        tell(f"{node.path} holds {format_bytes(node.size)} again, as the version {node.version or NULL}")


@app.command("prune", epilog=PRUNE_EPILOG)
def prune_versions(
    name: Name,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Remove versions that are not to be kept.

    The policy of the datasource, its version_ keys, says which. The server does the same once an hour. Exit code 5 when
    some could not be removed.
    """
    from cellsmono.cli.progress import show_prune_progress
    from cellsmono.cli.session import load_for, perform

    if not dry_run:
        confirm(f"Remove the versions of {name!r} that its policy does not keep, for good?", yes)
    with show_prune_progress(f"prune {name}") as note:
        report = perform(load_for(data_dir, config), lambda operations: operations.prune_versions(name, dry_run, note))
    if output is Output.JSON:
        print_json(report)
    else:
        _show(report)
    if report.failed:
        raise typer.Exit(PARTIAL)


def _show(report: PruneReport) -> None:
    what = "would be removed" if report.dry_run else "removed"
    print_fields(
        [
            ("keys", report.keys),
            (what, f"{report.removed} versions, {format_bytes(report.removed_bytes)}"),
            ("kept", f"{report.kept} versions that were locked meanwhile"),
            ("failed", report.failed),
        ]
    )
    for each in report.pruned if report.dry_run else ():
        tell(f"{each.path} ({each.version or NULL}, {format_bytes(each.size)}): {each.why}")
