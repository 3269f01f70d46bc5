"""A proxy before an S3 server that does to requests what networks and busy servers do."""

import asyncio
from collections import deque
from contextlib import asynccontextmanager

BODY = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>as the test wants</Message></Error>"


class FaultyProxy:
    """Takes one action per request from ``plan``; without one it passes the request on.

    An action is a pair of status and S3 code (the answer), ``"reset"`` (no answer), or a number: the answer is passed
    on up to so many bytes of its body and then cut off. ``always`` is done when the plan is empty.
    """

    def __init__(self, upstream):
        self.plan = deque()
        self.always = None
        self.seen = []
        self._upstream = upstream.removeprefix("http://").split(":")
        self._server = None
        self._serving = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @asynccontextmanager
    async def running(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        try:
            yield self
        finally:
            self._server.close()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._serving.add(asyncio.current_task())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
            if any(line.lower().startswith("expect:") for line in lines):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(length)
            self.seen.append(lines[0].rsplit(" ", 1)[0])
            action = self.plan.popleft() if self.plan else self.always
            if isinstance(action, tuple):
                writer.write(_refusal(lines[0].startswith("HEAD"), *action))
            elif action != "reset":
                answer = await self._forward(lines, body)
                end = answer.index(b"\r\n\r\n") + 4
                writer.write(answer if action is None else answer[: end + action])
            if action != "reset":
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _forward(self, lines, body):
        kept = [line for line in lines if not line.lower().startswith(("connection:", "expect:"))]
        kept.insert(1, "Connection: close")
        reader, writer = await asyncio.open_connection(*self._upstream)
        writer.write("\r\n".join(kept).encode("latin-1") + body)
        answer = await reader.read()
        writer.close()
        return answer


def _refusal(is_head, status, code):
    body = b"" if is_head else BODY.format(code=code).encode()
    return f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
