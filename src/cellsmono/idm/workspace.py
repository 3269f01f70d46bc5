"""``idm.workspace``: workspaces and templates. All are in memory, so that a request finds its workspace at once."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec

from cellsmono.idm.names import check_group_name, check_label
from cellsmono.idm.templates import check_pattern, fill_pattern
from cellsmono.interfaces.node import new_uuid
from cellsmono.interfaces.users import User
from cellsmono.interfaces.workspaces import TEMPLATE_PREFIX, Scope, Template, Workspace, WorkspaceRoot
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import AlreadyExists, Conflict, Corrupt, Invalid, NotFound
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.service import ServiceStatus
from cellsmono.store.database import Database, Reader
from cellsmono.store.units import Tx

log = get_logger("idm.workspace")

LONGEST_DESCRIPTION = 1_000
MOST_ROOTS = 100

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_TEMPLATE = re.compile(r"[a-z0-9][a-z0-9-]{0,61}")
_RESERVED = frozenset({"io", "data"})
"""Buckets that have a meaning of their own in Cells."""


class WorkspaceService:
    """Changes are asked for one at a time; look-ups may come at any moment."""

    name = "idm.workspace"
    tag = "idm"

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._workspaces: dict[str, Workspace] = {}
        self._templates: dict[str, Template] = {}

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> Self:
        """Read all workspaces and templates. Raises Corrupt."""
        service = cls(database, clock)
        workspaces, templates = await database.read(_read_rows)
        for uuid, slug, label, description, scope, roots, created in workspaces:
            try:
                decoded = msgspec.json.decode(roots, type=tuple[WorkspaceRoot, ...])
                service._workspaces[slug] = Workspace(uuid, slug, label, decoded, description, Scope(scope), created)
            except ValueError as error:
                raise Corrupt(f"the stored workspace {slug!r} can not be read: {error}") from None
        await service._note_creation()
        service._templates = {name: Template(name, pattern) for name, pattern in templates}
        return service

    async def _note_creation(self) -> None:
        """Those that the schema brought along were made now."""
        for workspace in self.list_workspaces():
            if not workspace.created:
                await self._store(msgspec.structs.replace(workspace, created=self._clock.time()))

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Nothing runs: it answers when it is asked."""
        yield

    def status(self) -> ServiceStatus:
        """How many there are."""
        return ServiceStatus(detail=f"{len(self._workspaces)} workspaces, {len(self._templates)} templates")

    # looking up

    def list_workspaces(self) -> list[Workspace]:
        """All workspaces, by slug."""
        return [self._workspaces[slug] for slug in sorted(self._workspaces)]

    def find(self, slug: str) -> Workspace | None:
        """A workspace, None when there is none."""
        return self._workspaces.get(slug)

    def read(self, slug: str) -> Workspace:
        """A workspace. Raises NotFound."""
        workspace = self._workspaces.get(slug)
        if workspace is None:
            raise NotFound(f"There is no workspace {slug!r}; `cellsmono workspace list` shows all", reason="workspace")
        return workspace

    def list_templates(self) -> list[Template]:
        """All templates, by name."""
        return [self._templates[name] for name in sorted(self._templates)]

    def read_template(self, name: str) -> Template:
        """A template. Raises NotFound."""
        template = self._templates.get(name)
        if template is None:
            raise NotFound(
                f"There is no template {name!r}; `cellsmono workspace template list` shows all", reason="template"
            )
        return template

    def resolve(self, node: str, user: User) -> str | None:
        """The tree path that ``TEMPLATE:NAME`` stands for with a user; None when there is no such template."""
        template = self._templates.get(node.removeprefix(TEMPLATE_PREFIX))
        return None if template is None else fill_pattern(template.pattern, user)

    # changing

    async def create(self, slug: str, label: str, description: str, roots: Sequence[WorkspaceRoot]) -> Workspace:
        """Make a workspace. Raises AlreadyExists, Invalid."""
        if not _SLUG.fullmatch(slug) or slug in _RESERVED:
            raise Invalid(
                f"{slug!r} can not be a slug: 3 to 63 letters (a to z), digits and hyphens, none of them at an end",
                reason="slug",
            )
        if slug in self._workspaces:
            raise AlreadyExists(f"There is a workspace {slug!r} already; choose another slug", reason="workspace")
        _check_roots(roots)
        workspace = Workspace(
            uuid=new_uuid(),
            slug=slug,
            label=check_label(label or slug),
            roots=tuple(roots),
            description=_check_description(description),
            created=self._clock.time(),
        )
        await self._store(workspace)
        log.info("workspace created", workspace=slug)
        return workspace

    async def change(self, workspace: Workspace, label: str | None, description: str | None) -> Workspace:
        """Change what is given. Raises Invalid."""
        new = msgspec.structs.replace(
            workspace,
            label=workspace.label if label is None else check_label(label),
            description=workspace.description if description is None else _check_description(description),
        )
        await self._store(new)
        return new

    async def _store(self, workspace: Workspace) -> None:
        row = (
            workspace.uuid,
            workspace.slug,
            workspace.label,
            workspace.description,
            workspace.scope.value,
            msgspec.json.encode(workspace.roots).decode(),
            workspace.created,
        )

        def upsert(tx: Tx) -> None:
            tx.execute("INSERT OR REPLACE INTO workspace_workspace VALUES (?, ?, ?, ?, ?, ?, ?)", row)

        await self._database.write(upsert)
        self._workspaces[workspace.slug] = workspace

    def delete_row(self, tx: Tx, uuid: str) -> None:
        """The part of a workspace's removal that belongs to this service."""
        tx.execute("DELETE FROM workspace_workspace WHERE uuid = ?", (uuid,))

    def drop(self, workspace: Workspace) -> None:
        """Forget a workspace whose row was deleted."""
        self._workspaces.pop(workspace.slug, None)
        log.info("workspace deleted", workspace=workspace.slug)

    async def set_template(self, name: str, pattern: str) -> Template:
        """Make a template, or change one. Raises Invalid."""
        if not _TEMPLATE.fullmatch(name):
            raise Invalid(f"{name!r} can not be the name of a template: up to 62 letters (a to z), digits and hyphens")
        template = Template(name, check_pattern(pattern))

        def upsert(tx: Tx) -> None:
            tx.execute("INSERT OR REPLACE INTO workspace_template VALUES (?, ?)", (name, pattern))

        await self._database.write(upsert)
        self._templates[name] = template
        return template

    async def delete_template(self, name: str) -> None:
        """Remove a template. Raises NotFound; Conflict while a workspace uses it."""
        self.read_template(name)
        node = TEMPLATE_PREFIX + name
        users = [each.slug for each in self.list_workspaces() if any(root.node == node for root in each.roots)]
        if users:
            raise Conflict(f"The template {name!r} is used by {', '.join(users)}", reason="used")

        def delete(tx: Tx) -> None:
            tx.execute("DELETE FROM workspace_template WHERE name = ?", (name,))

        await self._database.write(delete)
        self._templates.pop(name, None)


def _check_roots(roots: Sequence[WorkspaceRoot]) -> None:
    if not roots:
        raise Invalid("a workspace shows something: name at least one root")
    if len(roots) > MOST_ROOTS:
        raise Invalid(f"a workspace has at most {MOST_ROOTS} roots")
    names = [check_group_name(root.name) for root in roots]
    nodes = [root.node for root in roots]
    if len(set(names)) != len(names) or len(set(nodes)) != len(nodes):
        raise Invalid("the roots of a workspace have different names and places; give one of them a name: NAME=PATH")


def _check_description(description: str) -> str:
    if len(description) > LONGEST_DESCRIPTION:
        raise Invalid(f"the description has at most {LONGEST_DESCRIPTION} characters")
    return description


def _read_rows(reader: Reader) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    workspaces = reader.execute(
        "SELECT uuid, slug, label, description, scope, roots, created FROM workspace_workspace"
    ).fetchall()
    return workspaces, reader.execute("SELECT name, pattern FROM workspace_template").fetchall()
