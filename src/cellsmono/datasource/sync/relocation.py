"""Moves of whole folders: one move in the index, whatever is below.

All folders that turned up in one round at another place than the index has them are settled together, because they
may have changed places with each other: a folder whose new place is taken waits until the one there has moved on, and
a ring of them is opened by setting one aside.
"""

from cellsmono.datasource.sync.context import SyncContext, is_folder_entry
from cellsmono.datasource.sync.differ import folder_facts
from cellsmono.datasource.sync.guard import explain_refusal
from cellsmono.datasource.sync.identity import still_stands
from cellsmono.datasource.sync.removal import count_nodes, remember
from cellsmono.datasource.sync.round import Round, Step, Visit
from cellsmono.interfaces.node import Facts, Node
from cellsmono.interfaces.objects import Entry
from cellsmono.interfaces.patch import DeleteNode, FolderScanned, MoveNode, PutFolder
from cellsmono.interfaces.paths import ancestors_of, is_below, parent_of

ASIDE = ".cellsmono~"
"""Begins the name under which a folder is kept in the index for the instant in which its place is needed."""


async def relocate_folders(context: SyncContext, round_: Round) -> None:
    """Carry the round's relocations into the index; every folder that was moved is noted to be walked."""
    pending = dict(round_.relocations)
    round_.relocations.clear()
    while pending:
        progress = False
        for target in sorted(pending):
            if await _relocate(context, round_, target, pending, force=False):
                del pending[target]
                progress = True
        if progress:
            continue
        # Every one waits for another: open the ring at the outermost.
        target = min(pending)
        await _relocate(context, round_, target, pending, force=True)
        del pending[target]


async def _relocate(context: SyncContext, round_: Round, target: str, pending: dict[str, str], *, force: bool) -> bool:
    """Move one folder to ``target``; False when it has to wait for the folder that stands there in the index."""
    node = await context.index.find_node(pending[target])
    if node is None or node.path == target or not node.is_folder or not node.path:
        round_.visits.append(Visit(target))
        return True
    if round_.dry_run:
        round_.tally.moved += 1
        round_.moved_from.add(node.path)
        round_.tally.line(">", f"{node.path} {target}")
        return True
    async with context.claims.claim(node.path, target):
        await context.settle_index()
        facts = await _confirm(context, node, target)
        if facts is None:
            round_.visits.append(Visit(target))
            return True
        (occupant,) = await context.read_rows([target])
        if occupant is not None and await _is_swapped(context, occupant, node, pending):
            pending[node.path] = occupant.uuid
        is_waiting = occupant is not None and occupant.uuid in pending.values() and not is_below(target, node.path)
        if not force and (is_waiting or any(folder in pending for folder in ancestors_of(target))):
            return False
        if occupant is not None and not is_waiting and not await _may_go(context, round_, occupant, node):
            return True
        above = ancestors_of(target)
        known = await context.read_rows(above)
        missing = [folder for folder, row in zip(above, known, strict=True) if row is None]
        steps = [Step(folder, PutFolder(folder), "created") for folder in missing]
        steps += _plan_move(node, target, facts, occupant, is_waiting=is_waiting)
        patch = round_.patch(steps)
        done = None if patch is None else context.index.submit(patch)
    if done is not None:
        await done
    round_.walks[target] = None
    return True


async def _confirm(context: SyncContext, node: Node, target: str) -> Facts | None:
    """The facts of the folder at ``target`` if it is this node and nothing has changed that."""
    (row,) = await context.read_rows([node.path])
    (entry,) = await context.look([target])
    if row is None or row.uuid != node.uuid or not isinstance(entry, Entry) or not is_folder_entry(entry):
        return None
    if await still_stands(context, node):
        return None
    if context.uses_markers:
        marker = await context.objects.read_marker(context.bucket, target)
        if marker:
            return entry.facts if marker == node.uuid else None
    return entry.facts if entry.facts.ino == node.facts.ino != 0 else None


async def _is_swapped(context: SyncContext, occupant: Node, node: Node, pending: dict[str, str]) -> bool:
    """Whether the two folders changed places, and only one of them was told."""
    return occupant.uuid not in pending.values() and await _confirm(context, occupant, node.path) is not None


async def _may_go(context: SyncContext, round_: Round, occupant: Node, node: Node) -> bool:
    """Whether the folder whose place is taken, and that turned up nowhere, may be deleted from the index."""
    stays = node.path if is_below(node.path, occupant.path) else ""
    nodes = await count_nodes(context, occupant, stays=stays)
    total = await context.count_nodes()
    now = context.clock.monotonic()
    if not round_.accept and not context.guard.would_pass(nodes, total, now):
        round_.tally.held = explain_refusal(context.config.name, nodes, total)
        return False
    await remember(context, occupant, stays=stays)
    context.guard.note(nodes, now)
    round_.tally.deleted += nodes
    return True


def _plan_move(node: Node, target: str, facts: Facts, occupant: Node | None, *, is_waiting: bool) -> list[Step]:
    """The steps of one move, with a detour where source and target lie within each other or the place is taken."""
    source = node.path
    steps: list[Step] = []
    if is_below(target, source) or (occupant is not None and is_below(source, target)):
        aside = f"{ASIDE}{node.uuid}/"
        steps.append(Step(target, MoveNode(source, aside)))
        steps += [Step(folder, PutFolder(folder)) for folder in ancestors_of(target) if is_below(folder, source)]
    else:
        aside = source
    if occupant is not None and not is_below(target, source):
        if is_waiting:
            steps.append(Step(target, MoveNode(target, f"{ASIDE}{occupant.uuid}/")))
        else:
            steps.append(Step(target, DeleteNode(target)))
    # A copy that carries its marker may have been taken for it: what stands where it came from is listed once more.
    steps.insert(0, Step(source, FolderScanned(parent_of(source), 0, 0)))
    steps.append(Step(target, MoveNode(aside, target, None if facts.is_void else folder_facts(facts)), "moved"))
    return steps
