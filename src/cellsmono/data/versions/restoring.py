"""Bringing back what a key held before, as its newest version."""

from cellsmono.interfaces.datasource import CopyOptions, NodeStore
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.version import Version
from cellsmono.kernel.errors import Invalid, NotFound

_LOOKED_AT = 1000


async def restore_version(store: NodeStore, path: str, version: str | None) -> Node:
    """Copy one version of a key over what it shows; nothing is lost by it. None: the newest that it does not show.

    Raises NotFound (reason ``version``), Invalid for a delete marker (reason ``marker``).
    """
    found = await store.read_version(path, version) if version is not None else await _find_newest(store, path)
    if found.node is None:
        raise Invalid(f"This version of {path!r} is a delete marker and has no content", reason="marker", path=path)
    if found.is_latest:
        return found.node
    return await store.copy_node(path, path, CopyOptions(source_version=found.id))


async def _find_newest(store: NodeStore, path: str) -> Version:
    for version in await store.index.read_versions(path, _LOOKED_AT):
        if not version.is_latest and version.node is not None:
            return version
    raise NotFound(f"{path!r} has no noncurrent version to be restored", reason="version", path=path)
