"""Which quota counts for whom."""

import pytest

from cellsmono.interfaces.acls import ShownQuota
from cellsmono.interfaces.people import (
    CreateGroup,
    CreateRole,
    CreateUser,
    DeleteAcl,
    ExplainAccess,
    GiveRole,
    ListQuotas,
    SetAcl,
    SetQuota,
)
from cellsmono.interfaces.roles import RoleKind
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import Invalid, NotFound


@pytest.fixture
async def people(open_people, tree):
    tree.update({"pydiods1/": "DATASOURCE:pydiods1", "pydiods1/a/": "uuid-a", "pydiods1/f": "uuid-f"})
    tree.sizes |= {"pydiods1/": 70, "personal/alice/": 5}
    people = await open_people()
    await people.perform(CreateGroup("/sales"))
    await people.perform(CreateUser("alice", "/sales"))
    await people.perform(CreateRole("Big"))
    return people


async def quotas_of(people, slug):
    actor = Actor("alice", "user", user=people.services.user.read("alice").uuid)
    return dict((await people.views.open_view(actor, slug)).quotas)


async def test_the_strongest_role_says_how_much(people):
    assert await quotas_of(people, "personal-files") == {}
    await people.perform(SetQuota("personal-files", "group:/", 100))
    assert await quotas_of(people, "personal-files") == {"personal/alice/": 100}
    await people.perform(SetQuota("personal-files", "group:/sales", 50))
    assert await quotas_of(people, "personal-files") == {"personal/alice/": 50}
    await people.perform(SetQuota("personal-files", "role:Big", 1000))
    await people.perform(GiveRole("Big", "alice"))
    await people.perform(SetAcl("TEMPLATE:my-files", "role:Big", {"quota": "7"}))
    assert await quotas_of(people, "personal-files") == {"personal/alice/": 1000}, "that of the workspace comes first"
    await people.perform(SetQuota("personal-files", "role:Big", None))
    assert await quotas_of(people, "personal-files") == {"personal/alice/": 7}
    await people.perform(DeleteAcl("TEMPLATE:my-files", "role:Big"))
    assert await quotas_of(people, "personal-files") == {"personal/alice/": 50}
    assert await quotas_of(people, "common-files") == {}


async def test_quotas_are_told_with_what_is_used(people):
    set_for_all = await people.perform(SetQuota("common-files", "group:/", 100))
    assert set_for_all == [ShownQuota("pydiods1/", 100, "/", RoleKind.GROUP, 70, "common-files")]
    await people.perform(SetAcl("pydiods1/a", "user:alice", {"quota": "10"}))
    await people.perform(SetQuota("personal-files", "group:/sales", 50))
    assert await people.perform(ListQuotas("personal-files")) == [
        ShownQuota("personal/{user}", 50, "/sales", RoleKind.GROUP, None, "personal-files")
    ]
    assert await people.perform(ListQuotas("personal-files", "alice")) == [
        ShownQuota("personal/alice/", 50, "/sales", RoleKind.GROUP, 5, "personal-files")
    ]
    counted = await people.perform(ListQuotas("common-files", "alice"))
    assert [(each.path, each.used) for each in counted] == [("pydiods1/", 70), ("pydiods1/a/", 0)]
    told = await people.perform(ExplainAccess("alice", "a/x", "common-files"))
    assert told.quotas == tuple(counted)
    assert (await people.perform(ExplainAccess("alice", "x", "common-files"))).quotas == tuple(counted[:1])
    assert [each.path for each in (await people.perform(ExplainAccess("alice", "pydiods1/a/x"))).quotas] == [
        "pydiods1/a/"
    ]


async def test_the_workspaces_of_every_installation_have_recycle_bins(people):
    actor = Actor("alice", "user", user=people.services.user.read("alice").uuid)
    for slug, root in (("personal-files", "personal/alice/"), ("common-files", "pydiods1/")):
        assert (await people.views.open_view(actor, slug)).recycle_roots == {root}
    await people.perform(SetAcl("pydiods1", "user:alice", {"recycle_root": "0"}))
    assert (await people.views.open_view(actor, "common-files")).recycle_roots == set()


async def test_what_can_not_be(people):
    with pytest.raises(Invalid, match="a quota is a number of bytes"):
        await people.perform(SetQuota("common-files", "group:/", -1))
    with pytest.raises(NotFound, match="has no quota in common-files"):
        await people.perform(SetQuota("common-files", "group:/", None))
    for path in ("/", "pydiods1/f"):
        with pytest.raises(Invalid, match="quota can be set on a datasource or a folder"):
            await people.perform(SetAcl(path, "group:/", {"quota": "5"}))
    with pytest.raises(Invalid, match="recycle_root is 1"):
        await people.perform(SetAcl("pydiods1", "group:/", {"recycle_root": "yes"}))
