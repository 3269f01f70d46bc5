"""People by the real commands, with a server that runs and without."""

import io
import json
import os
import re
import sys

import pytest

from cellsmono.cli.main import run_command_line


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command, in this process, over the data folder of this test; ``input`` is its standard input."""
    for name in [name for name in os.environ if name.startswith(("CELLSMONO", "XDG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CELLSMONO_DATA_DIR", str(tmp_path / "data"))

    def run_it(*arguments, input="", code=0):
        monkeypatch.setattr(sys, "stdin", io.StringIO(input))
        ended = run_command_line(list(arguments))
        written = capsys.readouterr()
        assert ended == code, written.err
        return written

    return run_it


@pytest.fixture(params=["offline", "served"])
def ask(request, run, tmp_path, start_server):
    """As ``run``, parsed: the same commands with and without a server."""
    server = start_server(tmp_path / "data") if request.param == "served" else None

    def ask_it(*arguments, input="", code=0):
        done = run(*arguments, "--output", "json", input=input, code=code)
        return json.loads(done.out) if code == 0 else done.err

    yield ask_it
    if server is not None:
        server.stop()


def test_users_and_groups_live_and_go(ask, run):
    ask("group", "create", "/sales")
    made = ask(
        "user", "create", "alice", "--group", "/sales", "--display-name", "A", "--password", input="a password\n"
    )
    assert (made["login"], made["group"], made["attributes"]) == ("alice", "/sales", {"displayName": "A"})
    assert "a password" not in json.dumps(made)
    generated = ask("user", "create", "bob", "--generate")["password"]
    assert ask("user", "check-password", "BOB", input=generated)["login"] == "bob"
    assert "Login failed" in ask("user", "check-password", "bob", input="wrong", code=4)
    ask("user", "set-password", "bob", input="another one\n")
    assert ask("user", "check-password", "bob", input="another one")["last_login"] > 0
    assert ask("user", "set-profile", "bob", "admin")["profile"] == "admin"
    assert ask("user", "lock", "bob")["locks"] == ["logout"]
    assert ask("user", "unlock", "bob")["locks"] == []
    assert ask("user", "edit", "bob", "--group", "/sales", "-a", "email=b@c.d")["attributes"] == {"email": "b@c.d"}
    assert [user["login"] for user in ask("user", "list", "--group", "/sales")] == ["alice", "bob"]
    run("user", "delete", "alice", code=2)
    run("user", "delete", "alice", "--yes")
    run("user", "delete", "bob", "--yes")
    assert [group["path"] for group in ask("group", "list")] == ["/", "/sales"]
    run("group", "delete", "/sales", "--yes")


def test_tokens_and_key_pairs_come_and_go(ask, run):
    ask("user", "create", "alice")
    made = ask("user", "token", "create", "alice", "--expires", "30d", "-d", "laptop")
    [listed] = ask("user", "token", "list")
    assert listed == made["token"]
    assert listed["expires"] == listed["created"] + 30 * 86_400
    assert made["secret"] not in run("user", "token", "list", "alice").out
    run("user", "token", "revoke", "alice", listed["id"], "--yes")
    assert ask("user", "token", "list", "alice") == []
    pair = ask("user", "key", "create", "alice")
    [listed] = ask("user", "key", "list", "alice")
    assert listed == {name: value for name, value in pair.items() if name != "secret"}
    run("user", "key", "revoke", "alice", pair["access_key"], "--yes")
    assert ask("user", "key", "list") == []
    assert ask("user", "session", "list", "alice") == []
    made = ask("user", "totp", "enable", "alice")
    assert made["uri"].startswith("otpauth://totp/cellsmono:alice?secret=" + made["secret"])
    assert ask("user", "totp", "show", "alice")["recovery_codes"] == 10
    ask("user", "set-password", "alice", input="a password\n")
    ask("user", "check-password", "alice", input="a password\n", code=4)
    link = ask("user", "reset-link", "alice", "--expires", "7d")["link"]
    assert link.startswith("http://127.0.0.1:8080/oidc/reset?token=cmp_")
    used = made["recovery_codes"][0]
    assert ask("user", "check-password", "alice", "--code", used, input="a password\n")["login"] == "alice"
    assert ask("user", "totp", "show", "alice")["recovery_codes"] == 9
    run("user", "totp", "disable", "alice", "--yes")
    assert not ask("user", "totp", "show", "alice")["is_enabled"]
    refused = run("user", "session", "revoke", "alice", "0example00", "--yes", code=1)
    assert "alice has no session '0example00'" in refused.err


def test_roles_and_rights_are_given_and_explained(ask, run, tmp_path):
    (tmp_path / "docs/a").mkdir(parents=True)
    run("ds", "add", f"docs={tmp_path / 'docs'}")
    run("ds", "resync", "docs")
    ask("group", "create", "/sales")
    ask("user", "create", "alice", "--group", "/sales")
    assert ask("role", "create", "Editors", "--auto-apply", "shared")["auto_applies"] == ["shared"]
    assert ask("role", "edit", "Editors", "--label", "Writers", "--no-auto-apply")["label"] == "Writers"
    run("role", "give", "Writers", "alice")
    assert [role["label"] for role in ask("role", "list", "--user", "alice")] == ["/", "/sales", "Writers", "alice"]
    ask("acl", "set", "docs", "--group", "/", "--read")
    ask("acl", "set", "docs/a", "--role", "Writers", "--read", "--write", "--action", "quota=5")
    assert ask("acl", "explain", "alice", "docs/a/x")["rights"] == ["read", "write"]
    run("acl", "delete", "docs/a", "--role", "Writers", "--action", "write")
    ask("acl", "set", "docs", "--user", "alice", "--deny")
    rows = [row for row in ask("acl", "list") if not row["workspace"]]
    assert [row["acl"]["action"] for row in rows] == ["read", "read", "quota", "deny"]
    assert ask("acl", "explain", "alice", "docs/a/x")["rights"] == []
    run("acl", "delete", "--id", str(rows[-1]["acl"]["id"]))
    assert ask("acl", "explain", "alice", "docs/a/x")["rights"] == ["read"]
    run("lock", "set", "docs/a", "--user", "alice", "--kind", "child_lock", "--name", "x")
    [lock] = ask("lock", "list")
    assert (lock["path"], lock["kind"], lock["login"], lock["name"]) == ("docs/a/", "child_lock", "alice", "x")
    run("lock", "clear", "docs/a", "--user", "alice")
    assert ask("lock", "list", "docs/a") == []
    run("role", "take", "Writers", "alice")
    run("role", "delete", "Writers", "--yes")
    assert [row["path"] for row in ask("acl", "list") if not row["workspace"]] == ["docs/"]
    assert [row["acl"]["action"] for row in ask("acl", "list", "docs", "--group", "/")] == ["read"]


def test_workspaces_are_opened_and_closed(ask, run, tmp_path):
    (tmp_path / "docs/a").mkdir(parents=True)
    run("ds", "add", f"docs={tmp_path / 'docs'}")
    run("ds", "resync", "docs")
    ask("user", "create", "alice")
    made = ask("workspace", "create", "plans", "--root", "A=docs/a", "--root", "TEMPLATE:my-files", "--label", "P")
    assert [(root["name"], root["path"]) for root in made["roots"]] == [
        ("A", "docs/a/"),
        ("my-files", "personal/{user}"),
    ]
    assert "plans" not in [each["workspace"]["slug"] for each in ask("workspace", "list", "--user", "alice")]
    run("workspace", "give", "plans", "--user", "alice", "--read")
    shown = {each["workspace"]["slug"]: each["roots"] for each in ask("workspace", "list", "--user", "alice")}
    assert [(root["path"], root["rights"]) for root in shown["plans"]] == [
        ("docs/a/", ["read"]),
        ("personal/alice/", ["read"]),
    ]
    assert [root["rights"] for root in shown["personal-files"]] == [["read", "write"]]
    run("acl", "set", "docs/a", "--user", "alice", "--workspace", "plans", "--deny")
    assert ask("acl", "explain", "alice", "A/x", "-w", "plans")["rights"] == []
    assert ask("acl", "explain", "alice", "my-files/x", "-w", "plans")["rights"] == ["read"]
    run("acl", "delete", "docs/a", "--user", "alice", "--workspace", "plans")
    assert ask("workspace", "edit", "plans", "--label", "Q")["workspace"]["label"] == "Q"
    run("workspace", "take", "plans", "--user", "alice")
    run("workspace", "take", "plans", "--user", "alice", code=1)
    run("workspace", "delete", "plans", "--yes")
    assert [each["workspace"]["slug"] for each in ask("workspace", "list")] == ["common-files", "personal-files"]
    run("workspace", "quota", "personal-files", "--set", "2KiB", "--group", "/")
    [shown] = ask("workspace", "quota", "personal-files", "--user", "alice")
    assert (shown["path"], shown["limit"], shown["used"]) == ("personal/alice/", 2048, 0)
    assert ask("acl", "explain", "alice", "x", "-w", "personal-files")["quotas"] == [shown]
    assert ask("workspace", "quota", "personal-files", "--clear", "--group", "/") == []
    ask("workspace", "template", "set", "spread", "personal/{hash:2}/{user}")
    assert [each["name"] for each in ask("workspace", "template", "list")] == ["my-files", "spread"]
    run("workspace", "template", "delete", "spread", "--yes")
    run("workspace", "template", "delete", "my-files", "--yes", code=4)


def test_files_are_copied_deleted_and_restored(run, tmp_path, start_server):
    (tmp_path / "docs/a").mkdir(parents=True)
    (tmp_path / "docs/a/f.txt").write_text("hello")
    server = start_server(tmp_path / "data", f"docs={tmp_path / 'docs'}")

    def ask(*arguments, code=0):
        return json.loads(run(*arguments, "--user", "alice", "--output", "json", code=code).out)

    run("user", "create", "alice")
    run("workspace", "create", "docs", "--root", "docs")
    run("workspace", "give", "docs", "--user", "alice", "--read", "--write")
    run("acl", "set", "docs", "--user", "alice", "--action", "recycle_root=1")
    assert [each["path"] for each in ask("file", "ls")] == ["docs/", "personal-files/"]
    copied = ask("file", "cp", "docs/a", "docs/b")
    assert (copied["state"], copied["label"], copied["done"]) == ("finished", "Copy a to docs/b", 2)
    ask("file", "mv", "docs/a/f.txt", "docs/b")
    assert [each["path"] for each in ask("file", "ls", "docs/b")] == ["docs/b/f-1.txt", "docs/b/f.txt"]
    assert ask("file", "meta", "docs/b/f.txt", "-s", "color=red") == {"color": "red"}
    assert ask("file", "meta", "docs/b/f.txt", "-s", "color=") == {}
    stat = ask("file", "stat", "docs/b")
    assert (stat["path"], stat["size"], stat["files"]) == ("docs/b/", 10, 2)
    ask("file", "rm", "docs/b")
    assert ask("file", "ls", "docs/recycle_bin")[0]["uuid"] == stat["uuid"]
    ask("file", "restore", "docs/recycle_bin/b")
    job = ask("file", "rm", "docs/b/f.txt", "--permanently")
    assert ask("file", "ls", "docs/b")[0]["path"] == "docs/b/f-1.txt"
    made = ask("file", "mkdir", "docs/b/new")
    assert (made["path"], made["uuid"]) == ("docs/b/new/", ask("file", "stat", "docs/b/new")["uuid"])
    assert ask("file", "mkdir", "docs/b/new/", "-p")["uuid"] == made["uuid"]
    for taken in ("docs/b/new", "docs/b/f-1.txt", "docs"):
        assert "is there already" in run("file", "mkdir", taken, "--user", "alice", code=4).err
    run("file", "mkdir", "docs/b/f-1.txt", "-p", "--user", "alice", code=4)
    assert "'docs/x/'" in run("file", "mkdir", "docs/x/y", "--user", "alice", code=1).err
    assert ask("file", "mkdir", "docs/x/y", "-p")["path"] == "docs/x/y/"
    run("file", "mkdir", "elsewhere/x", "--user", "alice", code=1)
    run("file", "mkdir", "docs/../x", "-p", "--user", "alice", code=2)
    run("user", "create", "bob")
    run("workspace", "give", "docs", "--user", "bob", "--read")
    assert "Access Denied" in run("file", "mkdir", "docs/new", "--user", "bob", code=4).err
    run("file", "cp", "docs/b", "docs/b/c", "--user", "alice", code=4)
    run("file", "stat", "docs/nothing", "--user", "alice", code=1)
    run("file", "cp", "docs/b", "--user", "alice", code=2)
    assert ask("jobs", "list")[0]["id"] == job["id"]
    assert "Delete f.txt" in run("jobs", "show", job["id"]).out
    assert "finished" in run("jobs", "stop", job["id"]).out
    run("jobs", "pause", job["id"], code=4)
    run("jobs", "resume", job["id"], code=4)
    run("jobs", "delete", job["id"])
    run("jobs", "show", job["id"], code=1)
    assert server.stop() == 0
    run("file", "rm", "docs/b", "--user", "alice", code=3)
    assert len(json.loads(run("jobs", "list", "--output", "json").out)) == 4


def test_tables_are_for_people(run):
    run("group", "create", "/sales")
    shown = run("user", "create", "alice", "--group", "/sales")
    assert "login       alice\ngroup       /sales\n" in shown.out
    assert "cellsmono user set-password alice" in shown.err
    [titles, row] = run("user", "list").out.splitlines()
    assert titles.split() == ["LOGIN", "GROUP", "PROFILE", "NAME", "LAST", "LOGIN", "LOCKS"]
    assert row.split() == ["alice", "/sales", "standard", "never"]
    assert run("user", "show", "ALICE").out == shown.out
    assert "/sales" in run("group", "list").out
    token = run("user", "token", "create", "alice")
    assert re.match(r"token    cmt_\w+\nid       \w+\nexpires  never\n$", token.out)
    assert "it is not shown again" in token.err
    assert re.fullmatch(r"cmt_\w+\n", run("user", "token", "create", "alice", "--quiet").out)
    assert re.match(r"access key  CU\w+\nsecret key  \w+\n$", run("user", "key", "create", "alice").out)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("user", "show", "nobody"), 1, "There is no user 'nobody'; `cellsmono user list` shows all"),
        (("user", "create", "a/b"), 2, "'a/b' can not be a login"),
        (("user", "create", "a", "--group", "/x"), 1, "There is no group '/x'"),
        (("user", "create", "a", "-a", "x"), 2, "'x' is not NAME=VALUE"),
        (("user", "create", "a", "--profile", "king"), 2, "'king' is not one of"),
        (("user", "create", "a", "--password"), 2, "the password is too short"),
        (("user", "token", "create", "a", "--expires", "soon"), 2, "'soon' is no duration"),
        (("user", "token", "create", "a"), 1, "There is no user 'a'"),
        (("acl", "set", "x", "--read"), 2, "one of --user, --group and --role"),
        (("acl", "set", "/", "-g", "/", "--read", "--deny"), 2, "deny takes everything"),
        (("acl", "set", "x", "-g", "/", "--read"), 1, "There is no datasource 'x'"),
        (("acl", "delete", "--id", "5", "--user", "a"), 2, "--id stands alone"),
        (("acl", "delete"), 2, "name the node"),
        (("workspace", "create", "io", "--root", "x"), 1, "There is no datasource 'x'"),
        (("workspace", "create", "io", "--root", "TEMPLATE:my-files"), 2, "'io' can not be a slug"),
        (("workspace", "give", "common-files", "-g", "/"), 2, "say what may be done"),
        (("workspace", "quota", "common-files", "--set", "5", "--clear"), 2, "exclude each other"),
        (("workspace", "quota", "common-files", "--set", "5XB", "-g", "/"), 2, "'5XB' is no size"),
        (("workspace", "quota", "common-files", "-g", "/"), 2, "go with --set and --clear"),
        (("workspace", "quota", "common-files", "--clear", "-g", "/"), 1, "group:/ has no quota in common-files"),
        (("workspace", "template", "set", "x", "personal/{user.name}"), 2, "has a brace that is no placeholder"),
        (("role", "give", "x", "a"), 1, "There is no role 'x'"),
        (("group", "create", "sales"), 2, "a group is written /NAME/NAME"),
        (("group", "delete", "/", "--yes"), 2, "it can not be deleted"),
    ],
)
def test_what_is_wrong_is_said(run, arguments, code, message):
    if arguments[-1] == "--password":
        assert message in run(*arguments, input="short\n", code=code).err
    else:
        assert message in run(*arguments, code=code).err
