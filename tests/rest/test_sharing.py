"""Workspaces, rights, datasources and services over REST, for administrators, and what everybody sees of workspaces."""

import json

import pytest

from cellsmono.interfaces.people import ListAcls, ListWorkspaces, ReadUser
from cellsmono.interfaces.users import Profile


@pytest.fixture
def site(flat_site):
    return flat_site


@pytest.fixture
def admin(site):
    return site.token(site.user("root", Profile.ADMIN))


def test_a_script_shares_a_folder(site, admin):
    """As scripts against Cells do it: make a workspace, give a right in it, take it again."""
    alice = site.user("alice")
    token = site.token(alice)
    site.put("dir/x", "other")
    slug = f"made-{site.number}"
    body = {"Slug": slug, "Label": "Made", "Description": "By REST", "Scope": "ADMIN", "RootUUIDs": [site.uuid("dir/")]}
    made = site.call("PUT", f"/workspace/{slug}", admin, body)
    assert made.status == 200, made
    workspace = made.json
    assert workspace["RootNodes"] == {
        site.uuid("dir/"): {"Uuid": site.uuid("dir/"), "Path": f"{site.source}/dir", "Type": "COLLECTION"}
    }
    assert site.call("GET", f"/tree/stat/{slug}/x", token).status == 404

    row = {
        "NodeID": site.uuid("dir/"),
        "RoleID": site.perform(ReadUser(alice)).uuid,
        "WorkspaceID": workspace["UUID"],
        "Action": {"Name": "read", "Value": "1"},
    }
    put = site.call("PUT", "/acl", admin, row).json
    assert int(put.pop("ID")) > 0
    assert put == row
    assert site.call("GET", f"/tree/stat/{slug}/x", token).status == 200
    assert site.call("POST", "/tree/create", token, {"Nodes": [{"Path": f"{slug}/n", "Type": 2}]}).status == 403
    site.call("PUT", "/acl", admin, {**row, "Action": {"Name": "write"}})
    assert site.call("POST", "/tree/create", token, {"Nodes": [{"Path": f"{slug}/n", "Type": 2}]}).status == 200
    state = site.call("GET", "/graph/state/workspaces", token).json
    assert state["WorkspacesAccesses"][workspace["UUID"]] == "read,write", "one right leaves the other as it is"

    query = {"NodeIDs": [site.uuid("dir/")], "RoleIDs": [row["RoleID"]]}
    found = site.call("POST", "/acl", admin, {"Queries": [query]}).json
    assert (found["Total"], {each["Action"]["Name"] for each in found["ACLs"]}) == (2, {"read", "write"})
    only = site.call("POST", "/acl", admin, {"Queries": [{**query, "Actions": [{"Name": "w*"}]}]}).json
    assert only["Total"] == 1
    gone = site.call("POST", "/acl/bulk/delete", admin, {"RoleID": row["RoleID"], "NodeID": row["NodeID"]})
    assert gone.json == {"Success": True, "NumRows": "2"}
    assert site.call("GET", f"/tree/stat/{slug}/x", token).status == 404

    changed = site.call("PUT", f"/workspace/{slug}", admin, {**workspace, "Label": "Anew"}).json
    assert (changed["Label"], changed["Description"]) == ("Anew", "By REST")
    assert site.call("PUT", f"/workspace/{slug}", admin, {"RootUUIDs": [site.uuid("other")]}).status == 409
    assert site.call("DELETE", f"/workspace/{slug}", admin).json["Success"] is True
    assert site.call("DELETE", f"/workspace/{slug}", admin).status == 404
    assert site.held() == ["dir/n/", "dir/x", "other"]


def test_roots_of_a_new_workspace(site, admin):
    site.put("dir/x")
    wanted = {
        "by-path": {"RootNodes": {"any": {"Path": f"{site.source}/dir"}}},
        "by-node": {"RootNodes": {"any": {"Uuid": site.uuid("dir/")}}},
        "source": {"RootUUIDs": [f"DATASOURCE:{site.source}"]},
        "template": {"RootUUIDs": ["TEMPLATE:my-files"]},
    }
    for name, body in wanted.items():
        assert site.call("PUT", f"/workspace/{name}-{site.number}", admin, body).status == 200, name
    shown = {each.workspace.slug: [root.node for root in each.roots] for each in site.perform(ListWorkspaces())}
    assert shown[f"by-path-{site.number}"] == shown[f"by-node-{site.number}"] == [site.uuid("dir/")]
    assert shown[f"source-{site.number}"] == [f"DATASOURCE:{site.source}"]
    assert shown[f"template-{site.number}"] == ["TEMPLATE:my-files"]


@pytest.mark.parametrize(
    ("slug", "body", "status"),
    [
        ("new", {}, 400),
        ("new", {"RootUUIDs": ["none"]}, 404),
        ("new", {"RootNodes": {"x": {"Path": "none/none"}}}, 404),
        ("new", {"RootUUIDs": ["TEMPLATE:none"]}, 404),
        ("new", {"RootUUIDs": ["DATASOURCE:HERE"], "Scope": "ROOM"}, 400),
        ("new", {"RootUUIDs": ["DATASOURCE:HERE"], "Slug": "other"}, 400),
        ("UPPER", {"RootUUIDs": ["DATASOURCE:HERE"]}, 400),
        ("x", {"RootUUIDs": ["DATASOURCE:HERE"]}, 400),
        ("ws%D0%B0bc", {"RootUUIDs": ["DATASOURCE:HERE"]}, 400),
    ],
)
def test_workspaces_that_can_not_be(site, admin, slug, body, status):
    body = json.loads(json.dumps(body).replace("HERE", site.source))
    assert site.call("PUT", f"/workspace/{slug}", admin, body).status == status


def test_everybody_sees_the_own_workspaces(site, admin):
    alice = site.user("alice")
    site.put("dir/x")
    slug = site.workspace("ws", {"": f"{site.source}/dir"}, (alice, "read"))
    site.workspace("hidden", {"": site.source})
    token = site.token(alice)
    found = site.call("POST", "/workspace", token, {}).json
    assert {each["Slug"] for each in found["Workspaces"]} == {slug, "personal-files", "common-files"}
    assert found["Total"] == 3
    assert not any("RootNodes" in each for each in found["Workspaces"]), "where they are is nobody's business"
    mine = {"Queries": [{"slug": f"*-{site.number}"}]}
    assert site.call("POST", "/workspace", token, mine).json["Total"] == 1
    assert site.call("POST", "/workspace", admin, mine).json["Total"] == 2
    state = site.call("GET", "/graph/state/any", token).json
    rights = {each["Slug"]: state["WorkspacesAccesses"][each["UUID"]] for each in state["Workspaces"]}
    assert rights == {slug: "read", "personal-files": "read,write", "common-files": "read,write"}
    bound = site.token(alice, scopes=(f"node:{site.uuid('dir/x')}:r",))
    assert [each["Slug"] for each in site.call("GET", "/graph/state/any", bound).json["Workspaces"]] == [slug]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"NodeID": ""}, 400),
        ({"RoleID": ""}, 400),
        ({"Action": {}}, 400),
        ({"Action": {"Name": "fly"}}, 400),
        ({"Action": {"Name": "read", "Value": "0"}}, 400),
        ({"NodeID": "none"}, 404),
        ({"NodeID": "TEMPLATE:none"}, 404),
        ({"RoleID": "none"}, 404),
        ({"WorkspaceID": "none"}, 404),
    ],
)
def test_rights_that_can_not_be(site, admin, change, status):
    row = {"NodeID": f"DATASOURCE:{site.source}", "RoleID": "ROOT_GROUP", "Action": {"Name": "read"}, **change}
    assert site.call("PUT", "/acl", admin, row).status == status
    assert site.perform(ListAcls(path=site.source)) == []


def test_rights_are_not_removed_by_an_empty_wish(site, admin):
    before = site.perform(ListAcls())
    assert site.call("POST", "/acl/bulk/delete", admin, {}).status == 400
    assert site.call("POST", "/acl/bulk/delete", admin, {"NodeID": "none"}).json == {"NumRows": "0"}
    assert site.perform(ListAcls()) == before
    assert site.call("POST", "/acl", admin, {"CountOnly": True}).json == {"Total": len(before)}


def test_datasources_and_services(site, admin):
    every = site.call("GET", "/config/datasource", admin).json
    found = {each["Name"]: each for each in every["DataSources"]}
    assert every["Total"] == len(found)
    mine = found[site.source]
    assert mine["FlatStorage"] is True
    assert mine["StorageConfiguration"] == {"folder": str(site.folder)}
    assert "StorageType" not in mine, "LOCAL is the default"
    assert site.call("GET", f"/config/datasource/{site.source}", admin).json["Name"] == site.source
    assert site.call("GET", "/config/datasource/none", admin).status == 404
    services = {each["Name"]: each for each in site.call("GET", "/config/ctl", admin).json["Services"]}
    assert services[f"data.index.{site.source}"]["Status"] == "STARTED"
    assert services["gateway.main"]["Tag"] == "gateway"
