"""Listeners: sockets that accept connections, and their orderly end."""

import asyncio
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from cellsmono.gateway.http.access import log_request, logs_everything
from cellsmono.gateway.http.connection import Connection, Refusal
from cellsmono.gateway.http.exchange import Exchange, Handler, RequestMetrics, new_request_id
from cellsmono.gateway.http.limits import Limits
from cellsmono.kernel.errors import Unavailable
from cellsmono.kernel.log import REQUEST_ID

BACKLOG = 1024
_LAST_SECONDS = 1.0
_ACCEPT_STEPS = 4
READ_BYTES = 256 * 1024
"""A connection is read on until about twice as much of a body waits to be taken."""


class Listener:
    """Serves one handler on any number of sockets.

    ``access_log`` asks for a line about each request (see ``access.log_request`` for its level); failures of the
    server (5xx) have one in any case.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        metrics: RequestMetrics | None = None,
        access_log: bool = True,
        name: str = "http",
    ) -> None:
        self.name = name
        self._handler = handler
        self._limits = limits
        self._metrics = metrics
        self._access_log = access_log
        self._least_logged = 500
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._web = _Server(
            self._handle,
            limits,
            keepalive_timeout=limits.idle_seconds,
            max_line_size=limits.request_line,
            max_field_size=limits.header_line,
            max_headers=limits.headers,
            lingering_time=limits.linger_seconds,
            read_bufsize=READ_BYTES,
            auto_decompress=False,
            access_log=None,
        )

    async def start_tcp(self, host: str, port: int) -> int:
        """Accept connections at an address; returns the port (of use when 0 was asked for).

        Raises Unavailable when the address can not be had.
        """
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(self._web, host or None, port, backlog=BACKLOG, reuse_address=True)
        except OSError as error:
            raise Unavailable(
                f"Can not listen on {host}:{port}: {os.strerror(error.errno) if error.errno else error}. "
                "Choose another address, or stop what uses this one.",
                reason="listen",
            ) from error
        self._add(server)
        port = server.sockets[0].getsockname()[1]
        return port

    async def start_unix(self, path: Path, mode: int = 0o600) -> None:
        """Accept connections on a unix socket that only ``mode`` may open, from its first moment on.

        A socket that a dead process left behind is replaced. Raises Unavailable when a live one has it.
        """
        sock = await asyncio.to_thread(_bind_unix, path, mode)
        self._add(await asyncio.get_running_loop().create_unix_server(self._web, sock=sock, backlog=BACKLOG))

    def _add(self, server: asyncio.Server) -> None:
        self._servers.append(server)
        if self._access_log:
            self._least_logged = 0 if logs_everything() else 400
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep(), name=f"{self.name} slow clients")

    @property
    def sockets(self) -> list[tuple[Any, ...]]:
        """The addresses that are listened on."""
        return [sock.getsockname() for server in self._servers for sock in server.sockets]

    @property
    def connection_count(self) -> int:
        """Open connections."""
        return len(self._web.connections)

    @property
    def active_count(self) -> int:
        """Connections with a request in progress."""
        return sum(not connection.is_idle for connection in self._web.live_connections())

    async def stop(self, deadline: float = 10.0) -> int:
        """Accept nothing more, end idle connections, let requests finish within ``deadline`` seconds, cancel the rest.

        Returns how many requests had to be cancelled. May be called twice.
        """
        self._web.is_draining = True
        await self._stop_accepting()
        connections = self._web.live_connections()
        tasks = [task for each in connections if (task := each._task_handler) is not None]
        for connection in connections:
            connection.drain()
        try:
            async with asyncio.timeout(deadline):
                await self._web.wait_until_idle()
        except TimeoutError:
            pass
        cancelled = self.active_count
        # aiohttp cancels what is left; the time it gets is for the handlers' own clean-up.
        await self._web.shutdown(0.05 if cancelled else 0.5)
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_SECONDS)
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None
        return cancelled

    async def _stop_accepting(self) -> None:
        """Close the listening sockets, but not between the two steps of accepting a connection: it would be lost open.

        (asyncio makes the transport a turn of the loop after it accepted, and gives up silently when the server is
        closed by then.)
        """
        loop = asyncio.get_running_loop()
        for server in self._servers:
            for sock in server.sockets:
                loop.remove_reader(sock.fileno())
        for _ in range(_ACCEPT_STEPS):
            await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._limits.rate_seconds)
            if self._limits.body_rate > 0:
                for connection in self._web.live_connections():
                    connection.check_body_rate()

    async def _handle(self, base: web.BaseRequest) -> web.StreamResponse:
        request = cast(Exchange, base)
        started = time.perf_counter()
        request.request_id = new_request_id()
        REQUEST_ID.set(request.request_id)
        try:
            response = await self._handler(request)
            if not isinstance(response, web.StreamResponse):
                raise TypeError(f"the handler returned {response!r}")
            if request.connection.draining and not response.prepared:
                response.force_close()
            await response.prepare(request)
            await response.write_eof()
            if not request.status:
                request.status = response.status
                request.bytes_out = response.body_length
            return response
        except BaseException as error:
            if not request.status:
                request.status = 499 if isinstance(error, ConnectionError | asyncio.CancelledError) else 500
            raise
        finally:
            self._web.note_done()
            self._report(request, time.perf_counter() - started)

    def _report(self, request: Exchange, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.observe_request(
                request.operation, request.status, seconds, request.bytes_in, request.bytes_out
            )
        if request.status >= self._least_logged:
            log_request(self.name, request, seconds)


class _Server(web.Server):
    """aiohttp's server with our connections, a limit on their number, and a way to wait for the last request."""

    def __init__(self, handler: Any, limits: Limits, **options: Any) -> None:
        super().__init__(handler, request_factory=self._make_exchange, **options)
        self._limits = limits
        self._options = options
        self._all_idle: asyncio.Event | None = None
        self.is_draining = False

    def __call__(self) -> Any:
        if len(self._connections) >= self._limits.connections:
            return Refusal(self._loop)
        connection = Connection(self, self._limits, self._loop, **self._options)
        connection.draining = self.is_draining
        return connection

    def _make_exchange(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> Exchange:
        return Exchange(message, payload, protocol, writer, task, self._loop)

    def live_connections(self) -> list[Connection]:
        return [each for each in self._connections if isinstance(each, Connection)]

    def note_done(self) -> None:
        if self._all_idle is not None:
            # The request in question counts until its response is off; look again after that.
            self._loop.call_soon(self._loop.call_soon, self._check_idle)

    def _check_idle(self) -> None:
        if self._all_idle is not None and all(each.is_idle for each in self.live_connections()):
            self._all_idle.set()

    async def wait_until_idle(self) -> None:
        self._all_idle = asyncio.Event()
        self._check_idle()
        await self._all_idle.wait()


def _bind_unix(path: Path, mode: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                try:
                    probe.connect(str(path))
                except OSError:
                    path.unlink()
                else:
                    raise Unavailable(f"Another process listens on {path}", reason="listen")
        # A socket takes its permissions from the descriptor before it is bound: no moment at which it stands open.
        os.fchmod(sock.fileno(), mode)
        sock.bind(str(path))
        path.chmod(mode)
    except OSError as error:
        sock.close()
        raise Unavailable(f"Can not listen on {path}: {error.strerror or error}", reason="listen") from error
    except BaseException:
        sock.close()
        raise
    return sock
