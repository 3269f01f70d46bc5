"""What a user may do: gathers roles and rows, finds out where their nodes are, and asks the rule."""

import msgspec

from cellsmono.idm.acl import AclService, RightsRow
from cellsmono.idm.role import RoleService
from cellsmono.interfaces.acls import Explanation, Step
from cellsmono.interfaces.permissions import Decision, Grant, Right, compile_marks, decide
from cellsmono.interfaces.roles import Role
from cellsmono.interfaces.tree import NodeLocator, TreeNode
from cellsmono.interfaces.users import User
from cellsmono.kernel.errors import NotFound


class Gathered(msgspec.Struct, frozen=True):
    """A user's roles, the weakest first, and all that they say about nodes that are somewhere."""

    roles: list[Role]
    grants: list[Grant]


class Access:
    """Compiles and explains."""

    def __init__(self, roles: RoleService, acls: AclService, locator: NodeLocator) -> None:
        self._roles = roles
        self._acls = acls
        self._locator = locator

    async def gather(self, user: User, workspace: str = "") -> Gathered:
        """Everything that is said to a user about nodes, in a workspace (its UUID) or outside of any."""
        roles = self._roles.order_roles(user)
        order = {role.uuid: place for place, role in enumerate(roles)}
        rows = await self._acls.read_rights(list(order), workspace)
        paths = await self._locator.locate(list({row.node for row in rows}))
        return Gathered(roles, [_grant_of(row, paths[row.node], order) for row in rows if row.node in paths])

    async def explain(self, user: User, path: str, workspace: str = "") -> Explanation:
        """Why a user may do something with the node at a tree path, or not."""
        try:
            node = await self._locator.identify(path)
        except NotFound:
            node = TreeNode("", path.removeprefix("/"))  # what would be made there is judged by what is above
        gathered = await self.gather(user, workspace)
        marks = compile_marks(gathered.grants)
        decision = decide(marks, node.path)
        on_trail = [grant for grant in gathered.grants if is_on_trail(grant.path, node.path)]
        on_trail.sort(key=lambda grant: (len(grant.path), *grant.strength), reverse=True)
        return Explanation(
            login=user.login,
            path=node.path,
            uuid=node.uuid,
            rights=name_rights(decision.rights),
            why=_say_why(decision, gathered.roles),
            roles=tuple(f"{role.kind}:{role.label}" for role in gathered.roles),
            steps=tuple(
                Step(
                    path=grant.path,
                    role=gathered.roles[grant.role].label,
                    kind=gathered.roles[grant.role].kind,
                    rights=name_rights(grant.rights),
                    workspace=workspace if grant.in_workspace else "",
                    effect=_effect_of(grant, marks[grant.path], decision),
                )
                for grant in on_trail
            ),
            is_locked_out=user.is_locked_out,
        )


def is_on_trail(path: str, node: str) -> bool:
    """Whether a tree path is that of the node or of a folder above it."""
    return path == node or (node.startswith(path) and (not path or path.endswith("/")))


def name_rights(rights: Right) -> tuple[str, ...]:
    """The names of rights, as actions are called."""
    return tuple(right.name.lower() for right in (Right.READ, Right.WRITE, Right.DENY) if rights & right and right.name)


def _grant_of(row: RightsRow, path: str, order: dict[str, int]) -> Grant:
    return Grant(path, order[row.role], row.rights, bool(row.workspace))


def _effect_of(grant: Grant, strongest: Grant, decision: Decision) -> str:
    if grant is not strongest:
        return "weaker"
    if grant is not decision.grant:
        return "farther"
    return "denies" if grant.rights & Right.DENY else "decides"


def _say_why(decision: Decision, roles: list[Role]) -> str:
    grant = decision.grant
    if grant is None:
        return "No role of the user says anything about this node or a folder above it."
    role = roles[grant.role]
    place = f"on {grant.path or '/'}"
    who = f"the {role.kind} {role.label}" if role.kind != "role" else f"the role {role.label}"
    if grant.rights & Right.DENY:
        return f"Denied to {who} {place}; a denial counts for everything below."
    rights = " and ".join(name_rights(grant.rights)).capitalize()
    return f"{rights}, given to {who} {place}: nothing is nearer or stronger."
