"""Bringing nodes back from recycle bins."""

from cellsmono.data.jobs.ground import Ground, Spot
from cellsmono.data.jobs.names import find_free
from cellsmono.data.jobs.origins import Origin
from cellsmono.data.jobs.store import Item
from cellsmono.data.jobs.work import Work
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.paths import is_folder, parent_of
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import CellsError, Conflict


async def find_origin(ground: Ground, actor: Actor, spot: Spot, node: Node) -> tuple[Origin, Spot]:
    """What is known of a node in a bin, or of the folder in it that it was deleted with, and where the node was.

    Raises Conflict (reason ``origin``) for what nobody deleted, or what came from another workspace.
    """
    top = f"{spot.place.root}/{spot.place.above}"
    at, uuid = spot.tree, node.uuid
    while at != top:
        origin = (await ground.origins.find([uuid])).get(uuid)
        if origin is not None and at.startswith(origin.bin):
            was = origin.origin + spot.tree[len(at) :]
            return origin, ground.show(spot, was)
        at = parent_of(at)
        if at != top:
            uuid = (await ground.read(actor, spot.at(spot.place.show(at.partition("/")[2])))).uuid
    kind = "folder" if is_folder(spot.path) else "file"
    raise Conflict(f"Nobody deleted this {kind}: where it was is not known. Move it instead", reason="origin")


async def restore_item(work: Work, item: Item) -> None:
    """The step of a job that restores."""
    ground = work.ground
    if item.target:
        try:
            _, there = await ground.find(work.actor, item.target)
        except CellsError:
            pass
        else:
            if there.uuid == item.uuid:
                await ground.origins.forget([item.uuid])
                return
    spot, node = await ground.find(work.actor, item.source)
    _, home = await find_origin(ground, work.actor, spot, node)
    async with ground.names.choosing(parent_of(home.tree)):
        path = await find_free(home.path, lambda path: ground.is_taken(work.actor, home.at(path)))
        item.target, item.uuid = home.at(path).full, node.uuid
        await work.save(item)
        await work.router.move_across(work.actor, spot.slug, spot.path, home.slug, path)
    await ground.origins.forget([node.uuid])
    work.tally.done += 1
