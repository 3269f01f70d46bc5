"""``cellsmono ps``."""

import asyncio

from cellsmono.cli.options import ConfigFile, DataDir, OutputFormat
from cellsmono.cli.output import Output, print_json
from cellsmono.kernel.registry import ServiceRow
from cellsmono.kernel.service import ServiceState
from cellsmono.kernel.text import escape_text

EPILOG = """Examples:

  cellsmono ps

  cellsmono ps --output json"""

MARKS = {
    ServiceState.READY: "X",
    ServiceState.DEGRADED: "!",
    ServiceState.FAILED: "-",
    ServiceState.STARTING: " ",
    ServiceState.STOPPING: " ",
    ServiceState.STOPPED: " ",
}


def ps(data_dir: DataDir = None, config: ConfigFile = None, output: OutputFormat = Output.TABLE) -> None:
    """List the services of the running server."""
    from cellsmono.cli.session import load_for, require_server

    rows = asyncio.run(require_server(load_for(data_dir, config)).list_services())
    if output is Output.JSON:
        print_json(rows)
    else:
        print("\n".join(render_services(rows)))  # noqa: T201


def render_services(rows: list[ServiceRow]) -> list[str]:
    """Lines by kind and tag: a mark for the state (X works, ! degraded, - failed), the detail, and what is served."""
    width = max((len(row.name) for row in rows), default=0)
    lines: list[str] = []
    for kind in dict.fromkeys(row.kind for row in rows):
        lines += ([""] if lines else []) + [f"{kind.upper()} SERVICES"]
        inside = [row for row in rows if row.kind == kind]
        for tag in dict.fromkeys(row.tag for row in inside):
            lines.append(f"# {tag}")
            for row in inside:
                if row.tag == tag:
                    state = "" if row.state is ServiceState.READY else f"{row.state} "
                    text = f"{row.name.ljust(width)}  [{MARKS[row.state]}]  {state}{escape_text(_describe(row))}"
                    lines.append(text.rstrip())
    return lines


def _describe(row: ServiceRow) -> str:
    return ", serves ".join(filter(None, (row.detail, ", ".join(row.serves))))
