"""A whole server for tests of REST: one in a thread for the session, with users who are made as they are needed."""

import asyncio
import http.client
import itertools
import json
import threading

import pytest

from cellsmono.app.assembly import open_server
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.people import CreateToken, CreateUser, CreateWorkspace, GiveWorkspace
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.users import Profile
from cellsmono.kernel.clock import SystemClock

OWNER = Actor("owner")
BOTH = ("read", "write")
_numbers = itertools.count(1)


class Clock(SystemClock):
    """The real time, and what a test adds to it."""

    ahead = 0.0

    def time(self):
        return super().time() + self.ahead


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


class Server:
    """``open_server`` on the loop of a thread."""

    def __init__(self, folder):
        self.folder = folder
        self.clock = Clock()
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    async def _serve(self):
        (self.folder / "data").mkdir()
        environ = {
            "CELLSMONO_DATA_DIR": str(self.folder / "data"),
            "CELLSMONO_SERVER__LISTEN": "127.0.0.1:0",
            "CELLSMONO_S3__LISTEN": "off",
            "CELLSMONO_S3__DOMAINS": '["s3.test"]',
            "CELLSMONO_LIMITS__LINGER_SECONDS": "1",
        }
        async with open_server(load_config(environ=environ), clock=self.clock) as server:
            self.core = server.core
            self.port = server.addresses["main"].port
            self._ready.set()
            await self._stop.wait()

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def perform(self, request):
        return self.run(self.core.installation.people.perform(request))

    def send(self, method, target, body=None, headers=None):
        """One request as it is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, target, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def call(self, method, path, token="", body=None, **headers):
        """One request below ``/a``; a body that is no bytes is sent as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        return self.send(method, "/a" + path, body, sent)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


class Site:
    """A fresh datasource on the server, and users and workspaces around it. Their names have its number."""

    def __init__(self, server, format_):
        self.server = server
        self.number = next(_numbers)
        self.source = f"source-{self.number}"
        self.folder = server.folder / self.source
        self.folder.mkdir()
        config = DatasourceConfig(
            name=self.source, folder=str(self.folder), format=format_, durability="relaxed", watch="off"
        )
        server.run(server.core.installation.add_datasource(config))
        self.perform = server.perform
        self.call = server.call

    def user(self, name, profile=Profile.STANDARD, password=""):
        login = f"{name}{self.number}"
        self.perform(CreateUser(login, profile=profile, password=password))
        return login

    def token(self, login, **options):
        return self.perform(CreateToken(login, **options)).secret

    def workspace(self, name, roots, *rights):
        """Make one and give rights: ``(login, "read", "write")``."""
        slug = f"{name}-{self.number}"
        self.perform(CreateWorkspace(slug, tuple(roots.items())))
        for login, *given in rights:
            self.perform(GiveWorkspace(slug, f"user:{login}", tuple(given)))
        return slug

    def put(self, *paths):
        """Files of the owner: each holds its path."""
        for path in paths:
            self.server.run(self._put(path))

    async def _put(self, path):
        from cellsmono.interfaces.datasource import WriteOptions
        from cellsmono.interfaces.digest import PlainDigest

        async def body():
            yield path.encode()

        await self.server.core.router.put_node(OWNER, self.source, path, body(), PlainDigest(), WriteOptions())

    def uuid(self, path):
        return self.server.run(self.server.core.router.read_node(OWNER, self.source, path)).uuid

    def held(self):
        """All that the datasource holds."""
        page = self.server.run(self.server.core.router.list_keys(OWNER, self.source))
        return [node.path for node in page.entries]


@pytest.fixture(params=["structured", "flat"])
def site(server, request):
    return Site(server, request.param)


@pytest.fixture
def flat_site(server):
    return Site(server, "flat")


@pytest.fixture(scope="module")
def make_site(server):
    """Makes one of a format, for what several tests share."""
    return lambda format_: Site(server, format_)
