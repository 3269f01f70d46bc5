"""Policies. For administrators."""

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.policy_structs import (
    IdmPolicyGroup,
    PolicyDeleted,
    PolicyGroupsCollection,
    PolicySearch,
    read_group,
    show_group,
)
from cellsmono.interfaces.node import new_uuid
from cellsmono.interfaces.people import DeletePolicyGroup, ListPolicyGroups, PutPolicyGroup


async def search(rest: RestContext, call: Call, body: PolicySearch) -> PolicyGroupsCollection:
    """POST /policy."""
    wanted = body.filter.casefold()
    every = await rest.people.perform(ListPolicyGroups())
    found = [show_group(group) for group in every if wanted in group.name.casefold()]
    return PolicyGroupsCollection(found, len(found))


async def put(rest: RestContext, call: Call, body: IdmPolicyGroup) -> IdmPolicyGroup:
    """PUT /policy: one without a Uuid is a new one."""
    group = read_group(body, body.uuid or new_uuid())
    return show_group(await rest.people.perform(PutPolicyGroup(group)))


async def delete(rest: RestContext, call: Call, body: None) -> PolicyDeleted:
    """DELETE /policy/{Uuid}."""
    gone = await rest.people.perform(DeletePolicyGroup(call.parameters["Uuid"]))
    return PolicyDeleted(True, show_group(gone))
