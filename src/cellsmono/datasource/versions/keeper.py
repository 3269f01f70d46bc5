"""The keeper: content of versions of structured datasources, as leaves of the internal datasource ``versions``.

A file has one content at a time, so what it held before lies elsewhere: at ``ROOT/UUID/NUMBER``, where ROOT is the UUID
of the datasource's root, UUID that of the node that it was the content of, and NUMBER in hexadecimal the time in
milliseconds at which it was kept, or more. UUID and number stand in the row of the version.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager

from cellsmono.interfaces.datasource import Conditions, NodeStore, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.objects import ObjectReader
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Conflict, Corrupt, NotFound, PreconditionFailed, Unavailable
from cellsmono.kernel.log import get_logger

log = get_logger("versions")

VERSIONS = "versions"
"""The name of the internal datasource."""

_PIECE = 1024 * 1024
_ADVICE = (
    f"The versions of structured datasources are kept in the internal datasource {VERSIONS!r}, and there is none. "
    f"Add it: cellsmono ds add {VERSIONS}=FOLDER --format internal"
)

Find = Callable[[], NodeStore | None]
"""The datasource that keeps, None when there is none. Raises Unavailable for one that failed to start."""


class Keeper:
    """Keeps content for one datasource. ``find`` is asked each time: the other datasource comes and goes."""

    def __init__(self, find: Find, clock: Clock) -> None:
        self._find = find
        self._clock = clock
        self._last = 0
        self._busy: Counter[str] = Counter()

    @contextmanager
    def keeping(self, uuid: str) -> Iterator[None]:
        """From before content of a node is kept until its row says so, or never will."""
        self._busy[uuid] += 1
        try:
            yield
        finally:
            self._busy -= Counter((uuid,))

    def busy(self) -> frozenset[str]:
        """UUIDs of the nodes whose content is being kept at this moment."""
        return frozenset(self._busy)

    def is_there(self) -> bool:
        """Whether there is a datasource that keeps. Raises Unavailable for one that can not be asked now."""
        return self._find() is not None

    def check(self) -> NodeStore:
        """The datasource that keeps. Raises Conflict (reason ``versioning``) when there is none, Unavailable."""
        store = self._find()
        if store is None:
            raise Conflict(_ADVICE, reason="versioning")
        return store

    async def keep(self, root: str, node: Node, reader: ObjectReader) -> int:
        """Keep content that is open; durable when this returns. Returns the number under which it lies.

        Raises Conflict, Unavailable, QuotaExceeded; then nothing is kept, and what is open must stay where it is.
        """
        store = self.check()
        options = WriteOptions(mtime_ns=node.mtime_ns, size=node.size, conditions=Conditions(if_none_match="*"))
        while True:
            self._last = max(self._clock.time_ns() // 1_000_000, self._last + 1)
            number = self._last
            try:
                await store.put_node(kept_path(root, node.uuid, number), _read(reader, node), PlainDigest(), options)
            except PreconditionFailed:
                continue  # the clock was set back
            return number

    async def open(self, root: str, node: Node) -> ObjectReader:
        """Open the content of a version. Raises Corrupt (reason ``blob``) when it is not there."""
        try:
            opened = await self.check().open_node(kept_path(root, node.uuid, node.blob))
        except NotFound:
            raise Corrupt(
                f"The content of this version of {node.path!r} is not in the datasource {VERSIONS!r}; put that one "
                "back from a backup, or delete the version.",
                reason="blob",
                path=node.path,
            ) from None
        return opened.reader

    async def drop(self, root: str, nodes: Sequence[Node]) -> None:
        """Remove content that no version has any more. What can not be removed now stays, and is told of."""
        if not nodes:
            return
        try:
            results = await self.check().delete_nodes([kept_path(root, node.uuid, node.blob) for node in nodes])
        except CellsError as error:
            log.warning("content of deleted versions stays", versions=len(nodes), error=error.message)
            return
        for result in results:
            if isinstance(result, Exception):
                log.warning("content of a deleted version stays", error=str(result))


def kept_path(root: str, uuid: str, number: int) -> str:
    """Where content lies in the internal datasource."""
    return f"{root}/{uuid}/{number:x}"


async def _read(reader: ObjectReader, node: Node) -> AsyncIterator[bytes]:
    """All content; a file that shrinks meanwhile is an error, not a shorter version."""
    offset = 0
    while offset < node.size:
        data = await reader.read(offset, min(_PIECE, node.size - offset))
        if not data:
            raise Unavailable(f"{node.path!r} became shorter while it was kept; try again", reason="changed")
        offset += len(data)
        yield data
