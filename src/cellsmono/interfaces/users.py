"""Users and groups: one tree. Groups are its folders, users its leaves; every login is unique in the whole tree."""

import enum

import msgspec

ROOT_GROUP = "ROOT_GROUP"
"""UUID of the group ``/``, to which everybody belongs, and of its role."""
ROOT_PATH = "/"

LOCK_LOGOUT = "logout"
"""The lock of a user who may not come in at all: neither by password nor by token or key pair."""
LOCK_PASSWORD = "password"  # noqa: S105 - the name of a lock
"""The lock of a user for whom too many wrong passwords were tried: sign-in by password is refused."""


class Profile(enum.StrEnum):
    """What kind of user somebody is, from the least trusted to the most.

    ANON: somebody who did not sign in. SHARED: made for one link or by another user. STANDARD: an ordinary user.
    ADMIN: administers users, roles and datasources. Roles may apply to profiles; the profile itself gives no right to
    any file.
    """

    ANON = "anon"
    SHARED = "shared"
    STANDARD = "standard"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Its place in that order, from 0."""
        return list(Profile).index(self)


class User(msgspec.Struct, frozen=True):
    """One user. ``uuid`` stays when everything else changes, and is also that of the user's own role.

    ``group`` is the path of the group (``/sales/europe``, ``/`` for the root). ``attributes`` are free texts; known are
    ``displayName``, ``email`` and ``hidden``. ``locks`` holds what keeps the user out (``LOCK_LOGOUT``,
    ``LOCK_PASSWORD``). Times are seconds since the epoch, UTC, 0 for never.
    """

    uuid: str
    login: str
    group: str
    profile: Profile
    attributes: dict[str, str] = {}
    locks: tuple[str, ...] = ()
    has_password: bool = False
    created: float = 0.0
    last_login: float = 0.0

    @property
    def is_locked_out(self) -> bool:
        """Whether the user may not come in at all."""
        return LOCK_LOGOUT in self.locks


class Group(msgspec.Struct, frozen=True):
    """One group. ``path`` is that of all groups above and its own name; ``uuid`` is also that of its role."""

    uuid: str
    path: str
    created: float = 0.0


def groups_above(path: str) -> list[str]:
    """The paths of a group and of all groups above it, from the root down."""
    names = [name for name in path.split("/") if name]
    return [ROOT_PATH] + ["/" + "/".join(names[: count + 1]) for count in range(len(names))]
