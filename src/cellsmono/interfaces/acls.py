"""ACLs: who may do what with which node, and what else is noted for a node and a role."""

import msgspec

from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.roles import RoleKind

RIGHTS = {"read": Right.READ, "write": Right.WRITE, "deny": Right.DENY}
"""The actions that are rights."""

NOTES = ("quota", "recycle_root")
"""Actions that are no rights, and count as those do: of what is noted on one node that of the strongest role.

All others are kept for those who understand them.
"""

POLICY = "policy"
"""The action whose value is the id of a policy, or of a group, that says what may be read and written."""

LOCKS = ("content_lock", "lock", "child_lock")
"""Actions that are locks (see ``interfaces.node_locks``); their role is that of the user who holds it."""

ACTIONS = frozenset({*RIGHTS, *NOTES, *LOCKS, POLICY, "workspace-path"})
"""Names of actions; ``parameter:PLUGIN:NAME`` and ``action:PLUGIN:NAME`` are some, too."""


class Acl(msgspec.Struct, frozen=True):
    """One row: an action on a node for a role, in one workspace or (empty) in all.

    ``node`` and ``role`` are UUIDs; ``value`` is ``1`` for rights.
    """

    id: int
    node: str
    role: str
    workspace: str
    action: str
    value: str


class ShownAcl(msgspec.Struct, frozen=True):
    """A row for people.

    ``path`` is where the node is now, None when it is nowhere, the pattern where it is a template. ``workspace`` is the
    slug of the one in which the row counts, empty: in all.
    """

    acl: Acl
    path: str | None
    role: str
    kind: RoleKind
    workspace: str = ""


class Step(msgspec.Struct, frozen=True):
    """One grant that was looked at, and what became of it.

    ``effect`` is ``denies``, ``decides``, ``farther`` (nearer ones or a denial count) or ``weaker`` (a later
    role says something about the same node). ``policy`` is the policy that said what the rights are.
    """

    path: str
    role: str
    kind: RoleKind
    rights: tuple[str, ...]
    workspace: str
    effect: str
    policy: str = ""


class ShownQuota(msgspec.Struct, frozen=True):
    """How much may lie in a folder, as far as some user is concerned, and how much does.

    ``path`` is its tree path, or the pattern of a template where no user was asked about. ``limit`` and ``used`` are
    bytes; ``used`` is None where it can not be told. ``role`` and ``kind`` say to whom it was given.
    """

    path: str
    limit: int
    role: str
    kind: RoleKind
    used: int | None = None
    workspace: str = ""


class Explanation(msgspec.Struct, frozen=True):
    """Why a user may do something with a node, or not.

    ``rights`` holds ``read`` and ``write``; ``why`` is a sentence. ``roles`` are the user's, the weakest first, as
    ``kind:label``. ``steps`` go from the node up to the root of the tree. ``uuid`` is the node's, empty when there is
    none at the path. ``quotas`` are those of the folders that the node is in, the outermost first.
    """

    login: str
    path: str
    uuid: str
    rights: tuple[str, ...]
    why: str
    roles: tuple[str, ...]
    steps: tuple[Step, ...]
    is_locked_out: bool = False
    quotas: tuple[ShownQuota, ...] = ()
