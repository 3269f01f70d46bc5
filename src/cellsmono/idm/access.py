"""What a user may do: gathers roles and rows, finds out where their nodes are, and asks the rule."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from cellsmono.idm.acl import AclService, Note, RightsRow
from cellsmono.idm.notes import Placed, choose_notes, show_quotas
from cellsmono.idm.policy import PolicyService
from cellsmono.idm.role import RoleService
from cellsmono.idm.workspace import WorkspaceService
from cellsmono.interfaces.acls import POLICY, Explanation, ShownQuota, Step
from cellsmono.interfaces.permissions import Decision, Grant, Right, compile_marks, decide
from cellsmono.interfaces.roles import Role
from cellsmono.interfaces.router import NO_CIRCUMSTANCES
from cellsmono.interfaces.tokens import parse_scope
from cellsmono.interfaces.tree import NodeLocator, TreeNode
from cellsmono.interfaces.users import User
from cellsmono.interfaces.views import View, ViewRoot
from cellsmono.interfaces.workspaces import TEMPLATE_PREFIX, Workspace
from cellsmono.kernel.errors import NotFound

Judge = Callable[[str, str], Right]
"""``judge(policy, path)``: the rights that a policy leaves somebody on a node."""


class Gathered(msgspec.Struct, frozen=True):
    """A user's roles, the weakest first, and all that they say about nodes that are somewhere.

    ``quotas`` and ``bins`` hold for each folder what counts.
    """

    roles: list[Role]
    grants: list[Grant]
    quotas: list[Placed]
    bins: list[Placed]


class Access:
    """Compiles and explains."""

    def __init__(
        self,
        roles: RoleService,
        acls: AclService,
        workspaces: WorkspaceService,
        policies: PolicyService,
        locator: NodeLocator,
    ) -> None:
        self._roles = roles
        self._acls = acls
        self._workspaces = workspaces
        self._policies = policies
        self._locator = locator
        self.nodes: set[str] = set()
        """UUIDs of all nodes that were asked for: what happens to them changes what was compiled."""
        self.places: set[str] = set()
        """Tree paths where they were found."""

    async def gather(self, user: User, workspace: str = "", judge: Judge | None = None) -> Gathered:
        """Everything that is said to a user about nodes, in a workspace (its UUID) or outside of any.

        Without a ``judge`` policies are judged for now and with nothing known about a request.
        """
        roles = self._roles.order_roles(user)
        order = {role.uuid: place for place, role in enumerate(roles)}
        rows = await self._acls.read_rights(list(order), workspace)
        notes = await self._acls.read_notes(list(order), workspace)
        paths = await self._locate(list({*(row.node for row in rows), *(note.node for note in notes)}), user)
        return Gathered(
            roles,
            _grant_all(
                rows, [note for note in notes if note.action == POLICY], paths, order, judge or self._judge(user)
            ),
            choose_notes(notes, paths, order, "quota"),
            choose_notes(notes, paths, order, "recycle_root"),
        )

    def _judge(self, user: User) -> Judge:
        return lambda policy, path: self._policies.judge_node(user, policy, path, NO_CIRCUMSTANCES)

    async def view(
        self, user: User, workspace: Workspace, scopes: Sequence[str] = (), judge: Judge | None = None
    ) -> View | None:
        """A workspace as a user sees it, perhaps through a token with scopes; None when it is none of the user's.

        It is the user's when a right was given in it, on one of its roots, to a role of the user, and the user may read
        or write that root: what is given outside of workspaces opens none.
        """
        gathered = await self.gather(user, workspace.uuid, judge)
        paths = await self._locate([root.node for root in workspace.roots], user)
        marks = compile_marks(gathered.grants)
        opened = {grant.path for grant in gathered.grants if grant.in_workspace and not grant.rights & Right.DENY}
        if not any(path in opened and decide(marks, path).rights for path in paths.values()):
            return None
        roots = [ViewRoot(root.name, paths[root.node]) for root in workspace.roots if root.node in paths]
        reach = await self._find_scopes(scopes) if scopes else None
        view = View(
            slug=workspace.slug,
            created=workspace.created,
            roots=tuple(sorted(roots, key=lambda root: root.name.encode())),
            has_levels=len(workspace.roots) > 1,
            marks=marks,
            scopes=reach,
            turns=tuple(sorted({*marks, *(reach or ())})),
            quotas={each.path: int(each.note.value) for each in gathered.quotas},
            recycle_roots=frozenset(each.path for each in gathered.bins if each.note.value == "1"),
        )
        return view if any(view.allows_below(root.path) for root in roots) else None

    async def _find_scopes(self, scopes: Sequence[str]) -> dict[str, Right]:
        parsed = [parse_scope(scope) for scope in scopes]
        paths = await self.find_nodes([scope.uuid for scope in parsed])
        found: dict[str, Right] = {}
        for scope in parsed:
            if (path := paths.get(scope.uuid)) is not None:
                found[path] = found.get(path, Right.NONE) | scope.rights
        return found

    async def quotas(self, user: User, workspace: Workspace) -> tuple[ShownQuota, ...]:
        """The quotas of a user in a workspace: those of its roots, and of folders above and below them."""
        gathered = await self.gather(user, workspace.uuid)
        roots = (await self._locate([root.node for root in workspace.roots], user)).values()
        near = [
            each
            for each in gathered.quotas
            if any(each.path.startswith(root) or root.startswith(each.path) for root in roots)
        ]
        return await show_quotas(near, gathered.roles, self._locator, workspace.slug)

    async def explain(self, user: User, path: str) -> Explanation:
        """Why a user may do something with the node at a tree path, or not."""
        try:
            node = await self._locator.identify(path)
        except NotFound:
            node = TreeNode("", path.removeprefix("/"))  # what would be made there is judged by what is above
        return await self._explain(user, node, await self.gather(user))

    async def explain_inside(self, user: User, workspace: Workspace, path: str) -> Explanation:
        """The same for a path in a workspace. Raises NotFound for one that leads to none of its roots."""
        paths = await self._locate([root.node for root in workspace.roots], user)
        place = place_of(workspace, paths, path.removeprefix("/"))
        if place is None:
            names = ", ".join(root.name for root in workspace.roots)
            raise NotFound(f"{path!r} is nowhere in {workspace.slug!r}: its roots are {names}", path=path)
        try:
            node = await self._locator.identify(place)
        except NotFound:
            node = TreeNode("", place)
        told = await self._explain(user, node, await self.gather(user, workspace.uuid), workspace.slug)
        if await self.view(user, workspace) is None:
            why = f"The workspace {workspace.slug} is not open to the user: no right was given in it on a root."
            return msgspec.structs.replace(told, rights=(), why=why)
        return told

    async def _explain(self, user: User, node: TreeNode, gathered: Gathered, workspace: str = "") -> Explanation:
        above = [each for each in gathered.quotas if node.path.startswith(each.path)]
        quotas = await show_quotas(above, gathered.roles, self._locator, workspace)
        return msgspec.structs.replace(_explain(user, node, gathered, workspace), quotas=quotas)

    async def _locate(self, nodes: list[str], user: User) -> dict[str, str]:
        """Where nodes are, and what templates stand for with this user."""
        resolved = {node: self._workspaces.resolve(node, user) for node in nodes if node.startswith(TEMPLATE_PREFIX)}
        found = await self.find_nodes([node for node in nodes if node not in resolved])
        return {**found, **{node: path for node, path in resolved.items() if path is not None}}

    async def find_nodes(self, nodes: Sequence[str]) -> Mapping[str, str]:
        """Where nodes are now, by UUID; what becomes of them is watched from now on."""
        self.nodes.update(nodes)
        found = await self._locator.locate(nodes)
        self.places.update(found.values())
        return found


def place_of(workspace: Workspace, paths: Mapping[str, str], path: str) -> str | None:
    """The tree path of a path in a workspace, None when it leads to none of its roots.

    Where there are several roots, the first step of the path is the name of one.
    """
    if len(workspace.roots) == 1:
        top = paths.get(workspace.roots[0].node)
        return None if top is None else top + path
    name, slash, inner = path.partition("/")
    for root in workspace.roots:
        if root.name == name and (slash or not inner) and root.node in paths:
            return paths[root.node] + inner
    return None


def name_rights(rights: Right) -> tuple[str, ...]:
    """The names of rights, as actions are called."""
    return tuple(right.name.lower() for right in (Right.READ, Right.WRITE, Right.DENY) if rights & right and right.name)


def _explain(user: User, node: TreeNode, gathered: Gathered, workspace: str = "") -> Explanation:
    marks = compile_marks(gathered.grants)
    decision = decide(marks, node.path)
    on_trail = [grant for grant in gathered.grants if _is_on_trail(grant.path, node.path)]
    on_trail.sort(key=lambda grant: (len(grant.path), *grant.strength), reverse=True)
    roles = gathered.roles
    return Explanation(
        login=user.login,
        path=node.path,
        uuid=node.uuid,
        rights=name_rights(decision.rights),
        why=_say_why(decision, roles),
        roles=tuple(f"{role.kind}:{role.label}" for role in roles),
        steps=tuple(
            Step(
                path=grant.path,
                role=roles[grant.role].label,
                kind=roles[grant.role].kind,
                rights=name_rights(grant.rights),
                workspace=workspace if grant.in_workspace else "",
                effect=_effect_of(grant, marks[grant.path], decision),
                policy=grant.policy,
            )
            for grant in on_trail
        ),
        is_locked_out=user.is_locked_out,
    )


def _is_on_trail(path: str, node: str) -> bool:
    return path == node or (node.startswith(path) and (not path or path.endswith("/")))


def _grant_all(
    rows: Sequence[RightsRow],
    notes: Sequence[Note],
    paths: Mapping[str, str],
    order: Mapping[str, int],
    judge: Judge,
) -> list[Grant]:
    """Grants of nodes that are somewhere. Where a role names a policy, that alone says what the role gives there, but
    for a denial, which stays."""
    policies = {(note.node, note.role, note.workspace): note.value for note in notes if note.node in paths}
    grants = []
    for row in rows:
        if row.node not in paths:
            continue
        if row.rights & Right.DENY:
            policies.pop((row.node, row.role, row.workspace), None)
        elif (row.node, row.role, row.workspace) in policies:
            continue
        grants.append(Grant(paths[row.node], order[row.role], row.rights, bool(row.workspace)))
    for (node, role, workspace), policy in policies.items():
        path = paths[node]
        grants.append(Grant(path, order[role], judge(policy, path), bool(workspace), policy))
    return grants


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
    if grant.policy:
        left = rights or "Nothing"
        return (
            f"{left}, by the policy {grant.policy} of {who} {place}, now and as far as nothing of a request is known."
        )
    return f"{rights}, given to {who} {place}: nothing is nearer or stronger."
