import pytest

from cellsmono.interfaces.acls import ACTIONS
from cellsmono.interfaces.people import (
    CreateGroup,
    CreateRole,
    CreateUser,
    DeleteAcl,
    DeleteGroup,
    ExplainAccess,
    GiveRole,
    ListAcls,
    LockUser,
    SetAcl,
)
from cellsmono.kernel.errors import Invalid, NotFound


@pytest.fixture
async def people(open_people, tree):
    people = await open_people()
    tree.update({"docs/": "DATASOURCE:docs", "docs/a/": "uuid-a", "docs/a/b.txt": "uuid-b"})
    await people.perform(CreateGroup("/sales"))
    await people.perform(CreateUser("alice", "/sales"))
    await people.perform(CreateRole("Editors"))
    await people.perform(GiveRole("Editors", "alice"))
    return people


async def list_all(people):
    """All rows but those of the workspaces that every installation begins with."""
    return [row for row in await people.perform(ListAcls()) if not row.workspace]


def show(rows):
    return [(row.path, row.role, row.acl.action, row.acl.value) for row in rows]


async def test_rights_are_set_listed_and_deleted(people):
    await people.perform(SetAcl("docs", "group:/sales", {"read": "1"}))
    await people.perform(SetAcl("docs/a", "role:editors", {"read": "1", "write": "1", "quota": "100"}))
    assert show(await list_all(people)) == [
        ("docs/", "/sales", "read", "1"),
        ("docs/a/", "Editors", "read", "1"),
        ("docs/a/", "Editors", "write", "1"),
        ("docs/a/", "Editors", "quota", "100"),
    ]
    assert show(await people.perform(ListAcls(subject="group:/sales"))) == [("docs/", "/sales", "read", "1")]
    assert len(await people.perform(ListAcls("docs/a/"))) == 3
    assert await people.perform(ListAcls("docs/a", "user:alice")) == []
    await people.perform(DeleteAcl("docs/a", "role:Editors", ("write",)))
    assert [row.acl.action for row in await people.perform(ListAcls("docs/a"))] == ["read", "quota"]
    [row] = await people.perform(ListAcls("docs"))
    await people.perform(DeleteAcl(id=row.acl.id))
    await people.perform(DeleteAcl("docs/a", "role:Editors"))
    assert await list_all(people) == []
    for request in (DeleteAcl(id=row.acl.id), DeleteAcl("docs/a", "role:Editors")):
        with pytest.raises(NotFound):
            await people.perform(request)


async def test_rights_go_together_and_leave_the_rest(people):
    subject = "user:alice"
    await people.perform(SetAcl("docs", subject, {"read": "1", "write": "1", "quota": "5", "parameter:x:y": "z"}))
    assert {row.acl.action for row in await people.perform(SetAcl("docs", subject, {"read": "1"}))} == {
        "read", "quota", "parameter:x:y",
    }  # fmt: skip
    await people.perform(SetAcl("docs", subject, {"quota": "7"}))
    after = {row.acl.action: row.acl.value for row in await people.perform(SetAcl("docs", subject, {"deny": "1"}))}
    assert after == {"deny": "1", "quota": "7", "parameter:x:y": "z"}


@pytest.mark.parametrize(
    "actions",
    [
        {}, {"read": "0"}, {"read": ""}, {"fly": "1"}, {"": "1"}, {"READ": "1"}, {"quota": "-1"}, {"quota": "1e3"},
        {"quota": "１"}, {"lock": "x" * 1001}, {"parameter:x": "1"}, {"parameter:x:y:z": "1"}, {"action::": "1"},
        {"deny": "1", "read": "1"}, {"read\n": "1"},
    ],
)  # fmt: skip
async def test_bad_actions(people, actions):
    with pytest.raises(Invalid):
        await people.perform(SetAcl("docs", "user:alice", actions))
    assert await list_all(people) == []


async def test_all_known_actions_are_kept(people):
    values = {action: "1" for action in ACTIONS if action not in ("deny", "read", "write")}
    await people.perform(SetAcl("docs", "user:alice", values))
    assert {row.acl.action: row.acl.value for row in await list_all(people)} == values


@pytest.mark.parametrize("subject", ["", "alice", "user", "team:x", "User:alice"])
async def test_subjects_are_written_with_their_kind(people, subject):
    with pytest.raises(Invalid, match="names nobody"):
        await people.perform(SetAcl("docs", subject, {"read": "1"}))


@pytest.mark.parametrize("subject", ["user:bob", "group:/x", "role:x"])
async def test_nobody_gets_nothing(people, subject):
    with pytest.raises(NotFound):
        await people.perform(SetAcl("docs", subject, {"read": "1"}))


async def test_rights_go_with_the_node(people, tree):
    await people.perform(SetAcl("docs/a", "user:alice", {"read": "1"}))
    tree["docs/moved/"] = tree.pop("docs/a/")
    assert (await people.perform(ExplainAccess("alice", "docs/moved/x"))).rights == ("read",)
    assert (await people.perform(ExplainAccess("alice", "docs/a/x"))).rights == ()
    del tree["docs/moved/"]
    [row] = await list_all(people)
    assert row.path is None
    assert (await people.perform(ExplainAccess("alice", "docs/moved/x"))).rights == ()


async def test_an_explanation_tells_all_that_was_looked_at(people):
    await people.perform(SetAcl("/", "group:/", {"read": "1"}))
    await people.perform(SetAcl("docs", "group:/sales", {"read": "1", "write": "1"}))
    await people.perform(SetAcl("docs/a", "group:/sales", {"read": "1"}))
    await people.perform(SetAcl("docs/a", "role:Editors", {"write": "1"}))
    told = await people.perform(ExplainAccess("Alice", "/docs/a/b.txt"))
    assert (told.login, told.path, told.uuid, told.rights) == ("alice", "docs/a/b.txt", "uuid-b", ("write",))
    assert told.why == "Write, given to the role Editors on docs/a/: nothing is nearer or stronger."
    assert told.roles == ("group:/", "group:/sales", "role:Editors", "user:alice")
    assert [(step.path, step.role, step.rights, step.effect) for step in told.steps] == [
        ("docs/a/", "Editors", ("write",), "decides"),
        ("docs/a/", "/sales", ("read",), "weaker"),
        ("docs/", "/sales", ("read", "write"), "farther"),
        ("", "/", ("read",), "farther"),
    ]
    await people.perform(SetAcl("docs", "user:alice", {"deny": "1"}))
    told = await people.perform(ExplainAccess("alice", "docs/a/new"))
    assert (told.uuid, told.rights) == ("", ())
    assert told.why == "Denied to the user alice on docs/; a denial counts for everything below."
    assert [step.effect for step in told.steps] == ["farther", "weaker", "denies", "weaker", "farther"]


async def test_what_nobody_spoke_of(people):
    await people.perform(LockUser("alice"))
    told = await people.perform(ExplainAccess("alice", "docs/a/b.txt"))
    assert (told.rights, told.steps, told.is_locked_out) == ((), (), True)
    assert told.why.startswith("No role of the user says anything")
    with pytest.raises(NotFound):
        await people.perform(ExplainAccess("nobody", "docs"))
    with pytest.raises(NotFound, match="'none'"):
        await people.perform(SetAcl("none", "user:alice", {"read": "1"}))


async def test_a_group_goes_with_its_rights(people):
    await people.perform(CreateGroup("/empty"))
    await people.perform(SetAcl("docs", "group:/empty", {"read": "1"}))
    await people.perform(DeleteGroup("/empty"))
    assert await list_all(people) == []
