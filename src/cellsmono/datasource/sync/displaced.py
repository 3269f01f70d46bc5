"""Keys whose way leads through another folder than the index has there: their rows are those of somewhere else.

A look at ``a/x`` tells of the folder that stands at ``a/`` now. If that one was moved there and nobody said so yet,
what was seen must not be carried into the rows of the folder that stood there before. First the folder gets its place.
"""

from collections.abc import Iterable, Mapping

from cellsmono.datasource.sync.context import SyncContext, is_folder_entry
from cellsmono.datasource.sync.round import Round, Visit
from cellsmono.interfaces.objects import Entry
from cellsmono.interfaces.paths import ancestors_of

Displaced = Mapping[str, str]
"""Keys, and for each the outermost folder above it that is another one by its inode."""


async def find_displaced(context: SyncContext, keys: Iterable[str]) -> Displaced:
    """Which of these keys lead through another folder than the index has there.

    To be asked after the keys were looked at: what is moved later does not touch what was seen.
    """
    keys = list(keys)
    above = sorted({folder for key in keys for folder in ancestors_of(key)})
    rows = [row for row in await context.read_rows(above) if row is not None and row.facts.ino]
    entries = await context.look([row.path for row in rows])
    others = {
        row.path
        for row, entry in zip(rows, entries, strict=True)
        if isinstance(entry, Entry) and is_folder_entry(entry) and entry.facts.ino not in (0, row.facts.ino)
    }
    if not others:
        return {}
    outermost = {key: next((each for each in ancestors_of(key) if each in others), "") for key in keys}
    return {key: folder for key, folder in outermost.items() if folder}


def put_off(round_: Round, displaced: Displaced) -> set[str]:
    """Note that these folders are visited first, and the keys looked at again then; returns the keys.

    Each key is put off once: a folder may have to stay where it is, because its move was refused.
    """
    waiting = {key for key in displaced if key not in round_.put_off}
    round_.put_off |= waiting
    round_.displaced.update(dict.fromkeys(sorted(waiting)))
    round_.visits += [Visit(folder) for folder in sorted({displaced[key] for key in waiting})]
    return waiting
