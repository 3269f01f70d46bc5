"""Groups of policies are kept, and what ACLs name is judged for each request."""

import pytest

from cellsmono.interfaces.people import (
    CreateUser,
    CreateWorkspace,
    DeletePolicyGroup,
    ExplainAccess,
    GiveWorkspace,
    ListPolicyGroups,
    PutPolicyGroup,
    RestorePolicies,
    SetAcl,
)
from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.policies import Effect, Policy, PolicyGroup, ResourceGroup
from cellsmono.interfaces.policy_conditions import Condition
from cellsmono.interfaces.router import Actor, Circumstances
from cellsmono.kernel.errors import Invalid, NotFound

HOME = {"RemoteAddress": Condition("CIDRCondition", '{"cidr": "10.0.0.0/8"}')}
AT_HOME = PolicyGroup(
    "at-home",
    "At home",
    ResourceGroup.ACL,
    (
        Policy("look", "", ("profile:standard",), ("acl",), ("read",), Effect.ALLOW),
        Policy("work", "", ("profile:standard",), ("acl",), ("write",), Effect.ALLOW, HOME),
    ),
)


async def test_groups_are_kept_and_defaults_come_back(open_people):
    people = await open_people()
    await people.perform(PutPolicyGroup(AT_HOME))
    await people.perform(DeletePolicyGroup("public-access"))
    people = await open_people()
    uuids = {group.uuid: group for group in await people.perform(ListPolicyGroups())}
    assert uuids["at-home"].policies == AT_HOME.policies
    assert "public-access" not in uuids
    assert not people.services.policy.judge_request(None, "GET", "/config/discovery", {}).allowed
    with pytest.raises(NotFound):
        await people.perform(DeletePolicyGroup("public-access"))
    await people.perform(RestorePolicies())
    people = await open_people()
    assert people.services.policy.judge_request(None, "GET", "/config/discovery", {}).allowed
    assert "at-home" in {group.uuid for group in await people.perform(ListPolicyGroups())}


async def test_what_can_not_be_is_refused(open_people):
    people = await open_people()
    with pytest.raises(Invalid):
        await people.perform(PutPolicyGroup(PolicyGroup("x", "x", ResourceGroup.REST, (Policy("empty"),))))


async def test_an_acl_that_names_a_policy(open_people, tree):
    tree.update({"docs/": "DATASOURCE:docs", "docs/a/": "uuid-a", "docs/a/x": "uuid-x"})
    people = await open_people()
    await people.perform(CreateUser("alice"))
    await people.perform(CreateWorkspace("plans", (("", "docs"),)))
    await people.perform(GiveWorkspace("plans", "user:alice", ("read", "write")))
    await people.perform(SetAcl("docs/a", "user:alice", {"policy": "at-home"}))
    uuid = people.services.user.read("alice").uuid

    async def rights(address, path="docs/a/x"):
        around = Circumstances(values={"aws:sourceip": address} if address else {})
        return (await people.views.open_view(Actor("alice", "user", user=uuid, circumstances=around), "plans")).rights(
            path
        )

    assert await rights("10.0.0.1") == Right.NONE  # there is no such policy
    await people.perform(PutPolicyGroup(AT_HOME))
    for _ in range(2):
        assert await rights("10.0.0.1") == Right.READ | Right.WRITE
        assert await rights("1.0.0.1") == Right.READ
        assert await rights("") == Right.READ
    assert await rights("1.0.0.1", "docs/y") == Right.READ | Right.WRITE
    told = await people.perform(ExplainAccess("alice", "docs/a/x"))
    assert told.rights == ("read",)
    assert "by the policy at-home" in told.why
    assert [step.policy for step in told.steps] == ["at-home"]
    await people.perform(SetAcl("docs/a", "user:alice", {"deny": "1"}))
    assert await rights("10.0.0.1") == Right.NONE  # a denial stays one, whatever a policy says
