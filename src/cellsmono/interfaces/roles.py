"""Roles: what rights are given to. Every user and every group is one, with the UUID of its own."""

import enum

import msgspec

from cellsmono.interfaces.users import Profile

ADMINS = "ADMINS"
"""UUID of the role that applies to every user with the profile ``admin``."""


class RoleKind(enum.StrEnum):
    """What a role belongs to. TEAM is a role that users make among themselves; it counts as an ordinary one."""

    GROUP = "group"
    ROLE = "role"
    TEAM = "team"
    USER = "user"


class Role(msgspec.Struct, frozen=True):
    """One role. ``label`` is the path of a group or the login of a user where it belongs to one.

    ``auto_applies`` are the profiles to whose users it applies without being given. ``members`` are the logins of those
    to whom it was given. ``created`` is seconds since the epoch, UTC.
    """

    uuid: str
    label: str
    kind: RoleKind
    auto_applies: tuple[Profile, ...] = ()
    members: tuple[str, ...] = ()
    created: float = 0.0
