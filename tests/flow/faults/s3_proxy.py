"""A proxy before an S3 server that does to requests what networks and busy servers do."""

import asyncio
import contextlib
from collections import deque
from contextlib import asynccontextmanager

BODY = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>as the test wants</Message></Error>"

RESET = "reset"
"""No answer, the connection ends."""

HANG = "hang"
"""No answer, and the connection stays."""

LOST = "lost"
"""The server does what it is asked, and its answer is lost."""

EMPTY = "empty"
"""Success without a word."""

PAGE = "page"
"""A web page of somebody else: not found."""

STRIKE_BEFORE = "strike before"
"""``strike`` is called, and nothing is passed on."""

STRIKE_AFTER = "strike after"
"""The server does what it is asked, then ``strike`` is called."""

_ANSWERS = {
    EMPTY: b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    PAGE: b"HTTP/1.1 404 X\r\nConnection: close\r\nContent-Length: 15\r\n\r\n<html>no</html>",
}


class FaultyProxy:
    """Takes one action per request from ``plan``; without one it passes the request on.

    An action is a pair of status and S3 code (the answer), one of the words above, or a number: the answer is passed
    on up to so many bytes of its body and then cut off. ``always`` is done when the plan is empty. ``only`` limits all
    this to requests that begin so ("GET /bucket?list"); the others are passed on. ``heads`` are the headers of every
    request, names in lower case, with ``:method`` and ``:target`` from its first line.
    """

    def __init__(self, upstream):
        self.plan = deque()
        self.always = None
        self.only = ""
        self.seen = []
        self.heads = []
        self.asked = asyncio.Event()
        self.strike = None
        self._upstream = upstream.removeprefix("http://").split(":")
        self._server = None
        self._serving = set()

    @property
    def port(self):
        return self._server.sockets[0].getsockname()[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def methods(self):
        """Of every request so far."""
        return [line.split(" ")[0] for line in self.seen]

    def mend(self):
        """From now on everything is passed on."""
        self.plan.clear()
        self.always, self.only = None, ""

    @asynccontextmanager
    async def running(self, tls=None):
        """With ``tls``, a context of ``ssl``, it speaks HTTPS."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20, ssl=tls)
        try:
            yield self
        finally:
            self._server.close()
            for task in list(self._serving):
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
        if any(line.lower().startswith("expect:") for line in lines):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(length)
        self.seen.append(lines[0].rsplit(" ", 1)[0])
        self.heads.append(_read_head(lines))
        self.asked.set()
        action = None
        if lines[0].startswith(self.only):
            action = self.plan.popleft() if self.plan else self.always
        if action == HANG:
            await asyncio.Event().wait()
        elif action in (STRIKE_BEFORE, STRIKE_AFTER):
            if action == STRIKE_AFTER:
                await self._forward(lines, body)
            self.strike()
        elif isinstance(action, tuple):
            writer.write(_refusal(lines[0].startswith("HEAD"), *action))
        elif action in _ANSWERS:
            writer.write(_ANSWERS[action])
        elif action != RESET:
            answer = await self._forward(lines, body)
            end = answer.index(b"\r\n\r\n") + 4
            if action != LOST:
                writer.write(answer if action is None else answer[: end + action])
        await writer.drain()

    async def _forward(self, lines, body):
        kept = [line for line in lines if not line.lower().startswith(("connection:", "expect:"))]
        kept.insert(1, "Connection: close")
        reader, writer = await asyncio.open_connection(*self._upstream)
        writer.write("\r\n".join(kept).encode("latin-1") + body)
        answer = await reader.read()
        writer.close()
        return answer


def _read_head(lines):
    method, target, _ = lines[0].split(" ")
    fields = (line.split(":", 1) for line in lines[1:] if line)
    return {":method": method, ":target": target, **{name.lower(): value.strip() for name, value in fields}}


def _refusal(is_head, status, code):
    body = b"" if is_head else BODY.format(code=code).encode()
    return f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
