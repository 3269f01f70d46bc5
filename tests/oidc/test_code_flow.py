"""The code flow by a client library off the shelf, and by hand with all the forms that clients use."""

import json
import os
import stat

import boto3
import pytest
import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from botocore.config import Config
from joserfc import jwt
from joserfc.jwk import KeySet

from cellsmono.idm.codes import challenge_of
from cellsmono.interfaces.people import ListSessions

VERIFIER = "a-verifier-of-at-least-forty-three-characters-0"
SCOPE = "openid email profile pydio offline"
SECRET = "a secret of the wiki"


@pytest.fixture
def metadata(server):
    return requests.get(f"{server.url}/oidc/.well-known/openid-configuration", timeout=20).json()


def read_id_token(metadata, text):
    keys = requests.get(metadata["jwks_uri"], timeout=20).json()
    return jwt.decode(text, KeySet.import_key_set(keys), algorithms=["RS256"])


@pytest.mark.parametrize(
    ("client", "redirect"),
    [
        ("cells-sync", "http://localhost:3000/servers/callback"),
        ("cells-sync", "http://localhost:3640/servers/callback"),
        ("cells-client", "http://localhost:3000/servers/callback"),
        ("cells-mobile", "cellsauth://callback"),
    ],
)
def test_a_client_library_completes_the_flow_with_pkce(
    server, metadata, browser, alice, monkeypatch, client, redirect, password
):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with OAuth2Session(client, redirect_uri=redirect, scope=SCOPE, code_challenge_method="S256") as session:
        url, state = session.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier=VERIFIER, nonce="a nonce"
        )
        answer = browser.sign_in(url, alice, password)
        location = answer.headers["Location"]
        assert location.startswith(redirect + "?")
        token = session.fetch_token(
            metadata["token_endpoint"], authorization_response=location, state=state, code_verifier=VERIFIER
        )
        assert (token["token_type"], token["scope"]) == ("bearer", SCOPE)
        assert 3590 < token["expires_in"] <= 3600

        decoded = read_id_token(metadata, token["id_token"])
        claims = decoded.claims
        assert (claims["iss"], claims["aud"], claims["nonce"]) == (metadata["issuer"], client, "a nonce")
        assert claims["exp"] - claims["iat"] == 3600
        assert (claims["name"], claims["displayName"], claims["email"]) == (alice, "Alice <Ames>", "alice@example.org")
        about = session.get(metadata["userinfo_endpoint"]).json()
        assert about == {name: claims[name] for name in about}
        assert about["sub"] == claims["sub"]

        renewed = session.refresh_token(metadata["token_endpoint"])
        assert renewed["refresh_token"] != token["refresh_token"]
        assert not server.is_good(token["access_token"])
        assert session.get(metadata["userinfo_endpoint"]).status_code == 200
        assert read_id_token(metadata, renewed["id_token"]).claims["sub"] == claims["sub"]

        [shown] = [each for each in server.perform(ListSessions(alice)) if each.kind == "session"]
        assert (shown.client, shown.address) == (client, "127.0.0.1")
        session.revoke_token(metadata["revocation_endpoint"], token=renewed["refresh_token"])
        assert not server.is_good(renewed["access_token"])


def test_a_client_library_is_refused_with_another_verifier(server, metadata, browser, alice, monkeypatch, password):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with OAuth2Session(
        "cells-sync", redirect_uri="http://localhost:3000/servers/callback", scope=SCOPE, code_challenge_method="S256"
    ) as session:
        url, _ = session.create_authorization_url(metadata["authorization_endpoint"], code_verifier=VERIFIER)
        location = browser.sign_in(url, alice, password).headers["Location"]
        with pytest.raises(OAuthError, match="invalid_grant"):
            session.fetch_token(
                metadata["token_endpoint"], authorization_response=location, code_verifier=VERIFIER + "1"
            )


def test_the_access_token_is_the_users_token_everywhere(server, get_code):
    token = server.redeem(get_code()).json()["access_token"]
    state = requests.get(f"{server.url}/a/frontend/state", headers={"Authorization": f"Bearer {token}"}, timeout=20)
    assert "<user id=" in state.text
    s3 = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=token,
        aws_secret_access_key="gatewaysecret",
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} >= {"common-files", "personal-files"}
    s3.close()


def test_a_client_with_a_secret_has_to_tell_it(server, browser, alice, sent_back, password):
    where = {"client_id": "wiki", "redirect_uri": "https://wiki.test/other?x=1"}
    url = server.address(**where, scope="openid profile pydio")
    first = sent_back(browser.sign_in(url, alice, password))
    assert first[0] == "https://wiki.test/other"
    assert first[1]["x"] == "1"
    answer = server.redeem(first[1]["code"], **where)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    answer = server.redeem(first[1]["code"], **where, client_secret=SECRET)
    claims = json.loads(requests.get(
        f"{server.url}/oidc/userinfo", headers={"Authorization": f"Bearer {answer.json()['access_token']}"}, timeout=20
    ).text)  # fmt: skip
    assert (claims["name"], claims["preferred_username"]) == ("Alice <Ames>", alice)
    assert "email" not in claims
    assert "refresh_token" not in answer.json(), "nobody asked to go on"
    assert answer.json()["scope"] == "openid profile", "it may not ask to do what the user may"
    # A site over TLS is who it says; nobody has to be asked once more, and Basic does as well.
    again = sent_back(browser.open(url))[1]["code"]
    answer = requests.post(
        f"{server.url}/oidc/oauth2/token",
        data={"grant_type": "authorization_code", "code": again, "redirect_uri": where["redirect_uri"]},
        auth=("wiki", SECRET.replace(" ", "%20")),
        timeout=20,
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("method", "challenge"), [("plain", VERIFIER), ("", VERIFIER), ("S256", challenge_of(VERIFIER))]
)
def test_pkce_binds_a_code_to_who_asked(server, get_code, method, challenge):
    asked = {"code_challenge": challenge, "code_challenge_method": method}
    for wrong in ("", VERIFIER[:-1] + "1", VERIFIER[:42], challenge_of(VERIFIER + "x")):
        answer = server.redeem(get_code(**asked), code_verifier=wrong)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), wrong
    assert server.redeem(get_code(**asked), code_verifier=VERIFIER).status_code == 200


def test_a_verifier_without_a_challenge_is_a_challenge_that_was_taken_away(server, get_code):
    assert server.redeem(get_code(), code_verifier=VERIFIER).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "cells-client"},
        {"redirect_uri": "http://localhost:3640/servers/callback"},
        {"code": "x"},
    ],
)
def test_a_code_is_for_one_client_and_one_address(server, get_code, wrong):
    code = get_code()
    answer = server.redeem(**({"code": code} | wrong))
    assert (answer.status_code, answer.json()["error"], answer.json()["status_code"]) == (400, "invalid_grant", 400)
    assert answer.headers["Cache-Control"] == "no-store"
    if "code" not in wrong:
        assert server.redeem(code).json()["error"] == "invalid_grant", "an attempt uses it up"


def test_a_code_that_is_used_twice_ends_the_session_that_it_brought(server, get_code):
    code = get_code()
    tokens = server.redeem(code).json()
    assert server.is_good(tokens["access_token"])
    assert server.redeem(code).json()["error"] == "invalid_grant"
    assert not server.is_good(tokens["access_token"])
    answer = server.post(
        "/oauth2/token", grant_type="refresh_token", client_id="cells-sync", refresh_token=tokens["refresh_token"]
    )
    assert answer.json()["error"] == "invalid_grant"


def test_a_code_is_good_for_a_minute(server, get_code, clock):
    code = get_code()
    clock.ahead += 60
    assert server.redeem(code).json()["error"] == "invalid_grant"


def test_a_refresh_token_that_is_used_twice_ends_the_session(server, get_code):
    def refresh(text, client="cells-sync"):
        return server.post("/oauth2/token", grant_type="refresh_token", client_id=client, refresh_token=text)

    first = server.redeem(get_code()).json()
    assert refresh(first["refresh_token"], "cells-client").json()["error"] == "invalid_grant", "of another client"
    second = refresh(first["refresh_token"]).json()
    third = refresh(second["refresh_token"]).json()
    assert server.is_good(third["access_token"])
    assert refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert not server.is_good(third["access_token"])
    assert refresh(third["refresh_token"]).json()["error"] == "invalid_grant"


def test_whatever_is_revoked_the_answer_is_the_same(server, get_code):
    mine = server.redeem(get_code()).json()
    for token in ("x", "cmr_x_y", mine["access_token"][:-1]):
        answer = server.post("/oauth2/revoke", client_id="cells-sync", token=token)
        assert (answer.status_code, answer.text) == (200, "")
    assert server.post("/oauth2/revoke", client_id="cells-client", token=mine["access_token"]).status_code == 200
    assert server.is_good(mine["access_token"]), "another client can not end it"
    answer = server.post("/oauth2/revoke", client_id="cells-sync", token=mine["access_token"])
    assert (answer.status_code, answer.text) == (200, "")
    assert not server.is_good(mine["access_token"])


@pytest.mark.parametrize(
    ("fields", "error", "status"),
    [
        ({"grant_type": "refresh_token"}, "invalid_client", 401),
        ({"client_id": "nobody"}, "invalid_client", 401),
        ({"client_id": "cells-sync"}, "invalid_request", 400),
        ({"client_id": "cells-sync", "grant_type": "password", "username": "a"}, "unsupported_grant_type", 400),
        ({"client_id": "cells-sync", "grant_type": "authorization_code"}, "invalid_request", 400),
        ({"client_id": "cells-sync", "grant_type": "refresh_token"}, "invalid_request", 400),
        ({"client_id": ["cells-sync", "cells-sync"], "grant_type": "refresh_token"}, "invalid_request", 400),
    ],
)
def test_what_is_wrong_at_the_token_endpoint(server, fields, error, status):
    answer = server.post("/oauth2/token", **fields)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


@pytest.mark.parametrize("header", ["Basic !", "Basic YQ==", "Bearer x", "Basic /w=="])
def test_a_client_that_can_not_be_read(server, header):
    answer = server.post("/oauth2/token", {"Authorization": header}, grant_type="refresh_token")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_token_request_is_a_form(server):
    answer = requests.post(f"{server.url}/oidc/oauth2/token", json={"grant_type": "refresh_token"}, timeout=20)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_the_metadata_names_what_is_there(server, metadata):
    assert metadata["issuer"] == f"{server.url}/oidc"
    for name in ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert metadata[name].startswith(metadata["issuer"])
        assert requests.get(metadata[name], timeout=20).status_code != 404
    keys = requests.get(metadata["jwks_uri"], timeout=20).json()["keys"]
    assert [sorted(key) for key in keys] == [["alg", "e", "kid", "kty", "n", "use"]], "nothing private"
    file = server.folder / "data/id-token-keys.json"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/revoke", "/oauth2/auth", "/logout"])
def test_a_body_that_can_not_be_read(server, path):
    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=ascii"}
    url = server.address() if path == "/oauth2/auth" else f"{server.url}/oidc{path}"
    answer = requests.post(url, data=b"client_id=\xff", headers=kind, timeout=20)
    assert answer.status_code == 400, answer.text
    answer = requests.post(url, data=b"a" * 2_000_000, headers=kind, timeout=20)
    assert answer.status_code == 413
