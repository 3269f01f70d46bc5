"""Workspaces: administrators see and change all, everybody else sees the own ones."""

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.errors import bad_request
from cellsmono.gateway.rest.people_structs import Deleted
from cellsmono.gateway.rest.queries import choose, cut, is_like
from cellsmono.gateway.rest.seen import list_seen, rights_of
from cellsmono.gateway.rest.workspace_structs import (
    IdmWorkspace,
    UserState,
    WorkspaceCollection,
    WorkspaceQuery,
    WorkspaceScope,
    WorkspaceSearch,
    show_workspace,
)
from cellsmono.interfaces.people import ChangeWorkspace, CreateWorkspace, DeleteWorkspace, ListWorkspaces
from cellsmono.interfaces.users import Profile
from cellsmono.interfaces.workspaces import TEMPLATE_PREFIX, ShownWorkspace
from cellsmono.kernel.errors import Conflict, NotFound


async def search(rest: RestContext, call: Call, body: WorkspaceSearch) -> WorkspaceCollection:
    """POST /workspace."""
    is_admin = call.caller.profile is Profile.ADMIN
    every = await rest.people.perform(ListWorkspaces()) if is_admin else await list_seen(rest, call)
    found = choose(every, body.queries, body.operation, _matches)
    return WorkspaceCollection([show_workspace(each, with_places=is_admin) for each in cut(found, body)], len(found))


def _matches(query: WorkspaceQuery, shown: ShownWorkspace) -> bool:
    workspace = shown.workspace
    if query.uuid and query.uuid != workspace.uuid:
        return False
    if query.scope is not WorkspaceScope.ANY and query.scope.value != workspace.scope.value.upper():
        return False
    pairs = ((query.label, workspace.label), (query.description, workspace.description), (query.slug, workspace.slug))
    return all(is_like(pattern, text) for pattern, text in pairs)


async def put(rest: RestContext, call: Call, body: IdmWorkspace) -> IdmWorkspace:
    """PUT /workspace/{Slug}: make one, or change label and description."""
    slug = call.parameters["Slug"]
    if body.slug not in {"", slug}:
        raise bad_request("Slug in the body is another one than in the path: a slug can not be changed", "slug")
    if body.scope not in {WorkspaceScope.ANY, WorkspaceScope.ADMIN}:
        raise bad_request("Workspaces that are made here have the scope ADMIN", "scope")
    known = await _find(rest, slug)
    if known is None:
        roots = _read_roots(body)
        made = await rest.people.perform(CreateWorkspace(slug, roots, body.label, body.description))
        return show_workspace(made, with_places=True)
    present = {root.node for root in known.workspace.roots}
    if not present.issuperset(body.root_uuids) or not present.issuperset(body.root_nodes):
        raise Conflict("The roots of a workspace can not be changed: make another one", path=slug)
    changed = ChangeWorkspace(slug, body.label or None, body.description)
    return show_workspace(await rest.people.perform(changed), with_places=True)


async def _find(rest: RestContext, slug: str) -> ShownWorkspace | None:
    shown = await rest.people.perform(ListWorkspaces())
    return next((each for each in shown if each.workspace.slug == slug), None)


def _read_roots(body: IdmWorkspace) -> tuple[tuple[str, str], ...]:
    """Names and places of roots, as ``CreateWorkspace`` takes them: by UUID, and by path where there is no UUID."""
    uuids = [*body.root_uuids, *(node.uuid for node in body.root_nodes.values() if node.uuid)]
    paths = [node.path.strip("/") for node in body.root_nodes.values() if not node.uuid]
    if not uuids and not paths:
        raise bad_request("Say what the workspace shows: RootUUIDs, or RootNodes with a Path or Uuid", "roots")
    named = [uuid if uuid.startswith(TEMPLATE_PREFIX) else f"node:{uuid}" for uuid in dict.fromkeys(uuids)]
    return tuple(("", place) for place in (*named, *paths))


async def delete(rest: RestContext, call: Call, body: None) -> Deleted:
    """DELETE /workspace/{Slug}. Files stay where they are."""
    slug = call.parameters["Slug"]
    if await _find(rest, slug) is None:
        raise NotFound(f"There is no workspace {slug!r}", path=slug)
    await rest.people.perform(DeleteWorkspace(slug))
    return Deleted(success=True, num_rows="1")


async def read_graph_state(rest: RestContext, call: Call, body: None) -> UserState:
    """GET /graph/state/{Segment}: the caller's workspaces, whatever the segment is called."""
    seen = await list_seen(rest, call)
    return UserState(
        [show_workspace(each, with_places=False) for each in seen],
        {each.workspace.uuid: ",".join(rights_of(each)) for each in seen},
    )
