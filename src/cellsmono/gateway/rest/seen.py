"""The workspaces that a caller sees."""

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.interfaces.people import ListWorkspaces
from cellsmono.interfaces.workspaces import TEMPLATE_PREFIX, Scope, ShownWorkspace, Workspace


async def list_seen(rest: RestContext, call: Call) -> list[ShownWorkspace]:
    """The caller's workspaces by slug: those of the user that the token reaches."""
    shown = await rest.people.perform(ListWorkspaces(call.user.login))
    if not call.caller.is_bound:
        return shown
    reached = {root.name for root in await rest.router.list_roots(call.actor)}
    return [each for each in shown if each.workspace.slug in reached]


def rights_of(shown: ShownWorkspace) -> tuple[str, ...]:
    """What the user may do on any root of a workspace."""
    given = {right for root in shown.roots for right in root.rights}
    return tuple(right for right in ("read", "write") if right in given)


def kind_of(workspace: Workspace) -> str:
    """What clients call the kind of a workspace."""
    if workspace.scope is not Scope.ADMIN:
        return "cell"
    is_personal = any(root.node.startswith(TEMPLATE_PREFIX) for root in workspace.roots)
    return "workspace-personal" if is_personal else "workspace"
