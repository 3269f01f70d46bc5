"""Compares what the keeper has with the versions that name it, while both are being used.

Content is kept before the row that names it, and dropped after the row is gone. So what a listing shows counts as left
over only when nobody was keeping content of that node after the listing, *and* no row names it after that: in this
order each change that goes on meanwhile is seen by one of the three.
"""

from collections.abc import Collection, Sequence

from cellsmono.datasource.versions.kept import Kept
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.node import Node, time_of_uuid
from cellsmono.interfaces.operations import BlobFinding, BlobProblem, BlobReport
from cellsmono.interfaces.version import Version, VersionPage
from cellsmono.kernel.clock import Clock

GRACE_SECONDS = 3600.0
"""Younger content is left alone: a safety margin beyond what is known to be under way."""
SHOWN = 1000
_PAGE = 1000


class KeptCheck:
    """One check, of one datasource or of several. ``repair``: content that no version names is removed.

    Content that a version names is never touched.
    """

    def __init__(self, clock: Clock, *, repair: bool, grace_seconds: float = GRACE_SECONDS) -> None:
        self.report = BlobReport()
        self._clock = clock
        self._begun = clock.monotonic()
        self._repair = repair
        self._youngest = clock.time() - grace_seconds

    async def find_missing(self, index: NodeIndex, kept: Kept) -> None:
        """Look for the content of each version of a datasource, and note what is not there. Nothing is repaired."""
        page = VersionPage(())
        while (await index.stats()).versions:
            page = await index.list_versions(after=page.next_key, after_version=page.next_version, limit=_PAGE)
            nodes = [each.node for each in page.entries if isinstance(each, Version) and each.node]
            await self._look_for([node for node in nodes if node.blob], index, kept)
            if not page.next_key:
                return

    async def _look_for(self, nodes: Sequence[Node], index: NodeIndex, kept: Kept) -> None:
        keys = [kept.key(node.uuid, node.blob) for node in nodes]
        found = await kept.find(keys) if keys and kept.keeper.is_there() else [None] * len(keys)
        for node, key, content in zip(nodes, keys, found, strict=True):
            if content is not None and content.size == node.size:
                continue
            (owner,) = await index.find_blobs([(node.uuid, node.blob)])
            if owner is not None:  # else the version was deleted meanwhile
                problem = BlobProblem.MISSING if content is None else BlobProblem.SIZE
                self._add(problem, key, node.size, f"{node.path} (version {node.version or 'null'})")

    async def find_leftovers(self, index: NodeIndex, kept: Kept) -> None:
        """Look at all content of a datasource. ``index`` is its own; ``kept`` has its own keeper, which knows who
        is busy.
        """
        if not kept.keeper.is_there():
            return
        async for nodes in kept.pages():
            named = [(node, kept.parse(node.path)) for node in nodes]
            busy = kept.keeper.busy()
            owners = await index.find_blobs([each or ("", 0) for _, each in named])
            left = [
                node
                for (node, each), owner in zip(named, owners, strict=True)
                if owner is None and (each is None or each[0] not in busy)
            ]
            self._count(nodes)
            await self._take(left, kept)

    async def take_all(self, kept: Kept) -> None:
        """Everything under this root is left over: it belongs to no datasource any more."""
        async for nodes in kept.pages():
            self._count(nodes)
            await self._take(nodes, kept)

    async def leave(self, kept: Kept) -> None:
        """Nobody can tell now whose content this is."""
        async for nodes in kept.pages():
            self._count(nodes)
            self.report.unsure += len(nodes)

    def finish(self) -> BlobReport:
        """What was found."""
        self.report.seconds = self._clock.monotonic() - self._begun
        return self.report

    async def _take(self, nodes: Collection[Node], kept: Kept) -> None:
        old = []
        for node in nodes:
            made = time_of_uuid(node.uuid)
            if made is not None and made > self._youngest:
                self.report.young += 1
            else:
                old.append(node)
                self._add(BlobProblem.LEFTOVER, node.path, node.size)
        if self._repair and old:
            await kept.remove([node.path for node in old])
            self.report.removed += len(old)

    def _count(self, nodes: Sequence[Node]) -> None:
        self.report.blobs += len(nodes)
        self.report.bytes += sum(node.size for node in nodes)

    def _add(self, problem: BlobProblem, key: str, size: int, path: str = "") -> None:
        self.report.counts[problem] = self.report.counts.get(problem, 0) + 1
        if len(self.report.findings) < SHOWN:
            self.report.findings.append(BlobFinding(problem, key, size, path))


async def list_roots(kept: Kept) -> list[str]:
    """The UUIDs of all roots of which something is kept; that of ``kept`` itself does not matter."""
    index, after, found = kept.keeper.check().index, "", []
    while True:
        page = await index.list_keys("", "/", after=after, limit=_PAGE)
        found += [entry.rstrip("/") for entry in page.entries if isinstance(entry, str)]
        after = page.next_after
        if not after:
            return found
