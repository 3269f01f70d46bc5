"""``cellsmono encryption``: the keys of encrypted content."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cellsmono.cli.keys import confirm
from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat, Yes
from cellsmono.cli.output import (
    Output,
    format_bytes,
    format_count,
    format_time,
    print_fields,
    print_json,
    print_table,
    tell,
)
from cellsmono.interfaces.encryption import KeyBundle

PARTIAL = 5
SHOWN = 20

LIST_EPILOG = """Examples:

  cellsmono encryption list

  cellsmono encryption list --output json"""
ROTATE_EPILOG = """Examples:

  cellsmono encryption rotate private

  cellsmono encryption rotate private --rewrite"""
EXPORT_EPILOG = """Examples:

  cellsmono encryption export keys.json

  cellsmono encryption export keys.json --password-file /run/secrets/password"""
IMPORT_EPILOG = """Examples:

  cellsmono encryption import keys.json"""

app = typer.Typer(
    help="Keys of encrypted content: list, renew, save and restore.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="File whose first line is the password. Without one it is asked for.",
        show_default=False,
    ),
]


@app.command("list", epilog=LIST_EPILOG)
def list_keys(data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE) -> None:
    """List master keys and the data keys of datasources."""
    from cellsmono.cli.session import load_for, perform

    info = perform(load_for(data_dir, config), lambda operations: operations.read_encryption())
    if output is Output.JSON:
        print_json(info)
        return
    rows = [
        ("master", key.id, format_time(key.created), "", "in use" if key.is_current else "kept for older content")
        for key in info.masters
    ]
    for store in info.stores:
        for key in store.keys:
            state = "in use" if key is store.keys[-1] else "kept for older content"
            served = state if store.is_served else "not served now"
            rows.append(("data", key.id, format_time(key.created), store.datasource, served))
    print_table(("KIND", "KEY", "CREATED", "DATASOURCE", "STATE"), rows)


@app.command("rotate", epilog=ROTATE_EPILOG)
def rotate_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The datasource.")],
    rewrite: Annotated[bool, typer.Option("--rewrite", help="Also encrypt anew what older keys encrypted.")] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Give a datasource a new data key for new content.

    What older keys encrypted stays readable. With --rewrite it is encrypted anew, while the datasource is used; Ctrl-C
    stops that, and the next run goes on. Content that is not encrypted stays as it is. Exit code 5 when content could
    not be read.
    """
    from cellsmono.cli.progress import show_progress
    from cellsmono.cli.session import load_for, perform

    with show_progress(f"rotate {name}") as note:
        report = perform(load_for(data_dir, config), lambda operations: operations.rotate_key(name, rewrite, note))
    if output is Output.JSON:
        print_json(report)
    else:
        fields = [("key", report.key)]
        if rewrite:
            fields += [
                ("looked at", f"{report.blobs} blobs"),
                ("encrypted anew", f"{report.rewritten} blobs, {format_bytes(report.bytes)}"),
                ("not encrypted", f"{report.plain} blobs"),
                ("with keys of clients", f"{report.foreign} blobs"),
                ("failed", f"{report.failed} blobs"),
            ]
        print_fields(fields)
        for key, why in report.failures[:SHOWN]:
            tell(f"{key}: {why}")
    if report.failed:
        raise typer.Exit(PARTIAL)


@app.command("export", epilog=EXPORT_EPILOG)
def export_keys(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", show_default=False)],
    password_file: PasswordFile = None,
    yes: Yes = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Write all keys into a file that a password protects.

    Whoever has the file and the password can read everything that is encrypted; without the keys nobody can.
    """
    from cellsmono.cli.session import load_for
    from cellsmono.data.keys.export import export_keys as make_export
    from cellsmono.data.keys.vault import Vault
    from cellsmono.kernel.clock import SystemClock
    from cellsmono.kernel.errors import Forbidden
    from cellsmono.kernel.private_files import write_private

    vault = Vault(load_for(data_dir, config).data_dir, SystemClock())
    bundle = vault.export()
    if file.exists():
        confirm(f"Replace {file}?", yes)
    data = make_export(bundle, read_password(password_file, is_new=True))
    try:
        write_private(file.absolute(), data)
    except OSError as error:
        raise Forbidden(f"{file} can not be written: {error.strerror}") from None
    keys = sum(len(store.keys) for store in bundle.stores)
    found = f"{format_count(len(bundle.masters), 'master key')}, {format_count(keys, 'data key')}"
    tell(f"in {file}: {found}; keep it and the password apart")


@app.command("import", epilog=IMPORT_EPILOG)
def import_keys(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export.", show_default=False)],
    password_file: PasswordFile = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Take in the keys of an export; those that are there stay.

    Datasources that could not be opened without them are opened.
    """
    from cellsmono.cli.session import load_for, perform

    bundle = read_key_file(file, password_file)
    report = perform(load_for(data_dir, config), lambda operations: operations.import_keys(bundle))
    if output is Output.JSON:
        print_json(report)
    else:
        tell(f"new: {format_count(report.masters, 'master key')}, {format_count(report.keys, 'data key')}")
        for name in report.opened:
            tell(f"{name!r} could be opened")


def read_key_file(file: Path, password_file: Path | None) -> KeyBundle:
    """The keys of an export. Raises NotFound, and what ``read_export`` raises."""
    from cellsmono.data.keys.export import read_export
    from cellsmono.kernel.errors import NotFound

    try:
        data = file.read_bytes()
    except OSError as error:
        raise NotFound(f"{file} can not be read: {error.strerror}") from None
    return read_export(data, read_password(password_file), str(file))


def read_password(file: Path | None, *, is_new: bool = False) -> str:
    """A password: from a file, asked for at a terminal, else the first line of the standard input. Raises NotFound."""
    from cellsmono.kernel.errors import NotFound

    if file is not None:
        try:
            return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise NotFound(f"The password file {file} can not be read: {error}") from None
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, err=True, confirmation_prompt=is_new))
    return sys.stdin.readline().rstrip("\r\n")
