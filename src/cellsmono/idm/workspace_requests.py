"""Answers to requests about workspaces and templates."""

from collections.abc import Awaitable, Callable
from typing import Any

from cellsmono.idm.access import Access, name_rights
from cellsmono.idm.acl import AclService
from cellsmono.idm.role import RoleService
from cellsmono.idm.turn import Turn
from cellsmono.idm.user import UserService
from cellsmono.idm.workspace import WorkspaceService
from cellsmono.interfaces import people as asked
from cellsmono.interfaces.acls import RIGHTS, ShownQuota
from cellsmono.interfaces.paths import is_folder, name_of
from cellsmono.interfaces.tree import NodeLocator
from cellsmono.interfaces.users import User
from cellsmono.interfaces.workspaces import (
    TEMPLATE_PREFIX,
    ShownRoot,
    ShownWorkspace,
    Template,
    Workspace,
    WorkspaceRoot,
)
from cellsmono.kernel.errors import Invalid, NotFound
from cellsmono.store.database import Database
from cellsmono.store.units import Tx

NODE_PREFIX = "node:"
"""With the UUID of a node after it, in the place of its tree path. No datasource can be called so."""


class WorkspaceRequests:
    """The handlers; whatever changes something holds ``turn``."""

    def __init__(
        self,
        database: Database,
        users: UserService,
        roles: RoleService,
        acls: AclService,
        workspaces: WorkspaceService,
        access: Access,
        locator: NodeLocator,
        turn: Turn,
    ) -> None:
        self._database = database
        self._users = users
        self._roles = roles
        self._acls = acls
        self._workspaces = workspaces
        self._access = access
        self._locator = locator
        self._turn = turn

    def handlers(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Which method answers which request."""
        return {
            asked.CreateWorkspace: self._create,
            asked.ListWorkspaces: self._list,
            asked.ChangeWorkspace: self._change,
            asked.DeleteWorkspace: self._delete,
            asked.GiveWorkspace: self._give,
            asked.TakeWorkspace: self._take,
            asked.SetQuota: self._set_quota,
            asked.ListQuotas: self._list_quotas,
            asked.SetTemplate: self._set_template,
            asked.ListTemplates: self._list_templates,
            asked.DeleteTemplate: self._delete_template,
        }

    async def _create(self, request: asked.CreateWorkspace) -> ShownWorkspace:
        async with self._turn:
            roots = [await self._find_root(name, path) for name, path in request.roots]
            made = await self._workspaces.create(request.slug, request.label, request.description, roots)
            return await self._show(made)

    async def _find_root(self, name: str, path: str) -> WorkspaceRoot:
        if path.startswith(TEMPLATE_PREFIX):
            template = self._workspaces.read_template(path.removeprefix(TEMPLATE_PREFIX))
            return WorkspaceRoot(path, name or template.name)
        if path.startswith(NODE_PREFIX):
            located = await self._locator.locate([path.removeprefix(NODE_PREFIX)])
            if not located:
                raise NotFound(f"There is no node {path.removeprefix(NODE_PREFIX)!r}", reason="node")
            path = next(iter(located.values()))
        node = await self._locator.identify(path)
        if not node.path or not is_folder(node.path):
            raise Invalid(f"{path!r} can not be the root of a workspace: it must be a datasource or a folder in one")
        return WorkspaceRoot(node.uuid, name or name_of(node.path).rstrip("/"))

    async def _list(self, request: asked.ListWorkspaces) -> list[ShownWorkspace]:
        if not request.login:
            return [await self._show(workspace) for workspace in self._workspaces.list_workspaces()]
        user = self._users.read(request.login)
        shown = [await self._show_to(workspace, user) for workspace in self._workspaces.list_workspaces()]
        return [each for each in shown if each is not None]

    async def _change(self, request: asked.ChangeWorkspace) -> ShownWorkspace:
        async with self._turn:
            workspace = self._workspaces.read(request.slug)
            return await self._show(await self._workspaces.change(workspace, request.label, request.description))

    async def _delete(self, request: asked.DeleteWorkspace) -> None:
        async with self._turn:
            workspace = self._workspaces.read(request.slug)

            def delete(tx: Tx) -> None:
                self._acls.delete_workspace_rows(tx, workspace.uuid)
                self._workspaces.delete_row(tx, workspace.uuid)

            await self._database.write(delete)
            self._workspaces.drop(workspace)

    async def _give(self, request: asked.GiveWorkspace) -> ShownWorkspace:
        if not request.rights or set(request.rights) - {"read", "write"}:
            raise Invalid("say what may be done: read, write or both")
        async with self._turn:
            workspace = self._workspaces.read(request.slug)
            role = self._roles.read_subject(request.subject)
            for root in workspace.roots:
                await self._acls.put(root.node, role.uuid, workspace.uuid, dict.fromkeys(request.rights, "1"))
            return await self._show(workspace)

    async def _take(self, request: asked.TakeWorkspace) -> None:
        async with self._turn:
            workspace = self._workspaces.read(request.slug)
            role = self._roles.read_subject(request.subject)
            gone = [
                await self._acls.delete(root.node, role.uuid, workspace.uuid, tuple(RIGHTS)) for root in workspace.roots
            ]
            if not any(gone):
                raise NotFound(f"{request.subject} was given nothing in {request.slug}", reason="acl")

    async def _set_quota(self, request: asked.SetQuota) -> list[ShownQuota]:
        async with self._turn:
            workspace = self._workspaces.read(request.slug)
            role = self._roles.read_subject(request.subject)
            if request.limit is None:
                gone = [
                    await self._acls.delete(root.node, role.uuid, workspace.uuid, ("quota",))
                    for root in workspace.roots
                ]
                if not any(gone):
                    raise NotFound(f"{request.subject} has no quota in {request.slug}", reason="acl")
            else:
                for root in workspace.roots:
                    await self._acls.put(root.node, role.uuid, workspace.uuid, {"quota": str(request.limit)})
            return await self._show_quotas(workspace)

    async def _list_quotas(self, request: asked.ListQuotas) -> list[ShownQuota]:
        workspace = self._workspaces.read(request.slug)
        if request.login:
            return list(await self._access.quotas(self._users.read(request.login), workspace))
        return await self._show_quotas(workspace)

    async def _show_quotas(self, workspace: Workspace) -> list[ShownQuota]:
        """What is set on the roots, for whomever."""
        shown = []
        for root in (await self._show(workspace)).roots:
            for row in await self._acls.list_rows(root.node):
                role = self._roles.find_uuid(row.role)
                if row.action != "quota" or row.workspace not in {"", workspace.uuid} or role is None:
                    continue
                path, used = root.path or "", None
                if path and not root.node.startswith(TEMPLATE_PREFIX):
                    used = (await self._locator.measure(path)).bytes
                where = workspace.slug if row.workspace else ""
                shown.append(ShownQuota(path, int(row.value), role.label, role.kind, used, where))
        return shown

    async def _set_template(self, request: asked.SetTemplate) -> Template:
        async with self._turn:
            return await self._workspaces.set_template(request.name, request.pattern)

    async def _list_templates(self, request: asked.ListTemplates) -> list[Template]:
        return self._workspaces.list_templates()

    async def _delete_template(self, request: asked.DeleteTemplate) -> None:
        async with self._turn:
            await self._workspaces.delete_template(request.name)

    async def _show(self, workspace: Workspace) -> ShownWorkspace:
        paths = await self._locator.locate([root.node for root in workspace.roots])
        templates = {TEMPLATE_PREFIX + each.name: each.pattern for each in self._workspaces.list_templates()}
        places = {**templates, **paths}
        return ShownWorkspace(
            workspace, tuple(ShownRoot(root.name, root.node, places.get(root.node)) for root in workspace.roots)
        )

    async def _show_to(self, workspace: Workspace, user: User) -> ShownWorkspace | None:
        """As the user sees it; None when it is none of the user's."""
        view = await self._access.view(user, workspace)
        if view is None:
            return None
        places = {root.name: root.path for root in view.roots}
        roots = tuple(
            ShownRoot(root.name, root.node, path, name_rights(view.rights(path)))
            for root in workspace.roots
            if (path := places.get(root.name)) is not None
        )
        return ShownWorkspace(workspace, roots)
