"""Rights on nodes, row by row. For administrators."""

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.errors import bad_request
from cellsmono.gateway.rest.people_structs import Deleted
from cellsmono.gateway.rest.queries import choose, cut, is_like
from cellsmono.gateway.rest.workspace_structs import AclCollection, AclQuery, AclSearch, IdmAcl, show_acl
from cellsmono.interfaces.acls import ShownAcl
from cellsmono.interfaces.people import DeleteAcl, ListAcls, PutAcl


async def search(rest: RestContext, call: Call, body: AclSearch) -> AclCollection:
    """POST /acl."""
    every: list[ShownAcl] = await rest.people.perform(ListAcls())
    found = choose(every, body.queries, body.operation, _matches)
    return AclCollection([show_acl(each) for each in cut(found, body)], len(found))


def _matches(query: AclQuery, shown: ShownAcl) -> bool:
    row = shown.acl
    sought = ((query.role_ids, row.role), (query.workspace_ids, row.workspace), (query.node_ids, row.node))
    if any(wanted and value not in wanted for wanted, value in sought):
        return False
    if not query.actions:
        return True
    return any(
        is_like(action.name, row.action) and (not action.value or action.value == row.value) for action in query.actions
    )


async def put(rest: RestContext, call: Call, body: IdmAcl) -> IdmAcl:
    """PUT /acl: one row. Others of the same node and role stay as they are."""
    if not (body.node_id and body.role_id and body.action.name):
        raise bad_request("An ACL has a NodeID, a RoleID and an Action with a Name", "acl")
    wanted = PutAcl(body.node_id, body.role_id, body.action.name, body.action.value or "1", body.workspace_id)
    return show_acl(await rest.people.perform(wanted))


async def delete(rest: RestContext, call: Call, body: IdmAcl) -> Deleted:
    """POST /acl/bulk/delete: the rows that have all of what the body says."""
    if body == IdmAcl():
        raise bad_request("Say which rows: an ID, a NodeID, a RoleID, a WorkspaceID or an Action", "acl")
    gone = [each.acl.id for each in await rest.people.perform(ListAcls()) if _has(each, body)]
    for row in gone:
        await rest.people.perform(DeleteAcl(id=row))
    return Deleted(success=bool(gone), num_rows=str(len(gone)))


def _has(shown: ShownAcl, wanted: IdmAcl) -> bool:
    row = show_acl(shown)
    pairs = (
        (wanted.id, row.id),
        (wanted.node_id, row.node_id),
        (wanted.role_id, row.role_id),
        (wanted.workspace_id, row.workspace_id),
        (wanted.action.name, row.action.name),
        (wanted.action.value, row.action.value),
    )
    return all(not given or given == present for given, present in pairs)
