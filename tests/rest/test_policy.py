"""Policies over REST: listed, changed, and in the way of requests that the route would let in."""

import pytest

from cellsmono.interfaces.people import RestorePolicies
from cellsmono.interfaces.users import Profile


@pytest.fixture(scope="module")
def ours(make_site):
    site = make_site("flat")
    yield site, site.token(site.user("root", Profile.ADMIN)), site.token(site.user("alice"))
    site.perform(RestorePolicies())


def test_a_policy_denies_and_is_deleted(ours):
    site, admin, alice = ours
    login = f"alice{site.number}"
    policy = {
        "id": "no",
        "subjects": [f"user:{login}"],
        "resources": ["rest:/role<.*>"],
        "actions": ["<.+>"],
        "effect": "deny",
        "conditions": {"RemoteAddress": {"type": "CIDRCondition", "jsonOptions": '{"cidr": "127.0.0.0/8"}'}},
    }
    body = {"Name": "No roles", "ResourceGroup": "rest", "Policies": [policy]}
    assert site.call("POST", "/role", alice, {}).status == 200
    made = site.call("PUT", "/policy", admin, body)
    assert made.status == 200, made
    assert made.json["Policies"] == [policy]
    refused = site.call("POST", "/role", alice, {})
    assert (refused.status, refused.json["Code"]) == (403, "policy")
    assert site.call("POST", "/role", admin, {}).status == 200
    listed = site.call("POST", "/policy", admin, {"Filter": "no roles"}).json
    assert [group["Uuid"] for group in listed["PolicyGroups"]] == [made.json["Uuid"]]
    assert site.call("DELETE", f"/policy/{made.json['Uuid']}", admin).json["Success"] is True
    assert site.call("POST", "/role", alice, {}).status == 200


def test_no_policy_opens_what_a_route_keeps_closed(ours):
    site, admin, alice = ours
    policy = {"id": "all", "subjects": ["<.+>"], "resources": ["<.+>"], "actions": ["<.+>"], "effect": "allow"}
    made = site.call("PUT", "/policy", admin, {"Name": "All", "Policies": [policy]})
    assert site.call("POST", "/policy", alice, {}).status == 403
    assert site.call("POST", "/policy", "", {}).status == 401
    site.call("DELETE", f"/policy/{made.json['Uuid']}", admin)


def test_what_can_not_be_is_refused(ours):
    site, admin, _ = ours
    for body in ({}, {"Name": "x", "Policies": [{"id": "a"}]}):
        assert site.call("PUT", "/policy", admin, body).status == 400
    assert site.call("DELETE", "/policy/none", admin).status == 404
