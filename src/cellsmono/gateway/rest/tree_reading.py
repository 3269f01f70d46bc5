"""Tree: one node, and many."""

from typing import Final

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.errors import RestError, bad_request
from cellsmono.gateway.rest.finding import find_node, list_pages
from cellsmono.gateway.rest.paging import MOST_UNPAGED, Page, paginate
from cellsmono.gateway.rest.paths import NodePath, parse_path, split_children
from cellsmono.gateway.rest.recycled import with_origins
from cellsmono.gateway.rest.seen import list_seen
from cellsmono.gateway.rest.showing import show_node, show_version, show_workspace
from cellsmono.gateway.rest.tree_structs import BulkAnswer, BulkRequest, NodeAnswer, TreeNode
from cellsmono.interfaces.workspaces import ShownWorkspace
from cellsmono.kernel.errors import Forbidden, NotFound, Unavailable

MOST_PATHS: Final = 1_000
MOST_FOLDERS: Final = 50
"""Folders whose children, or files whose versions, can be asked for at once."""
MOST_LIMIT: Final = 10_000
_VERSIONS_PAGE: Final = 1_000


async def read_stat(rest: RestContext, call: Call, body: None) -> NodeAnswer:
    """GET /tree/stat/{Node}."""
    path = parse_path(call.parameters["Node"])
    return NodeAnswer(await read_one(rest, call, path, with_all=True))


async def read_one(rest: RestContext, call: Call, path: NodePath, *, with_all: bool) -> TreeNode:
    """A node, or a workspace. Raises NotFound, Forbidden."""
    if not path.leaf:
        return await _read_workspace(rest, call, path.root)
    node = show_node(path.root, await find_node(rest.router, call.actor, path), with_all=with_all)
    return (await with_origins(rest, call, [node]))[0]


async def _read_workspace(rest: RestContext, call: Call, slug: str) -> TreeNode:
    for shown in await list_seen(rest, call):
        if shown.workspace.slug == slug:
            return await _show_workspace(rest, call, shown)
    raise NotFound(f"There is no workspace {slug!r}", path=slug)


async def _show_workspace(rest: RestContext, call: Call, shown: ShownWorkspace) -> TreeNode:
    """A workspace with what is known of its folder.

    Nothing is where it has several, before the first file, and while its datasource is away.
    """
    slug = shown.workspace.slug
    try:
        node = show_node(slug, await find_node(rest.router, call.actor, NodePath(slug)))
    except (NotFound, Forbidden, Unavailable):
        return show_workspace(shown)
    return show_workspace(shown, node)


async def read_bulk(rest: RestContext, call: Call, body: BulkRequest) -> BulkAnswer:
    """POST /tree/stats and /meta/bulk/get. What is not there, or may not be seen, is left out."""
    if len(body.node_paths) > MOST_PATHS:
        raise bad_request(f"At most {MOST_PATHS} paths can be asked for at once", "node_paths")
    if body.offset < 0 or not 0 <= body.limit <= MOST_LIMIT:
        raise bad_request(f"Offset is at least 0, and Limit from 0 to {MOST_LIMIT}", "limit")
    folders = [split_children(text) for text in body.node_paths]
    if sum(folder is not None or body.versions for folder in folders) > MOST_FOLDERS:
        raise bad_request(f"At most {MOST_FOLDERS} folders can be listed at once", "node_paths")
    nodes: list[TreeNode] = []
    pagination = None
    for text, folder in zip(body.node_paths, folders, strict=True):
        try:
            if folder is not None:
                page = await _list_children(rest, call, folder, body)
                nodes += await with_origins(rest, call, page.nodes)
            elif body.versions:
                page = await _list_versions(rest, call, parse_path(text), body)
                nodes += page.nodes
            else:
                nodes.append(await read_one(rest, call, parse_path(text), with_all=body.all_meta_providers))
                continue
        except (NotFound, Forbidden):
            continue
        if len(nodes) > MOST_UNPAGED:
            raise RestError(413, "too_many", f"There are more than {MOST_UNPAGED} nodes: ask with Limit and Offset")
        pagination = paginate(page, body.offset, body.limit) or pagination
    return BulkAnswer(nodes, pagination)


async def _list_children(rest: RestContext, call: Call, folder: NodePath, body: BulkRequest) -> Page:
    if not folder.root:
        found = [await _show_workspace(rest, call, shown) for shown in await list_seen(rest, call)]
        return _cut(found, body)
    actor = call.acting(prefix=folder.folder, delimiter="/")
    key = (actor.user, *actor.scopes, folder.root, folder.folder)

    return await rest.cursors.read(
        key,
        lambda after: list_pages(rest.router, actor, folder, after, with_all=body.all_meta_providers),
        body.offset,
        body.limit,
    )


async def _list_versions(rest: RestContext, call: Call, path: NodePath, body: BulkRequest) -> Page:
    """The versions of one file that have content. Raises NotFound, Forbidden."""
    actor = call.acting(prefix=path.leaf)
    found: list[TreeNode] = []
    after, after_version = "", None
    while True:
        page = await rest.router.list_versions(actor, path.root, path.leaf, "", after, after_version, _VERSIONS_PAGE)
        mine = [each for each in page.entries if not isinstance(each, str) and each.key == path.leaf]
        shown = [show_version(path.root, each, with_all=body.all_meta_providers) for each in mine]
        found += [each for each in shown if each is not None]
        if not page.next_key or len(mine) < len(page.entries):
            return _cut(found, body)
        after, after_version = page.next_key, page.next_version or None


def _cut(found: list[TreeNode], body: BulkRequest) -> Page:
    end = body.offset + body.limit if body.limit else None
    return Page(found[body.offset : end], len(found))
