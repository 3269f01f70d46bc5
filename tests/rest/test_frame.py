"""What all routes have in common: routing, tokens, bodies, errors, and the way beside S3."""

import json

import pytest

PROBLEM = "application/problem+json"


def test_everybody_may_know_what_this_is(server):
    answer = server.call("GET", "/config/discovery")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["PackageType"] == "cellsmono"
    assert answer.json["Endpoints"]["rest"] == "/a"
    assert "BuildStamp" not in answer.json, "defaults are left out"
    assert server.call("GET", "/config/discovery", token="nonsense").status == 200


def test_head_is_get_without_a_body(server):
    got, head = (server.call(method, "/config/discovery") for method in ("GET", "HEAD"))
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", got.headers["content-length"])


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/config/discovery/", "//config/discovery", "/CONFIG/DISCOVERY"])
def test_where_nothing_is(server, path):
    answer = server.call("GET", path)
    assert (answer.status, answer.json["Code"]) == (404, "route")


def test_a_method_that_is_not_there(server):
    answer = server.call("DELETE", "/config/discovery")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_an_error_has_the_form_that_is_asked_for(server):
    plain = server.call("GET", "/nothing")
    assert plain.headers["content-type"] == "application/json"
    assert plain.json["Meta"]["RequestId"] == plain.headers["x-request-id"]
    assert set(plain.json) == {"Title", "Detail", "Code", "Meta"}
    problem = server.call("GET", "/nothing", Accept=f"application/json;q=0.5, {PROBLEM}")
    assert problem.headers["content-type"] == PROBLEM
    told = problem.json
    assert (told["status"], told["code"], told["type"]) == (404, "route", "urn:cellsmono:error:route")
    assert told["request_id"] == problem.headers["x-request-id"]


def test_what_is_signed_for_s3_is_decided_by_s3(server):
    """Also below ``/a``: with a virtual host that is the key of an object, and a bucket ``a`` can not be."""
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"}
    for host in ("127.0.0.1", "bucket.s3.test"):
        answer = server.send("GET", "/a/config/discovery", headers={**signed, "Host": host})
        assert answer.headers["content-type"] == "application/xml"
        assert b"<Code>" in answer.body
    presigned = server.send("GET", "/a/config/discovery?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0")
    assert b"<Code>" in presigned.body


def test_what_only_looks_like_it_is_not_below_a(server):
    for path in ("/ab", "/A/config/discovery", "/healthz", "/%61/config/discovery"):
        answer = server.send("GET", path)
        assert "x-request-id" not in answer.headers
    assert server.send("GET", "/healthz").status == 200


def test_content_that_can_not_act_in_a_browser(server):
    headers = server.call("GET", "/config/discovery").headers
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert json.loads(server.call("GET", "/config/discovery").body)
