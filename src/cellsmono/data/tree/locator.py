"""Where nodes are in the tree of all datasources."""

from collections.abc import Sequence
from typing import Protocol

from cellsmono.interfaces.datasource import NodeStore
from cellsmono.interfaces.index import Usage
from cellsmono.interfaces.tree import DATASOURCE_PREFIX, ROOT_UUID, TreeNode
from cellsmono.kernel.errors import NotFound, Unavailable

NOTHING = Usage(0, 0, 0)


class Stores(Protocol):
    """The datasources that are there now."""

    def find(self, name: str) -> NodeStore | None:
        """The datasource of this name when it is ready, else None. Raises Unavailable for one that failed to start."""

    def names(self) -> list[str]:
        """The names of all datasources that are ready, sorted."""


class TreeLocator:
    """``NodeLocator`` over the indexes of the datasources."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def identify(self, path: str) -> TreeNode:
        """See ``NodeLocator``."""
        name, _, inner = path.removeprefix("/").partition("/")
        if not name:
            return TreeNode(ROOT_UUID, "")
        store = self._stores.find(name)
        if store is None:
            raise NotFound(f"There is no datasource {name!r}", reason="root", path=path)
        if not inner:
            return TreeNode(DATASOURCE_PREFIX + name, f"{name}/")
        wanted = (inner,) if inner.endswith("/") else (inner, inner + "/")
        node = next((node for node in await store.index.read_nodes(wanted) if node is not None), None)
        if node is None:
            raise NotFound(f"There is no {inner!r} in the datasource {name!r}", path=path)
        return TreeNode(node.uuid, f"{name}/{node.path}")

    def sources(self) -> tuple[str, ...]:
        """See ``NodeLocator``."""
        return tuple(self._stores.names())

    async def measure(self, path: str) -> Usage:
        """See ``Meter``."""
        name, _, inner = path.partition("/")
        store = self._stores.find(name)
        try:
            return NOTHING if store is None else await store.index.usage(inner)
        except NotFound:
            return NOTHING

    async def locate(self, uuids: Sequence[str]) -> dict[str, str]:
        """See ``NodeLocator``."""
        names = self._stores.names()
        roots = {DATASOURCE_PREFIX + name: f"{name}/" for name in names} | {ROOT_UUID: ""}
        found = {uuid: roots[uuid] for uuid in uuids if uuid in roots}
        missing = [uuid for uuid in uuids if uuid not in found and not uuid.startswith(DATASOURCE_PREFIX)]
        for name in names:
            if not missing:
                break
            try:
                store = self._stores.find(name)
            except Unavailable:
                continue
            if store is None:
                continue
            found |= {uuid: f"{name}/{path}" for uuid, path in (await store.index.find_paths(missing)).items()}
            missing = [uuid for uuid in missing if uuid not in found]
        return found
