"""What commands print: data on stdout as a table or as JSON, messages on stderr."""

import enum
import sys
import time
from collections.abc import Iterable, Sequence

import msgspec

from cellsmono.kernel.text import escape_text

_KIB = 1024


class Output(enum.StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    sys.stdout.write(text + "\n")


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns under titles; nothing but the titles when there are no rows."""
    lines = [tuple(titles), *(tuple(escape_text(str(cell)) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair a line."""
    pairs = [(name, escape_text(str(value))) for name, value in fields]
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        sys.stdout.write(f"{name.ljust(width)}  {value}".rstrip() + "\n")


def tell(message: str) -> None:
    """Write a message for the person at the terminal to stderr."""
    sys.stderr.write("\n".join(escape_text(line) for line in message.split("\n")) + "\n")


def format_bytes(count: float) -> str:
    """A size for people: ``1.4 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < _KIB:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} PiB"


def format_count(count: int, what: str) -> str:
    """A number of things whose plural is regular: ``1 key``, ``2 keys``."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def format_time(seconds: float) -> str:
    """A moment in local time, ``never`` for 0."""
    if not seconds:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
