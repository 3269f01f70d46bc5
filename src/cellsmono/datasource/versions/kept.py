"""All that the keeper has of one datasource: to look through it, to bring it elsewhere, and to remove it."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import msgspec

from cellsmono.datasource.versions.keeper import Keeper, kept_path
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.objects import ObjectReader
from cellsmono.interfaces.paths import is_folder

_PAGE = 1000
_PARTS = 3


class Kept(msgspec.Struct, frozen=True):
    """The content of versions of the datasource whose root has this UUID."""

    keeper: Keeper
    root: str

    def key(self, uuid: str, number: int) -> str:
        """The path at which content lies in the keeper."""
        return kept_path(self.root, uuid, number)

    def parse(self, key: str) -> tuple[str, int] | None:
        """UUID and number of the content at a path; None when nothing is kept under such a name."""
        parts = key.split("/")
        if len(parts) != _PARTS or parts[0] != self.root:
            return None
        try:
            number = int(parts[2], 16)
        except ValueError:
            return None
        return (parts[1], number) if self.key(parts[1], number) == key else None

    async def open(self, key: str) -> ObjectReader:
        """Open content. Raises NotFound, Corrupt, Unavailable, Conflict (reason ``versioning``) without a keeper."""
        return (await self.keeper.check().open_node(key)).reader

    async def put(self, key: str, pieces: AsyncIterator[bytes], node: Node) -> Node:
        """Keep content that comes from elsewhere, in the place of what an earlier attempt left; durable then."""
        options = WriteOptions(mtime_ns=node.mtime_ns, size=node.size)
        return await self.keeper.check().put_node(key, pieces, PlainDigest(), options)

    async def find(self, keys: Sequence[str]) -> list[Node | None]:
        """What lies at these paths."""
        return await self.keeper.check().index.read_nodes(keys)

    async def pages(self) -> AsyncGenerator[list[Node], None]:
        """All content that is kept, in pages; what is in a page may be removed meanwhile."""
        index, after = self.keeper.check().index, ""
        while True:
            page = await index.list_keys(f"{self.root}/", after=after, limit=_PAGE)
            yield [entry for entry in page.entries if isinstance(entry, Node) and not is_folder(entry.path)]
            after = page.next_after
            if not after:
                return

    async def remove(self, keys: Sequence[str]) -> None:
        """Remove content. Raises what keeps any of it from being removed."""
        for outcome in await self.keeper.check().delete_nodes(keys) if keys else ():
            if isinstance(outcome, Exception):
                raise outcome

    async def forget(self) -> int:
        """Remove everything; how much there was. Nothing where there is no keeper any more."""
        removed = 0
        if not self.keeper.is_there():
            return removed
        async for nodes in self.pages():
            await self.remove([node.path for node in nodes])
            removed += len(nodes)
        return removed
