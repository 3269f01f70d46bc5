"""A folder is deleted with everything in it."""

from typing import Final

from cellsmono.gateway.rest.paths import NodePath
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.router import Actor, NodeRouter
from cellsmono.kernel.errors import Conflict

_BATCH: Final = 1_000


async def remove_folder(router: NodeRouter, actor: Actor, path: NodePath) -> None:
    """Delete a folder that can be seen as a whole, files first, for good.

    Raises Forbidden for one that holds what is kept from the actor; then nothing was deleted. What may be seen and not
    deleted stays, and so do the folders around it: its error is raised once everything else is gone.
    """
    await router.usage(actor, path.root, path.folder)
    refused: dict[str, Exception] = {}
    while True:
        # Folders turn up in the listing when they have become empty, so the next round finds them.
        batch = await _list_next(router, actor, path, refused)
        if not batch:
            break
        outcomes = await router.delete_nodes(actor, path.root, batch)
        refused |= {key: each for key, each in zip(batch, outcomes, strict=True) if isinstance(each, Exception)}
    if refused:
        raise next(iter(refused.values()))
    if (await router.list_keys(actor, path.root, path.folder, limit=1)).entries:
        raise Conflict(f"{path.shown!r} is not empty: something was put into it meanwhile", path=path.shown)


async def _list_next(router: NodeRouter, actor: Actor, path: NodePath, refused: dict[str, Exception]) -> list[str]:
    found: list[str] = []
    after = ""
    while len(found) < _BATCH:
        page = await router.list_keys(actor, path.root, path.folder, "", after, _BATCH)
        found += [entry.path for entry in page.entries if isinstance(entry, Node) and entry.path not in refused]
        if not page.next_after:
            break
        after = page.next_after
    return found[:_BATCH]
