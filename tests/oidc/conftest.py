"""A whole server in a thread, users with passwords, and a browser that does what people do."""

import asyncio
import html
import itertools
import re
import threading
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from cellsmono.app.assembly import open_server
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.people import CreateUser
from cellsmono.kernel.clock import SystemClock

PASSWORD = "correct horse battery"
LOOPBACK = "http://localhost:3000/servers/callback"
WIKI_SECRET = "a secret of the wiki"
_numbers = itertools.count(1)

CONFIG = f"""
[server]
listen = "127.0.0.1:0"
[s3]
listen = "127.0.0.1:0"
[[oidc_client]]
id = "wiki"
name = "The <Wiki>"
redirect_uris = ["https://wiki.test/callback", "https://wiki.test/other?x=1"]
secret = "{WIKI_SECRET}"
"""


class Clock(SystemClock):
    """The real time, and what a test adds to it; or one moment, however long a test takes."""

    ahead = 0.0
    moment = None

    def time(self):
        return super().time() + self.ahead

    def monotonic(self):
        return (super().monotonic() if self.moment is None else self.moment) + self.ahead

    def stop(self):
        self.moment = super().monotonic()


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
        file = self.folder / "config.toml"
        file.write_text(CONFIG)
        environ = {"CELLSMONO_DATA_DIR": str(self.folder / "data"), "HOME": str(self.folder)}
        async with open_server(load_config(config_file=str(file), environ=environ), clock=self.clock) as server:
            self.core = server.core
            self.url = f"http://127.0.0.1:{server.addresses['main'].port}"
            self.s3_url = f"http://127.0.0.1:{server.addresses['s3'].port}"
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

    def address(self, **fields):
        """The address that a client sends a browser to."""
        asked = {
            "response_type": "code",
            "client_id": "cells-sync",
            "redirect_uri": LOOPBACK,
            "scope": "openid email profile pydio offline",
            "state": "a state",
        } | fields
        return f"{self.url}/oidc/oauth2/auth?" + urlencode({name: value for name, value in asked.items() if value})

    def post(self, path, headers=None, **fields):
        return requests.post(f"{self.url}/oidc{path}", data=fields, headers=headers, timeout=20)

    def redeem(self, code, **fields):
        asked = {
            "grant_type": "authorization_code",
            "client_id": "cells-sync",
            "redirect_uri": LOOPBACK,
            "code": code,
        } | fields
        return self.post("/oauth2/token", **asked)

    def is_good(self, token):
        answer = requests.get(f"{self.url}/oidc/userinfo", headers={"Authorization": f"Bearer {token}"}, timeout=20)
        return answer.status_code == 200


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("oidc")) as running:
        yield running


@pytest.fixture
def clock(server):
    """The server's; what a test adds to it is taken back."""
    yield server.clock
    server.clock.ahead, server.clock.moment = 0.0, None


@pytest.fixture
def alice(server):
    """The login of a fresh user."""
    login = f"alice{next(_numbers)}"
    attributes = {"displayName": "Alice <Ames>", "email": "alice@example.org"}
    server.perform(CreateUser(login, password=PASSWORD, attributes=attributes))
    return login


class Browser:
    """Cookies, and forms that are filled in. Follows no redirect by itself."""

    def __init__(self):
        self.session = requests.Session()

    def open(self, url, **headers):
        return self.session.get(url, headers=headers, allow_redirects=False, timeout=20)

    def submit(self, url, page, headers=None, **fields):
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)
        hidden = {name: html.unescape(value) for name, value in found}
        return self.session.post(url, data=hidden | fields, headers=headers, allow_redirects=False, timeout=20)

    def sign_in(self, url, login, password=PASSWORD, **headers):
        return self.submit(url, self.open(url), headers, action="sign-in", login=login, password=password)

    def cookie(self, name="cells_browser"):
        return self.session.cookies.get(name)


@pytest.fixture
def browser():
    made = Browser()
    yield made
    made.session.close()


@pytest.fixture
def another():
    made = Browser()
    yield made
    made.session.close()


def sent_back(answer):
    """Where the client is answered, and what it is told."""
    assert answer.status_code in {302, 303}, answer.text
    parts = urlsplit(answer.headers["Location"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}", dict(parse_qsl(parts.query))


@pytest.fixture(name="sent_back")
def _sent_back():
    return sent_back


@pytest.fixture
def get_code(server, browser, alice):
    """A fresh code of ``alice``."""

    def get(**fields):
        url = server.address(**fields)
        page = browser.open(url)
        if browser.cookie():
            return sent_back(browser.submit(url, page, action="continue"))[1]["code"]
        return sent_back(browser.submit(url, page, action="sign-in", login=alice, password=PASSWORD))[1]["code"]

    return get


@pytest.fixture
def password():
    return PASSWORD
