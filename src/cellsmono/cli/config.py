"""``cellsmono config``: what is configured, and from where."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat
from cellsmono.cli.output import Output, print_json, print_table, tell

SHOW_EPILOG = """Examples:

  cellsmono config show --origin

  cellsmono config show --output json"""
CHECK_EPILOG = """Examples:

  cellsmono config check --config /etc/cellsmono.toml"""
INIT_EPILOG = """Examples:

  cellsmono config init

  cellsmono config init ./cellsmono.toml

  cellsmono config init - | less"""

app = typer.Typer(
    help="Show, check and begin the configuration.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


@app.command("show", epilog=SHOW_EPILOG)
def show_config(
    origin: Annotated[bool, typer.Option("--origin", help="Also show where each value comes from.")] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Show every value as a server started now would have it. Secrets are hidden."""
    import msgspec

    from cellsmono.cli.session import load_for

    values = load_for(data_dir, config).list_values()
    if output is Output.JSON:
        print_json(values if origin else {value.key: value.value for value in values})
        return
    rows = [(value.key, msgspec.json.encode(value.value).decode(), value.origin) for value in values]
    if origin:
        print_table(("KEY", "VALUE", "ORIGIN"), rows)
    else:
        print_table(("KEY", "VALUE"), [row[:2] for row in rows])


@app.command("check", epilog=CHECK_EPILOG)
def check_config(data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Read the configuration as a start would: is it right?"""
    from cellsmono.cli.session import load_for
    from cellsmono.interfaces.datasource import Storage

    loaded = load_for(data_dir, config)
    local = [each for each in loaded.config.datasource if each.storage is Storage.LOCAL]
    missing = [each for each in local if not Path(each.folder).is_dir()]
    for source in missing:
        tell(f"warning: the folder of datasource {source.name!r} does not exist: {source.folder}")
    tell(f"the configuration is right ({loaded.file or 'no file; defaults, environment and flags'})")


@app.command("init", epilog=INIT_EPILOG)
def init_config(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="Where to write; - for stdout. Default: the usual place.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a configuration file to start from.

    It holds every key with its default and what it means, all commented out.
    """
    from cellsmono.app.config_example import render_example
    from cellsmono.app.config_sources import default_config_file
    from cellsmono.kernel.errors import AlreadyExists

    text = render_example()
    if file == "-":
        sys.stdout.write(text)
        return
    path = Path(file).expanduser() if file else default_config_file(os.environ)
    if path.exists() and not force:
        raise AlreadyExists(f"{path} exists; --force replaces it")
    path.parent.mkdir(parents=True, exist_ok=True)
    # It may come to hold the owner's secret.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    tell(f"wrote {path}")
