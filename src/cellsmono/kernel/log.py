"""The log: one line per event on stderr, for people (console) or machines (JSON).

Every line of a request carries its id. What looks like a secret never gets out: values under telling keys are
replaced, signatures and credentials inside texts (headers, query strings) are cut out. Control characters in values
are escaped, so that a file name can neither start a line of its own nor send commands to a terminal.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog

from cellsmono.kernel.text import HIDDEN, escape_text, hide_secrets

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that this code runs for; empty outside of one."""

STYLES = ("auto", "console", "json")

_SECRET_KEY = re.compile(
    r"secret|password|passwd|authorization|signature|credential|cookie|(^|[_-])token$", re.IGNORECASE
)
_PLAIN = re.compile(r"[^\s\"'=]+")
_FIRST = ("time", "level", "logger", "event", "request_id")
_TRACES = ("exception", "stack")

EventDict = MutableMapping[str, Any]


def get_logger(name: str) -> "structlog.typing.FilteringBoundLogger":
    """A logger whose lines carry ``logger=name``. Cheap, and may be called before ``configure_log``."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(_name=name)
    return logger


def configure_log(
    level: str = "info", style: str = "auto", stream: TextIO | None = None, *, cache: bool = False
) -> None:
    """Send structlog and the standard library's logging to ``stream`` (default stderr).

    ``level`` is debug, info, warning or error. ``style`` is ``console``, ``json``, or ``auto``: console when the
    stream is a terminal, JSON otherwise. ``cache`` makes loggers keep this configuration for the life of the process,
    which is faster. Raises ValueError for an unknown level or style.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None or style not in STYLES:
        raise ValueError(f"unknown log level or format: {level!r}, {style!r}")
    is_console = style == "console" or (style == "auto" and (stream or sys.stderr).isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _add_context,
            structlog.processors.format_exc_info,
            clean_event,
            render_console if is_console else render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        context_class=dict,
        logger_factory=lambda *_: structlog.WriteLogger(stream or sys.stderr),
        cache_logger_on_first_use=cache,
    )
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _Forwarder)]
    root.addHandler(_Forwarder())
    root.setLevel(max(number, logging.INFO))


def clean_event(_: object, __: str, event: EventDict) -> EventDict:
    """Hide secrets and escape control characters in every key and value (a structlog processor)."""
    return {escape_text(str(key)): _clean_value(str(key), value) for key, value in event.items()}


def render_json(_: object, __: str, event: EventDict) -> str:
    """One JSON object a line, what one looks for first."""
    ordered = {key: event[key] for key in _FIRST if key in event}
    return msgspec.json.encode(ordered | dict(event), enc_hook=str).decode()


def render_console(_: object, __: str, event: EventDict) -> str:
    """``time level event key=value ...``, with a traceback below it when there is one."""
    fields = dict(event)
    head = f"{fields.pop('time', '')} {fields.pop('level', ''):<7} {fields.pop('event', '')}"
    traces = [str(fields.pop(key)) for key in _TRACES if key in fields]
    line = " ".join([head, *(f"{key}={_quote(value)}" for key, value in fields.items())])
    return "\n".join([line, *traces])


class _Forwarder(logging.Handler):
    """Hands records of the standard library's logging to structlog, so that they look and are cleaned alike."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(_name=record.name)
        try:
            logger.log(record.levelno, record.getMessage(), exc_info=record.exc_info or None)
        except Exception:
            self.handleError(record)


def _add_context(_: object, __: str, event: EventDict) -> EventDict:
    if name := event.pop("_name", ""):
        event["logger"] = name
    event["time"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if request_id := REQUEST_ID.get():
        event.setdefault("request_id", request_id)
    return event


def _clean_value(key: str, value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if _SECRET_KEY.search(key):
        return HIDDEN if value else ""
    if isinstance(value, Mapping):
        return {escape_text(str(name)): _clean_value(str(name), inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean_value("", inner) for inner in value]
    text = hide_secrets(value if isinstance(value, str) else str(value))
    if key in _TRACES:
        return "\n".join(escape_text(line) for line in text.split("\n"))
    return escape_text(text)


def _quote(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    if _PLAIN.fullmatch(text) or not isinstance(value, str):
        return text
    return '"' + text.replace('"', '\\"') + '"'


if not structlog.is_configured():  # the library's own default would write to stdout, where data belongs
    configure_log("warning", "console")
