"""Where nodes in recycle bins were, as clients show it beside them."""

from collections.abc import Sequence
from typing import Final

import msgspec

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.paths import NodePath
from cellsmono.gateway.rest.seen import list_seen
from cellsmono.gateway.rest.showing import as_json
from cellsmono.gateway.rest.tree_structs import TreeNode
from cellsmono.interfaces.jobs import BIN_NAME, FindOrigins
from cellsmono.interfaces.paths import parent_of
from cellsmono.interfaces.workspaces import ShownWorkspace
from cellsmono.kernel.errors import Forbidden, NotFound

RESTORE: Final = "pydio:recycle_restore"
"""In a ``MetaStore``: the path to which a node in a bin would be restored."""
_AT_ONCE: Final = 10_000


async def with_origins(rest: RestContext, call: Call, nodes: Sequence[TreeNode]) -> list[TreeNode]:
    """The same nodes of one workspace; those right in a recycle bin tell where they were.

    What came from another workspace says nothing, and neither does what was in a folder that is kept from the caller.
    """
    uuids = [node.uuid for node in nodes if node.uuid and _is_in_bin(node.path)]
    if not uuids:
        return list(nodes)
    origins: dict[str, str] = {}
    for at in range(0, len(uuids), _AT_ONCE):
        found = await rest.people.perform(FindOrigins(tuple(uuids[at : at + _AT_ONCE])))
        origins.update(found)
    slug = nodes[0].path.partition("/")[0]
    shown = next((each for each in await list_seen(rest, call) if each.workspace.slug == slug), None)
    if shown is None or not origins:
        return list(nodes)
    paths = {uuid: path for uuid, tree in origins.items() if (path := _show_path(shown, tree))}
    hidden = await _find_hidden(rest, call, slug, {parent_of(path) for path in paths.values()})
    known = {uuid: f"{slug}/{path.rstrip('/')}" for uuid, path in paths.items() if parent_of(path) not in hidden}
    return [_tell(node, known[node.uuid]) if node.uuid in known else node for node in nodes]


def _is_in_bin(path: str) -> bool:
    return path.split("/")[1:-1][-1:] == [BIN_NAME]


def _show_path(shown: ShownWorkspace, tree: str) -> str:
    """The path in a workspace that a tree path is, empty for one that is in another."""
    for root in shown.roots:
        above = f"{root.path.rstrip('/')}/" if root.path else ""
        if above and tree.startswith(above) and tree != above:
            level = f"{root.name}/" if len(shown.workspace.roots) > 1 else ""
            return level + tree[len(above) :]
    return ""


async def _find_hidden(rest: RestContext, call: Call, slug: str, folders: set[str]) -> set[str]:
    """Those of these folders that are there and may not be seen."""
    hidden = set()
    for folder in folders:
        try:
            await rest.router.read_node(call.actor, slug, NodePath(slug, folder).folder)
        except NotFound:
            continue
        except Forbidden:
            hidden.add(folder)
    return hidden


def _tell(node: TreeNode, path: str) -> TreeNode:
    return msgspec.structs.replace(node, meta_store={**node.meta_store, RESTORE: as_json(path)})
