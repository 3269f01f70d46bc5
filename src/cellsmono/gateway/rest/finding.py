"""Nodes by the paths that clients write, which do not tell files from folders."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from cellsmono.gateway.rest.paths import NodePath
from cellsmono.gateway.rest.showing import show_bare_folder, show_node
from cellsmono.gateway.rest.tree_structs import TreeNode
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.paths import name_of
from cellsmono.interfaces.router import Actor, NodeRouter
from cellsmono.kernel.errors import Forbidden, NotFound, Unavailable

PAGE: Final = 1_000
_MOST_LOOKED_AT: Final = 50
"""Folders of a path that may only be passed through which are looked at one by one."""


async def find_node(router: NodeRouter, actor: Actor, path: NodePath) -> Node:
    """The file or folder at a path; the file where both are there, unless the path ends in ``/``.

    Raises NotFound, and Forbidden where either might be and may not be seen.
    """
    refused: Forbidden | None = None
    if path.inner and not path.inner.endswith("/"):
        try:
            return await router.read_node(actor, path.root, path.leaf)
        except Forbidden as error:
            refused = error  # a folder of this name may be given to who sees nothing beside it
        except NotFound as error:
            if error.reason == "root":
                raise _no_root(path.root) from None
    try:
        return await router.read_node(actor, path.root, path.folder)
    except NotFound as error:
        if refused is not None:
            raise refused from None
        if error.reason == "root":
            raise _no_root(path.root) from None
        raise NotFound(f"There is no {path.shown!r}", path=path.shown) from None


def _no_root(name: str) -> NotFound:
    return NotFound(f"There is nothing called {name!r} here", reason="root", path=name)


def is_listed(path: str) -> bool:
    """Whether listings show a node: not with a dot in front, and not a folder without a name, as ``a//`` is."""
    return name_of(path)[0] not in "./"


async def list_pages(
    router: NodeRouter, actor: Actor, path: NodePath, after: str = "", *, with_all: bool = False
) -> AsyncIterator[Sequence[TreeNode]]:
    """The children of a folder in byte order, page by page, from the name ``after`` on, those that are listed.

    Each page is one question to the index, and costs a look at rights for its folder, not for its nodes. Raises
    NotFound for a workspace; a folder that is not there has no children.
    """
    while True:
        try:
            page = await router.list_children(actor, path.root, path.folder, after, PAGE)
        except (NotFound, Forbidden) as error:
            if error.reason == "root" or after:
                raise
            # Several roots side by side, or a folder that may only be passed through: what leads on is a listing's.
            yield await _list_ways(router, actor, path)
            return
        yield [show_node(path.root, node, with_all=with_all) for node in page if is_listed(node.path)]
        if len(page) < PAGE:
            return
        after = name_of(page[-1].path)


async def _list_ways(router: NodeRouter, actor: Actor, path: NodePath) -> list[TreeNode]:
    found: list[TreeNode] = []
    after = ""
    while True:
        page = await router.list_keys(actor, path.root, path.folder, "/", after, PAGE)
        for entry in page.entries:
            if isinstance(entry, Node):
                if entry.path != path.folder and is_listed(entry.path):
                    found.append(show_node(path.root, entry))
            elif is_listed(entry):
                is_looked_at = len(found) < _MOST_LOOKED_AT
                found.append(await _show_way(router, actor, path.root, entry, is_looked_at=is_looked_at))
        if not page.next_after:
            return found
        after = page.next_after


async def _show_way(router: NodeRouter, actor: Actor, root: str, folder: str, *, is_looked_at: bool) -> TreeNode:
    try:
        if is_looked_at:
            return show_node(root, await router.read_node(actor, root, folder))
    except (NotFound, Forbidden, Unavailable):
        pass
    return show_bare_folder(root, folder)
