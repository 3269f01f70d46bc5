"""Copying and moving, within a datasource and across."""

from contextlib import suppress
from functools import partial

from cellsmono.data.jobs.ground import Ground, Spot
from cellsmono.data.jobs.names import find_free
from cellsmono.data.jobs.removing import remove_folder
from cellsmono.data.jobs.store import Item, JobPlan
from cellsmono.data.jobs.walking import walk
from cellsmono.data.jobs.work import Work
from cellsmono.interfaces.datasource import Conditions, CopyOptions
from cellsmono.interfaces.node import FolderKind, Node, NodeMeta
from cellsmono.interfaces.paths import is_folder, name_of, parent_of
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import AlreadyExists, CellsError, Conflict, Forbidden, Locked, NotFound, PreconditionFailed

ONLY_NEW = Conditions(if_none_match="*")


async def find_target(ground: Ground, actor: Actor, plan: JobPlan, spot: Spot) -> Spot:
    """Where a node is to come, before it is known whether the name is free. Raises NotFound, Conflict, Forbidden."""
    if plan.into:
        folder = await find_folder(ground, actor, plan.target)
        target = folder.at(folder.path + name_of(spot.path))
    else:
        target = await ground.spot(actor, plan.target)
        wanted = target.path.removesuffix("/") + ("/" if is_folder(spot.path) else "")
        target = target.at(wanted)
    if is_folder(spot.path) and target.tree.startswith(spot.tree) and target.tree != spot.tree:
        raise Conflict(f"{spot.full!r} can not come into itself", reason="into_itself", path=spot.full)
    ground.require_write(target)
    return target


async def find_folder(ground: Ground, actor: Actor, full: str) -> Spot:
    """The folder into which nodes are to come; the root of a workspace is one, also when nothing is in it yet."""
    spot = await ground.spot(actor, full.rstrip("/") + "/")
    if not spot.place.is_top:
        await ground.read(actor, spot)
    return spot


async def copy_item(work: Work, item: Item) -> None:
    """The step of a job that copies."""
    spot, node = await work.ground.find(work.actor, item.source)
    target = await _choose(work, item, spot, node, is_move=False)
    await work.expect(spot, node)
    await _transfer(work, item, spot, node, target, is_move=False)


async def move_item(work: Work, item: Item) -> None:
    """The step of a job that moves."""
    ground = work.ground
    try:
        spot, node = await ground.find(work.actor, item.source)
    except NotFound:
        if item.target and await _is_there(ground, work.actor, item.target):
            return  # it was done before a kill
        raise
    ground.require_write(spot)
    if not item.target and (await find_target(ground, work.actor, work.plan, spot)).tree == spot.tree:
        return  # it is there
    target = await _choose(work, item, spot, node, is_move=True)
    if target.place.root == spot.place.root:
        await work.router.move_across(work.actor, spot.slug, spot.path, target.slug, target.path)
        work.tally.done += 1
        return
    await ground.require_movable(work.actor, spot)
    await work.expect(spot, node)
    await _transfer(work, item, spot, node, target, is_move=True)


async def _is_there(ground: Ground, actor: Actor, full: str) -> bool:
    try:
        await ground.find(actor, full)
    except CellsError:
        return False
    return True


async def _choose(work: Work, item: Item, spot: Spot, node: Node, *, is_move: bool) -> Spot:
    """The path of a node at its target, noted before anything is there, and kept from then on.

    A folder is made at once, so that the name is taken; a file takes it when it comes.
    """
    ground = work.ground
    if item.target:
        target = await ground.spot(work.actor, item.target)
        if target.place.root != spot.place.root or not is_move:
            return target
        # It is moved in one step, which a kill prevented: whatever is there now is something else.
    target = await find_target(ground, work.actor, work.plan, spot)
    async with ground.names.choosing(parent_of(target.tree)):
        if work.plan.into:
            path = await find_free(target.path, lambda path: ground.is_taken(work.actor, target.at(path)))
        elif await ground.is_taken(work.actor, target):
            raise AlreadyExists(f"There is {target.full!r} already", reason="exists", path=target.full)
        else:
            path = target.path
        target = target.at(path)
        item.target, item.uuid = target.full, node.uuid
        work.reserve(target.tree)
        await work.save(item)
        crosses = target.place.root != spot.place.root
        if is_folder(path) and (crosses or not is_move):
            await work.router.create_folder(work.actor, target.slug, path, _kind_of(node), _meta_of(node))
    return target


async def _transfer(work: Work, item: Item, spot: Spot, node: Node, target: Spot, *, is_move: bool) -> None:
    """Copy a node and all below it, one file after the other; of a move each original goes when its copy is there."""
    if not node.is_folder:
        await _transfer_file(work, spot, node, target, is_move=is_move)
        await work.advance(item, spot.path, node.size)
        return
    folders = [spot.path]
    cursor = "" if is_move else item.cursor  # of a move what is done is gone, and what was just begun is not
    async for each in walk(partial(work.children, spot.slug), spot.path, cursor):
        while is_move and not each.path.startswith(folders[-1]):
            await remove_folder(work, item, spot.slug, folders.pop())
        there = target.at(target.path + each.path[len(spot.path) :])
        try:
            if each.is_folder:
                if is_move:
                    folders.append(each.path)
                if each.kind is not FolderKind.IMPLICIT:
                    await work.router.create_folder(work.actor, there.slug, there.path, each.kind, _meta_of(each))
            else:
                await _transfer_file(work, spot.at(each.path), each, there, is_move=is_move)
        except NotFound as error:
            if error.reason == "root":
                raise  # the workspace is not the user's any more
            continue  # it went meanwhile
        except CellsError as error:
            work.complain(f"{spot.slug}/{each.path}", error)
            continue
        if not (is_move and each.is_folder):
            await work.advance(item, each.path, each.size)
    while is_move and folders:
        await remove_folder(work, item, spot.slug, folders.pop())
    if not is_move:
        work.tally.done += 1


async def _transfer_file(work: Work, spot: Spot, node: Node, target: Spot, *, is_move: bool) -> None:
    if not is_move:
        await _copy(work, spot, node, target, "")
        return
    # Looked at before the copy is made: one whose original can not go would be there twice.
    await work.ground.require_movable(work.actor, await work.ground.spot(work.actor, spot.full))
    node = await work.router.read_node(work.actor, spot.slug, spot.path)
    copy = await _copy(work, spot, node, target, node.effective_etag)
    same = Conditions(if_match=node.effective_etag)
    try:
        await work.router.delete_node(work.actor, spot.slug, spot.path, same)
    except (Forbidden, Locked, PreconditionFailed):
        # Locked, or changed, since it was copied: it stays, so the copy goes.
        with suppress(CellsError):
            mine = Conditions(if_match=copy.effective_etag)
            await work.router.delete_node(work.actor, target.slug, target.path, mine)
        raise


async def _copy(work: Work, spot: Spot, node: Node, target: Spot, pinned: str) -> Node:
    """Copy a file to where nothing is, of the content with the ETag ``pinned`` alone. A copy that is there will do."""
    options = CopyOptions(conditions=ONLY_NEW, source_etag=pinned)
    try:
        return await work.router.copy_node(work.actor, spot.slug, spot.path, target.slug, target.path, options)
    except PreconditionFailed as error:
        if error.reason != "if_none_match":
            raise
    there = await work.router.read_node(work.actor, target.slug, target.path)
    if not is_copy_of(there, node):
        raise AlreadyExists(f"Something else came to {target.full!r} meanwhile", reason="exists", path=target.full)
    return there


def is_copy_of(copy: Node, node: Node) -> bool:
    """Whether a file is the copy that was made of another one before a kill: it has its size, time, and content."""
    if (copy.size, copy.mtime_ns) != (node.size, node.mtime_ns):
        return False
    hashes = {each.content_hash for each in (copy, node) if each.content_hash}
    return len(hashes) < 2  # noqa: PLR2004 - one is not known, or both are the same


def _kind_of(node: Node) -> FolderKind:
    return FolderKind.FOUND if node.kind is FolderKind.IMPLICIT else node.kind


def _meta_of(node: Node) -> NodeMeta | None:
    return node.meta if node.kind is FolderKind.MARKER else None
