"""One client connection: aiohttp's HTTP protocol with the time limits that it lacks."""

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from cellsmono.gateway.http.limits import Limits
from cellsmono.kernel.log import get_logger

if TYPE_CHECKING:
    from aiohttp.web_server import Server

_LOG = get_logger("gateway.http")

_REFUSAL_BODY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code>'
    b"<Message>Too many connections are open. Please try again later.</Message></Error>"
)
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n"
    b"Retry-After: 1\r\nConnection: close\r\n\r\n%s" % (len(_REFUSAL_BODY), _REFUSAL_BODY)
)
_BAD_REQUEST_BODY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>BadRequest</Code>'
    b"<Message>The request is not well-formed HTTP, or a limit on its headers is exceeded.</Message></Error>"
)
_REFUSAL_SECONDS = 2.0


class Connection(RequestHandler):
    """A connection with deadlines for headers and bodies, and a way to end it after the current request.

    aiohttp closes a connection that rests too long, but a client that sends one header byte now and then, or one body
    byte, would keep it for ever.
    """

    __slots__ = ("_body_seen", "_deadline", "_limits", "draining", "gate", "received")

    def __init__(self, server: "Server", limits: Limits, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(server, loop=loop, **options)
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        self._body_seen = -1
        self.received = 0
        """Bytes received on this connection, headers included."""
        self.draining = False
        """The connection ends after the request that is being handled."""
        self.gate: asyncio.Future[None] | None = None
        """What waits until the socket can take more; opened as well when the connection ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: headers are due."""
        super().connection_made(transport)
        self._deadline = self._loop.call_later(self._limits.header_seconds, self._cut_slow_headers)
        _limit_stalls(transport, self._limits.stalled_seconds)
        if self.draining:
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End, whoever ended it."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self.gate is not None and not self.gate.done():
            self.gate.set_result(None)
        task = self._task_handler
        super().connection_lost(exc)
        if task is not None and not self._request_in_progress:
            # It waits for the rest of a body that nobody will send any more.
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a request whose headers began gets a deadline until they are complete."""
        self.received += len(data)
        super().data_received(data)
        waiter = self._waiter
        if waiter is not None and not waiter.done() and not self._messages:
            if self._deadline is None:
                self._deadline = self._loop.call_later(self._limits.header_seconds, self._cut_slow_headers)
        elif self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut_slow_headers(self) -> None:
        self._deadline = None
        if self._request_in_progress or self._messages:
            return
        _LOG.info("connection_cut", why="headers did not arrive in time", peer=describe_peer(self.peername))
        self.force_close()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being handled or waits to be."""
        return not self._request_in_progress and not self._messages

    def check_body_rate(self) -> None:
        """Cut the connection when its client sent next to nothing since the last call though the server waits for it.

        Nothing is held against a client while the server itself does not read (its disk is busy, say).
        """
        request = self._current_request
        if request is None or self._reading_paused or request._payload.is_eof():
            self._body_seen = -1
            return
        if self._body_seen >= 0:
            least = self._limits.body_rate * self._limits.rate_seconds
            if self.received - self._body_seen < least:
                _LOG.info("connection_cut", why="the body came too slowly", peer=describe_peer(self.peername))
                self.abort()
                return
        self._body_seen = self.received

    def drain(self) -> None:
        """End the connection: at once when it is idle, else after the request that is being handled."""
        self.draining = True
        if self.is_idle:
            self.force_close()

    def abort(self) -> None:
        """Cut the connection now, so that the client can not take what it got for the whole."""
        transport = self.transport
        if transport is not None:
            transport.abort()

    def limit_lingering(self, seconds: float) -> None:
        """How long an unread body may be read on after the current answer."""
        self._lingering_time = seconds

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp's parser refused; anything a handler let slip is logged with its traceback."""
        if request.writer.output_size > 0:
            raise ConnectionError("The response was already begun")
        if isinstance(exc, ConnectionError):
            raise exc
        if status == 400:  # noqa: PLR2004
            _LOG.info("request_refused", why=type(exc).__name__, peer=describe_peer(self.peername))
            body = _BAD_REQUEST_BODY
        else:
            _LOG.error("request_failed", exc_info=exc)
            body = _BAD_REQUEST_BODY.replace(b"BadRequest", b"InternalError").replace(
                b"The request is not well-formed HTTP, or a limit on its headers is exceeded.",
                b"We encountered an internal error. Please try again.",
            )
        response = web.Response(status=status, body=body, content_type="application/xml")
        response.headers["Server"] = "cellsmono"
        response.force_close()
        return response


def describe_peer(name: object) -> str:
    """Address and port of a client, for the log: from what a socket calls its peer."""
    if not isinstance(name, tuple):
        return "unknown"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Refusal(asyncio.Protocol):
    """A connection beyond the limit: told so, and closed once the client has seen it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer without waiting for the request, and read what comes so that the answer is not lost by a reset."""
        transport = cast(asyncio.Transport, transport)
        transport.write(_REFUSAL)
        if transport.can_write_eof():
            transport.write_eof()
        self._timer = self._loop.call_later(_REFUSAL_SECONDS, transport.abort)

    def eof_received(self) -> bool:
        """The client has seen enough."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        if self._timer is not None:
            self._timer.cancel()


def _limit_stalls(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Let the kernel end a connection whose peer acknowledges nothing, or keeps its window shut, for too long.

    It is the only one who can tell while ``sendfile`` is at work. See tcp(7), TCP_USER_TIMEOUT.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6) or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
