"""Everything in a folder, in the order of paths, from any place in it on: what was done before is passed over."""

from collections.abc import AsyncIterator, Awaitable, Callable

from cellsmono.interfaces.node import Node
from cellsmono.interfaces.paths import ancestors_of, is_folder, name_of

PAGE = 500

Children = Callable[[str, str, int], Awaitable[list[Node]]]
"""``children(folder, after, limit)``, as ``NodeIndex.list_children``."""


class _Level:
    """A folder that is walked through: the children that were read and are to come, and the last one that was read."""

    def __init__(self, folder: str, after: str = "") -> None:
        self.folder = folder
        self.after = after
        self.waiting: list[Node] = []
        self.is_last_page = False

    async def take(self, children: Children) -> Node | None:
        """The next child, None when there are no more."""
        if not self.waiting and not self.is_last_page:
            page = await children(self.folder, self.after, PAGE)
            self.is_last_page = len(page) < PAGE
            self.waiting = page[::-1]
            if page:
                self.after = name_of(page[-1].path)
        return self.waiting.pop() if self.waiting else None


async def walk(children: Children, folder: str, cursor: str = "") -> AsyncIterator[Node]:
    """All nodes below a folder that come after ``cursor``, a path below it; folders before what is in them."""
    levels = [_Level(folder)]
    if cursor.startswith(folder) and cursor != folder:
        trail = [each for each in (*ancestors_of(cursor), cursor) if each.startswith(folder) and each != folder]
        levels = [_Level(above, name_of(below)) for above, below in zip([folder, *trail[:-1]], trail, strict=True)]
        if is_folder(cursor):
            levels.append(_Level(cursor))
    while levels:
        node = await levels[-1].take(children)
        if node is None:
            levels.pop()
            continue
        yield node
        if node.is_folder:
            levels.append(_Level(node.path))
