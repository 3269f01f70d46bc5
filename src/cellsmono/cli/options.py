"""Options that several commands have."""

from typing import Annotated

import typer

from cellsmono.cli.output import Output

DataDir = Annotated[
    str | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="The data folder: databases, keys, control socket.", show_default=False
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="The configuration file (TOML).", show_default=False),
]
OutputFormat = Annotated[Output, typer.Option("--output", "-o", help="How data is printed.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
