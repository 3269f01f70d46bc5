"""Pages of a listing by offset, without beginning anew for each.

Clients ask for children 0 to 99, then 100 to 199, and so on. Where one page ended is remembered for the next, so that
it costs what it holds; the first page counts all children, and those after it believe it.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec

from cellsmono.gateway.rest.errors import RestError
from cellsmono.gateway.rest.tree_structs import Pagination, TreeNode

MOST_UNPAGED: Final = 100_000
"""Children that a listing without a limit may have."""
_MOST_KEPT: Final = 2_000

Key = tuple[str, ...]
"""Who lists what."""
Pages = Callable[[str], AsyncIterator[Sequence[TreeNode]]]
"""The pages of a listing from a name on."""


class Cursor(msgspec.Struct, frozen=True):
    """Behind which name a page ended, and how many there were in all."""

    after: str
    total: int


class Page(msgspec.Struct, frozen=True):
    """What was asked for, and how many there are in all."""

    nodes: list[TreeNode]
    total: int


class Cursors:
    """Where pages ended, the latest ones."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Key, int], Cursor] = OrderedDict()

    async def read(self, key: Key, pages: Pages, offset: int, limit: int) -> Page:
        """A page, or all with limit 0. Raises RestError (413) where all would be too many."""
        cursor = self._kept.get((key, offset)) if offset and limit else None
        skip = 0 if cursor is not None else offset
        found: list[TreeNode] = []
        seen, last = 0, ""
        async for page in pages(cursor.after if cursor is not None else ""):
            wanted = page[max(skip - seen, 0) :]
            seen += len(page)
            if limit:
                wanted = wanted[: limit - len(found)]
            found += wanted
            if wanted:
                last = name_in_order(wanted[-1])
            if not limit and len(found) > MOST_UNPAGED:
                raise RestError(413, "too_many", f"There are more than {MOST_UNPAGED} nodes: ask with Limit and Offset")
            if cursor is not None and len(found) == limit:
                break
        total = cursor.total if cursor is not None else seen
        if limit and len(found) == limit:
            self._keep((key, offset + limit), Cursor(last, total))
        return Page(found, max(total, offset + len(found)))

    def _keep(self, key: tuple[Key, int], cursor: Cursor) -> None:
        self._kept[key] = cursor
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)


def name_in_order(node: TreeNode) -> str:
    """The name of a child as listings are ordered by it: folders end in ``/``."""
    name = node.path.rpartition("/")[2]
    return name + "/" if node.type.value == "COLLECTION" else name


def paginate(page: Page, offset: int, limit: int) -> Pagination | None:
    """What is told about a page; nothing where it holds all that there is."""
    if limit <= 0 or len(page.nodes) >= page.total:
        return None
    following = offset + limit
    return Pagination(
        limit=limit,
        current_offset=offset,
        total=page.total,
        current_page=offset // limit + 1,
        total_pages=-(-page.total // limit),
        next_offset=following if following < page.total else 0,
        prev_offset=max(offset - limit, 0),
    )
