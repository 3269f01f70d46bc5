import pytest

from cellsmono.interfaces.people import (
    ChangeWorkspace,
    CreateUser,
    CreateWorkspace,
    DeleteTemplate,
    DeleteWorkspace,
    ExplainAccess,
    GiveWorkspace,
    ListAcls,
    ListTemplates,
    ListWorkspaces,
    SetAcl,
    SetTemplate,
    TakeWorkspace,
)
from cellsmono.kernel.errors import AlreadyExists, Conflict, Invalid, NotFound

BOTH = ("read", "write")


@pytest.fixture
async def people(open_people, tree):
    tree.update(
        {"docs/": "DATASOURCE:docs", "docs/a/": "uuid-a", "docs/b/": "uuid-b", "docs/a/x.txt": "uuid-x"}
        | {"pydiods1/": "DATASOURCE:pydiods1"}
    )
    people = await open_people()
    for login in ("alice", "bob"):
        await people.perform(CreateUser(login))
    return people


async def see(people, login):
    """Paths and rights of what a user sees, by slug."""
    return {
        shown.workspace.slug: [(root.path, *root.rights) for root in shown.roots]
        for shown in await people.perform(ListWorkspaces(login))
    }


async def test_everybody_begins_with_personal_and_common_files(people, tree):
    for login in ("alice", "bob"):
        assert await see(people, login) == {
            "common-files": [("pydiods1/", *BOTH)],
            "personal-files": [(f"personal/{login}/", *BOTH)],
        }
    del tree["pydiods1/"]
    assert await see(people, "bob") == {"personal-files": [("personal/bob/", *BOTH)]}


async def test_a_workspace_is_made_given_and_deleted(people, open_people):
    made = await people.perform(CreateWorkspace("plans", (("", "docs/a"), ("B", "docs/b/")), "Plans", "What we do"))
    assert [(root.name, root.path) for root in made.roots] == [("a", "docs/a/"), ("B", "docs/b/")]
    assert "plans" not in await see(people, "alice")
    await people.perform(GiveWorkspace("plans", "user:alice", ("read",)))
    assert (await see(people, "alice"))["plans"] == [("docs/a/", "read"), ("docs/b/", "read")]
    assert "plans" not in await see(people, "bob")
    people = await open_people()
    assert (await see(people, "alice"))["plans"] == [("docs/a/", "read"), ("docs/b/", "read")]
    changed = await people.perform(ChangeWorkspace("plans", "New", ""))
    assert (changed.workspace.label, changed.workspace.description) == ("New", "")
    await people.perform(TakeWorkspace("plans", "user:alice"))
    assert "plans" not in await see(people, "alice")
    with pytest.raises(NotFound):
        await people.perform(TakeWorkspace("plans", "user:alice"))
    await people.perform(GiveWorkspace("plans", "group:/", BOTH))
    await people.perform(DeleteWorkspace("plans"))
    people = await open_people()
    assert [shown.workspace.slug for shown in await people.perform(ListWorkspaces())] == [
        "common-files", "personal-files",
    ]  # fmt: skip
    assert {row.workspace for row in await people.perform(ListAcls())} == {"common-files", "personal-files"}


async def test_rights_outside_of_a_workspace_open_none_but_count_inside(people):
    await people.perform(CreateWorkspace("plans", (("", "docs/a"),)))
    await people.perform(SetAcl("docs", "group:/", {"read": "1", "write": "1"}))
    assert "plans" not in await see(people, "alice")
    told = await people.perform(ExplainAccess("alice", "x.txt", "plans"))
    assert (told.path, told.uuid, told.rights) == ("docs/a/x.txt", "uuid-x", ())
    assert "is not open to the user" in told.why
    await people.perform(GiveWorkspace("plans", "group:/", ("read",)))
    assert (await people.perform(ExplainAccess("alice", "/x.txt", "plans"))).rights == ("read",)
    await people.perform(SetAcl("docs/a", "user:alice", {"deny": "1"}))
    assert "plans" not in await see(people, "alice")
    assert "plans" in await see(people, "bob")


async def test_rights_in_one_workspace_do_not_count_in_another(people):
    for slug in ("plans", "other"):
        await people.perform(CreateWorkspace(slug, (("", "docs"),)))
        await people.perform(GiveWorkspace(slug, "group:/", ("read",)))
    await people.perform(SetAcl("docs/a", "user:alice", {"write": "1"}, "plans"))
    assert (await people.perform(ExplainAccess("alice", "a/x.txt", "plans"))).rights == ("write",)
    assert (await people.perform(ExplainAccess("alice", "a/x.txt", "other"))).rights == ("read",)
    assert (await people.perform(ExplainAccess("alice", "docs/a/x.txt"))).rights == ()


async def test_paths_in_a_workspace_with_several_roots_begin_with_a_name(people):
    await people.perform(CreateWorkspace("plans", (("A", "docs/a"), ("mine", "TEMPLATE:my-files"))))
    await people.perform(GiveWorkspace("plans", "group:/", BOTH))
    assert (await people.perform(ExplainAccess("bob", "mine/x", "plans"))).path == "personal/bob/x"
    assert (await people.perform(ExplainAccess("bob", "A/", "plans"))).path == "docs/a/"
    for path in ("", "B/x", "Ax", "../A"):
        with pytest.raises(NotFound, match="its roots are A, mine"):
            await people.perform(ExplainAccess("bob", path, "plans"))


@pytest.mark.parametrize(
    "slug",
    ["", "ab", "io", "data", "-ab", "ab-", "a b", "A-b", "a.b.c", "a/b", "\u0440lans", "x" * 64, "a_b", "abc\n"],
)
async def test_bad_slugs(people, slug):
    with pytest.raises(Invalid, match="can not be a slug"):
        await people.perform(CreateWorkspace(slug, (("", "docs"),)))


@pytest.mark.parametrize(
    ("roots", "error"),
    [
        ((), Invalid),
        ((("", "docs/none"),), NotFound),
        ((("", "docs/a/x.txt"),), Invalid),
        ((("", "/"),), Invalid),
        ((("", "TEMPLATE:none"),), NotFound),
        ((("same", "docs/a"), ("same", "docs/b")), Invalid),
        ((("one", "docs/a"), ("two", "docs/a")), Invalid),
        ((("..", "docs/a"),), Invalid),
        ((("a/b", "docs/a"),), Invalid),
    ],
)
async def test_bad_roots(people, roots, error):
    with pytest.raises(error):
        await people.perform(CreateWorkspace("plans", roots))
    assert len(await people.perform(ListWorkspaces())) == 2


async def test_what_is_refused(people):
    with pytest.raises(AlreadyExists):
        await people.perform(CreateWorkspace("common-files", (("", "docs"),)))
    for rights in ((), ("deny",), ("fly",)):
        with pytest.raises(Invalid):
            await people.perform(GiveWorkspace("common-files", "group:/", rights))
    for request in (
        DeleteWorkspace("none"),
        ChangeWorkspace("none"),
        GiveWorkspace("none", "group:/", ("read",)),
        GiveWorkspace("common-files", "user:none", ("read",)),
        ExplainAccess("alice", "x", "none"),
        SetAcl("docs", "user:alice", {"read": "1"}, "none"),
    ):
        with pytest.raises(NotFound):
            await people.perform(request)
    with pytest.raises(Invalid):
        await people.perform(ChangeWorkspace("common-files", ""))


async def test_templates_are_set_and_deleted(people, open_people):
    await people.perform(SetTemplate("my-files", "personal/{user:1}/{user}"))
    await people.perform(SetTemplate("other", "docs/{uuid}"))
    people = await open_people()
    assert [(each.name, each.pattern) for each in await people.perform(ListTemplates())] == [
        ("my-files", "personal/{user:1}/{user}"),
        ("other", "docs/{uuid}"),
    ]
    assert (await see(people, "alice"))["personal-files"] == [("personal/a/alice/", *BOTH)]
    await people.perform(DeleteTemplate("other"))
    with pytest.raises(NotFound):
        await people.perform(DeleteTemplate("other"))
    with pytest.raises(Conflict, match="personal-files"):
        await people.perform(DeleteTemplate("my-files"))
    for name, pattern in (("", "p/{user}"), ("A", "p/{user}"), ("a/b", "p/{user}"), ("a", "p/{eval}")):
        with pytest.raises(Invalid):
            await people.perform(SetTemplate(name, pattern))
