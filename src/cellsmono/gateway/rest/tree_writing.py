"""Tree: make nodes, delete them and bring them back."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.digests import Md5Digest
from cellsmono.gateway.rest.errors import bad_request
from cellsmono.gateway.rest.finding import find_node
from cellsmono.gateway.rest.job_structs import RestoreAnswer, RestoreRequest
from cellsmono.gateway.rest.jobs import find_all, recycle, restore
from cellsmono.gateway.rest.paths import NodePath, parse_path, require_inner
from cellsmono.gateway.rest.removing import remove_folder
from cellsmono.gateway.rest.showing import show_node
from cellsmono.gateway.rest.tree_structs import (
    BackgroundJob,
    CreateRequest,
    DeleteAnswer,
    DeleteRequest,
    NodesCollection,
    NodeType,
    TreeNode,
)
from cellsmono.interfaces.datasource import Conditions, WriteOptions
from cellsmono.interfaces.jobs import Job
from cellsmono.interfaces.node import FolderKind, Node
from cellsmono.interfaces.paths import parent_of
from cellsmono.kernel.errors import AlreadyExists, Forbidden, NotFound, PreconditionFailed

MOST_NODES: Final = 1_000
_CONTENTS: Final = "Contents"
_NO_CONTENT: Final = " "
"""What a file without contents gets: Cells does so, and its clients know."""


async def create_nodes(rest: RestContext, call: Call, body: CreateRequest) -> NodesCollection:
    """POST /tree/create: one after the other; what was made before one that can not be made stays."""
    wanted = [(node, require_inner(parse_path(node.path))) for node in _check_number(body.nodes)]
    for node, path in wanted:
        if node.type is NodeType.UNKNOWN:
            raise bad_request(f"Say whether {path.shown!r} is to be a LEAF or a COLLECTION", "type")
    made = []
    for node, path in wanted:
        known = await _find_known(rest, call, path)
        if known is not None:
            if body.recursive and known.is_folder and node.type is NodeType.COLLECTION:
                made.append(show_node(path.root, known))
                continue
            raise AlreadyExists(f"{path.shown!r} is there already", path=path.shown)
        if not body.recursive:
            await _require_parent(rest, call, path)
        create = _create_folder if node.type is NodeType.COLLECTION else _create_leaf
        made.append(show_node(path.root, await create(rest, call, path, node)))
    return NodesCollection(children=made)


async def _find_known(rest: RestContext, call: Call, path: NodePath) -> Node | None:
    """What is there already; None as well for who may not know."""
    try:
        return await find_node(rest.router, call.actor, NodePath(path.root, path.leaf))
    except (NotFound, Forbidden):
        return None


async def _require_parent(rest: RestContext, call: Call, path: NodePath) -> None:
    """Raise NotFound where the folder above is missing, and may be looked at."""
    parent = parent_of(path.leaf)
    if not parent:
        return
    try:
        await rest.router.read_node(call.actor, path.root, parent)
    except Forbidden:
        return
    except NotFound:
        shown = f"{path.root}/{parent.rstrip('/')}"
        raise NotFound(f"There is no folder {shown!r}; with Recursive it is made as well", path=shown) from None


async def _create_folder(rest: RestContext, call: Call, path: NodePath, node: TreeNode) -> Node:
    return await rest.router.create_folder(call.actor, path.root, path.folder, FolderKind.FOUND)


async def _create_leaf(rest: RestContext, call: Call, path: NodePath, node: TreeNode) -> Node:
    content = _read_contents(node).encode()
    options = WriteOptions(size=len(content), conditions=Conditions(if_none_match="*"))

    async def stream() -> AsyncIterator[bytes]:
        yield content

    try:
        return await rest.router.put_node(call.actor, path.root, path.leaf, stream(), Md5Digest(), options)
    except PreconditionFailed:
        raise AlreadyExists(f"{path.shown!r} is there already", path=path.shown) from None


def _read_contents(node: TreeNode) -> str:
    text = node.meta_store.get(_CONTENTS)
    if text is None:
        return _NO_CONTENT
    try:
        return msgspec.json.decode(text, type=str) or _NO_CONTENT
    except msgspec.DecodeError:
        raise bad_request("Contents in MetaStore must be a string as JSON text, in quotes", "contents") from None


async def delete_nodes(rest: RestContext, call: Call, body: DeleteRequest) -> DeleteAnswer:
    """POST /tree/delete: into the recycle bin as a job, or for good, which is done when it is answered."""
    paths = [require_inner(parse_path(node.path)) for node in _check_number(body.nodes)]
    if not body.remove_permanently:
        found = await find_all(rest, call, paths)
        return DeleteAnswer([_show_begun(await recycle(rest, call, [path for path, _ in found]), found)])
    for path in paths:
        node = await find_node(rest.router, call.actor, path)
        if node.is_folder:
            await remove_folder(rest.router, call.actor, path)
        else:
            await rest.router.delete_node(call.actor, path.root, node.path)
    return DeleteAnswer()


async def restore_nodes(rest: RestContext, call: Call, body: RestoreRequest) -> RestoreAnswer:
    """POST /tree/restore: back to where they were, as a job."""
    found = await find_all(rest, call, [parse_path(node.path) for node in _check_number(body.nodes)])
    return RestoreAnswer([_show_begun(await restore(rest, call, [path for path, _ in found]), found)])


def _show_begun(job: Job, found: Sequence[tuple[str, Node]]) -> BackgroundJob:
    return BackgroundJob(job.id, job.label, found[0][1].uuid if len(found) == 1 else "")


def _check_number(nodes: list[TreeNode]) -> list[TreeNode]:
    if not 1 <= len(nodes) <= MOST_NODES:
        raise bad_request(f"Nodes must hold 1 to {MOST_NODES} nodes", "nodes")
    return nodes
