"""Users, groups, roles and tokens over REST: what administrators do, and what everybody may do with the own entry."""

import json
from urllib.parse import quote
from uuid import uuid4

import pytest

from cellsmono.interfaces.people import ListRoles, ListTokens, ReadUser
from cellsmono.interfaces.users import Profile

PASSWORD = "correct horse"


@pytest.fixture
def site(flat_site):
    return flat_site


@pytest.fixture
def admin(site):
    """A token of an administrator."""
    return site.token(site.user("root", Profile.ADMIN))


def sign_in(site, login, password):
    info = {"login": login, "password": password}
    return site.call("POST", "/frontend/session", body={"AuthInfo": info}).status


def test_a_user_is_made_changed_and_deleted(site, admin):
    login = f"carol{site.number}"
    body = {"Login": login, "Password": PASSWORD, "Attributes": {"displayName": "Carol", "profile": "shared"}}
    made = site.call("PUT", f"/user/{login}", admin, body)
    assert made.status == 200, made
    found = made.json
    assert (found["Login"], found["GroupPath"]) == (login, "/")
    assert found["Attributes"] == {"displayName": "Carol", "profile": "shared", "hasPassword": "true"}
    assert [role["Uuid"] for role in found["Roles"]] == ["ROOT_GROUP", found["Uuid"]]
    assert "Password" not in found
    assert sign_in(site, login, PASSWORD) == 200

    found["Attributes"] |= {"displayName": "", "email": "c@example.org", "profile": "standard"}
    changed = site.call("PUT", f"/user/{login}", admin, {**found, "Password": PASSWORD + "!"}).json
    assert changed["Attributes"]["email"] == "c@example.org"
    assert changed["Attributes"]["profile"] == "standard"
    assert "displayName" not in changed["Attributes"]
    assert (sign_in(site, login, PASSWORD), sign_in(site, login, PASSWORD + "!")) == (401, 200)
    assert site.call("GET", f"/user/{login}", admin).json["Uuid"] == found["Uuid"]

    gone = site.call("DELETE", f"/user/{login}", admin)
    assert gone.json == {"Success": True, "NumRows": "1"}
    assert (
        site.call("GET", f"/user/{login}", admin).status == site.call("DELETE", f"/user/{login}", admin).status == 404
    )


def test_locks(site, admin):
    alice = site.user("alice")
    token = site.token(alice)
    attributes = site.call("GET", f"/user/{alice}", admin).json["Attributes"]
    locked = site.call("PUT", f"/user/{alice}", admin, {"Attributes": {**attributes, "locks": '["logout"]'}})
    assert json.loads(locked.json["Attributes"]["locks"]) == ["logout"]
    assert site.call("GET", f"/user/{alice}", token).status == 401
    site.call("PUT", f"/user/{alice}", admin, {"Attributes": {**attributes, "locks": "[]"}})
    assert site.call("GET", f"/user/{alice}", token).status == 200
    for wrong in ("logout", "[1]", "{}"):
        assert site.call("PUT", f"/user/{alice}", admin, {"Attributes": {"locks": wrong}}).status == 400


def test_groups(site, admin):
    name = f"g{site.number}"
    made = site.call("PUT", f"/user/{name}", admin, {"IsGroup": True, "GroupPath": "/", "GroupLabel": name})
    assert (made.json["IsGroup"], made.json["GroupPath"], made.json["GroupLabel"]) == (True, "/", name)
    inner = site.call("PUT", "/user/in", admin, {"IsGroup": True, "GroupPath": f"/{name}", "GroupLabel": "in"}).json
    assert inner["GroupPath"] == f"/{name}"
    dave = f"dave{site.number}"
    assert site.call("PUT", f"/user/{dave}", admin, {"GroupPath": f"/{name}/in"}).json["GroupPath"] == f"/{name}/in"

    def find(**query):
        answer = site.call("POST", "/user", admin, {"Queries": [query]}).json
        return [each["GroupLabel"] for each in answer.get("Groups", [])], [
            each["Login"] for each in answer.get("Users", [])
        ]

    assert find(GroupPath=f"/{name}") == (["in"], [])
    assert find(GroupPath=f"/{name}", Recursive=True) == (["in"], [dave])
    assert find(GroupPath=f"/{name}", Recursive=True, NodeType="USER") == ([], [dave])
    assert find(FullPath=f"/{name}/in") == (["in"], [])
    assert find(FullPath=f"/{name}/in/{dave}") == ([], [dave])
    assert site.call("DELETE", f"/user/{name}/in/", admin).status == 409
    site.call("DELETE", f"/user/{dave}", admin)
    assert site.call("DELETE", f"/user/{name}/in/", admin).json["Success"] is True
    assert site.call("DELETE", f"/user/{quote(name + '/', safe='')}", admin).json["Success"] is True


def test_searches(site, admin):
    logins = [site.user(name, profile) for name, profile in (("ann", Profile.SHARED), ("anton", Profile.STANDARD))]

    def find(*queries, **more):
        answer = site.call("POST", "/user", admin, {"Queries": list(queries), **more}).json
        return [each["Login"] for each in answer.get("Users", [])], answer.get("Total", 0)

    mine = {"Login": f"AN*{site.number}"}
    assert find(mine) == (logins, 2)
    assert find(mine, Limit=1) == (logins[:1], 2)
    assert find(mine, Limit=1, Offset=1) == (logins[1:], 2)
    assert find(mine, CountOnly=True) == ([], 2)
    assert find(mine, {"HasProfile": "shared"}, Operation="AND") == (logins[:1], 1)
    assert find(mine, {"Login": logins[0], "not": True}, Operation=1) == (logins[1:], 1)
    assert find({**mine, "AttributeName": "profile", "AttributeValue": "stand*"}) == (logins[1:], 1)
    assert find({**mine, "AttributeName": "email", "AttributeAnyValue": True}) == ([], 0)
    assert find({"Login": f"an?{site.number}"}) == find({"Login": f"[a]nn{site.number}"}) == ([], 0)
    assert find({"Uuid": site.perform(ReadUser(logins[0])).uuid}) == (logins[:1], 1)
    assert site.call("POST", "/user", admin, {"Limit": -1}).status == 400
    assert site.call("POST", "/user", admin, {"Queries": [{}] * 101}).status == 400
    assert site.call("POST", "/user", admin, {"Queries": [{"Login": "*a" * 1_000}]}).status == 400


def test_everybody_sees_nobody_else(site):
    alice, bob = site.user("alice"), site.user("bob")
    token = site.token(alice)
    assert site.call("GET", f"/user/{alice.upper()}", token).json["Login"] == alice
    there, absent = (site.call("GET", f"/user/{login}", token) for login in (bob, f"nobody{site.number}"))
    assert there.status == absent.status == 404
    assert there.json["Title"] == absent.json["Title"]
    answer = site.call("POST", "/user", token, {}).json
    assert ([each["Login"] for each in answer["Users"]], answer["Total"]) == ([alice], 1)
    assert site.call("POST", "/user", token, {"Queries": [{"Login": bob}]}).json == {}
    roles = site.call("POST", "/role", token, {}).json["Roles"]
    assert [role["Label"] for role in roles] == ["/", alice]
    assert site.call("GET", f"/role/{site.perform(ReadUser(bob)).uuid}", token).status == 404


def test_everybody_changes_the_own_entry(site):
    alice, bob = site.user("alice", password=PASSWORD), site.user("bob")
    token = site.token(alice)

    def put(login=alice, **body):
        return site.call("PUT", f"/user/{login}", token, body)

    own = site.call("GET", f"/user/{alice}", token).json
    assert put(**own).status == 200, "what was read can be sent back"
    assert (
        put(Attributes={"displayName": "Alice", "email": "a@example.org"}).json["Attributes"]["displayName"] == "Alice"
    )
    for wrong in (
        {"Attributes": {"profile": "admin"}},
        {"Attributes": {"hidden": "true"}},
        {"GroupPath": "/sales"},
        {"IsGroup": True, "GroupLabel": "mine"},
        {"Password": "new password"},
        {"Password": "new password", "OldPassword": "wrong"},
    ):
        assert put(**wrong).status == 403, wrong
    assert put(login=bob, Attributes={"displayName": "Alice"}).status == 403
    assert put(Login=bob).status == 400
    user = site.perform(ReadUser(alice))
    assert (user.profile, user.group) == (Profile.STANDARD, "/")
    site.server.clock.ahead += 3_600
    assert put(Password="new password", OldPassword=PASSWORD).status == 200
    assert (sign_in(site, alice, "new password"), sign_in(site, alice, PASSWORD)) == (200, 401)


def test_an_administrator_can_not_cut_the_own_branch(site, admin):
    assert site.call("DELETE", f"/user/root{site.number}", admin).status == 409


def test_roles(site, admin):
    uuid, label = str(uuid4()), f"Editors {site.number}"
    made = site.call("PUT", f"/role/{uuid}", admin, {"Uuid": uuid, "Label": label, "AutoApplies": ["shared"]})
    assert (made.json["Uuid"], made.json["Label"], made.json["AutoApplies"]) == (uuid, label, ["shared"])
    changed = site.call("PUT", f"/role/{uuid}", admin, {"Label": label + "!"}).json
    assert changed["Label"] == label + "!"
    assert "AutoApplies" not in changed
    assert site.call("GET", f"/role/{uuid}", admin).json == changed
    alice = site.user("alice")
    given = site.call("PUT", f"/user/roles/{alice}", admin, {"Roles": [{"Uuid": "ADMINS"}, {"Uuid": uuid}]}).json
    assert [role["Uuid"] for role in given["Roles"]] == ["ROOT_GROUP", "ADMINS", uuid, given["Uuid"]]
    again = site.call("PUT", f"/user/roles/{alice}", admin, {"Roles": list(reversed(given["Roles"]))}).json
    assert [role["Uuid"] for role in again["Roles"]] == ["ROOT_GROUP", uuid, "ADMINS", given["Uuid"]]
    assert site.call("PUT", f"/user/roles/{alice}", admin, {"Roles": [{"Uuid": "none"}]}).status == 404
    found = site.call("POST", "/role", admin, {"Queries": [{"Label": f"editors {site.number}*"}]}).json
    assert [role["Uuid"] for role in found["Roles"]] == [uuid]
    users = site.call("POST", "/role", admin, {"Queries": [{"IsUserRole": True, "Label": alice}]}).json["Roles"]
    assert [(role["Label"], role["UserRole"]) for role in users] == [(alice, True)]
    assert site.call("DELETE", f"/role/{uuid}", admin).json["Uuid"] == uuid
    assert site.call("GET", f"/role/{uuid}", admin).status == 404
    assert [role.uuid for role in site.perform(ListRoles(alice))] == ["ROOT_GROUP", "ADMINS", given["Uuid"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "not-a-uuid", {"Label": "x"}, 400),
        ("PUT", "UUID", {"Label": ""}, 400),
        ("PUT", "UUID", {"Label": "x", "AutoApplies": ["nobody"]}, 400),
        ("PUT", "UUID", {"Label": "x", "Uuid": "other"}, 400),
        ("PUT", "ROOT_GROUP", {"Label": "x"}, 400),
        ("DELETE", "ROOT_GROUP", None, 400),
        ("DELETE", "ADMINS", None, 400),
        ("DELETE", "UUID", None, 404),
    ],
)
def test_roles_that_can_not_be(site, admin, method, path, body, status):
    assert site.call(method, f"/role/{path.replace('UUID', str(uuid4()))}", admin, body).status == status


def test_tokens_are_ended_by_whose_they_are(site):
    alice, bob = site.user("alice"), site.user("bob")
    mine, other, his = site.token(alice), site.token(alice), site.token(bob)
    for foreign in (his, his.split("_")[1], "none"):
        assert site.call("POST", "/auth/token/revoke", mine, {"TokenId": foreign}).status == 404
    assert site.call("GET", f"/user/{bob}", his).status == 200
    assert site.call("POST", "/auth/token/revoke", mine, {"TokenId": other}).json["Success"] is True
    assert site.call("GET", f"/user/{alice}", other).status == 401
    assert site.call("POST", "/auth/token/revoke", mine, {}).json["Success"] is True
    assert site.call("GET", f"/user/{alice}", mine).status == 401


def test_a_token_for_a_document(site):
    alice = site.user("alice")
    site.put("dir/x", "dir/y")
    slug = site.workspace("ws", {"": site.source}, (alice, "read", "write"))
    token = site.token(alice)
    made = site.call("POST", "/auth/token/document", token, {"Path": f"{slug}/dir/x"}).json["AccessToken"]
    assert site.call("GET", f"/tree/stat/{slug}/dir/x", made).status == 200
    assert site.call("GET", f"/tree/stat/{slug}/dir/y", made).status == 403
    assert site.call("GET", f"/user/{alice}", made).json["Code"] == "scope"
    assert site.call("POST", "/auth/token/document", made, {"Path": f"{slug}/dir/x"}).status == 403
    assert site.call("POST", "/auth/token/revoke", made, {"TokenId": token}).status == 403
    assert site.call("POST", "/auth/token/document", token, {"Path": f"{slug}/none"}).status == 404
    assert site.call("POST", "/auth/token/document", token, {"Path": slug}).status == 403
    scopes = [each.scopes for each in site.perform(ListTokens(alice))]
    assert scopes == [(), (f"node:{site.uuid('dir/x')}:rw",)]
    assert site.call("POST", "/auth/token/revoke", made, {}).status == 200
    assert site.call("GET", f"/tree/stat/{slug}/dir/x", made).status == 401
