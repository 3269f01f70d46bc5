"""Workspaces: what users see of the tree. Each is a folder of it, or several side by side, under a name of its own."""

import enum

import msgspec

TEMPLATE_PREFIX = "TEMPLATE:"
"""With the name of a template after it, in the place of a node's UUID: the folder that the template gives a user."""


class Scope(enum.StrEnum):
    """Who made it. ADMIN: an administrator. ROOM: a user, to share something. LINK: it is behind a public link."""

    ADMIN = "admin"
    ROOM = "room"
    LINK = "link"


class WorkspaceRoot(msgspec.Struct, frozen=True):
    """One folder that a workspace shows: its UUID (or that of a datasource's root, or a template).

    ``name`` is what it is called where a workspace has several.
    """

    node: str
    name: str


class Workspace(msgspec.Struct, frozen=True):
    """One workspace. ``slug`` is its name in paths, and that of its bucket.

    ``created`` is seconds since the epoch, UTC.
    """

    uuid: str
    slug: str
    label: str
    roots: tuple[WorkspaceRoot, ...]
    description: str = ""
    scope: Scope = Scope.ADMIN
    created: float = 0.0


class Template(msgspec.Struct, frozen=True):
    """How a folder is found for each user: a tree path with placeholders (see ``idm.templates``)."""

    name: str
    pattern: str


class ShownRoot(msgspec.Struct, frozen=True):
    """A root for people. ``path`` is where it is now (for the user that was asked about), None when it is nowhere."""

    name: str
    node: str
    path: str | None
    rights: tuple[str, ...] = ()


class ShownWorkspace(msgspec.Struct, frozen=True):
    """A workspace with where its roots are."""

    workspace: Workspace
    roots: tuple[ShownRoot, ...]
