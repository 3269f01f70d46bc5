"""Keys whose way leads through another folder than the index has there: their rows are those of somewhere else.

A look at ``a/x`` tells of the folder that stands at ``a/`` now. If that one was moved there and nobody said so yet,
what was seen must not be carried into the rows of the folder that stood there before. First the folder gets its place.
"""

from collections.abc import Iterable, Mapping, Sequence

from cellsmono.datasource.sync.context import SyncContext, is_folder_entry
from cellsmono.datasource.sync.round import Round, Visit
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.objects import Entry
from cellsmono.interfaces.paths import ancestors_of, parent_of

Displaced = Mapping[str, str]
"""Keys, and for each the outermost folder above it that is another one by its inode."""


async def find_displaced(context: SyncContext, keys: Iterable[str]) -> Displaced:
    """Which of these keys lead through another folder than the index has there.

    To be asked after the keys were looked at: what is moved later does not touch what was seen. The innermost folder
    above a key tells of all: if that one is where it was, what was seen belongs to it, whatever happened further up.
    """
    nearest = await _find_nearest(context, list(keys))
    others = await _find_others(context, {row.path: row for row in nearest.values()})
    displaced = {key: row.path for key, row in nearest.items() if row.path in others}
    if not displaced:
        return {}
    above = sorted({folder for path in others for folder in ancestors_of(path)})
    known = {row.path: row for row in await context.read_rows(above) if row is not None and row.facts.ino}
    others |= await _find_others(context, known)
    outermost = {path: next((each for each in ancestors_of(path) if each in others), path) for path in others}
    return {key: outermost[path] for key, path in displaced.items()}


async def _find_nearest(context: SyncContext, keys: Sequence[str]) -> dict[str, Node]:
    """The innermost folder above each key of which the index knows the inode; the root can not be another one."""
    found: dict[str, Node] = {}
    (root,) = await context.read_rows([""])
    if root is None or not root.facts.ino:
        return found  # a storage without inodes, or an index without anything
    waiting = {key: parent_of(key) for key in keys}
    while waiting := {key: folder for key, folder in waiting.items() if folder}:
        folders = sorted(set(waiting.values()))
        rows = {row.path: row for row in await context.read_rows(folders) if row is not None and row.facts.ino}
        found |= {key: rows[folder] for key, folder in waiting.items() if folder in rows}
        waiting = {key: parent_of(folder) for key, folder in waiting.items() if folder not in rows}
    return found


async def _find_others(context: SyncContext, known: Mapping[str, Node]) -> set[str]:
    """Those of these folders at whose path another one stands."""
    if not known:
        return set()
    entries = await context.look(list(known))
    return {
        path
        for (path, row), entry in zip(known.items(), entries, strict=True)
        if isinstance(entry, Entry) and is_folder_entry(entry) and entry.facts.ino not in (0, row.facts.ino)
    }


def put_off(round_: Round, displaced: Displaced) -> set[str]:
    """Note that these folders are visited first, and the keys looked at again then; returns the keys.

    Each key is put off once: a folder may have to stay where it is, because its move was refused.
    """
    waiting = {key for key in displaced if key not in round_.put_off}
    round_.put_off |= waiting
    round_.displaced.update(dict.fromkeys(sorted(waiting)))
    round_.visits += [Visit(folder) for folder in sorted({displaced[key] for key in waiting})]
    return waiting
