"""AdminTree: all datasources as one tree, for administrators. It tells of nodes, and gives nobody their content."""

import msgspec

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.errors import bad_request
from cellsmono.gateway.rest.finding import find_node, list_pages
from cellsmono.gateway.rest.paths import NodePath, parse_path
from cellsmono.gateway.rest.showing import as_json, show_node
from cellsmono.gateway.rest.tree_reading import MOST_LIMIT
from cellsmono.gateway.rest.tree_structs import (
    AdminListRequest,
    AdminStatRequest,
    NodeAnswer,
    NodesCollection,
    NodeType,
    TreeNode,
)
from cellsmono.interfaces.tree import DATASOURCE_PREFIX, ROOT_UUID
from cellsmono.kernel.errors import Forbidden, NotFound, Unavailable

_ROOT = TreeNode(ROOT_UUID, "/", NodeType.COLLECTION, meta_store={"name": as_json("/")})


async def read_stat(rest: RestContext, call: Call, body: AdminStatRequest) -> NodeAnswer:
    """POST /tree/admin/stat."""
    return NodeAnswer(await _read(rest, call, parse_path(body.node.path)))


async def read_list(rest: RestContext, call: Call, body: AdminListRequest) -> NodesCollection:
    """POST /tree/admin/list."""
    if body.offset < 0 or not 0 <= body.limit <= MOST_LIMIT:
        raise bad_request(f"Offset is at least 0, and Limit from 0 to {MOST_LIMIT}", "limit")
    path = parse_path(body.node.path)
    parent = await _read(rest, call, path)
    if not path.root:
        roots = await rest.router.list_roots(call.administering())
        children = [await _read_source(rest, call, root.name) for root in roots]
        end = body.offset + body.limit if body.limit else None
        return NodesCollection(parent, children[body.offset : end])
    if parent.type is NodeType.LEAF:
        return NodesCollection(parent)
    actor = call.administering(prefix=path.folder, delimiter="/")
    key = ("", path.root, path.folder)
    page = await rest.cursors.read(
        key, lambda after: list_pages(rest.router, actor, path, after), body.offset, body.limit
    )
    return NodesCollection(parent, page.nodes)


async def _read_source(rest: RestContext, call: Call, name: str) -> TreeNode:
    """A datasource; one that can not be looked at now is listed all the same."""
    try:
        return await _read(rest, call, NodePath(name))
    except (NotFound, Forbidden, Unavailable):
        return TreeNode(DATASOURCE_PREFIX + name, name, NodeType.COLLECTION, meta_store={"name": as_json(name)})


async def _read(rest: RestContext, call: Call, path: NodePath) -> TreeNode:
    if not path.root:
        return _ROOT
    node = await find_node(rest.router, call.administering(), path)
    shown = show_node(path.root, node, with_all=True)
    if path.leaf:
        return shown
    # The root of a datasource has a UUID of its own in the tree, which stays when it is moved to another place.
    return msgspec.structs.replace(shown, uuid=DATASOURCE_PREFIX + path.root)
