"""Workspaces and rights on the wire."""

import msgspec

from cellsmono.gateway.rest.proto_json import ProtoEnum
from cellsmono.gateway.rest.queries import Search
from cellsmono.gateway.rest.tree_structs import NodeType, TreeNode
from cellsmono.interfaces.acls import ShownAcl
from cellsmono.interfaces.workspaces import ShownWorkspace


class WorkspaceScope(ProtoEnum):
    """Who made it: an administrator, a user to share something, or a public link."""

    ANY = "ANY"
    ADMIN = "ADMIN"
    ROOM = "ROOM"
    LINK = "LINK"


class IdmWorkspace(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A workspace. ``root_nodes`` are its roots by UUID; administrators see where they are in the tree."""

    uuid: str = msgspec.field(name="UUID", default="")
    label: str = ""
    description: str = ""
    slug: str = ""
    scope: WorkspaceScope = WorkspaceScope.ANY
    last_updated: int = 0
    root_uuids: list[str] = msgspec.field(name="RootUUIDs", default_factory=list)
    root_nodes: dict[str, TreeNode] = {}


class WorkspaceQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """Workspaces that have all of this. ``*`` in ``label``, ``description`` and ``slug`` is any text."""

    uuid: str = ""
    label: str = ""
    description: str = ""
    slug: str = ""
    scope: WorkspaceScope = WorkspaceScope.ANY
    is_not: bool = msgspec.field(name="not", default=False)


class WorkspaceSearch(Search, frozen=True, omit_defaults=True, rename="pascal"):
    """Which workspaces are wanted; without queries, all."""

    queries: list[WorkspaceQuery] = msgspec.field(default_factory=list)


class WorkspaceCollection(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Workspaces; ``total`` counts those of other pages, too."""

    workspaces: list[IdmWorkspace] = []
    total: int = 0


class UserState(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The workspaces of a user, and by UUID what may be done in each: ``read``, ``write`` or both."""

    workspaces: list[IdmWorkspace] = []
    workspaces_accesses: dict[str, str] = {}


class AclAction(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """An action and its value, ``1`` for rights."""

    name: str = ""
    value: str = ""


class IdmAcl(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """An action on a node for a role, in one workspace or (empty) in all."""

    id: str = msgspec.field(name="ID", default="")
    action: AclAction = AclAction()
    role_id: str = msgspec.field(name="RoleID", default="")
    workspace_id: str = msgspec.field(name="WorkspaceID", default="")
    node_id: str = msgspec.field(name="NodeID", default="")


class AclQuery(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Rows that have one of each of these that is not empty. ``*`` in the name of an action is any text."""

    actions: list[AclAction] = []
    role_ids: list[str] = msgspec.field(name="RoleIDs", default_factory=list)
    workspace_ids: list[str] = msgspec.field(name="WorkspaceIDs", default_factory=list)
    node_ids: list[str] = msgspec.field(name="NodeIDs", default_factory=list)
    is_not: bool = msgspec.field(name="not", default=False)


class AclSearch(Search, frozen=True, omit_defaults=True, rename="pascal"):
    """Which rows are wanted; without queries, all."""

    queries: list[AclQuery] = msgspec.field(default_factory=list)


class AclCollection(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Rows; ``total`` counts those of other pages, too."""

    acls: list[IdmAcl] = msgspec.field(name="ACLs", default_factory=list)
    total: int = 0


def show_workspace(shown: ShownWorkspace, *, with_places: bool) -> IdmWorkspace:
    """A workspace as clients know it; ``with_places``: with where its roots are in the tree."""
    workspace = shown.workspace
    roots = {root.node: TreeNode(root.node, (root.path or "").rstrip("/"), NodeType.COLLECTION) for root in shown.roots}
    return IdmWorkspace(
        uuid=workspace.uuid,
        label=workspace.label,
        description=workspace.description,
        slug=workspace.slug,
        scope=WorkspaceScope(workspace.scope.value.upper()),
        last_updated=int(workspace.created),
        root_uuids=[root.node for root in workspace.roots],
        root_nodes=roots if with_places else {},
    )


def show_acl(shown: ShownAcl) -> IdmAcl:
    """A row as clients know it."""
    row = shown.acl
    return IdmAcl(str(row.id), AclAction(row.action, row.value), row.role, row.workspace, row.node)
