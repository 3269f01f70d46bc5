"""A request with what the listener and the protocol above it tell each other about it."""

import itertools
import os
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from aiohttp import HttpVersion11, web

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
    shares_origin: bool = False
    """Whether pages of the application come from the same origin, so that what users store must not run there."""
    fields: dict[str, str] | None = None
    """More for the access log, such as bucket and key; never anything secret."""

    _continued = False

    @property
    def awaits_continue(self) -> bool:
        """Whether the client holds a body back until it is told to go on (RFC 9110 section 10.1.1)."""
        return self._expects_continue and not self._payload.is_eof()

    @property
    def _expects_continue(self) -> bool:
        return (
            not self._continued
            and self.headers.get("Expect", "").lower() == "100-continue"
            and self.version >= HttpVersion11
            and not self._payload.total_bytes
        )

    def accept_body(self) -> None:
        """Tell a client that waits for it to send the body. Only then does it cost the network anything.

        An announced body may be empty: then there is nothing to hold back, but botocore waits for the word as well.
        """
        if "Expect" in self.headers and self._expects_continue:
            self._continued = True
            transport = self.transport
            if transport is not None:
                transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

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
