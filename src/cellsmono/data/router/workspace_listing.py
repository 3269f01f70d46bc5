"""Listings of a workspace: what the user may not read is left out, without a check for each node."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from cellsmono.data.router.places import Place, top_of
from cellsmono.interfaces.index import KeyPage
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.paths import ancestors_of, parent_of
from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.views import View

READ = Right.READ
LEAST_FETCHED = 1_000
"""How many keys are fetched at once where some are left out: most of them may be."""
_LAST_SIGN = "\U0010ffff"

Fetch = Callable[[str, str, str, int], Awaitable[KeyPage]]
"""``fetch(prefix, delimiter, after, limit)`` of one datasource, as ``NodeIndex.list_keys``."""


class Sight:
    """Which nodes of one datasource a user may see; remembers what it found out about folders."""

    def __init__(self, view: View, root: str) -> None:
        self._view = view
        self._root = root
        self._folders: dict[str, bool] = {}

    def sees(self, path: str) -> bool:
        """Whether the node at a path may be read. One look at rights for each folder, and for each turn."""
        if self._view.is_turn(tree := f"{self._root}/{path}"):
            return bool(self._view.rights(tree) & READ)
        folder = parent_of(path)
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = bool(self._view.rights(f"{self._root}/{folder}") & READ)
        return known

    def sees_all(self, prefix: str) -> bool | None:
        """Whether all paths with a prefix may be read, or none; None where it differs."""
        folder = f"{self._root}/{parent_of(prefix + '.')}"
        if any(turn != folder for turn in self._view.turns_below(f"{self._root}/{prefix}")):
            return None
        return bool(self._view.rights(folder) & READ)

    def end_of_hidden(self, path: str) -> str:
        """Where to go on after a path that may not be read: behind the outermost folder that hides all it holds."""
        for folder in [*ancestors_of(path), path]:
            if folder.endswith("/") and not self._view.may_read_below(f"{self._root}/{folder}"):
                return folder + _LAST_SIGN
        return path


async def list_visible(
    view: View, top: Place, fetch: Fetch, prefix: str, delimiter: str, after: str, limit: int
) -> KeyPage:
    """A page of the keys below one root, of which ``prefix`` and ``after`` are paths in its datasource."""
    sight = Sight(view, top.root)
    whole = sight.sees_all(prefix)
    if whole is False or limit <= 0:
        return KeyPage(())
    if whole:
        return await fetch(prefix, delimiter, after, limit)
    found: list[Node | str] = []
    while len(found) <= limit:
        page = await fetch(prefix, delimiter, after, max(LEAST_FETCHED, limit + 1))
        found += [entry for entry in page.entries if await _is_visible(sight, view, top, fetch, entry, delimiter)]
        if not page.next_after:
            break
        after = page.next_after
        last = page.entries[-1]
        if isinstance(last, Node) and not sight.sees(last.path):
            after = max(after, sight.end_of_hidden(last.path), key=str.encode)
    if len(found) <= limit:
        return KeyPage(tuple(found))
    last = found[limit - 1]
    return KeyPage(tuple(found[:limit]), last if isinstance(last, str) else last.path)


async def _is_visible(sight: Sight, view: View, top: Place, fetch: Fetch, entry: Node | str, delimiter: str) -> bool:
    if isinstance(entry, Node):
        return sight.sees(entry.path)
    whole = sight.sees_all(entry)
    if whole is not None:
        return whole
    if delimiter == "/" and not view.may_read_below(f"{top.root}/{entry}"):
        return False
    return bool((await list_visible(view, top, fetch, entry, "", "", 1)).entries)


async def list_workspace(
    view: View, fetch_of: Callable[[Place], Fetch], prefix: str, delimiter: str, after: str, limit: int
) -> KeyPage:
    """A page of the keys of a workspace, one root after the other; paths are those in the workspace."""
    found: list[Node | str] = []
    async for entries in _pages(view, fetch_of, prefix, delimiter, after, limit + 1):
        found += [entry for entry in entries if not found or entry != found[-1]]
        if len(found) > limit:
            break
    if len(found) <= limit:
        return KeyPage(tuple(found))
    last = found[limit - 1]
    return KeyPage(tuple(found[:limit]), last if isinstance(last, str) else last.path)


async def _pages(
    view: View, fetch_of: Callable[[Place], Fetch], prefix: str, delimiter: str, after: str, limit: int
) -> AsyncIterator[Sequence[Node | str]]:
    for top, inner_prefix, inner_after in list_windows(view, prefix, delimiter, after):
        if inner_prefix is None:
            yield (inner_after,)
            continue
        page = await list_visible(view, top, fetch_of(top), inner_prefix, delimiter, inner_after, limit)
        yield [top.show(entry) if isinstance(entry, str) else top.show_node(entry) for entry in page.entries]


def list_windows(view: View, prefix: str, delimiter: str, after: str) -> Iterator[tuple[Place, str | None, str]]:
    """What to list of each root of a workspace, in order: prefix and ``after`` as paths of its datasource.

    Where the name of a root makes a common prefix, None comes instead of a prefix, and the common prefix with it.
    """
    for root in view.roots:
        top = top_of(view, root)
        if not (top.shown.startswith(prefix) or prefix.startswith(top.shown)):
            continue
        if after and not after.startswith(top.shown) and after.encode() > top.shown.encode():
            continue
        rolled = _roll_up(top.shown, prefix, delimiter)
        if rolled:
            if not after.startswith(rolled) and view.may_read_below(f"{top.root}/{top.above}"):
                yield top, None, rolled
            continue
        inner_prefix = top.prefix_inside(prefix)
        # From behind the root itself: it is no key of the workspace.
        yield top, inner_prefix, top.inside(after) if after.startswith(top.shown) else top.above


def _roll_up(shown: str, prefix: str, delimiter: str) -> str:
    """The common prefix that all keys below a root have, if the name of the root makes one."""
    at = shown.find(delimiter, len(prefix)) if delimiter else -1
    return "" if at < 0 else shown[: at + len(delimiter)]
