"""Every route with every kind of caller, against a written table of who may: a route without a row fails."""

import pytest

from cellsmono.gateway.rest.routes import Access
from cellsmono.gateway.rest.table import ROUTES
from cellsmono.interfaces.people import ChangeUser, CreateKeyPair, DeleteUser, LockUser, RevokeToken
from cellsmono.interfaces.users import Profile

OPEN, ANYBODY, USERS, STANDARD, ADMINS = "open", "anybody", "users", "standard", "admins"

TABLE = {
    OPEN: "Discovery OpenApi FrontendSession FrontendBootConf",
    ANYBODY: "FrontendState",
    USERS: """
        TreeStat TreeStats MetaBulkGet TreeCreate TreeDelete TreeRestore ContentRead ContentWrite
        JobSearch JobControl JobCreate
        UploadCreate UploadTell UploadGoOn UploadAbort
        UserSearch UserRead RoleSearch RoleRead WorkspaceSearch GraphState TokenRevoke
    """,
    STANDARD: "UserPut TokenDocument",
    ADMINS: """
        DatasourceList DatasourceRead ServiceList AdminTreeList AdminTreeStat
        UserDelete UserRoles RolePut RoleDelete AclSearch AclPut AclDelete WorkspacePut WorkspaceDelete
        PolicySearch PolicyPut PolicyDelete
    """,
}
ROWS = {name: who for who, names in TABLE.items() for name in names.split()}
"""Route: who may."""
BOUND = {
    *("TreeStat", "TreeStats", "MetaBulkGet", "TreeCreate", "TreeDelete", "TreeRestore", "JobSearch", "JobCreate"),
    *("ContentRead", "ContentWrite", "GraphState", "TokenRevoke"),
    *("UploadCreate", "UploadTell", "UploadGoOn", "UploadAbort"),
}
"""What tokens that are bound to a node are good for."""
NODES = {
    *("TreeStat", "TreeCreate", "TreeDelete", "TreeRestore", "JobCreate"),
    *("ContentRead", "ContentWrite", "TokenDocument", "UploadCreate"),
}
"""What is about one node, so that whoever is a stranger to its workspace is refused."""

WHO = {
    OPEN: {"nobody", "bad", "shared", "hidden", "standard", "admin", "bound"},
    ANYBODY: {"nobody", "shared", "hidden", "standard", "admin", "bound"},
    USERS: {"shared", "hidden", "standard", "admin"},
    STANDARD: {"hidden", "standard", "admin"},
    ADMINS: {"admin"},
}
BAD = ("expired", "revoked", "locked", "deleted", "access key", "nonsense", "basic")
"""Tokens that are not good, all alike."""


class Callers:
    """One of each kind, and a workspace that all of them may write to but the stranger."""

    def __init__(self, site):
        self.site = site
        site.put("dir/x", "dir/y")
        profiles = {"shared": Profile.SHARED, "hidden": Profile.STANDARD, "standard": Profile.STANDARD}
        profiles |= {"admin": Profile.ADMIN, "stranger": Profile.STANDARD, "locked": Profile.STANDARD}
        self.logins = {name: site.user(name, profile) for name, profile in profiles.items()}
        site.perform(ChangeUser(self.logins["hidden"], attributes={"hidden": "true"}))
        members = [(login, "read", "write") for name, login in self.logins.items() if name != "stranger"]
        self.slug = site.workspace("matrix", {"": site.source}, *members)
        standard = self.logins["standard"]
        self.logins["bound"] = standard
        self.tokens = {name: site.token(login) for name, login in self.logins.items()}
        self.tokens["bound"] = self.fresh_token("bound")
        self.tokens["revoked"] = site.token(standard)
        self.tokens["expired"] = site.token(standard, seconds=60)
        self.tokens["access key"] = site.perform(CreateKeyPair(standard)).access_key
        self.tokens["nonsense"] = "cmt_0123456789_nonsense"
        self.tokens["nobody"] = ""
        gone = site.user("gone")
        self.tokens["deleted"] = site.token(gone)
        site.perform(DeleteUser(gone))
        site.perform(RevokeToken(standard, self.tokens["revoked"].split("_")[1]))
        site.perform(LockUser(self.logins["locked"]))
        site.server.clock.ahead += 61

    def fresh_token(self, who):
        scopes = (f"node:{self.site.uuid('dir/')}:rw",) if who == "bound" else ()
        return self.site.token(self.logins[who], scopes=scopes)

    def request(self, route, who):
        """Path and body that a good caller would send. What would change something for others is about nothing."""
        node = f"{self.slug}/dir/x"
        login = self.logins.get(who, "somebody")
        paths = {
            "TreeStat": f"/tree/stat/{node}",
            "ContentRead": f"/io/{node}",
            "ContentWrite": f"/io/{self.slug}/dir/by-{who.replace(' ', '-')}",
            "UploadCreate": f"/io/{self.slug}/dir/upload",
            **dict.fromkeys(("UploadTell", "UploadGoOn", "UploadAbort"), f"/upload/{self.slug}/none"),
            "JobCreate": "/jobs/user/restore",
            "UserRead": f"/user/{login}",
            "UserPut": f"/user/{login}",
            "RoleRead": "/role/ROOT_GROUP",
            "DatasourceRead": f"/config/datasource/{self.site.source}",
        }
        bodies = {
            "FrontendSession": {"Logout": True},
            "TreeStats": {"NodePaths": [node]},
            "MetaBulkGet": {"NodePaths": [node]},
            "TreeCreate": {"Nodes": [{"Path": f"{self.slug}/dir/y", "Type": "LEAF"}]},  # there already: 409
            "TreeDelete": {"Nodes": [{"Path": f"{self.slug}/dir/none"}], "RemovePermanently": True},
            "TreeRestore": {"Nodes": [{"Path": f"{self.slug}/dir/none"}]},
            "JobSearch": {"JobIDs": ["none"]},
            "JobControl": {"Cmd": "Stop", "JobId": "none"},
            "JobCreate": {"JsonParameters": f'{{"nodes": ["{self.slug}/dir/none"]}}'},
            "TokenRevoke": {"TokenId": "none"} if who != "bound" else {},
            "TokenDocument": {"Path": node},
            "AclDelete": {"NodeID": "none"},
            "AclPut": {"NodeID": "none", "RoleID": "ROOT_GROUP", "Action": {"Name": "read"}},
            "WorkspacePut": {"RootUUIDs": ["none"]},
            "PolicyPut": {"Uuid": "matrix", "Name": "none", "ResourceGroup": "oidc"},  # nothing asks it
            "RolePut": {"AutoApplies": [], "Label": "none"},
        }
        prefix = route.path.partition("{")[0]
        default = prefix + "none" if route.parameter else prefix
        if route.name == "ContentWrite":
            return paths[route.name], b"content"
        return paths.get(route.name, default), bodies.get(route.name, {} if route.takes is not None else None)

    def send(self, route, who):
        path, body = self.request(route, who)
        token = self.tokens.get(who, "")
        if route.name in {"FrontendSession", "TokenRevoke"} and who in self.logins and who != "locked":
            token = self.fresh_token(who)  # it ends the token
        headers = {"Authorization": f"Basic {self.tokens['standard']}"} if who == "basic" else {}
        if "Upload" in route.name:
            headers |= {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Offset": "0"}
        return self.site.call(route.method, path, token, body, **headers)


@pytest.fixture(scope="module")
def callers(make_site):
    return Callers(make_site("flat"))


def test_every_route_has_a_row_and_every_row_a_route():
    assert sorted(ROWS) == sorted(route.name for route in ROUTES)
    assert len(ROWS) == sum(len(names.split()) for names in TABLE.values()), "a route stands in the table twice"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_who_may(callers, route):
    may = WHO[ROWS[route.name]] | ({"bound"} if route.name in BOUND else set())
    for who in ("nobody", "shared", "hidden", "standard", "admin", "bound"):
        answer = callers.send(route, who)
        told = f"{who}: {answer}"
        if who in may:
            # What an example is about need not be there, but nobody who may is refused.
            assert answer.status in {200, 201, 404, 409} or (route.name == "RolePut" and answer.status == 400), told
        elif who == "nobody":
            assert (answer.status, answer.json["Code"]) == (401, "unauthorized"), told
            assert answer.headers["www-authenticate"].startswith("Bearer"), told
        else:
            assert answer.status == 403, told


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_tokens_that_are_not_good(callers, route):
    """All are answered alike, so that nobody learns what is wrong with one."""
    answers = {who: callers.send(route, who) for who in BAD}
    statuses = {who: answer.status for who, answer in answers.items()}
    if ROWS[route.name] == OPEN:
        assert set(statuses.values()) == {200}, statuses
        return
    assert set(statuses.values()) == {401}, statuses
    assert {(answer.json["Code"], answer.json["Detail"]) for answer in answers.values()} == {
        ("token", "The token is not good, or not any more: sign in again")
    }


@pytest.mark.parametrize("route", [each for each in ROUTES if each.name in NODES], ids=lambda route: route.name)
def test_strangers_to_a_workspace(callers, route):
    assert callers.send(route, "stranger").status in {403, 404}


def test_the_table_says_what_the_code_says():
    words = {Access.OPEN: OPEN, Access.ANYBODY: ANYBODY, Access.USERS: USERS, Access.STANDARD: STANDARD}
    words[Access.ADMINS] = ADMINS
    assert {route.name: words[route.access] for route in ROUTES} == ROWS
    assert {route.name for route in ROUTES if route.bound} == BOUND | {"FrontendState"}
