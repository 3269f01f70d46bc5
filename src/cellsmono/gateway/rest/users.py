"""Users and groups: administrators see and change all, everybody else sees and changes the own entry."""

from typing import Final

import msgspec

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.errors import RestError, bad_request
from cellsmono.gateway.rest.people_structs import (
    Deleted,
    IdmUser,
    UserKind,
    UserQuery,
    UsersCollection,
    UserSearch,
    free_attributes,
    show_group,
    show_user,
)
from cellsmono.gateway.rest.queries import choose, cut, is_like
from cellsmono.interfaces.people import (
    ChangeUser,
    CheckPassword,
    CreateGroup,
    CreateUser,
    DeleteGroup,
    DeleteUser,
    ListGroups,
    ListRoles,
    ListUsers,
    LockUser,
    ReadUser,
    SetPassword,
    SetRoles,
    UnlockUser,
)
from cellsmono.interfaces.roles import Role
from cellsmono.interfaces.users import LOCK_LOGOUT, Group, Profile, User
from cellsmono.kernel.errors import Conflict, NotFound

OWN_ATTRIBUTES: Final = frozenset({"displayName", "email"})
"""What everybody may change of the own entry."""


async def search(rest: RestContext, call: Call, body: UserSearch) -> UsersCollection:
    """POST /user."""
    everybody: list[User | Group]
    if call.caller.profile is Profile.ADMIN:
        groups = [group for group in await rest.people.perform(ListGroups()) if group.path != "/"]
        everybody = [*groups, *await rest.people.perform(ListUsers())]
    else:
        everybody = [call.user]
    found = choose(everybody, body.queries, body.operation, _matches)
    page = cut(found, body)
    return UsersCollection(
        groups=[show_group(each) for each in page if isinstance(each, Group)],
        users=[show_user(each) for each in page if isinstance(each, User)],
        total=len(found),
    )


def _matches(query: UserQuery, each: User | Group) -> bool:
    if query.uuid and query.uuid != each.uuid:
        return False
    if isinstance(each, Group):
        return query.node_type is not UserKind.USER and _matches_group(query, each)
    return query.node_type is not UserKind.GROUP and _matches_user(query, each)


def _matches_group(query: UserQuery, group: Group) -> bool:
    if query.login or query.attribute_name or query.has_profile:
        return False
    if query.full_path and query.full_path != group.path:
        return False
    return _is_in(group.path.rpartition("/")[0] or "/", query)


def _matches_user(query: UserQuery, user: User) -> bool:
    if query.full_path and query.full_path != f"{user.group.rstrip('/')}/{user.login}":
        return False
    if query.has_profile and query.has_profile != user.profile.value:
        return False
    if not is_like(query.login, user.login) or not _is_in(user.group, query):
        return False
    return not query.attribute_name or _has_attribute(user, query)


def _is_in(above: str, query: UserQuery) -> bool:
    if not query.group_path:
        return True
    wanted = "/" + query.group_path.strip("/")
    return above == wanted or (query.recursive and above.startswith(wanted.rstrip("/") + "/"))


def _has_attribute(user: User, query: UserQuery) -> bool:
    value = show_user(user).attributes.get(query.attribute_name)
    return value is not None and (query.attribute_any_value or is_like(query.attribute_value, value))


async def read(rest: RestContext, call: Call, body: None) -> IdmUser:
    """GET /user/{Login}. Whether anybody else exists is told to administrators alone."""
    login = call.parameters["Login"]
    if call.caller.profile is not Profile.ADMIN and login.casefold() != call.user.login.casefold():
        raise NotFound(f"There is no user {login!r}", path=login)
    return await _show(rest, login)


async def _show(rest: RestContext, login: str) -> IdmUser:
    roles: list[Role] = await rest.people.perform(ListRoles(login))
    return show_user(await rest.people.perform(ReadUser(login)), roles)


async def put(rest: RestContext, call: Call, body: IdmUser) -> IdmUser:
    """PUT /user/{Login}: make or change a user or group."""
    login = call.parameters["Login"]
    if body.login and body.login.casefold() != login.casefold():
        raise bad_request("Login in the body is another one than in the path", "login")
    if call.caller.profile is not Profile.ADMIN:
        return await _put_own(rest, call, login, body)
    if body.is_group:
        path = f"/{body.group_path.strip('/')}/{body.group_label or login}".replace("//", "/")
        return show_group(await rest.people.perform(CreateGroup(path)))
    profile = _read_profile(body)
    try:
        known = await rest.people.perform(ReadUser(login))
    except NotFound:
        group, attributes = body.group_path or "/", free_attributes(body.attributes)
        made = CreateUser(login, group, profile or Profile.STANDARD, attributes, body.password)
        known = await rest.people.perform(made)
    else:
        attributes = free_attributes(body.attributes)
        await rest.people.perform(ChangeUser(login, body.group_path or None, profile, attributes))
        if body.password:
            await rest.people.perform(SetPassword(login, body.password))
    await _put_locks(rest, known, body)
    return await _show(rest, login)


async def _put_own(rest: RestContext, call: Call, login: str, body: IdmUser) -> IdmUser:
    user = call.user
    if login.casefold() != user.login.casefold() or body.is_group:
        raise RestError(403, "forbidden", "You may change nobody's entry but your own")
    wanted = free_attributes(body.attributes)
    changed = {name: value for name, value in wanted.items() if user.attributes.get(name, "") != value}
    if changed.keys() - OWN_ATTRIBUTES:
        raise RestError(403, "forbidden", f"You may change {', '.join(sorted(OWN_ATTRIBUTES))} and the password alone")
    if _read_profile(body) not in {None, user.profile} or body.group_path not in {"", user.group}:
        raise RestError(403, "forbidden", "Profile and group are given by administrators")
    if body.password:
        # Whoever finds an open session must not be able to lock its owner out with it.
        await rest.people.perform(CheckPassword(user.login, body.old_password))
        await rest.people.perform(SetPassword(user.login, body.password))
    await rest.people.perform(ChangeUser(user.login, attributes=changed))
    return await _show(rest, user.login)


def _read_profile(body: IdmUser) -> Profile | None:
    text = body.attributes.get("profile", "")
    if not text:
        return None
    try:
        profile = Profile(text)
    except ValueError:
        profile = Profile.ANON
    if profile is Profile.ANON:
        raise bad_request("Attributes.profile must be shared, standard or admin", "profile")
    return profile


async def _put_locks(rest: RestContext, user: User, body: IdmUser) -> None:
    text = body.attributes.get("locks")
    if text is None:
        return
    try:
        locks = msgspec.json.decode(text or "[]", type=list[str])
    except msgspec.DecodeError:
        raise bad_request("Attributes.locks must be a list of names as JSON text", "locks") from None
    if LOCK_LOGOUT in locks:
        await rest.people.perform(LockUser(user.login))
    elif user.locks and not locks:
        await rest.people.perform(UnlockUser(user.login))


async def put_roles(rest: RestContext, call: Call, body: IdmUser) -> IdmUser:
    """PUT /user/roles/{Login}: the roles that are given, the weakest first, without those of groups and users."""
    login = call.parameters["Login"]
    roles = [role for role in body.roles if not (role.group_role or role.user_role)]
    await rest.people.perform(SetRoles(login, tuple(role.uuid or role.label for role in roles)))
    return await _show(rest, login)


async def delete(rest: RestContext, call: Call, body: None) -> Deleted:
    """DELETE /user/{Login}: a user, or an empty group, whose path ends in ``/`` then."""
    login = call.parameters["Login"]
    if login.endswith("/"):
        await rest.people.perform(DeleteGroup("/" + login.strip("/")))
        return Deleted(success=True, num_rows="1")
    if login.casefold() == call.user.login.casefold():
        raise Conflict("You can not delete yourself: let another administrator do it", path=login)
    await rest.people.perform(DeleteUser(login))
    return Deleted(success=True, num_rows="1")
