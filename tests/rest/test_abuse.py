"""Requests that mean no good: each is refused with a reason, and the server goes on."""

import json

import msgspec
import pytest

from cellsmono.gateway.rest.bodies import JSON_BYTES
from cellsmono.gateway.rest.proto_json import DEEPEST
from cellsmono.gateway.rest.table import ROUTES
from cellsmono.interfaces.users import Profile

BODIES = [route for route in ROUTES if route.takes is not None]
PARAMETERS = [route for route in ROUTES if route.parameter]
NODES = {"TreeStat", "ContentRead", "ContentWrite"}


@pytest.fixture(scope="module")
def site(make_site):
    site = make_site("flat")
    site.root = site.user("root", Profile.ADMIN)
    return site


@pytest.fixture
def admin(site):
    """A token of an administrator; one of the routes ends the one that comes along."""
    return site.token(site.root)


def target(route):
    return route.path.partition("{")[0] + ("none" if route.parameter else "")


def send(server, route, token, body, **headers):
    return server.call(route.method, target(route), token, body, **headers)


@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.name)
def test_bodies(server, admin, route):
    deep = b'{"Nodes":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    expected = {
        b"nonsense": "json",
        b"[]": "json",
        b'"x"': "json",
        b"\xff\xfe\x00": "json",
        b'{"x": "\\ud800"}': "json",
        b'{"x": NaN}': "json",
        b'{"x": 1e999999}': "json",
        b"{" * 10_000: "json",
        deep: "json_depth",
        b'{"x":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1): "json_depth",
    }
    for body, code in expected.items():
        answer = send(server, route, admin, body, Content_Type="application/json")
        assert answer.status == 400, (body[:40], answer)
        # Python's own limit may come before ours: either way it says that the body is no good.
        assert answer.json["Code"] in {code, "json_depth"}, (body[:40], answer)


@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.name)
def test_bodies_that_are_too_large(server, admin, route):
    large = json.dumps({"Unknown": "x" * 10_000_000}).encode()
    answer = send(server, route, admin, large, Content_Type="application/json")
    assert (answer.status, answer.json["Code"]) == (413, "too_large")
    pieces = (large[at : at + 100_000] for at in range(0, JSON_BYTES + 200_000, 100_000))
    headers = {"Authorization": f"Bearer {admin}"}
    answer = server.send(route.method, "/a" + target(route), pieces, headers)
    assert (answer.status, answer.json["Code"]) == (413, "too_large")


@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.name)
def test_bodies_of_another_kind(server, admin, route):
    for kind in (
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/json;charset=utf-16",
    ):
        answer = send(server, route, admin, b"{}", Content_Type=kind)
        assert (answer.status, answer.json["Code"]) == (415, "media_type"), kind
    for kind in ("application/json; charset=UTF-8", "application/merge-patch+json"):
        assert send(server, route, admin, b'{"TokenId": "none"}', Content_Type=kind).status != 415


@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.name)
def test_wrong_types_of_every_field(server, admin, route):
    """No field takes the server down, whatever stands in it."""
    for field in msgspec.structs.fields(route.takes):
        for value in (True, -1, 1.5, 2**63, "x", "\0", [], [1], [[]], {}, {"x": 1}, {"x": {}}, [{"Path": 5}], None):
            answer = send(server, route, admin, {field.encode_name: value})
            assert answer.status < 500, (field.name, value, answer)


@pytest.mark.parametrize("route", PARAMETERS, ids=lambda route: route.name)
def test_parameters(server, admin, route):
    prefix = route.path.partition("{")[0]
    body = b"x" if route.sends else ({} if route.takes is not None else None)
    texts = ("..", "../..", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc", "a%00b", "%ff", "%c0%af", "%", "%zz", "x" * 8_000, "%2F")
    for text in (*texts, "a/%2e%2e/%2e%2e/b", "%F0%9F%98%80", "DATASOURCE:none", "ws%D0%B0", "*", "/", "//", "a//b"):
        answer = server.call(route.method, prefix + text, admin, body)
        assert 400 <= answer.status < 500 or route.name == "GraphState", (text, answer)
        assert b"Traceback" not in answer.body
        if "%00" in text or "%ff" in text:
            assert (answer.status, answer.json["Code"]) == (400, "path")


@pytest.mark.parametrize("query", ["%ff=1", "&" * 10_000, "=" * 100, "a=1&" * 200, "versionId=../../x", "x=%00"])
def test_queries(server, admin, query):
    answer = server.call("GET", f"/io/none/none?{query}", admin)
    assert answer.status in {400, 404}


def test_the_server_is_still_there(server):
    assert server.call("GET", "/config/discovery").status == 200
