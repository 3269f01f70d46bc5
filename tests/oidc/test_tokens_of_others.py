"""JWTs open nothing here, whoever signed them and however; and userinfo tells each token what it may know."""

import base64
import hashlib
import hmac
import json
import time

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

from cellsmono.interfaces.people import CreateToken, ReadUser, SignIn

PATHS = ("/oidc/userinfo", "/a/frontend/state")


def encode(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def head(**fields):
    return encode(json.dumps(fields).encode())


def forge(kind, key, claims, real):
    """A JWT that a server which trusts JWTs might fall for. ``key`` is the public one, ``real`` a good ID token."""
    body = encode(json.dumps(claims).encode())
    if kind == "real":
        return real
    if kind == "none":
        return f"{head(alg='none')}.{body}."
    if kind == "stripped":
        return real.rpartition(".")[0] + "."
    if kind == "confused":
        secret = RSAKey.import_key(key).as_pem(private=False)
        text = f"{head(alg='HS256', kid=key['kid'])}.{body}"
        return f"{text}.{encode(hmac.digest(secret, text.encode(), hashlib.sha256))}"
    own = RSAKey.generate_key(2048, private=True)
    if kind == "embedded":
        return jwt.encode({"alg": "RS256", "jwk": own.as_dict(private=False)}, claims, own)
    return jwt.encode({"alg": "RS256", "kid": key["kid"] if kind == "kid" else "another"}, claims, own)


@pytest.mark.parametrize("kind", ["real", "none", "stripped", "confused", "embedded", "kid", "another"])
def test_a_jwt_is_no_bearer(server, get_code, alice, kind):
    """Not even the real one: it is for the client, and the audience of its bearer would be this server."""
    real = server.redeem(get_code()).json()["id_token"]
    [key, *_] = requests.get(f"{server.url}/oidc/.well-known/jwks.json", timeout=20).json()["keys"]
    now, uuid = int(time.time()), server.perform(ReadUser(alice)).uuid
    claims = {"iss": f"{server.url}/oidc", "aud": "cells-sync", "sub": uuid, "iat": now, "exp": now + 3600}
    text = forge(kind, key, claims, real)
    for path in PATHS:
        answer = requests.get(server.url + path, headers={"Authorization": f"Bearer {text}"}, timeout=20)
        assert answer.status_code == 401, path
    signers = server.core.signers
    assert (signers.find_secret(text), signers.find_user(text)) == (None, None)


def test_userinfo_tells_what_was_asked_for(server, get_code, alice):
    def ask(token, method="GET"):
        return requests.request(
            method, f"{server.url}/oidc/userinfo", headers={"Authorization": f"Bearer {token}"}, timeout=20
        )

    uuid = server.perform(ReadUser(alice)).uuid
    bare = server.redeem(get_code(scope="openid")).json()
    assert ask(bare["access_token"], "POST").json() == {"sub": uuid}
    mail = server.redeem(get_code(scope="openid email unknown")).json()
    assert mail["scope"] == "openid email"
    assert ask(mail["access_token"]).json() == {"sub": uuid, "email": "alice@example.org"}
    none = server.redeem(get_code(scope="profile")).json()
    assert "id_token" not in none
    answer = ask(none["access_token"])
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (403, 'Bearer error="insufficient_scope"')
    for token in (bare["access_token"], none["access_token"]):
        for headers in ({"Authorization": f"Bearer {token}"}, {"X-Pydio-Bearer": token}):
            path = "/a/frontend/state" if "Authorization" in headers else "/common-files"
            url = (server.url if "Authorization" in headers else server.s3_url) + path
            assert requests.get(url, headers=headers, timeout=20).status_code in {401, 403}
        assert server.core.signers.find_secret(token) is None
        assert server.core.signers.find_user(token) is None
    session = server.perform(SignIn(alice, "correct horse battery"))
    own = server.perform(CreateToken(alice))
    for token in (session.access, own.secret):
        assert ask(token).json()["name"] == alice
    bound = server.perform(CreateToken(alice, scopes=("node:01a22edc-372d-7820-b142-ef3998170b8b:r",)))
    assert ask(bound.secret).status_code == 403
    for header in ({}, {"Authorization": "Basic x"}, {"Authorization": "Bearer"}):
        assert requests.get(f"{server.url}/oidc/userinfo", headers=header, timeout=20).status_code == 401
