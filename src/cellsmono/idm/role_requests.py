"""Answers to requests about roles and rights."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cellsmono.idm.access import Access
from cellsmono.idm.acl import AclService
from cellsmono.idm.role import RoleService
from cellsmono.idm.turn import Turn
from cellsmono.idm.user import UserService
from cellsmono.idm.workspace import WorkspaceService
from cellsmono.interfaces import people as asked
from cellsmono.interfaces.acls import LOCKS, NOTES, RIGHTS, Acl, Explanation, ShownAcl
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.roles import Role, RoleKind
from cellsmono.interfaces.tree import NodeLocator
from cellsmono.interfaces.workspaces import TEMPLATE_PREFIX
from cellsmono.kernel.errors import Invalid, NotFound
from cellsmono.store.database import Database
from cellsmono.store.units import Tx


class RoleRequests:
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
        self._locator = locator
        self._workspaces = workspaces
        self._access = access
        self._turn = turn

    def handlers(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Which method answers which request."""
        return {
            asked.CreateRole: self._create_role,
            asked.ListRoles: self._list_roles,
            asked.ChangeRole: self._change_role,
            asked.DeleteRole: self._delete_role,
            asked.GiveRole: self._give_role,
            asked.TakeRole: self._take_role,
            asked.SetRoles: self._set_roles,
            asked.SetAcl: self._set_acl,
            asked.PutAcl: self._put_acl,
            asked.ListAcls: self._list_acls,
            asked.DeleteAcl: self._delete_acl,
            asked.ExplainAccess: self._explain,
        }

    # roles

    async def _create_role(self, request: asked.CreateRole) -> Role:
        kind = RoleKind.TEAM if request.is_team else RoleKind.ROLE
        async with self._turn:
            return await self._roles.create(request.label, kind, request.auto_applies, request.uuid)

    async def _list_roles(self, request: asked.ListRoles) -> list[Role]:
        if request.login:
            return self._roles.order_roles(self._users.read(request.login))
        return self._roles.list_roles()

    async def _change_role(self, request: asked.ChangeRole) -> Role:
        async with self._turn:
            return await self._roles.change(self._roles.read(request.role), request.label, request.auto_applies)

    async def _delete_role(self, request: asked.DeleteRole) -> None:
        async with self._turn:
            role = self._roles.read(request.role)
            self._roles.check_removable(role)

            def delete(tx: Tx) -> None:
                self._acls.delete_rows(tx, role.uuid)
                self._roles.delete_rows(tx, role.uuid)

            await self._database.write(delete)
            self._roles.drop(role.uuid)

    async def _give_role(self, request: asked.GiveRole) -> None:
        async with self._turn:
            await self._roles.give(self._roles.read(request.role), self._users.read(request.login))

    async def _take_role(self, request: asked.TakeRole) -> None:
        async with self._turn:
            await self._roles.take(self._roles.read(request.role), self._users.read(request.login))

    async def _set_roles(self, request: asked.SetRoles) -> None:
        async with self._turn:
            user = self._users.read(request.login)
            await self._roles.set_given([self._roles.read(role) for role in request.roles], user)

    # rights

    async def _set_acl(self, request: asked.SetAcl) -> list[ShownAcl]:
        if not request.actions:
            raise Invalid("nothing to set: give read, write, deny or another action")
        if "deny" in request.actions and len(RIGHTS.keys() & request.actions.keys()) > 1:
            raise Invalid("deny takes everything: it can not go together with read or write")
        async with self._turn:
            role = self._roles.read_subject(request.subject)
            if role.kind is not RoleKind.USER and {*LOCKS} & request.actions.keys():
                raise Invalid("a lock is held by a user: `cellsmono lock set` sets it")
            node = await self._identify(request.path, folder_for=sorted({*NOTES} & request.actions.keys()))
            workspace = self._workspaces.read(request.workspace).uuid if request.workspace else ""
            return await self._show(await self._acls.put(node, role.uuid, workspace, request.actions))

    async def _put_acl(self, request: asked.PutAcl) -> ShownAcl:
        async with self._turn:
            if self._roles.find_uuid(request.role) is None:
                raise NotFound(f"There is no role {request.role!r}", reason="role")
            workspaces = {each.uuid for each in self._workspaces.list_workspaces()}
            if request.workspace and request.workspace not in workspaces:
                raise NotFound(f"There is no workspace {request.workspace!r}", reason="workspace")
            if request.node.startswith(TEMPLATE_PREFIX):
                self._workspaces.read_template(request.node.removeprefix(TEMPLATE_PREFIX))
            elif not await self._locator.locate([request.node]):
                raise NotFound(f"There is no node {request.node!r}", reason="node")
            row = await self._acls.put_row(request.node, request.role, request.workspace, request.action, request.value)
            return (await self._show([row]))[0]

    async def _list_acls(self, request: asked.ListAcls) -> list[ShownAcl]:
        role = self._roles.read_subject(request.subject).uuid if request.subject else ""
        node = await self._identify(request.path) if request.path else ""
        return await self._show(await self._acls.list_rows(node, role))

    async def _delete_acl(self, request: asked.DeleteAcl) -> None:
        async with self._turn:
            if request.id:
                await self._acls.delete_id(request.id)
                return
            role = self._roles.read_subject(request.subject)
            node = await self._identify(request.path)
            workspace = self._workspaces.read(request.workspace).uuid if request.workspace else ""
            if not await self._acls.delete(node, role.uuid, workspace, request.actions):
                raise NotFound(
                    f"nothing is set for {request.subject} on {request.path}; `cellsmono acl list` shows all",
                    reason="acl",
                )

    async def _explain(self, request: asked.ExplainAccess) -> Explanation:
        user = self._users.read(request.login)
        if request.workspace:
            return await self._access.explain_inside(user, self._workspaces.read(request.workspace), request.path)
        return await self._access.explain(user, request.path)

    async def _identify(self, path: str, folder_for: Sequence[str] = ()) -> str:
        """The UUID of a node at a tree path, or of a template; one in a datasource that is no file, for some actions.

        Raises NotFound, Invalid.
        """
        if path.startswith(TEMPLATE_PREFIX):
            return TEMPLATE_PREFIX + self._workspaces.read_template(path.removeprefix(TEMPLATE_PREFIX)).name
        node = await self._locator.identify(path)
        if folder_for and not (node.path and is_folder(node.path)):
            raise Invalid(f"{' and '.join(folder_for)} can be set on a datasource or a folder in one, not on {path!r}")
        return node.uuid

    async def _show(self, rows: list[Acl]) -> list[ShownAcl]:
        templates = {TEMPLATE_PREFIX + each.name: each.pattern for each in self._workspaces.list_templates()}
        paths = {**templates, **await self._locator.locate(list({row.node for row in rows}))}
        slugs = {each.uuid: each.slug for each in self._workspaces.list_workspaces()}
        roles = {uuid: self._roles.find_uuid(uuid) for uuid in {row.role for row in rows}}
        return [
            ShownAcl(row, paths.get(row.node), role.label, role.kind, slugs.get(row.workspace, ""))
            for row in rows
            if (role := roles[row.role]) is not None
        ]
