"""Deleting: into the recycle bin, or for good."""

from collections.abc import Sequence
from functools import partial

from cellsmono.data.jobs.ground import Spot
from cellsmono.data.jobs.names import find_free
from cellsmono.data.jobs.origins import Origin
from cellsmono.data.jobs.store import Item
from cellsmono.data.jobs.walking import walk
from cellsmono.data.jobs.work import Work
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.paths import is_folder, name_of
from cellsmono.kernel.errors import CellsError, Conflict, NotFound

_TOGETHER = 100


async def delete_item(work: Work, item: Item) -> None:
    """The step of a job that deletes."""
    ground = work.ground
    if item.target and await _has_arrived(work, item):
        return
    try:
        spot, node = await ground.find(work.actor, item.source)
    except NotFound as error:
        if error.reason == "root":
            raise
        return  # somebody else was quicker, or it was done before a kill
    ground.require_write(spot)
    place = None if work.plan.permanently else ground.find_bin(spot)
    if place is not None:
        await _recycle(work, item, spot, node, place)
    else:
        await work.expect(spot, node)
        await remove_all(work, item, spot.slug, spot.path)
        await ground.origins.forget([node.uuid])


async def _recycle(work: Work, item: Item, spot: Spot, node: Node, place: Spot) -> None:
    ground = work.ground
    async with ground.names.choosing(place.tree):
        path = await find_free(
            place.path + name_of(spot.path), lambda path: ground.is_taken(work.actor, place.at(path))
        )
        is_whole = is_folder(spot.path)
        size = (await ground.meter.measure(spot.tree)).bytes if is_whole else node.size
        item.target, item.uuid = place.at(path).full, node.uuid
        await ground.origins.add(Origin(node.uuid, spot.tree, place.tree, work.actor.name, size, ground.clock.time()))
        await work.save(item)
        await work.router.move_across(work.actor, spot.slug, spot.path, place.slug, path)
    work.tally.done += 1


async def _has_arrived(work: Work, item: Item) -> bool:
    """Whether a move that was begun before a kill was done."""
    try:
        _, node = await work.ground.find(work.actor, item.target)
    except CellsError:
        return False
    return node.uuid == item.uuid


async def remove_all(work: Work, item: Item, slug: str, path: str) -> None:
    """Delete a node for good, and all that is below it."""
    if not is_folder(path):
        await work.router.delete_node(work.actor, slug, path)
        await work.advance(item, path)
        return
    folders, files = [path], list[Node]()
    async for node in walk(partial(work.children, slug), path):
        while not node.path.startswith(folders[-1]):
            await _remove_files(work, item, slug, files)
            await remove_folder(work, item, slug, folders.pop())
        if node.is_folder:
            folders.append(node.path)
        else:
            files.append(node)
        if len(files) >= _TOGETHER:
            await _remove_files(work, item, slug, files)
    await _remove_files(work, item, slug, files)
    while folders:
        await remove_folder(work, item, slug, folders.pop())


async def _remove_files(work: Work, item: Item, slug: str, files: list[Node]) -> None:
    some, sizes = [node.path for node in files], [node.size for node in files]
    files.clear()
    if not some:
        return
    outcomes: Sequence[Exception | str | None] = await work.router.delete_nodes(work.actor, slug, some)
    for path, size, outcome in zip(some, sizes, outcomes, strict=True):
        if isinstance(outcome, CellsError):
            work.complain(f"{slug}/{path}", outcome)
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            await work.advance(item, path, size)


async def remove_folder(work: Work, item: Item, slug: str, path: str) -> None:
    """Delete a folder that ought to be empty by now; one that is not stays, for what stayed in it was told of."""
    try:
        await work.router.delete_node(work.actor, slug, path)
        await work.advance(item, path)
    except Conflict as error:
        if error.reason != "not_empty":
            work.complain(f"{slug}/{path}", error)
        elif not work.tally.failed:
            work.complain(f"{slug}/{path}", Conflict("Something in it can not be seen, or just came"))
    except CellsError as error:
        work.complain(f"{slug}/{path}", error)
