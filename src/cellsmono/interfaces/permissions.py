"""Rights on nodes, and the one rule that says who has which. ``docs/permissions.md`` explains it for people."""

import enum
from collections.abc import Mapping

import msgspec

from cellsmono.interfaces.paths import parent_of


class Right(enum.IntFlag):
    """What may be done with a node. READ: see it, list it, read it. WRITE: make, change, move and delete it.

    DENY is no right: where it stands nothing may be done, with the node and with everything below it.
    """

    NONE = 0
    READ = 1
    WRITE = 2
    DENY = 4


class Grant(msgspec.Struct, frozen=True, gc=False):
    """What one role says about one node, in one workspace or in all.

    ``path`` is a tree path. ``role`` is the role's place in the order of the user's roles, the weakest being 0.
    ``in_workspace`` says that it is meant for the workspace that is looked at alone.
    ``policy`` is the id of the policy that said ``rights``, empty where they were given.
    """

    path: str
    role: int
    rights: Right
    in_workspace: bool = False
    policy: str = ""

    @property
    def strength(self) -> tuple[int, bool]:
        """Of two grants about the same node the one with more strength counts, and the other one not at all."""
        return self.role, self.in_workspace


class Decision(msgspec.Struct, frozen=True):
    """What may be done, READ and WRITE, and because of which grant; None when no grant says anything."""

    rights: Right
    grant: Grant | None = None


Marks = Mapping[str, Grant]
"""The strongest grant of each node about which anything is said, by tree path (see ``compile_marks``)."""


def compile_marks(grants: list[Grant]) -> dict[str, Grant]:
    """Of the grants about each node the strongest."""
    marks: dict[str, Grant] = {}
    for grant in grants:
        known = marks.get(grant.path)
        if known is None or grant.strength > known.strength:
            marks[grant.path] = grant
    return marks


def decide(marks: Marks, path: str) -> Decision:
    """What a user may do with the node at a tree path, which need not exist.

    1. Of what is said about one node only the strongest counts: that of the last of the user's roles that says
       anything about it; of the same role that for the workspace before that for all.
    2. If the node, or any folder above it, is denied, nothing may be done.
    3. Otherwise the nearest counts: the node itself, else the folder it is in, and so on up to the root of the tree.
    4. Where nothing is said nothing may be done.
    """
    nearest: Grant | None = None
    at = path
    while True:
        grant = marks.get(at)
        if grant is not None:
            if grant.rights & Right.DENY:
                return Decision(Right.NONE, grant)
            nearest = nearest or grant
        if not at:
            break
        at = parent_of(at)
    return Decision(Right.NONE) if nearest is None else Decision(nearest.rights, nearest)
