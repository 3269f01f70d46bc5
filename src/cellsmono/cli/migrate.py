"""``cellsmono ds migrate``: a datasource goes into another format, or to another folder or bucket."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import Output, print_json, tell
from cellsmono.interfaces.datasource import Encryption, Format, Signature
from cellsmono.interfaces.migration import MigrationAction, MigrationOptions, MigrationReport

REFUSED = 4
SHOWN = 20
SCHEME = "s3://"

MIGRATE_EPILOG = """Examples:

  cellsmono ds migrate photos --to flat --target-bucket /srv/blobs --dry-run

  cellsmono ds migrate photos --to flat --target-bucket /srv/blobs

  cellsmono ds migrate photos --finish

  cellsmono ds migrate photos --to flat --target-bucket blobs --move --yes"""


def migrate_datasource(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The datasource.")],
    to: Annotated[
        Format | None, typer.Option("--to", help="The format that it is to have.", show_default=False)
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--target-bucket",
            metavar="PLACE",
            help="An empty folder, s3://BUCKET/PREFIX, or a name beside the present one.",
            show_default=False,
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what is in the way.")] = False,
    move: Annotated[
        bool, typer.Option("--move", help="Remove each file here once it is safe there. Not served meanwhile.")
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="After the switch: remove what lies in the old place.")
    ] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Before the switch: remove the copies, stay here.")] = False,
    encryption: Annotated[
        Encryption | None,
        typer.Option(help="Whether content is encrypted there; as it is here if not given.", show_default=False),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="The S3 server of the target.", show_default=False)
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region of the bucket on it.", show_default=False)] = None,
    access_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Access key for it.", show_default=False)
    ] = None,
    secret_key_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File with the secret. Without one it is asked for.", show_default=False),
    ] = None,
    path_style: Annotated[
        bool | None,
        typer.Option("--path-style/--host-style", help="How its buckets are addressed.", show_default=False),
    ] = None,
    signature: Annotated[
        Signature | None, typer.Option(help="How requests to it are signed.", show_default=False)
    ] = None,
    storage_class: Annotated[
        str | None, typer.Option(help="Storage class of objects there.", show_default=False)
    ] = None,
    object_tags: Annotated[
        str | None, typer.Option(metavar="K=V&K=V", help="Tags of objects there.", show_default=False)
    ] = None,
    checksums: Annotated[bool | None, typer.Option(help="Send checksums with bodies.", show_default=False)] = None,
    verify_tls: Annotated[bool | None, typer.Option(help="Check its certificate.", show_default=False)] = None,
    ca_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Authorities to trust for it.", show_default=False)
    ] = None,
    yes: Yes = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Bring a datasource into another format or to another place.

    Every file is copied and compared; names, UUIDs, ETags and metadata stay as they are. Meanwhile the datasource takes
    no writes; at the end it is switched in one moment, and the old place stays as it is until --finish. What was cut
    short goes on when the command is given again with NAME alone. Exit code 4 when something is in the way: then
    nothing was switched.
    """
    from cellsmono.cli.progress import show_migration_progress
    from cellsmono.cli.session import load_for, perform

    given = {
        "encryption": encryption,
        "endpoint": endpoint,
        "region": region,
        "access_key": access_key,
        "secret_key_file": None if secret_key_file is None else str(Path(secret_key_file).resolve()),
        "path_style": path_style,
        "signature": signature,
        "storage_class": storage_class,
        "object_tags": object_tags,
        "checksums": checksums,
        "verify_tls": verify_tls,
        "ca_file": None if ca_file is None else str(Path(ca_file).resolve()),
    }
    values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    action = _choose_action(dry_run=dry_run, finish=finish, abort=abort)
    if access_key and not secret_key_file:
        values["secret_key"] = _ask_secret()
    _confirm(name, action, is_agreed=yes or dry_run, move=move)
    options = MigrationOptions(action, to, _locate(target), values, move)
    with show_migration_progress(f"migrate {name}") as note:
        report = perform(load_for(data_dir, config), lambda operations: operations.migrate(name, options, note))
    _show(report, output)


def _choose_action(*, dry_run: bool, finish: bool, abort: bool) -> MigrationAction:
    chosen = [
        action
        for action, is_chosen in (
            (MigrationAction.PLAN, dry_run),
            (MigrationAction.FINISH, finish),
            (MigrationAction.ABORT, abort),
        )
        if is_chosen
    ]
    if len(chosen) > 1:
        tell("error: --dry-run, --finish and --abort exclude each other")
        raise typer.Exit(2)
    return chosen[0] if chosen else MigrationAction.RUN


def _ask_secret() -> str:
    if sys.stdin.isatty():
        secret: str = typer.prompt("Secret key", hide_input=True, err=True)
        return secret
    return sys.stdin.readline().strip()


def _locate(target: str) -> str:
    """A target as the server understands it: a folder by its absolute path."""
    if target and not target.strip():
        raise typer.BadParameter("it is blank", param_hint="--target-bucket")
    if target.startswith(SCHEME) or "/" not in target:
        return target
    return str(Path(target).expanduser().absolute())


def _confirm(name: str, action: MigrationAction, *, is_agreed: bool, move: bool) -> None:
    if action is MigrationAction.FINISH:
        confirm(f"Remove the files of {name!r} from the place where they were before the migration?", is_agreed)
    elif action is MigrationAction.ABORT:
        confirm(f"Give the migration of {name!r} up and remove the copies?", is_agreed)
    elif move:
        confirm(f"Move {name!r}, file by file? Until all is there nothing of it is served.", is_agreed)


def _show(report: MigrationReport, output: Output) -> None:
    from cellsmono.cli.describe import describe_migration, tell_next_step
    from cellsmono.cli.output import print_fields

    if output is Output.JSON:
        print_json(report)
    else:
        print_fields(describe_migration(report))
        for problem in report.problems[:SHOWN]:
            tell(f"{problem.obstacle}: {problem.path or '/'}" + (f": {problem.detail}" if problem.detail else ""))
        for key in report.left[:SHOWN]:
            tell(f"left: {key}")
        if max(report.problems_total, report.left_total) > SHOWN:
            tell("... and more (--output json shows up to 1,000)")
        tell(tell_next_step(report))
    if report.problems_total:
        raise typer.Exit(REFUSED)
