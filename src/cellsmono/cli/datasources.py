"""``cellsmono ds``: the folders that are served."""

from pathlib import Path
from typing import Annotated

import typer

from cellsmono.cli.export import EXPORT_EPILOG, export_tree
from cellsmono.cli.keys import ask_secret, confirm
from cellsmono.cli.migrate import MIGRATE_EPILOG, migrate_datasource
from cellsmono.cli.options import (
    AuthorityFile,
    ConfigFile,
    DataDir,
    Endpoint,
    OutputFormat,
    PathStyle,
    Region,
    RemoteKey,
    RemoteSignature,
    RequestSeconds,
    SecretFile,
    SignPayload,
    VerifyTls,
    Yes,
)
from cellsmono.cli.output import Output, format_bytes, print_json, print_table, tell
from cellsmono.cli.rehash import REHASH_EPILOG, rehash_datasource
from cellsmono.cli.snapshots import SNAPSHOT_EPILOG, locate_snapshot, manage_snapshots
from cellsmono.interfaces.datasource import (
    DatasourceConfig,
    Durability,
    Encryption,
    Format,
    Markers,
    Signature,
    Symlinks,
    Watch,
)
from cellsmono.interfaces.sync import ResyncOptions

REFUSED = 4
PARTIAL = 5
FAILED = 1

LIST_EPILOG = """Examples:

  cellsmono ds list

  cellsmono ds list --output json"""
SHOW_EPILOG = """Examples:

  cellsmono ds show photos"""
ADD_EPILOG = """Examples:

  cellsmono ds add /srv/pictures

  cellsmono ds add photos=/srv/pictures --durability relaxed --anonymous read

  cellsmono ds add archive=/srv/blobs --format flat

  cellsmono ds add private=/srv/sealed --format flat --encrypt

  cellsmono ds add photos=/mnt/copy --from-snapshot /backup/photos.db

  cellsmono ds add far=s3://bucket/base --endpoint https://s3.example.org"""
REMOVE_EPILOG = """Examples:

  cellsmono ds remove photos --yes

  cellsmono ds remove photos --delete-snapshots --yes

  cellsmono ds remove vault --bypass-governance"""
RESYNC_EPILOG = """Examples:

  cellsmono ds resync photos

  cellsmono ds resync photos 2024/summer --full

  cellsmono ds resync photos --dry-run --output json

  cellsmono ds resync photos --accept-deletes --detach"""
CHECK_EPILOG = """Examples:

  cellsmono ds check photos

  cellsmono ds check photos --repair"""

app = typer.Typer(
    help="Datasources: the folders that are served.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


Name = Annotated[str, typer.Argument(metavar="NAME", help="The datasource.")]


@app.command("list", epilog=LIST_EPILOG)
def list_datasources(data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE) -> None:
    """List all datasources, and the object services that they share."""
    from cellsmono.cli.describe import describe_state, list_object_services
    from cellsmono.cli.session import load_for, perform

    infos = perform(load_for(data_dir, config), lambda operations: operations.list_datasources(), only_looks=True)
    if output is Output.JSON:
        print_json(infos)
        return
    rows = [
        (
            info.config.name,
            info.state,
            "?" if info.stats is None else info.stats.files,
            "?" if info.stats is None else format_bytes(info.stats.bytes),
            info.config.format,
            info.objects,
            info.config.place,
            describe_state(info),
        )
        for info in infos
    ]
    print_table(("NAME", "STATE", "FILES", "SIZE", "FORMAT", "OBJECTS", "FOLDER", "DETAIL"), rows)
    if services := list_object_services(infos):
        print()  # noqa: T201
        print_table(("OBJECT SERVICE", "SERVES"), services)


@app.command("show", epilog=SHOW_EPILOG)
def show_datasource(
    name: Name, data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE
) -> None:
    """Show everything about one datasource."""
    from cellsmono.cli.describe import describe_datasource
    from cellsmono.cli.output import print_fields
    from cellsmono.cli.session import load_for, perform

    info = perform(load_for(data_dir, config), lambda operations: operations.read_datasource(name))
    if output is Output.JSON:
        print_json(info)
    else:
        print_fields(describe_datasource(info))


@app.command("add", epilog=ADD_EPILOG)
def add_datasource(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="[NAME=]FOLDER", help="The folder (or s3://BUCKET/PREFIX on another server), and the bucket's name."
        ),
    ],
    format_: Annotated[
        Format, typer.Option("--format", help="How the tree is laid out; flat and internal need an empty folder.")
    ] = Format.STRUCTURED,
    symlinks: Annotated[Symlinks, typer.Option(help="What happens to symbolic links.")] = Symlinks.IGNORE,
    durability: Annotated[Durability, typer.Option(help="When a write is acknowledged.")] = Durability.FSYNC,
    markers: Annotated[Markers, typer.Option(help="Where folder UUIDs are kept.")] = Markers.FILE,
    watch: Annotated[Watch, typer.Option(help="How changes on the disk are noticed.")] = Watch.AUTO,
    anonymous: Annotated[
        str, typer.Option(metavar="read|write", help="What unsigned requests may do.", show_default=False)
    ] = "",
    from_snapshot: Annotated[
        str,
        typer.Option(metavar="FILE|BASENAME", help="A snapshot that the index begins with.", show_default=False),
    ] = "",
    endpoint: Endpoint = "",
    region: Region = "us-east-1",
    access_key: RemoteKey = "",
    secret_key_file: SecretFile = "",
    path_style: PathStyle = True,
    signature: RemoteSignature = Signature.S3V4,
    storage_class: Annotated[str, typer.Option(help="Storage class of objects there.", show_default=False)] = "",
    object_tags: Annotated[
        str, typer.Option(metavar="K=V&K=V", help="Tags of objects there.", show_default=False)
    ] = "",
    read_only: Annotated[bool, typer.Option("--read-only", help="Never write to it.")] = False,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt content before it is stored; for flat and internal.")
    ] = False,
    versions: Annotated[
        bool, typer.Option("--versions", help="Keep what files held before they are replaced or deleted.")
    ] = False,
    checksums: Annotated[bool, typer.Option(help="Send checksums with bodies; old servers may need it off.")] = True,
    verify_tls: VerifyTls = True,
    ca_file: AuthorityFile = "",
    sign_payload: SignPayload = False,
    request_seconds: RequestSeconds = 60.0,
    notify_token_file: Annotated[
        str,
        typer.Option(metavar="FILE", help="File with the token of its notifications of changes.", show_default=False),
    ] = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Serve one more folder, or a bucket elsewhere, from now on."""
    from cellsmono.app.config_sources import read_datasource
    from cellsmono.app.remote import read_place_argument
    from cellsmono.cli.session import load_for, perform
    from cellsmono.interfaces.operations import DatasourceInfo, Operations

    given = {
        "endpoint": endpoint,
        "region": region,
        "access_key": access_key,
        "secret_key_file": secret_key_file,
        "path_style": path_style,
        "signature": signature,
        "storage_class": storage_class,
        "object_tags": object_tags,
        "read_only": read_only,
        "checksums": checksums,
        "verify_tls": verify_tls,
        "ca_file": ca_file,
        "sign_payload": sign_payload,
        "request_seconds": request_seconds,
        "notify_token_file": notify_token_file,
    }
    if access_key and not secret_key_file:
        given["secret_key"] = ask_secret()

    async def work(operations: Operations) -> DatasourceInfo:
        known = [info.config for info in await operations.list_datasources()]
        table = {
            **read_place_argument(folder, known, given),
            "format": format_,
            "symlinks": symlinks,
            "durability": durability,
            "markers": markers,
            "watch": watch,
            "anonymous": anonymous,
            "versions": versions,
            "encryption": Encryption.AES256 if encrypt else Encryption.NONE,
        }
        source: DatasourceConfig = read_datasource(table, "the command line", Path.cwd())
        return await operations.add_datasource(source, locate_snapshot(from_snapshot))

    info = perform(load_for(data_dir, config), work)
    if output is Output.JSON:
        print_json(info)
    else:
        served = "kept for the server itself, unseen by S3 clients," if format_ == Format.INTERNAL else "served"
        tell(f"{info.config.place} is {served} as the bucket {info.config.name!r}")


@app.command("remove", epilog=REMOVE_EPILOG)
def remove_datasource(
    name: Name,
    delete_snapshots: Annotated[
        bool, typer.Option("--delete-snapshots", help="Also delete the snapshots of its index.")
    ] = False,
    bypass_governance: Annotated[
        bool,
        typer.Option("--bypass-governance", help="Also with versions that GOVERNANCE retentions lock, and no others."),
    ] = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Stop serving a folder and forget its index. Its files stay, and the snapshots of its index, too."""
    from cellsmono.cli.session import load_for, perform

    confirm(f"Stop serving {name!r}? Its files stay where they are.", yes)
    perform(
        load_for(data_dir, config),
        lambda operations: operations.remove_datasource(name, delete_snapshots, bypass_governance),
    )
    tell(f"{name!r} is no longer served; its files are where they were")


@app.command("resync", epilog=RESYNC_EPILOG)
def resync_datasource(
    name: Name,
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Only this folder or file in it.", show_default=False)
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Look at every file instead of trusting unchanged folders.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--detach", help="Wait for the end, or let it go on by itself.")] = True,
    accept_deletes: Annotated[
        bool, typer.Option("--accept-deletes", help="Carry over deletions even when they are many.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Compare a datasource with its folder now.

    What differs is carried over. Exit code 5 when entries were skipped, 4 when deletions are held back. Ctrl-C stops
    it; what was done stays.
    """
    from cellsmono.cli.describe import describe_report
    from cellsmono.cli.output import print_fields
    from cellsmono.cli.progress import show_progress
    from cellsmono.cli.session import load_for, perform, require_server

    loaded = load_for(data_dir, config)
    options = ResyncOptions(full=full, dry_run=dry_run, accept_deletes=accept_deletes)
    if not wait:
        import asyncio

        asyncio.run(require_server(loaded).start_resync(name, path, options))
        tell(f"started; `cellsmono ds show {name}` tells how it goes")
        return
    with show_progress(f"resync {name}") as note:
        report = perform(loaded, lambda operations: operations.resync(name, path, options, note))
    if output is Output.JSON:
        print_json(report)
    else:
        print_fields(describe_report(report))
        for change in report.changes:
            tell(change)
    if report.held:
        tell(f"held: {report.held}; --accept-deletes carries the deletions over")
        raise typer.Exit(REFUSED)
    if report.skipped_total:
        raise typer.Exit(PARTIAL)


@app.command("check", epilog=CHECK_EPILOG)
def check_datasource(
    name: Name,
    repair: Annotated[bool, typer.Option("--repair", help="Also mend what differs.")] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Verify the index and compare it completely with the folder. Exit code 1 when something is wrong.

    For a flat datasource it looks for content that belongs to no name (--repair brings it back below lost+found/), for
    old content that a crash left (--repair removes it), and for names whose content is missing (they are kept). Old
    versions of structured datasources are looked for in the datasource "versions"; what no version names any more is
    removed from there with --repair.
    """
    from cellsmono.cli.describe import describe_check, list_findings
    from cellsmono.cli.output import print_fields
    from cellsmono.cli.progress import show_progress
    from cellsmono.cli.session import load_for, perform

    with show_progress(f"check {name}") as note:
        report = perform(load_for(data_dir, config), lambda operations: operations.check(name, repair, note))
    if output is Output.JSON:
        print_json(report)
    else:
        print_fields([("index", f"{len(report.violations)} violations"), *describe_check(report)])
        for line in (*report.violations, *list_findings(report)):
            tell(line)
    if not report.is_fine:
        raise typer.Exit(FAILED)
    if report.differences is not None and report.differences.skipped_total:
        raise typer.Exit(PARTIAL)


app.command("rehash", epilog=REHASH_EPILOG)(rehash_datasource)
app.command("snapshot", epilog=SNAPSHOT_EPILOG)(manage_snapshots)
app.command("migrate", epilog=MIGRATE_EPILOG)(migrate_datasource)
app.command("export", epilog=EXPORT_EPILOG)(export_tree)
