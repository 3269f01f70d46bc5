"""One prune of a datasource: its policy against the versions of each key, a page of the index at a time."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence

from cellsmono.interfaces.datasource import NodeStore
from cellsmono.interfaces.locks import LOCKED, is_locked
from cellsmono.interfaces.version import Version, VersionPage
from cellsmono.interfaces.version_policy import PrunedVersion, PruneProgress, PruneReport, VersionPolicy, find_cut
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, NotFound, PreconditionFailed
from cellsmono.kernel.log import get_logger

log = get_logger("versions")

PAGE = 1000
_TOGETHER = 16
"""Deletions at once: they share the flushes of index and disk."""
_LISTED = 1000


class Prune:
    """A prune that is under way; ``slices`` does it. With ``dry_run`` it only reports."""

    def __init__(self, store: NodeStore, policy: VersionPolicy, clock: Clock, *, dry_run: bool = False) -> None:
        self.report = PruneReport(store.config.name, dry_run)
        self._store = store
        self._policy = policy
        self._clock = clock
        self._left: list[tuple[int, int]] = []
        """Of all versions that stay by the rest of the policy: since when, and how large."""

    async def slices(self) -> AsyncGenerator[PruneProgress, None]:
        """Do it; yields after each page, so that it can be left in between."""
        begun = self._clock.monotonic()
        async for keys in self._list_keys():
            now_ns = self._clock.time_ns()
            due = [each for versions in keys for each in self._look_at(versions, now_ns)]
            self.report.keys += len(keys)
            await self._remove(due)
            yield PruneProgress(self.report.keys, self.report.removed, keys[-1][0].key if keys else "")
        cut = find_cut(self._left, self._policy.max_total) if self._policy.max_total else -1
        if cut >= 0:
            async for keys in self._list_keys():
                now_ns = self._clock.time_ns()
                due = [each for versions in keys for each in self._cut_off(versions, now_ns, cut)]
                await self._remove(due)
                yield PruneProgress(self.report.keys, self.report.removed, keys[-1][0].key if keys else "")
        self.report.seconds = self._clock.monotonic() - begun

    async def _list_keys(self) -> AsyncGenerator[list[list[Version]], None]:
        """The versions of all keys in pages, all of one key together."""
        page, open_key = VersionPage(()), list[Version]()
        while True:
            after = page.next_version if page.next_key else None
            page = await self._store.index.list_versions("", "", page.next_key, after, PAGE)
            found: list[list[Version]] = []
            for version in page.entries:
                if isinstance(version, str):
                    continue
                if open_key and open_key[0].key != version.key:
                    found.append(open_key)
                    open_key = []
                open_key.append(version)
            if not page.next_key and open_key:
                found.append(open_key)
            yield found
            if not page.next_key:
                return

    def _look_at(self, versions: Sequence[Version], now_ns: int) -> Iterator[tuple[Version, str]]:
        due = list(self._policy.choose(versions, now_ns))
        if self._policy.max_total:
            gone = {version.id for version, _ in due}
            self._left += [(each.since_ns, each.size) for each in _noncurrent(versions) if each.id not in gone]
        return iter(due)

    def _cut_off(self, versions: Sequence[Version], now_ns: int, cut: int) -> Iterator[tuple[Version, str]]:
        gone = {version.id for version, _ in self._policy.choose(versions, now_ns)} if self.report.dry_run else set()
        for version in _noncurrent(versions):
            lock = None if version.node is None else version.node.meta.lock
            if version.since_ns <= cut and version.id not in gone and not is_locked(lock, now_ns):
                yield version, "more bytes than are kept of all keys, and the oldest go first"

    async def _remove(self, due: Sequence[tuple[Version, str]]) -> None:
        for at in range(0, len(due), _TOGETHER):
            await asyncio.gather(*(self._remove_one(*each) for each in due[at : at + _TOGETHER]))

    async def _remove_one(self, version: Version, why: str) -> None:
        try:
            if not self.report.dry_run:
                await self._store.delete_version(version.key, version.id, only_noncurrent=True)
        except (NotFound, PreconditionFailed):
            return  # deleted meanwhile, or current again
        except CellsError as error:
            if error.reason == LOCKED:  # since it was listed: it stays until the lock ends
                self.report.kept += 1
                return
            if not self.report.failed:
                log.warning("a version could not be removed", datasource=self.report.datasource, error=error.message)
            self.report.failed += 1
            return
        self.report.removed += 1
        self.report.removed_bytes += version.size
        if len(self.report.pruned) < _LISTED:
            self.report.pruned.append(PrunedVersion(version.key, version.id, version.size, why))


def _noncurrent(versions: Sequence[Version]) -> list[Version]:
    return [version for version in versions if not version.is_latest and version.node is not None]
