"""Listeners: limits on connections, their end, sockets of files, and answers from files."""

import asyncio
import errno
import os
from contextlib import asynccontextmanager

import pytest
import structlog
from aiohttp import web

from cellsmono.gateway.http import Limits, Listener, Reply, build_app_handler, build_main_handler, send_reply
from cellsmono.gateway.http.access import scrub_target
from cellsmono.gateway.http.reply import CHUNK_BYTES, INLINE_BYTES, SENDFILE_BYTES
from cellsmono.kernel.errors import Unavailable

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def serve(handler, **options):
    listener = Listener(handler, **options)
    port = await listener.start_tcp("127.0.0.1", 0)
    try:
        yield listener, port
    finally:
        await listener.stop(0.5)


async def answer_ok(request):
    return await send_reply(request, Reply(200, [], b"ok"))


async def talk(port, data=REQUEST):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_a_connection_too_many_is_told_so():
    async with serve(answer_ok, limits=Limits(connections=1)) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        refused = await talk(port)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"<Code>SlowDown</Code>" in refused
        assert b"Connection: close" in refused
        writer.close()
        await writer.wait_closed()


async def test_stopping_lets_requests_finish_and_ends_idle_connections():
    entered, release = asyncio.Event(), asyncio.Event()

    async def wait(request):
        entered.set()
        await release.wait()
        body = await request.content.read()
        return await send_reply(request, Reply(200, [], body))

    async with serve(wait) as (listener, port):
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo")
        await entered.wait()
        stopping = asyncio.create_task(listener.stop(10))
        assert await idle_reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"dy")  # the body of a request in flight is still taken
        release.set()
        answer = await reader.read()
        assert answer.endswith(b"\r\n\r\nbody")
        assert b"Connection: close" in answer
        assert await stopping == 0
        for each in (idle_writer, writer):
            each.close()
            await asyncio.gather(each.wait_closed(), return_exceptions=True)


async def test_stopping_cancels_what_does_not_finish():
    entered, ended = asyncio.Event(), asyncio.Event()

    async def hang(request):
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serve(hang) as (listener, port):
        client = asyncio.create_task(talk(port))
        await entered.wait()
        assert await listener.stop(0.05) == 1
        assert ended.is_set()
        await asyncio.gather(client, return_exceptions=True)


async def test_an_address_that_is_taken_is_reported():
    async with serve(answer_ok) as (_, port):
        with pytest.raises(Unavailable, match="Can not listen on"):
            await Listener(answer_ok).start_tcp("127.0.0.1", port)


async def test_a_unix_socket_is_for_its_owner_only_and_replaces_a_dead_one(tmp_path):
    path = tmp_path / "socket"
    listener = Listener(answer_ok)
    await listener.start_unix(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Unavailable):
        await Listener(answer_ok).start_unix(path)
    await listener.stop(0.5)
    again = Listener(answer_ok)
    await again.start_unix(path)
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(REQUEST)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    await again.stop(0.5)


class Opened:
    """An open file as handlers give it; ``length`` is what it pretends to have."""

    def __init__(self, path, has_descriptor=True):
        self._file = path.open("rb")
        self._has_descriptor = has_descriptor
        self.closed = False

    async def read(self, offset, length):
        return os.pread(self._file.fileno(), length, offset)

    def fileno(self):
        return self._file.fileno() if self._has_descriptor else None

    def close(self):
        self._file.close()
        self.closed = True


SIZES = [1, INLINE_BYTES, INLINE_BYTES + 1, CHUNK_BYTES * 3 + 5, SENDFILE_BYTES + 5]


@pytest.mark.parametrize("has_descriptor", [True, False])
@pytest.mark.parametrize("size", SIZES)
async def test_files_are_sent_whole_and_the_connection_lives_on(tmp_path, size, has_descriptor):
    path = tmp_path / "file"
    content = os.urandom(1024) * (size // 1024 + 1)
    path.write_bytes(content[:size] + b"more")
    opened = []

    async def send(request):
        opened.append(Opened(path, has_descriptor))
        return await send_reply(request, Reply(200, [], file=opened[-1], offset=0, length=size))

    async with serve(send) as (_, port):
        answer = await talk(port, REQUEST + REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        _, _, rest = answer.partition(b"\r\n\r\n")
        assert rest[:size] == content[:size]
        assert rest[size:].partition(b"\r\n\r\n")[2] == content[:size]
    assert [each.closed for each in opened] == [True, True]


@pytest.mark.parametrize("has_descriptor", [True, False])
@pytest.mark.parametrize("size", SIZES)
async def test_a_file_that_became_shorter_is_never_padded_nor_taken_for_whole(tmp_path, size, has_descriptor):
    path = tmp_path / "file"
    path.write_bytes(b"x" * (size - 1))

    async def send(request):
        return await send_reply(request, Reply(200, [], file=Opened(path, has_descriptor), length=size))

    async with serve(send, access_log=False) as (_, port):
        try:
            answer = await talk(port)
        except ConnectionResetError:
            return
        assert len(answer.partition(b"\r\n\r\n")[2]) < size


async def test_a_transfer_to_a_client_that_reads_nothing_ends_with_the_connection(tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(8 * SENDFILE_BYTES)
    connections, opened = asyncio.Queue(), []

    async def send(request):
        opened.append(Opened(path, True))
        connections.put_nowait(request.connection)
        return await send_reply(request, Reply(200, [], file=opened[-1], length=8 * SENDFILE_BYTES))

    async with serve(send, access_log=False) as (listener, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(REQUEST)
        connection = await connections.get()
        task = connection._task_handler
        while connection.gate is None:
            await asyncio.sleep(0)
        connection.abort()
        await asyncio.wait([task], timeout=10)
        assert opened[0].closed
        assert listener.active_count == 0
        writer.close()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ETIMEDOUT])
async def test_a_file_that_sendfile_refuses_is_read_and_a_socket_that_fails_is_cut(tmp_path, monkeypatch, number):
    path = tmp_path / "file"
    content = os.urandom(SENDFILE_BYTES + 1)
    path.write_bytes(content)

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "sendfile", refuse)

    async def send(request):
        return await send_reply(request, Reply(200, [], file=Opened(path, True), length=len(content), close=True))

    async with serve(send, access_log=False) as (_, port):
        try:
            answer = await talk(port)
        except ConnectionResetError:
            answer = b""
    is_whole = answer.partition(b"\r\n\r\n")[2] == content
    assert is_whole is (number == errno.EINVAL)


async def test_an_answer_without_body_says_how_long_it_would_be():
    async def head(request):
        return await send_reply(request, Reply(200, [("ETag", '"x"')], length=12345))

    async with serve(head) as (_, port):
        answer = await talk(port, b"HEAD / HTTP/1.0\r\nHost: x\r\n\r\n")
        assert b"Content-Length: 12345\r\n" in answer
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
async def test_control_characters_never_reach_a_response_header(value):
    async def send(request):
        return await send_reply(request, Reply(200, [("X-A", value)]))

    async with serve(send, access_log=False) as (_, port):
        answer = await talk(port)
        assert answer.split(b"\r\n")[0].endswith(b"500 Internal Server Error")
        assert b"X-Evil" not in answer


async def test_the_main_listener_tells_s3_from_everything_else():
    async def hello(request):
        return web.Response(text="app")

    app = web.Application()
    app.router.add_get("/", hello)

    async def s3(request):
        assert request.shares_origin
        return await send_reply(request, Reply(200, [], b"s3"))

    async with build_main_handler(s3, app) as handler, serve(handler) as (_, port):
        close = b"Host: x\r\nConnection: close\r\n"
        asked = {
            b"GET / HTTP/1.1\r\n": b"app",
            b"GET / HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 Credential=x\r\n": b"s3",
            b"GET / HTTP/1.1\r\nAuthorization: AWS a:b\r\n": b"s3",
            b"GET / HTTP/1.1\r\nAuthorization: Bearer x\r\n": b"app",
            b"GET /?X-Amz-Signature=1 HTTP/1.1\r\n": b"s3",
            b"GET /?AWSAccessKeyId=a&Signature=b&Expires=1 HTTP/1.1\r\n": b"s3",
            b"GET /?Signature=b HTTP/1.1\r\n": b"app",
            b"PUT /?X-Amz-Algorithm=1 HTTP/1.1\r\n": b"s3",
        }
        for start, expected in asked.items():
            answer = await talk(port, start + close + b"\r\n")
            assert answer.endswith(b"\r\n\r\n" + expected), start
        assert b" 404 " in (await talk(port, b"GET /nothing HTTP/1.1\r\n" + close + b"\r\n"))[:20]


async def test_an_application_alone():
    async def tell(request):
        return web.json_response({"a": 1})

    app = web.Application()
    app.router.add_get("/", tell)
    async with build_app_handler(app) as handler, serve(handler) as (_, port):
        answer = await talk(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.endswith(b'{"a": 1}')


async def test_a_handler_that_fails_is_logged_and_answered_without_its_text():
    async def fail(request):
        raise RuntimeError("the secret path /etc/x")

    with structlog.testing.capture_logs() as lines:
        async with serve(fail) as (_, port):
            answer = await talk(port)
    assert b" 500 " in answer[:20]
    assert b"/etc/x" not in answer
    assert [line["status"] for line in lines if line["event"] == "request"] == [500]


async def test_request_ids_are_in_the_log_and_differ():
    seen = []

    async def note(request):
        seen.append(request.request_id)
        return await answer_ok(request)

    async with serve(note) as (_, port):
        await talk(port, REQUEST + REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert len(set(seen)) == 2
    assert all(len(each) == 16 for each in seen)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/a/b", "/a/b"),
        ("/a?acl", "/a?acl"),
        ("/a?X-Amz-Signature=abc&x=1", "/a?X-Amz-Signature=[hidden]&x=1"),
        (
            "/a?x-amz-security-token=abc&X-Amz-Credential=k",
            "/a?x-amz-security-token=[hidden]&X-Amz-Credential=[hidden]",
        ),
        ("/a?AWSAccessKeyId=k&Signature=s&Expires=1", "/a?AWSAccessKeyId=[hidden]&Signature=[hidden]&Expires=1"),
        ("/a?X-Amz-%53ignature=abc", "/a?X-Amz-%53ignature=[hidden]"),
    ],
)
def test_secrets_are_taken_out_of_targets(target, shown):
    assert scrub_target(target) == shown
