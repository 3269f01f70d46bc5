"""Tree: nodes are made and deleted by who may, and by nobody else."""

import json

import pytest

from cellsmono.interfaces.people import SetAcl
from cellsmono.interfaces.router import Actor

BOTH = ("read", "write")
OWNER = Actor("owner")


def node(path, kind="COLLECTION", contents=None):
    found = {"Path": path, "Type": kind}
    return found if contents is None else {**found, "MetaStore": {"Contents": json.dumps(contents)}}


@pytest.fixture
def ours(site):
    """A site with a user who may write, the workspace, and the token."""
    alice = site.user("alice")
    return site, site.workspace("ws", {"": site.source}, (alice, *BOTH)), site.token(alice)


def create(site, token, *nodes, **more):
    return site.call("POST", "/tree/create", token, {"Nodes": list(nodes), **more})


def delete(site, token, *paths, **more):
    body = {"Nodes": [{"Path": path} for path in paths], "RemovePermanently": True, **more}
    return site.call("POST", "/tree/delete", token, body)


def read(site, path):
    opened = site.server.run(site.server.core.router.open_node(OWNER, site.source, path))
    try:
        return site.server.run(opened.reader.read(0, 1_000))
    finally:
        opened.reader.close()


def test_folders_and_files(ours):
    site, slug, token = ours
    answer = create(
        site,
        token,
        node(f"{slug}/dir"),
        node(f"/{slug}/dir/inner"),
        node(f"{slug}/dir/empty.txt", "LEAF"),
        node(f"{slug}/dir/é.txt", 1, "ünïcode"),
    )
    assert answer.status == 200, answer
    made = answer.json["Children"]
    assert [each["Path"] for each in made] == [f"{slug}/dir{end}" for end in ("", "/inner", "/empty.txt", "/é.txt")]
    assert [each["Type"] for each in made] == ["COLLECTION", "COLLECTION", "LEAF", "LEAF"]
    assert made[0]["Uuid"] == site.uuid("dir/")
    assert (read(site, "dir/empty.txt"), read(site, "dir/é.txt")) == (b" ", "ünïcode".encode())


def test_nothing_is_overwritten(ours):
    site, slug, token = ours
    site.put("file", "dir/x")
    for wanted in (node(f"{slug}/file", "LEAF", "new"), node(f"{slug}/file"), node(f"{slug}/dir", "LEAF")):
        for recursive in (False, True):
            answer = create(site, token, wanted, Recursive=recursive)
            assert (answer.status, answer.json["Code"]) == (409, "already_exists")
    assert create(site, token, node(f"{slug}/dir")).status == 409
    again = create(site, token, node(f"{slug}/dir"), Recursive=True)
    assert again.json["Children"][0]["Uuid"] == site.uuid("dir/")
    assert (read(site, "file"), site.held()) == (b"file", ["dir/x", "file"])


def test_folders_above(ours):
    site, slug, token = ours
    answer = create(site, token, node(f"{slug}/a/b/c"))
    assert (answer.status, answer.json["Source"]) == (404, f"{slug}/a/b")
    assert create(site, token, node(f"{slug}/a/b/file", "LEAF")).status == 404
    assert site.held() == []
    assert create(site, token, node(f"{slug}/a/b/c"), Recursive=True).status == 200
    assert create(site, token, node(f"{slug}/a/b/file", "LEAF")).status == 200


def test_what_was_made_before_one_that_fails_stays(ours):
    site, slug, token = ours
    answer = create(site, token, node(f"{slug}/one"), node(f"{slug}/none/two"), node(f"{slug}/three"))
    assert answer.status == 404
    assert site.held() == ["one/"]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"Nodes": []},
        {"Nodes": [{"Path": "WS/x"}]},
        {"Nodes": [{"Path": "WS/x", "Type": "FILE"}]},
        {"Nodes": [{"Path": "WS/../x", "Type": "LEAF"}]},
        {"Nodes": [{"Path": "WS/a\0b", "Type": "LEAF"}]},
        {"Nodes": [{"Path": "", "Type": "LEAF"}]},
        {"Nodes": [{"Path": "WS/x", "Type": "LEAF", "MetaStore": {"Contents": "no quotes"}}]},
        {"Nodes": [{"Path": "WS/x", "Type": "LEAF"}] * 1_001},
        {"Nodes": [{"Path": "WS/good", "Type": "LEAF"}, {"Path": "WS/.", "Type": "LEAF"}]},
    ],
)
def test_what_can_not_be_made(ours, wrong):
    site, slug, token = ours
    body = json.dumps(wrong).replace("WS", slug).encode()
    answer = site.call("POST", "/tree/create", token, body, Content_Type="application/json")
    assert answer.status == 400, answer
    assert site.held() == []


def test_who_may_not(site):
    alice, reader, dropper = site.user("alice"), site.user("reader"), site.user("dropper")
    site.put("dir/x", "secret/y")
    slug = site.workspace("ws", {"": site.source}, (reader, "read"), (dropper, "write"))
    site.perform(SetAcl(f"{site.source}/secret", f"user:{dropper}", {"deny": "1"}))
    stranger, reading, dropping = (site.token(login) for login in (alice, reader, dropper))
    for wanted in (node(f"{slug}/new"), node(f"{slug}/new", "LEAF")):
        assert create(site, stranger, wanted).status == 404
        assert create(site, reading, wanted).status == 403
        assert site.call("POST", "/tree/create", "", {"Nodes": [wanted]}).status == 401
    assert delete(site, stranger, f"{slug}/dir").status == 404
    assert delete(site, reading, f"{slug}/dir").status == 403
    assert delete(site, reading, f"{slug}/dir/x").status == 403
    assert create(site, dropping, node(f"{slug}/secret/new")).status == 403
    assert create(site, dropping, node(f"{slug}/new", "LEAF")).status == 403, "it would tell whether it is there"
    assert create(site, dropping, node(f"{slug}/new")).status == 200
    assert delete(site, dropping, f"{slug}/dir/x").status == 403
    assert site.held() == ["dir/x", "new/", "secret/y"]
    bound = site.token(reader, scopes=(f"node:{site.uuid('dir/')}:rw",))
    assert create(site, bound, node(f"{slug}/dir/new")).status == 403, "a token gives nothing that the user has not"


def test_a_file_and_a_folder_are_deleted(ours):
    site, slug, token = ours
    site.put("dir/a/1", "dir/a/b/2", "dir/3", "file", "kept", "dir-beside/x")
    create(site, token, node(f"{slug}/dir/a/empty/deep"), Recursive=True)
    answer = delete(site, token, f"{slug}/dir", f"{slug}/file")
    assert (answer.status, answer.json) == (200, {})
    assert site.held() == ["dir-beside/x", "kept"]
    assert site.call("GET", f"/tree/stat/{slug}/dir", token).status == 404
    assert delete(site, token, f"{slug}/none").status == 404


def test_the_root_of_a_workspace_stays(ours):
    site, slug, token = ours
    site.put("dir/x")
    for permanently in (True, False):
        assert delete(site, token, slug, RemovePermanently=permanently).status == 403
        assert delete(site, token, f"{slug}/", RemovePermanently=permanently).status == 403
        assert delete(site, token, "", RemovePermanently=permanently).status == 400
        assert delete(site, token, RemovePermanently=permanently).status == 400
    assert site.held() == ["dir/x"]


def test_where_there_is_no_bin_it_goes_for_good(ours):
    site, slug, token = ours
    site.put("dir/x", "dir/y", "kept")
    answer = delete(site, token, f"{slug}/dir", RemovePermanently=False)
    site.server.run(site.server.core.jobs.wait(answer.json["DeleteJobs"][0]["Uuid"]))
    assert site.held() == ["kept"]


def test_a_folder_that_hides_something_stays(ours):
    site, slug, token = ours
    alice = f"alice{site.number}"
    site.put("dir/a", "dir/hidden/x", "dir/kept/y")
    site.perform(SetAcl(f"{site.source}/dir/hidden", f"user:{alice}", {"deny": "1"}))
    assert delete(site, token, f"{slug}/dir").status == 403
    assert site.held() == ["dir/a", "dir/hidden/x", "dir/kept/y"]


def test_what_may_be_seen_and_not_deleted_stays(ours):
    site, slug, token = ours
    alice = f"alice{site.number}"
    site.put("dir/kept/y")
    site.perform(SetAcl(f"{site.source}/dir/kept", f"user:{alice}", {"read": "1"}))
    assert delete(site, token, f"{slug}/dir").status == 403
    assert site.held() == ["dir/kept/y"]


def test_thousands_are_deleted(flat_site):
    site = flat_site
    alice = site.user("alice")
    slug = site.workspace("ws", {"": site.source}, (alice, *BOTH))
    site.put(*(f"dir/{number % 7}/{number}" for number in range(1_200)), "kept")
    assert delete(site, site.token(alice), f"{slug}/dir").status == 200
    assert site.held() == ["kept"]
