"""Views are compiled once, and anew when something changed that they were compiled from."""

import pytest

from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.people import (
    CreateRole,
    CreateUser,
    CreateWorkspace,
    DeleteWorkspace,
    GiveRole,
    GiveWorkspace,
    LockUser,
    SetAcl,
    TakeWorkspace,
)
from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.router import Actor

READ, BOTH = Right.READ, Right.READ | Right.WRITE


@pytest.fixture
async def people(open_people, tree):
    tree.update({"docs/": "DATASOURCE:docs", "docs/a/": "uuid-a", "docs/b/": "uuid-b", "docs/a/x": "uuid-x"})
    people = await open_people()
    await people.perform(CreateUser("alice"))
    await people.perform(CreateWorkspace("plans", (("", "docs"),)))
    await people.perform(GiveWorkspace("plans", "user:alice", ("read",)))
    return people


@pytest.fixture
def actor(people):
    return Actor("alice", "user", user=people.services.user.read("alice").uuid)


@pytest.fixture
def open_plans(people, actor):
    return lambda: people.views.open_view(actor, "plans")


def event(kind, path, uuid="other", source=""):
    return NodeEvent(1, kind, path, uuid, 0, source, datasource="docs")


async def test_a_view_is_kept_until_something_changes(people, open_plans, tree):
    view = await open_plans()
    assert view.rights("docs/a/x") == READ
    assert await open_plans() is view
    await people.perform(SetAcl("docs/a", "user:alice", {"read": "1", "write": "1"}))
    assert (await open_plans()).rights("docs/a/x") == BOTH
    await people.perform(CreateRole("Strong"))
    await people.perform(SetAcl("docs/b", "role:Strong", {"deny": "1"}))
    assert (await open_plans()).rights("docs/b/x") == READ
    await people.perform(GiveRole("Strong", "alice"))
    assert (await open_plans()).rights("docs/b/x") == Right.NONE
    await people.perform(TakeWorkspace("plans", "user:alice"))
    assert await open_plans() is None
    await people.perform(GiveWorkspace("plans", "group:/", ("read",)))
    assert await open_plans() is not None
    await people.perform(DeleteWorkspace("plans"))
    assert await open_plans() is None


async def test_whoever_is_not_there_has_no_views(people, actor, open_plans):
    assert [view.slug for view in await people.views.list_views(actor)] == ["personal-files", "plans"]
    assert await people.views.open_view(actor, "nothing") is None
    assert await people.views.list_views(Actor("x", "user", user="nobody")) == []
    await people.perform(LockUser("alice"))
    assert await open_plans() is None


@pytest.mark.parametrize(
    ("happened", "is_about_rights"),
    [
        (event(EventKind.UPDATE_PATH, "c/", "uuid-a", "a/"), True),
        (event(EventKind.DELETE, "a/", "uuid-a"), True),
        (event(EventKind.CREATE, "back/", "uuid-a"), True),
        (event(EventKind.CREATE, "a/"), True),
        (event(EventKind.RELOAD, ""), True),
        (event(EventKind.UPDATE_CONTENT, "a/x"), False),
        (event(EventKind.CREATE, "a/new"), False),
        (event(EventKind.DELETE, "a/x"), False),
        (event(EventKind.UPDATE_PATH, "b/y", source="a/y"), False),
        (event(EventKind.DELETE, "b/"), False),
    ],
)
async def test_moves_of_what_rights_are_about_count(people, open_plans, happened, is_about_rights):
    await people.perform(SetAcl("docs/a", "user:alice", {"deny": "1"}))
    view = await open_plans()
    people.views.note_changes((event(EventKind.CREATE, "unrelated"), happened))
    assert (await open_plans() is not view) == is_about_rights


async def test_the_move_of_a_folder_takes_the_rights_below_along(people, open_plans, tree):
    tree["docs/a/deep/"] = "uuid-deep"
    await people.perform(SetAcl("docs/a/deep", "user:alice", {"deny": "1"}))
    assert (await open_plans()).rights("docs/a/deep/x") == Right.NONE
    tree["docs/c/deep/"] = tree.pop("docs/a/deep/")
    people.views.note_changes([event(EventKind.UPDATE_PATH, "c/", "another", "a/")])
    view = await open_plans()
    assert (view.rights("docs/a/deep/x"), view.rights("docs/c/deep/x")) == (READ, Right.NONE)


async def test_a_datasource_that_comes_back_brings_its_rights(people, open_plans, tree):
    kept = dict(tree)
    tree.clear()
    assert await open_plans() is None
    tree.update(kept)
    assert (await open_plans()).rights("docs/x") == READ
