"""Tree: nodes by path, children, pages and versions, as the rights show them."""

import json
from urllib.parse import quote

import pytest

from cellsmono.interfaces.people import SetAcl, SetTemplate
from cellsmono.interfaces.users import Profile
from cellsmono.interfaces.views import View

BOTH = ("read", "write")


def stat(site, token, path):
    return site.call("GET", "/tree/stat/" + quote(path), token)


def stats(site, token, *paths, **more):
    answer = site.call("POST", "/tree/stats", token, {"NodePaths": list(paths), **more})
    assert answer.status == 200, answer
    return answer.json


def paths_of(answer):
    return [node["Path"] for node in answer.get("Nodes", [])]


def test_a_file_and_a_folder(site):
    alice = site.user("alice")
    site.put("dir/été & 100%.txt", "dir/deep/x")
    slug = site.workspace("ws", {"": site.source}, (alice, "read"))
    token = site.token(alice)
    leaf = stat(site, token, f"{slug}/dir/été & 100%.txt").json["Node"]
    assert leaf["Type"] == "LEAF"
    assert leaf["Path"] == f"{slug}/dir/été & 100%.txt"
    assert leaf["Size"] == str(len("dir/été & 100%.txt".encode()))
    assert int(leaf["MTime"]) > 1_700_000_000
    assert json.loads(leaf["MetaStore"]["name"]) == "été & 100%.txt"
    assert leaf["Uuid"] == site.uuid("dir/été & 100%.txt")
    assert len(leaf["Etag"]) == 32
    assert len(json.loads(leaf["MetaStore"]["x-cells-hash"])) == 32
    folder = stat(site, token, f"/{slug}/dir").json["Node"]
    assert (folder["Type"], folder["Path"], folder["Uuid"]) == ("COLLECTION", f"{slug}/dir", site.uuid("dir/"))
    assert "Size" not in folder
    assert stat(site, token, f"{slug}/dir/").json["Node"] == folder
    encoded = site.call("GET", "/tree/stat/" + quote(f"{slug}/dir/deep", safe=""), token)
    assert encoded.json["Node"]["Path"] == f"{slug}/dir/deep"


def test_what_is_not_there_or_not_ones_own(site):
    alice = site.user("alice")
    site.put("dir/x", "secret/y")
    slug = site.workspace("ws", {"": site.source}, (alice, "read"))
    hidden = site.workspace("hidden", {"": site.source})
    site.perform(SetAcl(f"{site.source}/secret", f"user:{alice}", {"deny": "1"}))
    token = site.token(alice)
    expected = {
        f"{slug}/none": 404,
        f"{slug}/dir/x/": 404,
        f"{slug}/dir/x/below": 404,
        f"{slug}/secret": 403,
        f"{slug}/secret/y": 403,
        f"{slug}/secret/none": 403,
        hidden: 404,
        f"{hidden}/dir": 404,
        f"{site.source}/dir": 404,
        "nothing-there": 404,
    }
    assert {path: stat(site, token, path).status for path in expected} == expected
    assert paths_of(stats(site, token, *expected, f"{slug}/dir")) == [f"{slug}/dir"]
    assert stats(site, token, f"{slug}/none/*", f"{slug}/secret/*", f"{hidden}/*", f"{slug}/dir/x/*") == {}


@pytest.mark.parametrize("path", ["a/../b", "..", "a/.", "./a", "a/%2e%2e/b", "a/..%2fb", "a%00b", "a/%ff"])
def test_paths_that_are_none(server, path, site_token):
    answer = server.call("GET", f"/tree/stat/{path}", site_token)
    assert (answer.status, answer.json["Code"]) == (400, "path")


@pytest.fixture
def site_token(flat_site):
    return flat_site.token(flat_site.user("alice"))


def test_children(site):
    alice = site.user("alice")
    site.put("dir/b.txt", "dir/.hidden", "dir/a/deep", "dir/c/secret", "other")
    slug = site.workspace("ws", {"": site.source}, (alice, "read"))
    site.perform(SetAcl(f"{site.source}/dir/c", f"user:{alice}", {"deny": "1"}))
    token = site.token(alice)
    answer = stats(site, token, f"{slug}/dir/*")
    assert paths_of(answer) == [f"{slug}/dir/a", f"{slug}/dir/b.txt"]
    assert "Pagination" not in answer
    assert [node["Type"] for node in answer["Nodes"]] == ["COLLECTION", "LEAF"]
    assert paths_of(stats(site, token, f"{slug}/*")) == [f"{slug}/dir", f"{slug}/other"]
    assert paths_of(stats(site, token, f"{slug}/dir", f"{slug}/dir/*"))[0] == f"{slug}/dir"
    bulk = site.call("POST", "/meta/bulk/get", token, {"nodePaths": [f"{slug}/dir/*"]})
    assert bulk.json == answer
    assert stats(site, token) == {}


def test_the_list_of_workspaces(site):
    alice = site.user("alice")
    site.put("dir/x")
    slug = site.workspace("ws", {"": f"{site.source}/dir"}, (alice, *BOTH))
    site.workspace("hidden", {"": site.source})
    token = site.token(alice)
    nodes = {node["Path"]: node for node in stats(site, token, "/*")["Nodes"]}
    assert set(nodes) == {slug, "personal-files", "common-files"}
    assert nodes[slug]["Uuid"] == site.uuid("dir/")
    meta = {name: json.loads(value) for name, value in nodes[slug]["MetaStore"].items()}
    assert (meta["ws_slug"], meta["ws_scope"], meta["ws_permissions"]) == (slug, "ADMIN", "read,write")
    assert nodes["personal-files"]["Type"] == "COLLECTION", "also before its folder is there"
    assert stat(site, token, slug).json["Node"] == nodes[slug]
    assert stat(site, token, "personal-files/none").status == 404
    assert stats(site, token, "personal-files/*") == {}


def test_several_roots_side_by_side(site):
    alice = site.user("alice")
    site.put("x/in-x.txt", "y/deep/in-y.txt")
    slug = site.workspace("ws", {"B": f"{site.source}/x", "A": f"{site.source}/y/deep"}, (alice, *BOTH))
    token = site.token(alice)
    answer = stats(site, token, f"{slug}/*")
    assert paths_of(answer) == [f"{slug}/A", f"{slug}/B"]
    assert [node["Uuid"] for node in answer["Nodes"]] == [site.uuid("y/deep/"), site.uuid("x/")]
    assert paths_of(stats(site, token, f"{slug}/A/*")) == [f"{slug}/A/in-y.txt"]
    assert stat(site, token, f"{slug}/C").status == 404
    assert stat(site, token, slug).json["Node"]["Path"] == slug


def test_a_template_gives_each_a_folder_of_their_own(site):
    site.perform(SetTemplate(f"own-{site.number}", f"{site.source}/of/{{user}}"))
    alice, bob = site.user("alice"), site.user("bob")
    slug = site.workspace("own", {"": f"TEMPLATE:own-{site.number}"}, (alice, *BOTH), (bob, *BOTH))
    site.put(f"of/{alice}/hers", f"of/{bob}/his")
    assert paths_of(stats(site, site.token(alice), f"{slug}/*")) == [f"{slug}/hers"]
    assert paths_of(stats(site, site.token(bob), f"{slug}/*")) == [f"{slug}/his"]
    assert stat(site, site.token(alice), f"{slug}/his").status == 404


def test_a_way_through_folders_that_may_not_be_seen(site):
    """As on S3: a listing leads to what was given, and to nothing beside it."""
    alice = site.user("alice")
    site.put("a/b/c/x", "a/b/other", "a/top", "z/y")
    slug = site.workspace("ws", {"": site.source}, (alice, *BOTH))
    bound = site.token(alice, scopes=(f"node:{site.uuid('a/b/c/')}:r",))
    way = [stats(site, bound, f"{slug}{path}/*") for path in ("", "/a", "/a/b", "/a/b/c")]
    assert [paths_of(answer) for answer in way] == [
        [f"{slug}/a"],
        [f"{slug}/a/b"],
        [f"{slug}/a/b/c"],
        [f"{slug}/a/b/c/x"],
    ]
    assert [answer["Nodes"][0].get("Uuid") for answer in way[:3]] == [None, None, site.uuid("a/b/c/")]
    assert stat(site, bound, f"{slug}/a/b/c").status == 200
    assert stat(site, bound, f"{slug}/a/b/c/x").status == 200
    for path in (f"{slug}/a", f"{slug}/a/top", f"{slug}/z/y", f"{slug}/a/b/other"):
        assert stat(site, bound, path).status == 403


def test_who_may_only_write_sees_nothing(site):
    alice = site.user("alice")
    site.put("there")
    slug = site.workspace("drop", {"": site.source}, (alice, "write"))
    token = site.token(alice)
    assert stats(site, token, f"{slug}/*", f"{slug}/there", f"{slug}/none") == {}
    assert stat(site, token, f"{slug}/there").status == stat(site, token, f"{slug}/none").status == 403


def test_pages(site):
    alice = site.user("alice")
    names = [f"{number:02}" for number in range(25)]
    site.put(*(f"dir/{name}" for name in names), "dir/.left-out", "dir/sub/x")
    slug = site.workspace("ws", {"": site.source}, (alice, "read"))
    token = site.token(alice)
    every = [f"{slug}/dir/{name}" for name in [*names, "sub"]]

    def page(offset, limit):
        answer = stats(site, token, f"{slug}/dir/*", Limit=limit, Offset=offset)
        return paths_of(answer), answer.get("Pagination")

    assert page(0, 10) == (
        every[:10],
        {"Limit": 10, "Total": 26, "CurrentPage": 1, "TotalPages": 3, "NextOffset": 10},
    )
    assert page(10, 10) == (
        every[10:20],
        {"Limit": 10, "CurrentOffset": 10, "Total": 26, "CurrentPage": 2, "TotalPages": 3, "NextOffset": 20},
    )
    last = {"Limit": 10, "CurrentOffset": 20, "Total": 26, "CurrentPage": 3, "TotalPages": 3, "PrevOffset": 10}
    assert page(20, 10) == (every[20:], last)
    assert page(13, 7)[0] == every[13:20], "also where no page ended"
    assert page(0, 26) == page(0, 100) == (every, None)
    assert page(26, 10)[0] == page(1_000, 10)[0] == []
    site.put("dir/000")
    assert page(0, 10)[0][:2] == [f"{slug}/dir/00", f"{slug}/dir/000"]
    assert page(0, 10)[1]["Total"] == 27


FOLDERS = {"NodePaths": ["x/*"] * 51}
VERSIONS = {"NodePaths": ["x"] * 51, "Versions": True}


@pytest.mark.parametrize(
    "wrong", [{"Limit": -1}, {"Offset": -1}, {"Limit": 10_001}, {"NodePaths": ["x"] * 1_001}, FOLDERS, VERSIONS]
)
def test_what_can_not_be_asked_for(server, site_token, wrong):
    assert server.call("POST", "/tree/stats", site_token, wrong).status == 400


def test_a_folder_of_thousands_costs_pages_not_nodes(flat_site, monkeypatch):
    site = flat_site
    alice = site.user("alice")
    site.put(*(f"dir/{number:04}" for number in range(1_005)))
    slug = site.workspace("ws", {"": site.source}, (alice, "read"))
    token = site.token(alice)
    index = site.server.core.installation.find(site.source).index
    looks, asked = [], []
    rights, list_children = View.rights, type(index).list_children
    monkeypatch.setattr(View, "rights", lambda view, path: looks.append(path) or rights(view, path))

    def list_noted(self, *more):
        if self is index:  # the server looks at others meanwhile
            asked.append(more)
        return list_children(self, *more)

    monkeypatch.setattr(type(index), "list_children", list_noted)
    assert len(paths_of(stats(site, token, f"{slug}/dir/*"))) == 1_005
    assert len(asked) == 2
    assert len(looks) <= 8
    asked.clear()
    stats(site, token, f"{slug}/dir/*", Limit=500)
    assert len(asked) == 2, "the first page counts"
    asked.clear()
    second = stats(site, token, f"{slug}/dir/*", Limit=500, Offset=500)
    assert (paths_of(second)[0], second["Pagination"]["Total"]) == (f"{slug}/dir/0500", 1_005)
    assert len(asked) == 1, "the second one goes on where it ended"


def test_versions(flat_site):
    from cellsmono.interfaces.router import Actor
    from cellsmono.interfaces.version import Versioning

    site = flat_site
    alice = site.user("alice")
    router = site.server.core.router

    site.put("file", "file-beside")
    site.server.run(router.set_versioning(Actor("owner"), site.source, Versioning.ENABLED))
    site.put("file", "file")
    slug = site.workspace("ws", {"": site.source}, (alice, "read"))
    token = site.token(alice)
    nodes = stats(site, token, f"{slug}/file", Versions=True)["Nodes"]
    assert [node["Path"] for node in nodes] == [f"{slug}/file"] * 3
    ids = [json.loads(node["MetaStore"]["versionId"]) for node in nodes]
    assert ids[2] == "null"
    assert len(set(ids)) == 3
    assert ["versionIsLatest" in node["MetaStore"] for node in nodes] == [True, False, False]
    page = stats(site, token, f"{slug}/file", Versions=True, Limit=1, Offset=1)
    assert [json.loads(node["MetaStore"]["versionId"]) for node in page["Nodes"]] == ids[1:2]
    assert page["Pagination"]["Total"] == 3
    site.server.run(router.delete_node(Actor("owner"), site.source, "file"))
    assert len(stats(site, token, f"{slug}/file", Versions=True)["Nodes"]) == 3
    assert stats(site, token, f"{slug}/none", Versions=True) == {}


def test_what_s3_stored_with_a_file(flat_site):
    import msgspec

    from cellsmono.interfaces.router import Actor

    site = flat_site
    alice = site.user("alice")
    site.put("file")
    slug = site.workspace("ws", {"": site.source}, (alice, "read"))

    def change(meta):
        return msgspec.structs.replace(meta, content_type="text/x", user={"colour": "rot"}, tags={"a": "b"})

    site.server.run(site.server.core.router.update_meta(Actor("owner"), site.source, "file", change))
    token = site.token(alice)
    plain = stats(site, token, f"{slug}/file")["Nodes"][0]["MetaStore"]
    assert json.loads(plain["mime"]) == "text/x"
    assert "x-amz-meta-colour" not in plain
    whole = stats(site, token, f"{slug}/file", AllMetaProviders=True)["Nodes"][0]["MetaStore"]
    assert json.loads(whole["x-amz-meta-colour"]) == "rot"
    assert json.loads(whole["x-amz-tagging"]) == {"a": "b"}


def test_the_tree_of_administrators(site):
    alice, root = site.user("alice"), site.user("root", Profile.ADMIN)
    site.put("dir/x", "dir/y", "top")
    token = site.token(root)

    def admin(what, path, **more):
        return site.call("POST", f"/tree/admin/{what}", token, {"Node": {"Path": path}, **more})

    roots = {node["Path"]: node for node in admin("list", "/").json["Children"]}
    assert roots[site.source]["Uuid"] == f"DATASOURCE:{site.source}"
    assert roots["pydiods1"]["Type"] == "COLLECTION"
    listed = admin("list", f"{site.source}/dir").json
    assert listed["Parent"]["Path"] == f"{site.source}/dir"
    assert [node["Path"] for node in listed["Children"]] == [f"{site.source}/dir/x", f"{site.source}/dir/y"]
    page = admin("list", f"{site.source}/dir", Limit=1, Offset=1).json["Children"]
    assert [node["Path"] for node in page] == [f"{site.source}/dir/y"]
    assert admin("stat", f"{site.source}/top").json["Node"]["Uuid"] == site.uuid("top")
    assert admin("stat", site.source).json["Node"]["Uuid"] == f"DATASOURCE:{site.source}"
    assert admin("stat", "").json["Node"]["Uuid"] == "ROOT"
    assert admin("list", f"{site.source}/top").json.get("Children") is None
    for path in ("none", f"{site.source}/none"):
        assert admin("stat", path).status == admin("list", path).status == 404
    assert site.call("POST", "/tree/admin/list", site.token(alice), {}).status == 403
    assert stat(site, token, f"{site.source}/top").status == 404, "it gives nobody the content"
