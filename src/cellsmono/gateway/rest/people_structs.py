"""Users, groups and roles on the wire."""

from typing import Final

import msgspec

from cellsmono.gateway.rest.proto_json import ProtoEnum
from cellsmono.gateway.rest.queries import Search
from cellsmono.interfaces.roles import Role, RoleKind
from cellsmono.interfaces.users import Group, User

_OWN: Final = ("profile", "locks", "hasPassword", "lastConnected")
"""Attributes that are no free texts here."""


class IdmRole(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A role. ``auto_applies`` are the profiles to whose users it applies without being given."""

    uuid: str = ""
    label: str = ""
    is_team: bool = False
    group_role: bool = False
    user_role: bool = False
    last_updated: int = 0
    auto_applies: list[str] = []


class IdmUser(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A user, or with ``is_group`` a group: ``group_path`` is that of the group it is in, ``group_label`` its name.

    ``attributes`` hold ``profile``, ``displayName``, ``email`` and free texts; ``locks`` is a list as JSON text.
    ``password`` is only taken, never told; who changes the own one sends ``old_password``, too.
    """

    uuid: str = ""
    login: str = ""
    group_path: str = ""
    attributes: dict[str, str] = {}
    roles: list[IdmRole] = []
    password: str = ""
    old_password: str = ""
    is_group: bool = False
    group_label: str = ""

    def __repr__(self) -> str:
        return f"IdmUser({self.login!r})"


class UserKind(ProtoEnum):
    """What is looked for."""

    UNKNOWN = "UNKNOWN"
    USER = "USER"
    GROUP = "GROUP"


class UserQuery(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Users and groups that have all of this. ``*`` in ``login`` and ``attribute_value`` is any text."""

    uuid: str = ""
    login: str = ""
    group_path: str = ""
    recursive: bool = False
    full_path: str = ""
    attribute_name: str = ""
    attribute_value: str = ""
    attribute_any_value: bool = False
    has_profile: str = ""
    node_type: UserKind = UserKind.UNKNOWN
    is_not: bool = msgspec.field(name="not", default=False)


class UserSearch(Search, frozen=True, omit_defaults=True, rename="pascal"):
    """Which users and groups are wanted; without queries, all."""

    queries: list[UserQuery] = msgspec.field(default_factory=list)


class UsersCollection(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Users and groups; ``total`` counts both, also those of other pages."""

    groups: list[IdmUser] = []
    users: list[IdmUser] = []
    total: int = 0


class RoleQuery(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Roles that have all of this. ``*`` in ``label`` is any text."""

    uuid: list[str] = []
    label: str = ""
    is_team: bool = False
    is_group_role: bool = False
    is_user_role: bool = False
    has_auto_apply: bool = False
    is_not: bool = msgspec.field(name="not", default=False)


class RoleSearch(Search, frozen=True, omit_defaults=True, rename="pascal"):
    """Which roles are wanted; without queries, all."""

    queries: list[RoleQuery] = msgspec.field(default_factory=list)


class RolesCollection(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Roles; ``total`` counts those of other pages, too."""

    roles: list[IdmRole] = []
    total: int = 0


class Deleted(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Whether something was deleted, and how much."""

    success: bool = False
    num_rows: str = ""


def show_role(role: Role) -> IdmRole:
    """A role as clients know it."""
    return IdmRole(
        uuid=role.uuid,
        label=role.label,
        is_team=role.kind is RoleKind.TEAM,
        group_role=role.kind is RoleKind.GROUP,
        user_role=role.kind is RoleKind.USER,
        last_updated=int(role.created),
        auto_applies=[profile.value for profile in role.auto_applies],
    )


def show_user(user: User, roles: list[Role] | None = None) -> IdmUser:
    """A user as clients know it."""
    about = {"profile": user.profile.value, "hasPassword": str(user.has_password).lower()}
    if user.locks:
        about["locks"] = msgspec.json.encode(user.locks).decode()
    if user.last_login:
        about["lastConnected"] = str(int(user.last_login))
    return IdmUser(
        uuid=user.uuid,
        login=user.login,
        group_path=user.group,
        attributes={**user.attributes, **about},
        roles=[show_role(role) for role in roles or ()],
    )


def show_group(group: Group) -> IdmUser:
    """A group as clients know it."""
    above, _, name = group.path.rpartition("/")
    return IdmUser(uuid=group.uuid, group_path=above or "/", group_label=name, is_group=True)


def free_attributes(attributes: dict[str, str]) -> dict[str, str]:
    """What clients send of attributes, without what is none of them here."""
    return {name: value for name, value in attributes.items() if name not in _OWN}
