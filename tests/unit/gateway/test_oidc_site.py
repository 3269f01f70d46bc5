"""The sign-in page as a proxy with TLS shows it, and addresses of clients."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from cellsmono.gateway.http.access import scrub_target
from cellsmono.gateway.oidc.clients import Clients, allows
from cellsmono.gateway.oidc.context import OidcContext
from cellsmono.gateway.oidc.server import add_oidc
from cellsmono.idm.id_tokens import KeyRing
from cellsmono.interfaces.oidc import OidcClient
from cellsmono.interfaces.people import People
from cellsmono.kernel.clock import ManualClock

SITE = "https://files.test"


class Nobody(People):
    """No request gets as far as people."""

    async def perform(self, request):
        raise AssertionError(request)


@pytest.fixture
async def client(tmp_path):
    clock = ManualClock()
    app = web.Application()
    add_oidc(app, OidcContext(Nobody(), KeyRing(tmp_path, clock), clock, (), SITE))
    async with TestClient(TestServer(app)) as running:
        yield running


def address(**fields):
    asked = {"response_type": "code", "client_id": "cells-frontend", "redirect_uri": f"{SITE}/auth/callback"}
    return {"path": "/oidc/oauth2/auth", "params": asked | fields, "allow_redirects": False}


async def test_over_tls_cookies_are_for_this_host_alone(client):
    answer = await client.get(**address())
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-cells_form=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}


async def test_the_configured_address_counts_whatever_a_request_says(client):
    headers = {"Host": "evil.test"}
    found = await (await client.get("/oidc/.well-known/openid-configuration", headers=headers)).json()
    assert found["issuer"] == f"{SITE}/oidc"
    answer = await client.get(**address(redirect_uri="http://evil.test/auth/callback"), headers=headers)
    assert answer.status == 400
    answer = await client.get(**address(prompt="none"), headers=headers)
    assert answer.headers["Location"].startswith(f"{SITE}/auth/callback?error=login_required")


async def test_a_form_comes_from_the_configured_address(client):
    await client.get(**address())
    for origin, status in (("https://evil.test", 403), ("http://127.0.0.1", 403)):
        answer = await client.post(**address(), headers={"Origin": origin}, data={"mark": "x"})
        assert (answer.status, "another site" in await answer.text()) == (status, True)
    answer = await client.post(**address(), headers={"Origin": SITE}, data={"mark": "x"})
    assert (answer.status, "too old" in await answer.text()) == (403, True)


@pytest.mark.parametrize(
    ("pattern", "redirect", "good"),
    [
        ("http://localhost:[10-12]/x", "http://localhost:11/x", True),
        ("http://localhost:[10-12]/x", "http://localhost:13/x", False),
        ("http://localhost:[10-12]/x", "http://localhost:11/x/", False),
        ("http://localhost:[10-12]/x", "http://localhost:11/y/x", False),
        ("http://localhost:[10-12]", "http://localhost:10", True),
        ("http://localhost:[10-12]", "http://localhost:10@evil.test", False),
        ("http://[::1]:[10-12]/x", "http://[::1]:12/x", True),
        ("{site}/x", SITE + "/x", True),
        ("{site}/x", "{site}/x", False),
        ("{site}/x", SITE + ".evil.test/x", False),
        ("app://x", "app://x", True),
        ("app://x", "app://x?y", False),
    ],
)
def test_addresses_are_compared_to_the_letter(pattern, redirect, good):
    assert allows(OidcClient(id="x", redirect_uris=(pattern,)), redirect, SITE) is good


def test_a_configured_client_takes_the_place_of_a_built_in_one():
    clients = Clients((OidcClient(id="cells-sync", secret="a secret of a client"),))
    assert clients.find("cells-sync").redirect_uris == ()
    assert clients.authenticate("cells-sync", "") is None
    assert clients.authenticate("cells-sync", "a secret of a client") is clients.find("cells-sync")
    assert clients.authenticate("cells-mobile", "whatever") is clients.find("cells-mobile")


def test_codes_are_not_logged():
    assert scrub_target("/oauth2/oob?code=secret&state=x") == "/oauth2/oob?code=[hidden]&state=x"
