"""Sign-in by password over REST, and what clients read when they begin."""

import base64
from xml.etree import ElementTree

import pytest

from cellsmono.idm.one_time_codes import code_at, step_at
from cellsmono.idm.sessions import ACCESS_SECONDS
from cellsmono.interfaces.people import ListSessions, ListTokens
from cellsmono.interfaces.signing_in import EnableTotp
from cellsmono.interfaces.users import Profile

PASSWORD = "correct horse"


def sign_in(site, login, password=PASSWORD, **headers):
    info = {"login": login, "password": password, "type": "credentials"}
    return site.call("POST", "/frontend/session", body={"AuthInfo": info}, **headers)


def read_registry(site, token=""):
    answer = site.call("GET", "/frontend/state?XPath=user/repositories", token)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/xml; charset=utf-8")
    return ElementTree.fromstring(answer.body)


def test_signing_in_and_out(flat_site):
    site = flat_site
    alice = site.user("alice", password=PASSWORD)
    answer = sign_in(site, alice, User_Agent="my client")
    assert answer.status == 200
    token = answer.json["Token"]
    assert answer.json["JWT"] == token["AccessToken"]
    assert answer.json["ExpireTime"] in range(int(ACCESS_SECONDS) - 5, int(ACCESS_SECONDS) + 1)
    assert int(token["ExpiresAt"]) > 1_700_000_000
    assert read_registry(site, token["AccessToken"]).find("user").get("id") == alice
    assert [each.description for each in site.perform(ListTokens(alice))] == ["my client"]

    refreshed = site.call(
        "POST",
        "/frontend/session",
        body={"AuthInfo": {"type": "refresh", "refresh_token": token["RefreshToken"]}},
    ).json
    assert refreshed["JWT"] != token["AccessToken"]
    assert site.call("GET", "/frontend/state", token["AccessToken"]).status == 401
    assert site.call("GET", "/frontend/state", refreshed["JWT"]).status == 200

    out = site.call("POST", "/frontend/session", refreshed["JWT"], {"Logout": True})
    assert (out.status, out.json) == (200, {})
    assert site.call("GET", "/frontend/state", refreshed["JWT"]).status == 401
    assert site.perform(ListTokens(alice)) == []
    for _ in range(2):  # nothing is left to end
        assert site.call("POST", "/frontend/session", refreshed["JWT"], {"AuthInfo": {"type": "logout"}}).status == 200


def test_a_second_factor(flat_site):
    site = flat_site
    alice = site.user("alice", password=PASSWORD)
    made = site.perform(EnableTotp(alice))
    secret = base64.b32decode(made.secret + "=" * (-len(made.secret) % 8))
    code = code_at(secret, step_at(site.server.clock.time()))
    recovery = made.recovery_codes[0]

    def status(**more):
        info = {"login": alice, "password": PASSWORD, "type": "credentials", **more}
        answer = site.call("POST", "/frontend/session", body={"AuthInfo": info})
        assert answer.status == 200 or answer.json["Detail"] == "Login failed", answer
        return answer.status

    assert [status(), status(code=code), status(code=code), status(code=recovery)] == [401, 200, 401, 200]
    assert status(code=recovery) == 401


def test_a_list_of_sessions_tells_where_they_come_from(flat_site):
    site = flat_site
    alice = site.user("alice", password=PASSWORD)
    assert sign_in(site, alice, User_Agent="my client").status == 200
    (session,) = site.perform(ListSessions(alice))
    assert (session.agent, session.address, session.client) == ("my client", "127.0.0.1", "cells-frontend")


def test_a_login_that_fails_never_says_why(flat_site):
    site = flat_site
    alice = site.user("alice", password=PASSWORD)
    bare = site.user("bare")
    answers = [sign_in(site, login, "wrong horse") for login in (alice, bare, f"nobody{site.number}")]
    for answer in answers:
        assert answer.status == 401
        assert (answer.json["Title"], answer.json["Detail"], answer.json["Code"]) == (
            "Login failed",
            "Login failed",
            "login",
        )
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert sign_in(site, alice, token="expired").status == 200, "who signs in anew may have an old token"


@pytest.mark.parametrize(
    ("info", "status"),
    [
        ({}, 400),
        ({"type": "authorization_code", "code": "x"}, 400),
        ({"type": "refresh"}, 401),
        ({"type": "refresh", "refresh_token": "cmr_x_y"}, 401),
        ({"login": "", "password": ""}, 401),
    ],
)
def test_what_is_no_sign_in(server, info, status):
    assert server.call("POST", "/frontend/session", body={"AuthInfo": info}).status == status


def test_the_state_of_nobody_is_empty(server):
    registry = ElementTree.fromstring(server.call("GET", "/frontend/state").body)
    assert (registry.tag, len(registry)) == ("pydio_registry", 0)
    refused = server.call("GET", "/frontend/state", "nonsense")
    assert (refused.status, refused.json["Code"]) == (401, "token")
    assert server.call("GET", "/frontend/state", Authorization="Basic YTpi").status == 401


def test_the_state_lists_workspaces_as_clients_read_them(flat_site):
    site = flat_site
    alice = site.user("alice", Profile.ADMIN)
    site.put("a/x", "b/y")
    slug = site.workspace("ws", {"": f"{site.source}/a"}, (alice, "read"))
    hidden = site.workspace("hidden", {"": f"{site.source}/b"})
    body = site.call("GET", "/frontend/state", site.token(alice)).body
    assert f'<user id="{alice}" '.encode() in body, "clients read the first attribute"
    repos = {repo.get("repositorySlug"): repo for repo in ElementTree.fromstring(body).iter("repo")}
    assert hidden not in repos
    assert (repos[slug].get("acl"), repos[slug].get("repository_type")) == ("read", "workspace")
    assert repos["personal-files"].get("repository_type") == "workspace-personal"
    assert repos["common-files"].get("acl") == "read,write"
    assert repos["common-files"].findtext("label") == "Common Files"
    bound = site.token(alice, scopes=(f"node:{site.uuid('a/x')}:r",))
    slugs = [repo.get("repositorySlug") for repo in read_registry(site, bound).iter("repo")]
    assert slugs == [slug]


def test_text_that_xml_can_not_have(flat_site):
    from cellsmono.interfaces.people import ChangeWorkspace

    site = flat_site
    alice = site.user("alice")
    site.put("a/x")
    slug = site.workspace("odd", {"": f"{site.source}/a"}, (alice, "read"))
    site.perform(ChangeWorkspace(slug, label="<&\"'>", description="]]>\n\t&"))
    repo = next(each for each in read_registry(site, site.token(alice)).iter("repo") if each.get("acl") == "read")
    assert (repo.findtext("label"), repo.findtext("description")) == ("<&\"'>", "]]>\n\t&")


def test_what_clients_show_before_anybody_signed_in(server):
    found = server.call("GET", "/frontend/bootconf").json
    assert found["ajxpVersion"] == found["backend"]["Version"]
    assert found["customWording"]["title"] == found["backend"]["PackageLabel"]
    assert found["other"]["vanity"]["palette"]["primary1Color"].startswith("#")


def test_a_token_that_was_made_to_be_kept_is_not_logged_out(flat_site):
    site = flat_site
    token = site.token(site.user("alice"))
    assert site.call("POST", "/frontend/session", token, {"Logout": True}).status == 200
    assert site.call("GET", "/frontend/state", token).status == 200
