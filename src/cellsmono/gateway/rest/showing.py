"""From nodes of the tree to nodes on the wire."""

import stat
from typing import Final

import msgspec

from cellsmono.gateway.rest.seen import kind_of, rights_of
from cellsmono.gateway.rest.tree_structs import NodeType, TreeNode
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.version import Version
from cellsmono.interfaces.workspaces import ShownWorkspace

_NS: Final = 1_000_000_000
NULL_VERSION: Final = "null"
"""What clients call the version that was written while no versions were kept."""


def as_json(value: object) -> str:
    """A value of a ``MetaStore``."""
    return msgspec.json.encode(value).decode()


def show_node(root: str, node: Node, *, with_all: bool = False) -> TreeNode:
    """A node below ``root``, a workspace or a datasource. ``with_all`` adds what S3 stored with it."""
    path = node.path[:-1] if node.is_folder else node.path
    shown = f"{root}/{path}" if path else root
    meta = {"name": as_json(path.rpartition("/")[2] or root)}
    seconds = str(node.mtime_ns // _NS)
    mode = stat.S_IMODE(node.facts.mode)
    if with_all:
        _add_stored(meta, node)
    if node.is_folder:
        return TreeNode(node.uuid, shown, NodeType.COLLECTION, m_time=seconds, mode=mode, meta_store=meta)
    if node.meta.content_type:
        meta["mime"] = as_json(node.meta.content_type)
    if digest := node.cells_hash:
        meta["x-cells-hash"] = as_json(digest)
    return TreeNode(node.uuid, shown, NodeType.LEAF, str(node.size), seconds, mode, node.effective_etag, meta)


def _add_stored(meta: dict[str, str], node: Node) -> None:
    for name, value in node.meta.user.items():
        meta[f"x-amz-meta-{name}"] = as_json(value)
    if node.meta.tags:
        meta["x-amz-tagging"] = as_json(node.meta.tags)


def show_bare_folder(root: str, path: str) -> TreeNode:
    """A folder of which nothing may be told but that it leads somewhere; ``path`` ends in ``/``."""
    name = path[:-1].rpartition("/")[2]
    return TreeNode(path=f"{root}/{path[:-1]}", type=NodeType.COLLECTION, meta_store={"name": as_json(name)})


def show_workspace(shown: ShownWorkspace, node: TreeNode | None = None) -> TreeNode:
    """A workspace as a node; ``node`` is what is known of the folder that it shows."""
    workspace = shown.workspace
    meta = {
        "name": as_json(workspace.slug),
        "ws_uuid": as_json(workspace.uuid),
        "ws_slug": as_json(workspace.slug),
        "ws_label": as_json(workspace.label),
        "ws_description": as_json(workspace.description),
        "ws_scope": as_json(workspace.scope.value.upper()),
        "ws_type": as_json(kind_of(workspace)),
        "ws_permissions": as_json(",".join(rights_of(shown))),
    }
    known = node or TreeNode(workspace.uuid)
    return msgspec.structs.replace(known, path=workspace.slug, type=NodeType.COLLECTION, meta_store=meta)


def show_version(root: str, version: Version, *, with_all: bool) -> TreeNode | None:
    """A version as a node that says which one it is; None for a delete marker, which has no content."""
    if version.node is None:
        return None
    node = show_node(root, version.node, with_all=with_all)
    meta = {**node.meta_store, "versionId": as_json(version.id or NULL_VERSION)}
    if version.is_latest:
        meta["versionIsLatest"] = as_json(True)
    return msgspec.structs.replace(node, m_time=str(version.mtime_ns // _NS), meta_store=meta)
