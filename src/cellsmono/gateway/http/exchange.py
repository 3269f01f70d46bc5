"""A request with what the listener and the protocol above it tell each other about it."""

import itertools
import os
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from aiohttp import web

from cellsmono.gateway.http.connection import Connection


class RequestMetrics(Protocol):
    """Where figures about requests go. Called once for each, after the last byte was handed to the kernel."""

    def observe_request(self, operation: str, status: int, seconds: float, bytes_in: int, bytes_out: int, /) -> None:
        """One request is done. ``operation`` is a word from a fixed set, never text from the request."""


class Exchange(web.BaseRequest):
    """One request. The protocol fills in ``operation`` and ``fields`` for the access log and the metrics."""

    operation: str = "unknown"
    request_id: str = ""
    status: int = 0
    bytes_out: int = 0
    fields: dict[str, str] | None = None
    """More for the access log, such as bucket and key; never anything secret."""

    @property
    def connection(self) -> Connection:
        """The connection that the request came over."""
        return cast(Connection, self._protocol)

    @property
    def bytes_in(self) -> int:
        """Bytes of body that came in so far."""
        return self._payload.total_bytes


Handler = Callable[[Exchange], Awaitable[web.StreamResponse]]
"""What a listener calls for each request. The response may be sent already, or be left to the listener to send."""

_PREFIX = os.urandom(4).hex().upper()
_COUNTER = itertools.count(int.from_bytes(os.urandom(3), "big"))


def new_request_id() -> str:
    """16 hexadecimal digits, as AWS has them; unique in this process, and very likely among its restarts."""
    return f"{_PREFIX}{next(_COUNTER) & 0xFFFF_FFFF:08X}"
