"""Whose versions the internal datasource ``versions`` keeps, and what of that is nobody's any more."""

from cellsmono.datasource.build import Datasources
from cellsmono.datasource.structured import StructuredStore
from cellsmono.datasource.versions.checking import KeptCheck, list_roots
from cellsmono.datasource.versions.keeper import VERSIONS
from cellsmono.datasource.versions.kept import Kept
from cellsmono.interfaces.datasource import Format
from cellsmono.interfaces.operations import BlobReport
from cellsmono.interfaces.paths import ROOT
from cellsmono.kernel.clock import Clock


class KeptChecks:
    """What ``Operations.check`` does about content of versions that is kept for structured datasources."""

    def __init__(self, datasources: Datasources, clock: Clock) -> None:
        self._datasources = datasources
        self._clock = clock

    async def check(self, name: str, *, repair: bool) -> BlobReport | None:
        """Check what concerns one datasource; None where nothing is kept elsewhere. Raises Unavailable."""
        store = self._datasources.triple(name).store
        work = KeptCheck(self._clock, repair=repair)
        if name == VERSIONS and store.config.format == Format.INTERNAL:
            await self._check_all(work)
        elif isinstance(store, StructuredStore) and store.keeper is not None:
            if not (await store.index.stats()).versions and not store.keeper.is_there():
                return None
            kept = Kept(store.keeper, (await store.index.read_node(ROOT)).uuid)
            await work.find_missing(store.index, kept)
            if not self._is_on_its_way(name):
                await work.find_leftovers(store.index, kept)
        else:
            return None
        return work.finish()

    async def _check_all(self, work: KeptCheck) -> None:
        """Look at every root. What may belong to a datasource that is not open now stays, and is told of."""
        keeper = self._datasources.make_keeper("")
        for root in await list_roots(Kept(keeper, "")):
            name = await self._find_owner(root)
            kept = Kept(keeper, root)
            if name is None:
                await (work.leave(kept) if self._datasources.closed() else work.take_all(kept))
                continue
            store = self._datasources.inner(name).store
            if self._is_on_its_way(name):
                await work.leave(kept)
            elif isinstance(store, StructuredStore) and store.keeper is not None:
                await work.find_leftovers(store.index, Kept(store.keeper, root))
            else:
                await work.take_all(kept)

    async def _find_owner(self, root: str) -> str | None:
        """The open datasource whose root has this UUID."""
        closed = self._datasources.closed()
        for config in self._datasources.configs():
            if config.name not in closed:
                node = await self._datasources.inner(config.name).index.read_node(ROOT)
                if node.uuid == root:
                    return config.name
        return None

    def _is_on_its_way(self, name: str) -> bool:
        """Whether a migration was begun and not finished: it knows better what it has in ``versions``."""
        return self._datasources.migration(name).read() is not None
