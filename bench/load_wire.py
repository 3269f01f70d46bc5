"""A small HTTP/1.1 client on epoll: many keep-alive connections, one thread, about 25 microseconds a request.

It knows only what a load generator needs: send ready-made requests, read the answer to its end, and take the time
between. Large bodies are sent from one memory view and read into one buffer, so its memory does not grow with them.
"""

import contextlib
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from load_sign import Exchange

BUFFER = 1 << 20
PATIENCE = 120
"""Seconds without any news on any connection after which the run is given up."""
_EOH = b"\r\n\r\n"


class Broken(Exception):
    """The server cut the connection or answered something that is not HTTP."""


@dataclass(slots=True)
class Answer:
    """A finished response. ``body`` is kept only where asked for (or on an error status, its beginning)."""

    exchange: Exchange
    status: int
    head: bytes
    body: bytes
    length: int
    seconds: float

    def header(self, name: str) -> str:
        """Value of a header, empty when it is missing."""
        wanted = name.lower().encode() + b":"
        for line in self.head.split(b"\r\n")[1:]:
            if line.lower().startswith(wanted):
                return line[len(wanted) :].strip().decode("latin-1")
        return ""


Source = Callable[[], Exchange | None]
Sink = Callable[[Answer], None]


@dataclass
class Connection:
    """One keep-alive connection and the exchange it is busy with."""

    address: tuple[str, int]
    keep_bodies: bool
    sock: socket.socket | None = None
    exchange: Exchange | None = None
    pending: list[memoryview] = field(default_factory=list)
    began: float = 0.0
    _head: bytes = b""
    _raw: bytearray = field(default_factory=bytearray)
    _kept: bytearray = field(default_factory=bytearray)
    _left: int = 0
    _length: int = 0
    _status: int = 0
    _is_chunked: bool = False
    _is_last: bool = False

    def open(self) -> socket.socket:
        """Connect; the socket blocks no more afterwards."""
        sock = socket.create_connection(self.address, timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.sock = sock
        return sock

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def begin(self, exchange: Exchange) -> None:
        """Start an exchange and send what the socket takes."""
        self.exchange, self._head, self._length = exchange, b"", 0
        self._raw.clear()
        self._kept.clear()
        self._is_chunked = self._is_last = False
        self.pending = [memoryview(exchange.head)]
        if exchange.body is not None and len(exchange.body):
            self.pending.append(exchange.body)
        self.began = time.perf_counter()
        self.send()

    def send(self) -> None:
        """Send on; ``pending`` is empty when all of it is gone."""
        assert self.sock is not None
        while self.pending:
            try:
                sent = self.sock.sendmsg([view[: 4 * BUFFER] for view in self.pending])
            except BlockingIOError:
                return
            except ConnectionError:  # an early error answer may be waiting to be read
                self.pending = []
                return
            while self.pending and sent >= len(self.pending[0]):
                sent -= len(self.pending.pop(0))
            if sent:
                self.pending[0] = self.pending[0][sent:]

    def receive(self, buffer: memoryview) -> Answer | None:
        """Read what is there; the answer, once it is complete. Raises Broken."""
        assert self.sock is not None
        while True:
            try:
                count = self.sock.recv_into(buffer)
            except BlockingIOError:
                return None
            except ConnectionError as error:
                raise Broken(str(error)) from error
            if count == 0:
                raise Broken("the server closed the connection")
            if self._take(buffer[:count]):
                return self._finish()
            if count < len(buffer):
                return None

    def _take(self, data: memoryview) -> bool:
        """Digest some bytes; true when the response is complete."""
        if not self._head:
            self._raw += data
            end = self._raw.find(_EOH)
            if end < 0:
                return False
            self._read_head(bytes(self._raw[:end]))
            rest = bytes(self._raw[end + 4 :])
            self._raw.clear()
            data = memoryview(rest)
        if self._is_chunked:
            self._raw += data
            return self._take_chunks()
        self._keep(data)
        self._left -= len(data)
        return self._left <= 0

    def _read_head(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.") or self.exchange is None:
            raise Broken(f"not HTTP: {head[:60]!r}")
        self._head, self._status = head, int(head[9:12])
        lower = head.lower()
        self._is_last = b"\r\nconnection: close" in lower or head.startswith(b"HTTP/1.0")
        self._left = 0
        if not self.exchange.has_response_body or self._status in {204, 304}:
            return
        self._is_chunked = b"\r\ntransfer-encoding: chunked" in lower
        at = lower.find(b"\r\ncontent-length:")
        if at >= 0:
            stop = lower.find(b"\r\n", at + 17)
            self._left = int(lower[at + 17 : stop if stop >= 0 else len(lower)])
        elif not self._is_chunked:
            raise Broken("a response without a length")

    def _take_chunks(self) -> bool:
        raw = self._raw
        while True:
            line = raw.find(b"\r\n")
            if line < 0:
                return False
            size = int(raw[:line].split(b";")[0], 16)
            if len(raw) < line + 2 + size + 2:
                return False
            if size == 0:
                return True
            self._keep(memoryview(bytes(raw[line + 2 : line + 2 + size])))
            del raw[: line + 4 + size]

    def _keep(self, data: memoryview) -> None:
        self._length += len(data)
        if self.keep_bodies or (self._status >= 300 and len(self._kept) < 1000):
            self._kept += data

    def _finish(self) -> Answer:
        assert self.exchange is not None
        took = time.perf_counter() - self.began
        answer = Answer(self.exchange, self._status, self._head, bytes(self._kept), self._length, took)
        self.exchange = None
        if self._is_last or self.pending:
            self.close()
        return answer


class Client:
    """Drives exchanges over a fixed number of connections."""

    def __init__(self, address: tuple[str, int], connections: int, *, keep_bodies: bool = False) -> None:
        self.connections = [Connection(address, keep_bodies) for _ in range(connections)]
        self.reconnects = 0
        self._epoll = select.epoll()
        self._buffer = memoryview(bytearray(BUFFER))
        self._by_fd: dict[int, Connection] = {}

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self._epoll.close()

    def drive(self, source: Source, sink: Sink, broken: Callable[[Exchange, str], None]) -> None:
        """Keep every connection busy until ``source`` has no more, and all answers are in."""
        busy = sum(self._start(connection, source, broken) for connection in self.connections)
        while busy:
            for fd, _ in self._epoll.poll(PATIENCE) or self._give_up():
                connection = self._by_fd[fd]
                if connection.exchange is None:
                    self._drop(connection)
                    continue
                try:
                    answer = self._advance(connection)
                except Broken as error:
                    self._drop(connection)
                    broken(connection.exchange, str(error))
                    busy -= not self._start(connection, source, broken)
                    continue
                if answer is not None:
                    if connection.sock is None:
                        self._by_fd.pop(fd, None)
                    sink(answer)
                    busy -= not self._start(connection, source, broken)

    def ask(self, exchange: Exchange) -> Answer:
        """One exchange, waited for. Raises Broken."""
        answers: list[Answer] = []
        errors: list[str] = []
        left = [exchange]
        self.drive(lambda: left.pop() if left else None, answers.append, lambda _, error: errors.append(error))
        if errors:
            raise Broken(errors[0])
        return answers[0]

    def _advance(self, connection: Connection) -> Answer | None:
        if connection.pending:
            connection.send()
            if not connection.pending:
                self._watch(connection, is_new=False)
        return connection.receive(self._buffer)

    def _start(self, connection: Connection, source: Source, broken: Callable[[Exchange, str], None]) -> bool:
        while (exchange := source()) is not None:
            try:
                is_new = connection.sock is None
                if is_new:
                    self._by_fd[connection.open().fileno()] = connection
                    self.reconnects += 1
                connection.begin(exchange)
            except OSError as error:
                self._drop(connection)
                broken(exchange, str(error))
                continue
            if is_new or connection.pending:
                self._watch(connection, is_new=is_new)
            return True
        return False

    def _watch(self, connection: Connection, *, is_new: bool) -> None:
        assert connection.sock is not None
        events = select.EPOLLIN | (select.EPOLLOUT if connection.pending else 0)
        (self._epoll.register if is_new else self._epoll.modify)(connection.sock.fileno(), events)

    def _drop(self, connection: Connection) -> None:
        if connection.sock is not None:
            self._by_fd.pop(connection.sock.fileno(), None)
            with contextlib.suppress(OSError):
                self._epoll.unregister(connection.sock.fileno())
            connection.close()

    def _give_up(self) -> list[tuple[int, int]]:
        raise Broken(f"no answer within {PATIENCE} s")
