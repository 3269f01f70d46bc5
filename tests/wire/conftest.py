"""A live S3 endpoint for tests of the wire: one server in a thread for each module, a bucket for each test."""

import asyncio
import hashlib
import hmac
import http.client
import itertools
import socket
import threading
import time
import urllib.parse
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.gateway.http import Limits, Listener
from cellsmono.gateway.s3.server import S3Gateway
from cellsmono.gateway.s3.settings import S3Settings
from cellsmono.interfaces.datasource import DatasourceConfig

ACCESS_KEY = "AKIDEXAMPLE000000001"
SECRET_KEY = "secretsecretsecretsecretsecretsecret0001"
REGION = "us-east-1"


class Keys:
    """One key pair of the owner, and those of the users that tests make."""

    def __init__(self, users):
        self.users = users

    def find_secret(self, access_key):
        return SECRET_KEY if access_key == ACCESS_KEY else self.users.find_secret(access_key)

    def is_owner(self, access_key):
        return access_key == ACCESS_KEY

    def is_token(self, text):
        return self.users.is_token(text)

    def find_user(self, access_key):
        return self.users.find_user(access_key)


class Figures:
    """What a listener reported about its requests."""

    def __init__(self):
        self.seen = []

    def observe_request(self, operation, status, seconds, bytes_in, bytes_out):
        self.seen.append((operation, status, bytes_in, bytes_out))


class Endpoint:
    """Real datasources in a temporary folder behind a real listener, and a way to run coroutines on their loop."""

    host = "127.0.0.1"

    def __init__(self, folder, **settings):
        self.folder = folder
        self.settings = S3Settings(region=REGION, domains=("s3.test",), min_part_bytes=1024, **settings)
        self.limits = Limits(header_seconds=1.0, rate_seconds=0.5, body_rate=100, linger_seconds=1.0)
        self.figures = Figures()
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="endpoint", daemon=True)

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
        environ = {"CELLSMONO_DATA_DIR": str(self.folder / "data"), "CELLSMONO_S3__BUCKET_ROOT": str(self.folder / "b")}
        async with open_core(load_config(environ=environ)) as self.core:
            gateway = S3Gateway(self.core.router, Keys(self.core.signers), self.settings)
            listener = Listener(gateway.handle, limits=self.limits, metrics=self.figures, access_log=False)
            self.port = await listener.start_tcp(self.host, 0)
            self.listener = listener
            self._ready.set()
            await self._stop.wait()
            await listener.stop(1.0)

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

    def make_bucket(self, name, **options):
        """A new datasource; ``anonymous="read"`` and the like as in its configuration."""
        folder = self.folder / "b" / name
        folder.mkdir(parents=True)
        config = DatasourceConfig(name=name, folder=str(folder), durability="relaxed", watch="off", **options)
        self.run(self.core.installation.add_datasource(config))
        return folder

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


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with Endpoint(tmp_path_factory.mktemp("endpoint")) as running:
        yield running


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def s3(make_client):
    return make_client()


_numbers = itertools.count(1)


@pytest.fixture(params=["structured", "flat"])
def bucket(endpoint, request):
    """The name of a fresh, empty bucket of each format."""
    return _new_bucket(endpoint, request.param)


@pytest.fixture
def structured_bucket(endpoint):
    """One whose keys are paths on the disk."""
    return _new_bucket(endpoint, "structured")


@pytest.fixture
def flat_bucket(endpoint):
    """One whose keys are in the index alone."""
    return _new_bucket(endpoint, "flat")


def _new_bucket(endpoint, format_):
    name = f"bucket-{next(_numbers)}"
    endpoint.make_bucket(name, format=format_)
    return name


@pytest.fixture
def fetch(endpoint):
    """Sends one request as it is given; returns (status, headers, body)."""

    def send(method, url, body=None, headers=None):
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=10)
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    return send


@pytest.fixture
def refuse(s3):
    """Calls an operation that must fail; returns status and code."""

    def call(operation, **arguments):
        with pytest.raises(ClientError) as caught:
            getattr(s3, operation)(**arguments)
        answer = caught.value.response
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]

    return call


@pytest.fixture
def keys():
    """Access key, secret and region of the endpoint."""
    return ACCESS_KEY, SECRET_KEY, REGION


class Signer:
    """Writes raw HTTP requests with a SigV4 signature, and whatever is wrong with them otherwise."""

    def __init__(self, endpoint):
        self.host = f"{endpoint.host}:{endpoint.port}"

    def head(self, method, target, headers=None, payload="UNSIGNED-PAYLOAD", unsigned=()):
        """The request up to its blank line. ``headers`` are signed, the ``unsigned`` lines are added as they are."""
        return self.sign(method, target, headers, payload, unsigned)[0]

    def sign(self, method, target, headers=None, payload="UNSIGNED-PAYLOAD", unsigned=()):
        """The head, and what signing chunks takes: (key, timestamp, scope, signature)."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        signed = {"host": self.host, "x-amz-date": now, "x-amz-content-sha256": payload}
        signed |= {name.lower(): value for name, value in (headers or {}).items()}
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        path, _, query = target.partition("?")
        query = "&".join(sorted(piece if "=" in piece else piece + "=" for piece in query.split("&") if piece))
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{SECRET_KEY}".encode()
        for piece in scope.split("/"):
            key = hmac.digest(key, piece.encode(), "sha256")
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        rows = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in signed.items())]
        rows += [f"Authorization: {authorization}", *unsigned]
        return ("\r\n".join(rows) + "\r\n\r\n").encode(), (key, now, scope, signature)


@pytest.fixture(scope="module")
def signer(endpoint):
    return Signer(endpoint)
