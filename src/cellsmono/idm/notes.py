"""Of what roles note on nodes beside rights (quotas, recycle bins): what counts for one user."""

from collections.abc import Mapping, Sequence

import msgspec

from cellsmono.idm.acl import Note
from cellsmono.interfaces.acls import ShownQuota
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.roles import Role
from cellsmono.interfaces.tree import Meter
from cellsmono.kernel.errors import Unavailable


class Placed(msgspec.Struct, frozen=True):
    """A note with where its node is: a tree path. ``role`` is the role's place in the user's order."""

    path: str
    role: int
    note: Note

    @property
    def strength(self) -> tuple[int, bool]:
        """As that of a grant."""
        return self.role, bool(self.note.workspace)


def choose_notes(
    notes: Sequence[Note], paths: Mapping[str, str], order: Mapping[str, int], action: str
) -> list[Placed]:
    """Of all that is noted on each folder for one action the strongest, by path. Files have no notes that count."""
    chosen: dict[str, Placed] = {}
    for note in notes:
        path = paths.get(note.node, "")
        if note.action != action or not path or not is_folder(path):
            continue
        placed = Placed(path, order[note.role], note)
        known = chosen.get(path)
        if known is None or placed.strength > known.strength:
            chosen[path] = placed
    return [chosen[path] for path in sorted(chosen)]


async def show_quotas(
    placed: Sequence[Placed], roles: Sequence[Role], meter: Meter, workspace: str
) -> tuple[ShownQuota, ...]:
    """Quotas for people, with what is used of them. ``workspace`` is the slug of the one that is looked at."""
    shown = []
    for each in placed:
        role = roles[each.role]
        try:
            used = (await meter.measure(each.path)).bytes
        except Unavailable:
            used = None
        where = workspace if each.note.workspace else ""
        shown.append(ShownQuota(each.path, int(each.note.value), role.label, role.kind, used, where))
    return tuple(shown)
