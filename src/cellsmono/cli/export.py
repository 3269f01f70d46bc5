"""``cellsmono ds export``: the files of a flat datasource, without any server."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cellsmono.app.config_sources import LoadedConfig
from cellsmono.cli.encryption import PasswordFile, read_key_file
from cellsmono.cli.keys import ask_secret
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
    SecretFile,
    VerifyTls,
)
from cellsmono.cli.output import Output, print_json, tell
from cellsmono.interfaces.datasource import DatasourceConfig, Signature
from cellsmono.interfaces.sealing import KeyVault

PARTIAL = 5
SHOWN = 20

EXPORT_EPILOG = """Examples:

  cellsmono ds export archive /mnt/rescued

  cellsmono ds export --blobs /mnt/disk/archive /rescued

  cellsmono ds export --snapshot kept.db --blobs /mnt/disk/archive /rescued

  cellsmono ds export --blobs /mnt/disk/sealed --keys keys.json /rescued

  cellsmono ds export --blobs s3://bucket/base --access-key AK /rescued"""


def export_tree(
    target: Annotated[
        list[str], typer.Argument(metavar="[NAME] DEST", help="The datasource, and a new folder for its files.")
    ],
    basename: Annotated[
        str,
        typer.Option(
            metavar="BASENAME",
            help="The snapshot to export; the newest that is whole if not given.",
            show_default=False,
        ),
    ] = "",
    snapshot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A snapshot that is a file.", show_default=False)
    ] = None,
    blobs: Annotated[
        str,
        typer.Option(
            metavar="FOLDER", help="Where the blobs are, instead of NAME; or s3://BUCKET/PREFIX.", show_default=False
        ),
    ] = "",
    versions: Annotated[
        bool,
        typer.Option("--versions", help="Older versions, too: each as NAME~TIME~ID beside what its key shows."),
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            metavar="FILE",
            help="Keys of encrypted content, from `encryption export`; else those of the data folder.",
            show_default=False,
        ),
    ] = None,
    password_file: PasswordFile = None,
    endpoint: Endpoint = "",
    region: Region = "us-east-1",
    access_key: RemoteKey = "",
    secret_key_file: SecretFile = "",
    path_style: PathStyle = True,
    signature: RemoteSignature = Signature.S3V4,
    verify_tls: VerifyTls = True,
    ca_file: AuthorityFile = "",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Write a flat datasource as plain files, without a server.

    All that it takes is a snapshot and the blobs, and the keys of what is encrypted. Nothing is changed but DEST. Exit
    code 5 when files are missing or are not what the snapshot says.
    """
    from cellsmono.app.export import export_datasource
    from cellsmono.app.remote import read_bare_place
    from cellsmono.cli.describe import describe_export
    from cellsmono.cli.output import print_fields
    from cellsmono.cli.progress import show_snapshot_progress
    from cellsmono.cli.session import load_for
    from cellsmono.data.keys.vault import BundleVault, Vault
    from cellsmono.kernel.clock import SystemClock

    if len(target) != (1 if blobs else 2) or (snapshot is not None and basename):
        tell("error: give NAME and DEST, or --blobs and DEST; and at most one of --snapshot FILE and --basename")
        raise typer.Exit(2)
    if blobs:
        given = {
            "endpoint": endpoint,
            "region": region,
            "access_key": access_key,
            "secret_key_file": secret_key_file,
            "secret_key": ask_secret() if access_key and not secret_key_file else "",
            "path_style": path_style,
            "signature": signature,
            "verify_tls": verify_tls,
            "ca_file": ca_file,
        }
        source = read_bare_place(blobs, given)
    else:
        source = _find_config(load_for(data_dir, config), target[0])
    if keys is None:
        vault: KeyVault = Vault(load_for(data_dir, config).data_dir, SystemClock())
    else:
        vault = BundleVault(read_key_file(keys, password_file), str(keys))
    chosen = basename if snapshot is None else str(snapshot.absolute())
    with show_snapshot_progress("export") as note:
        work = export_datasource(source, chosen, Path(target[-1]).absolute(), note, vault, versions=versions)
        report = asyncio.run(work)
    if output is Output.JSON:
        print_json(report)
    else:
        print_fields(describe_export(report))
        if report.versions_left:
            tell(f"{report.versions_left} older versions were not exported; --versions writes them, too")
        _tell_some("missing", report.missing)
        _tell_some("differing", report.differing)
        _tell_some("renamed", [f"{path} is {name}" for path, name in report.renamed])
    if report.missing_total or report.differing_total:
        raise typer.Exit(PARTIAL)


def _find_config(loaded: LoadedConfig, name: str) -> DatasourceConfig:
    """Where a datasource lies, with its secret: from the configuration, the server, or the data folder without one."""
    from cellsmono.app.config_sources import add_datasources
    from cellsmono.app.data_dir import lock_data_dir, recall_folders
    from cellsmono.app.export import find_stored
    from cellsmono.cli.session import find_server
    from cellsmono.kernel.errors import Invalid
    from cellsmono.kernel.text import HIDDEN

    known = add_datasources(loaded, recall_folders(loaded.data_dir), "command line of the last server")
    for source in known.config.datasource:
        if source.name == name:
            return source
    server = find_server(loaded)
    if server is None:
        if not loaded.data_dir.is_dir():
            return asyncio.run(find_stored(loaded, name))
        with lock_data_dir(loaded.data_dir):
            return asyncio.run(find_stored(loaded, name))
    found = asyncio.run(server.read_datasource(name)).config
    if found.secret_key == HIDDEN:
        raise Invalid(
            f"Only the server that runs knows the secret of {name!r}, and it tells nobody. Stop it, or give the place "
            "and the key: --blobs s3://BUCKET/PREFIX --access-key KEY."
        )
    return found


def _tell_some(what: str, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        tell(f"{what}: {line}")
    if len(lines) > SHOWN:
        tell("... and more (--output json shows up to 1,000)")
