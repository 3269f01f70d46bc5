"""Roles: administrators see and change all, everybody else sees the own ones."""

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.errors import bad_request
from cellsmono.gateway.rest.people_structs import IdmRole, RoleQuery, RolesCollection, RoleSearch, show_role
from cellsmono.gateway.rest.queries import choose, cut, is_like
from cellsmono.interfaces.people import ChangeRole, CreateRole, DeleteRole, ListGroups, ListRoles, ListUsers
from cellsmono.interfaces.roles import Role, RoleKind
from cellsmono.interfaces.users import Profile
from cellsmono.kernel.errors import NotFound


async def search(rest: RestContext, call: Call, body: RoleSearch) -> RolesCollection:
    """POST /role."""
    found = choose(await _list_all(rest, call), body.queries, body.operation, _matches)
    return RolesCollection([show_role(role) for role in cut(found, body)], len(found))


async def _list_all(rest: RestContext, call: Call) -> list[Role]:
    if call.caller.profile is not Profile.ADMIN:
        return await rest.people.perform(ListRoles(call.user.login))
    groups, users = await rest.people.perform(ListGroups()), await rest.people.perform(ListUsers())
    return [
        *(Role(group.uuid, group.path, RoleKind.GROUP, created=group.created) for group in groups),
        *await rest.people.perform(ListRoles()),
        *(Role(user.uuid, user.login, RoleKind.USER, created=user.created) for user in users),
    ]


def _matches(query: RoleQuery, role: Role) -> bool:
    if query.uuid and role.uuid not in query.uuid:
        return False
    kinds = {
        RoleKind.TEAM: query.is_team,
        RoleKind.GROUP: query.is_group_role,
        RoleKind.USER: query.is_user_role,
    }
    if any(kinds.values()) and not kinds.get(role.kind):
        return False
    return is_like(query.label, role.label) and (bool(role.auto_applies) or not query.has_auto_apply)


async def read(rest: RestContext, call: Call, body: None) -> IdmRole:
    """GET /role/{Uuid}."""
    return show_role(await _read(rest, call, call.parameters["Uuid"]))


async def _read(rest: RestContext, call: Call, uuid: str) -> Role:
    for role in await _list_all(rest, call):
        if role.uuid == uuid:
            return role
    raise NotFound(f"There is no role {uuid!r}", path=uuid)


async def put(rest: RestContext, call: Call, body: IdmRole) -> IdmRole:
    """PUT /role/{Uuid}: make a role or team, or change one."""
    uuid = call.parameters["Uuid"]
    if body.uuid not in {"", uuid}:
        raise bad_request("Uuid in the body is another one than in the path", "uuid")
    try:
        profiles = tuple(Profile(profile) for profile in body.auto_applies)
    except ValueError:
        raise bad_request("AutoApplies must hold profiles: anon, shared, standard, admin", "auto_applies") from None
    try:
        known = await _read(rest, call, uuid)
    except NotFound:
        return show_role(await rest.people.perform(CreateRole(body.label, body.is_team, profiles, uuid)))
    if known.kind in {RoleKind.GROUP, RoleKind.USER}:
        raise bad_request("This is the role of a group or user: it has the name of that", "kind")
    changed = await rest.people.perform(ChangeRole(known.uuid, body.label or None, profiles))
    return show_role(changed)


async def delete(rest: RestContext, call: Call, body: None) -> IdmRole:
    """DELETE /role/{Uuid}."""
    known = await _read(rest, call, call.parameters["Uuid"])
    if known.kind in {RoleKind.GROUP, RoleKind.USER}:
        raise bad_request("This is the role of a group or user: it goes with that", "kind")
    await rest.people.perform(DeleteRole(known.uuid))
    return show_role(known)
