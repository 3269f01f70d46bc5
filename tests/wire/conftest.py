"""A live S3 endpoint for tests of the wire: one server in a thread for the whole session, a bucket for each test."""

import asyncio
import itertools
import re
import socket
import threading
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config

from cellsmono.data.router.router import Router
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.index.memory import MemoryIndex
from cellsmono.datasource.objects.memory import MemoryStore
from cellsmono.datasource.structured import StructuredStore
from cellsmono.gateway.http import Limits, Listener
from cellsmono.gateway.s3.server import S3Gateway
from cellsmono.gateway.s3.settings import S3Settings
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.errors import AlreadyExists, Conflict, Invalid

ACCESS_KEY = "AKIDEXAMPLE000000001"
SECRET_KEY = "secretsecretsecretsecretsecretsecret0001"
REGION = "us-east-1"


class OneKey:
    """Credentials that know one key pair."""

    def find_secret(self, access_key):
        return SECRET_KEY if access_key == ACCESS_KEY else None


class NoSync:
    """Nothing happens behind the server's back in these tests."""

    async def ingest(self, paths):
        return 0


class MemoryRoots:
    """Datasources in memory, made and removed by name."""

    def __init__(self):
        self.objects = MemoryStore()
        self.stores = {}

    def find(self, name):
        return self.stores.get(name)

    def names(self):
        return sorted(self.stores)

    async def create(self, name, **options):
        if name in self.stores:
            raise AlreadyExists(f"{name} is there", reason="root")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
            raise Invalid(f"{name} can not be the name of a bucket", reason="name")
        config = DatasourceConfig(name=name, folder=f"/{name}", created=1_700_000_000.0, **options)
        await self.objects.create_bucket(name)
        store = StructuredStore(config, self.objects, self.objects, MemoryIndex(), NoSync(), Claims())
        self.stores[name] = store
        return store

    async def delete(self, name):
        if (await self.stores[name].index.list_keys(limit=1)).entries:
            raise Conflict("not empty", reason="not_empty")
        await self.objects.remove_bucket(name)
        del self.stores[name]


class Figures:
    """What a listener reported about its requests."""

    def __init__(self):
        self.seen = []

    def observe_request(self, operation, status, seconds, bytes_in, bytes_out):
        self.seen.append((operation, status, bytes_in, bytes_out))


class Endpoint:
    """A running server, its address, and a way to run coroutines on its loop."""

    host = "127.0.0.1"

    def __init__(self, **settings):
        self.settings = S3Settings(region=REGION, domains=("s3.test",), min_part_bytes=1024, **settings)
        self.limits = Limits(header_seconds=1.0, rate_seconds=0.5, body_rate=100, linger_seconds=1.0)
        self.figures = Figures()
        self.roots = MemoryRoots()
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="endpoint", daemon=True)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._start())
        self._ready.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self.listener.stop(1.0))
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    async def _start(self):
        gateway = S3Gateway(Router(self.roots), OneKey(), self.settings)
        self.listener = Listener(gateway.handle, limits=self.limits, metrics=self.figures, access_log=False)
        self.port = await self.listener.start_tcp(self.host, 0)

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    @contextmanager
    def connect(self, timeout=10.0):
        with socket.create_connection((self.host, self.port), timeout=timeout) as sock:
            yield sock

    def talk(self, data, timeout=10.0):
        """Send raw bytes on a fresh connection and read until the server closes it."""
        with self.connect(timeout) as sock:
            sock.sendall(data)
            return read_all(sock)


def read_all(sock):
    answer = bytearray()
    try:
        while piece := sock.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return bytes(answer)


@pytest.fixture(scope="session")
def endpoint():
    with Endpoint() as running:
        yield running


@pytest.fixture(scope="session")
def make_client(endpoint):
    """Makes boto3 clients: ``make_client(signature_version="s3v4", ...)`` with the options of botocore's Config."""
    session = boto3.session.Session()
    made = []

    def make(access_key=ACCESS_KEY, secret_key=SECRET_KEY, region=REGION, **options):
        options.setdefault("retries", {"max_attempts": 1, "mode": "standard"})
        options.setdefault("s3", {"addressing_style": "path"})
        client = session.client(
            "s3",
            endpoint_url=endpoint.url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name=region,
            config=Config(connect_timeout=5, read_timeout=15, **options),
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture(scope="session")
def s3(make_client):
    return make_client()


_numbers = itertools.count(1)


@pytest.fixture
def bucket(endpoint):
    """The name of a fresh, empty bucket."""
    name = f"bucket-{next(_numbers)}"
    endpoint.run(endpoint.roots.create(name))
    return name


@pytest.fixture
def keys():
    """Access key, secret and region of the endpoint."""
    return ACCESS_KEY, SECRET_KEY, REGION
