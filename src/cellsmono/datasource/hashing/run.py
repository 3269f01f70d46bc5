"""One walk over the content of a datasource: read, hash, compare with what is known, note what is new."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from cellsmono.datasource.hashing.digest import NodeDigest
from cellsmono.interfaces.datasource import NodeStore
from cellsmono.interfaces.hashes import (
    HashAlgorithm,
    HashFinding,
    HashProblem,
    RehashOptions,
    RehashProgress,
    RehashReport,
)
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.patch import Patch, SetHash
from cellsmono.interfaces.paths import is_folder
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Invalid, NotFound, Unavailable
from cellsmono.kernel.log import get_logger

log = get_logger("hashes")

PAGE = 500
BATCH_FILES = 500
BATCH_BYTES = 256 << 20
"""What is found is stored after so much, so that a walk that is cut short loses little."""
SHOWN = 1000
INLINE_BYTES = 64 * 1024
"""Up to so much is hashed on the loop: a thread would cost more."""
FILE_WEIGHT = 64 * 1024
"""What opening and closing a file costs, in bytes of hashing; for the estimate of the time that is left."""
TELL_SECONDS = 0.1

Note = Callable[[RehashProgress], None]
Pace = Callable[[], Awaitable[None]]
"""Called between two pieces of work; it may take its time."""


class HashRun:
    """Hashes leaves of one datasource; ``report`` tells at any time what came of it so far."""

    def __init__(
        self,
        store: NodeStore,
        clock: Clock,
        options: RehashOptions = RehashOptions(),
        *,
        path: str = "",
        note: Note | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.report = RehashReport(path)
        self._store = store
        self._clock = clock
        self._options = options
        self._note = note
        self._pace = pace
        self._found: list[SetHash] = []
        self._weight = 0
        self._begun = self._told = clock.monotonic()
        self._total = (0, 0)
        self._last = ""

    async def run(self) -> RehashReport:
        """Hash what the options ask for below the path, a folder or a leaf.

        What was found is stored also when it is cancelled. Raises NotFound for a path that is not there, Invalid for
        options that contradict each other, Unavailable when the storage is out of reach.
        """
        options = self._options
        if options.after and not options.reads_all:
            raise Invalid("Content whose hashes are known is left out anyway: `after` is for a walk over all of it.")
        start = await self._find_start()
        try:
            if start.is_folder:
                await self._walk(start.path)
            elif options.reads_all or lacks_hash(start, options.algorithm):
                self._total = (1, start.size)
                await self.hash_node(start)
        finally:
            await self.store()
            self.report.seconds = self._clock.monotonic() - self._begun
        return self.report

    async def _find_start(self) -> Node:
        path = self.report.path
        for candidate in (path, path if is_folder(path) else f"{path}/"):
            try:
                return await self._store.index.read_node(candidate)
            except NotFound:
                continue
        raise NotFound(f"There is nothing at {path!r}.", path=path)

    async def _walk(self, folder: str) -> None:
        index = self._store.index
        if self._options.reads_all:
            usage = await index.usage(folder)
            self._total = (usage.files, usage.bytes)
        else:
            lacking = await index.count_unhashed(folder)
            self._total = (lacking.files, lacking.bytes)
        async for node in self._list_all(folder) if self._options.reads_all else self._list_lacking(folder):
            await self.hash_node(node)

    async def _list_all(self, folder: str) -> AsyncIterator[Node]:
        after = self._options.after
        while True:
            page = await self._store.index.list_keys(folder, after=after)
            for node in page.entries:
                if isinstance(node, Node) and not node.is_folder:
                    yield node
            after = page.next_after
            if not after:
                return

    async def _list_lacking(self, folder: str) -> AsyncIterator[Node]:
        after = ""
        while nodes := await self._store.index.list_unhashed(after, PAGE, folder):
            for node in nodes:
                if lacks_hash(node, self._options.algorithm):
                    yield node
            after = nodes[-1].path

    # --- one leaf

    async def hash_node(self, node: Node) -> bool:
        """Read and hash a leaf; what is new is stored with others, by ``store``. False: it has a problem."""
        digest = NodeDigest(node.size, self._options.algorithm)
        read = 0

        async def take(data: bytes) -> None:
            nonlocal read
            read += len(data)
            if len(data) <= INLINE_BYTES:
                digest.update(data)
            else:
                await asyncio.to_thread(digest.update, data)
            self.report.bytes += len(data)
            self._tell()
            if self._pace is not None:
                await self._pace()

        is_fine = True
        try:
            is_same = await self._store.read_content(node, take)
        except CellsError as error:
            if isinstance(error, Unavailable) and error.reason != "io":
                raise  # the storage as a whole, and not this one leaf
            if error.reason != "client_key":  # only its client can read that, and so only he can hash it
                is_fine = self._add(HashProblem.UNREADABLE, node, error.message)
        else:
            if is_same and read == node.size:
                is_fine = self._judge(node, digest)
            else:
                self.report.changed += 1
        self.report.files += 1
        self._last = node.path
        self._tell()
        if len(self._found) >= BATCH_FILES or self._weight >= BATCH_BYTES:
            await self.store()
        await asyncio.sleep(0)  # a small file that is cached was read without giving way to anybody
        return is_fine

    def _judge(self, node: Node, digest: NodeDigest) -> bool:
        report = self.report
        found = SetHash(node.path, node.facts, digest.content_hash, digest.block_hash, node.blob, self._options.force)
        differences = [
            f"recorded {name} {known}, found {now}"
            for name, known, now in (
                ("MD5", node.content_hash, found.content_hash),
                ("block hash", node.block_hash, found.block_hash),
            )
            if known and now and known != now
        ]
        if differences:
            is_fine = self._add(HashProblem.ROT, node, "; ".join(differences))
            if not found.replaces:
                return is_fine
            report.replaced += 1
        elif lacks_hash(node, self._options.algorithm):
            report.hashed += 1
        else:
            report.verified += 1
            return True
        self._found.append(found)
        self._weight += node.size
        return True

    def _add(self, problem: HashProblem, node: Node, detail: str) -> bool:
        """Note a problem; returns that it is not fine."""
        self.report.counts[problem] = self.report.counts.get(problem, 0) + 1
        if len(self.report.findings) < SHOWN:
            self.report.findings.append(HashFinding(problem, node.path, detail))
            name = self._store.config.name
            log.error("content has a problem", datasource=name, path=node.path, problem=problem, detail=detail)
        return False

    async def store(self) -> None:
        """Put what was found into the index."""
        found, self._found, self._weight = self._found, [], 0
        if found:
            await self._store.index.apply(Patch(tuple(found), origin="hash"))

    def _tell(self) -> None:
        now = self._clock.monotonic()
        if self._note is None or now - self._told < TELL_SECONDS:
            return
        self._told = now
        seconds = now - self._begun
        report, (files, size) = self.report, self._total
        weight, total = report.bytes + FILE_WEIGHT * report.files, size + FILE_WEIGHT * files
        eta = max(0.0, (total - weight) * seconds / weight) if weight else None
        self._note(RehashProgress(report.files, files, report.bytes, size, report.bytes / seconds, eta, self._last))


def lacks_hash(node: Node, algorithm: HashAlgorithm) -> bool:
    """Whether a hash that the algorithm means is not known of a leaf."""
    lacks_md5 = not node.content_hash and algorithm is not HashAlgorithm.CELLS
    return lacks_md5 or (not node.cells_hash and algorithm is not HashAlgorithm.MD5)
