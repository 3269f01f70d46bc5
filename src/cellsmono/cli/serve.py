"""``cellsmono serve``."""

from typing import Annotated

import typer

from cellsmono.cli.options import ConfigFile, DataDir

EPILOG = """Examples:

  cellsmono serve

  cellsmono serve ~/Documents

  cellsmono serve pics=/srv/pics music=/srv/music --s3-listen 0.0.0.0:9000

  cellsmono serve --config /etc/cellsmono.toml --log-level debug"""


def serve(
    folders: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=]FOLDER", help="Folders to serve, each as a bucket.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Main listener: health, metrics, signed S3; or off.", show_default=False
        ),
    ] = None,
    s3_listen: Annotated[
        str | None,
        typer.Option("--s3-listen", metavar="HOST:PORT", help="S3 listener; or off.", show_default=False),
    ] = None,
    region: Annotated[
        str | None, typer.Option(metavar="NAME", help="The region that S3 clients sign for.", show_default=False)
    ] = None,
    default_datasources: Annotated[
        bool | None,
        typer.Option(
            help="Make pydiods1, personal, cellsdata and the internal ones at the first start.", show_default="yes"
        ),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.", show_default=False)
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="auto, console or json.", show_default=False)
    ] = None,
) -> None:
    """Serve folders until Ctrl-C.

    The first start makes the default datasources, and keys that are shown once. Without default datasources, a folder
    and a configured one, the folder "files" in the data folder is served.
    """
    from cellsmono.app.config_sources import load_config
    from cellsmono.app.folders import read_folder_arguments
    from cellsmono.app.run import run_server

    given = {
        "server.data_dir": (data_dir, "--data-dir"),
        "server.listen": (listen, "--listen"),
        "s3.listen": (s3_listen, "--s3-listen"),
        "s3.region": (region, "--region"),
        "server.default_datasources": (_as_text(default_datasources), "--default-datasources"),
        "log.level": (log_level, "--log-level"),
        "log.format": (log_format, "--log-format"),
    }
    flags = {key: (text, flag) for key, (text, flag) in given.items() if text is not None}
    loaded = load_config(flags, config_file=config)
    run_server(loaded, read_folder_arguments(folders or [], loaded.config.datasource))


def _as_text(switch: bool | None) -> str | None:
    return None if switch is None else str(switch).lower()
