"""The access log: one line a request, with nothing in it that could be used to make another one."""

import logging
from urllib.parse import unquote_plus

from cellsmono.gateway.http.exchange import Exchange
from cellsmono.kernel.log import get_logger

_LOG = get_logger("gateway.access")

SECRET_PARAMETERS = frozenset(
    {
        "x-amz-signature",
        "x-amz-credential",
        "x-amz-security-token",
        "signature",
        "awsaccesskeyid",
        "token",
        "code",
        "access_token",
        "pydio_jwt",
    }
)
_SHOWN = 2048


def scrub_target(target: str) -> str:
    """The request target with the values of secret query parameters replaced, cut to a bearable length."""
    path, mark, query = target.partition("?")
    if not mark:
        return target[:_SHOWN]
    parts = []
    for part in query.split("&"):
        name, equals, _ = part.partition("=")
        is_secret = equals and unquote_plus(name).lower() in SECRET_PARAMETERS
        parts.append(f"{name}=[hidden]" if is_secret else part)
    return f"{path}?{'&'.join(parts)}"[:_SHOWN]


def logs_everything() -> bool:
    """Whether the log's level lets lines about successful requests through."""
    return _LOG.is_enabled_for(logging.DEBUG)


def log_request(listener: str, request: Exchange, seconds: float) -> None:
    """Write the line about a finished request: a success at the level debug, a refusal at info, a failure at warning.

    A line costs as much as a small read itself, and successes are counted by the metrics anyway.
    """
    failed, refused = request.status >= 500, request.status >= 400  # noqa: PLR2004
    write = _LOG.warning if failed else _LOG.info if refused else _LOG.debug
    write(
        "request",
        listener=listener,
        method=request.method,
        target=scrub_target(request.raw_path),
        operation=request.operation,
        status=request.status,
        ms=round(seconds * 1000, 3),
        bytes_in=request.bytes_in,
        bytes_out=request.bytes_out,
        remote=request.remote or "",
        agent=request.headers.get("User-Agent", "")[:200],
        **(request.fields or {}),
    )
