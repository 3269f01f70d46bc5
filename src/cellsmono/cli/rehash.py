"""``cellsmono ds rehash``: hashes of content that lies on the storage already."""

import shlex
from typing import Annotated

import typer

from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat
from cellsmono.cli.output import Output, print_fields, print_json, tell
from cellsmono.interfaces.hashes import HashAlgorithm, HashProblem, RehashOptions, RehashProgress, RehashReport

FAILED = 1
PARTIAL = 5

REHASH_EPILOG = """Examples:

  cellsmono ds rehash photos

  cellsmono ds rehash photos 2024/summer --verify

  cellsmono ds rehash photos --verify --after 2024/autumn/leaf.jpg

  cellsmono ds rehash photos broken.jpg --force"""


def rehash_datasource(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The datasource.")],
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Only this folder or file in it.", show_default=False)
    ] = "",
    verify: Annotated[bool, typer.Option("--verify", help="Also read what has hashes, and compare with them.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Hash everything, and take what is found for right.")] = False,
    algorithm: Annotated[HashAlgorithm, typer.Option(help="Which hashes.")] = HashAlgorithm.ALL,
    after: Annotated[
        str, typer.Option(metavar="PATH", help="Go on behind this path, with --verify or --force.", show_default=False)
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Hash files that lack a hash (MD5, block hash).

    Ctrl-C stops it; what was hashed stays, and the next run leaves it out. Content that is not what its hash says,
    although nothing tells of a change, is reported, and the hash stays: put the file back from a backup, or take it
    for right with --force. Exit code 1 when there is such content or some can not be read, 5 when files changed
    meanwhile.
    """
    from cellsmono.cli.describe import describe_rehash
    from cellsmono.cli.progress import show_rehash_progress
    from cellsmono.cli.session import load_for, perform

    options = RehashOptions(verify=verify, force=force, algorithm=algorithm, after=after)
    last = ""

    def follow(progress: RehashProgress) -> None:
        nonlocal last
        last = progress.path or last
        note(progress)

    try:
        with show_rehash_progress(f"rehash {name}") as note:
            report = perform(
                load_for(data_dir, config), lambda operations: operations.rehash(name, path, options, follow)
            )
    except KeyboardInterrupt:
        if options.reads_all and last:
            tell(f"go on with: --after {shlex.quote(last)}")
        raise
    if output is Output.JSON:
        print_json(report)
    else:
        print_fields(describe_rehash(report))
        tell_findings(report)
    if report.open_problems:
        raise typer.Exit(FAILED)
    if report.changed:
        raise typer.Exit(PARTIAL)


def tell_findings(report: RehashReport) -> None:
    """One line for each problem that the report names, and what to do."""
    for found in report.findings:
        tell(f"{found.problem}: {found.path}: {found.detail}")
    if report.counts.get(HashProblem.ROT, 0) > report.replaced:
        tell("put these files back from a backup; or, if they are right as they are, run it with --force")
