"""One run over all buckets with rules, in slices: one page of an index or of a list of uploads at a time.

Nothing is remembered but the place: a run that ends in between is simply begun again, since what is gone is gone.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Protocol

import msgspec

from cellsmono.data.lifecycle.versions import DueVersions
from cellsmono.interfaces.bucket_settings import BucketSettingsStore
from cellsmono.interfaces.datasource import Conditions, NodeStore
from cellsmono.interfaces.lifecycle import LifecycleRule, find_abort, find_expiry
from cellsmono.interfaces.locks import LOCKED
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.version import Version, Versioning, VersionPage
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, NotFound, PreconditionFailed
from cellsmono.kernel.log import get_logger

log = get_logger("lifecycle")

PAGE = 1000
_TOGETHER = 16
"""Deletions at once: they share the flushes of index and disk."""
_NS = 1_000_000_000


class Buckets(Protocol):
    """The datasources that are there now."""

    def find(self, name: str) -> NodeStore | None:
        """The datasource of this name when it is ready, else None. Raises Unavailable for one that failed to start."""

    def names(self) -> list[str]:
        """The names of all datasources that are ready, sorted."""


class Totals(msgspec.Struct):
    """What a run did: buckets with rules, objects looked at, what went, and what could not go.

    ``versions`` counts noncurrent versions and delete markers that went, ``kept`` those that were due and stay, for an
    object lock keeps them.
    """

    buckets: int = 0
    looked_at: int = 0
    expired: int = 0
    versions: int = 0
    aborted: int = 0
    kept: int = 0
    failed: int = 0


class Run:
    """One run. ``day_seconds`` is the length of a day."""

    def __init__(self, buckets: Buckets, settings: BucketSettingsStore, clock: Clock, day_seconds: float) -> None:
        self.totals = Totals()
        self._buckets = buckets
        self._settings = settings
        self._clock = clock
        self._day = day_seconds
        self._complained: set[str] = set()

    async def slices(self) -> AsyncGenerator[None, None]:
        """Do the run; yields after each slice, so that it can be left in between."""
        for name in self._buckets.names():
            settings = self._settings.find(name)
            if settings is None or not settings.lifecycle:
                continue
            self.totals.buckets += 1
            try:
                async for _ in self._run_bucket(name, settings.lifecycle):
                    yield
            except CellsError as error:
                # Gone meanwhile, offline, read-only: the others go on, and the next run looks again.
                self.totals.failed += 1
                log.warning("lifecycle rules of a bucket could not be run", bucket=name, error=error.message)

    async def _run_bucket(self, name: str, rules: Sequence[LifecycleRule]) -> AsyncGenerator[None, None]:
        now = self._clock.time()
        expiring = [rule for rule in rules if rule.expires_objects and (rule.date is None or rule.date <= now)]
        for prefix in outermost(rule.prefix for rule in expiring):
            after = ""
            while True:
                store = self._find(name)
                page = await store.index.list_keys(prefix, "", after, PAGE)
                await self._expire(store, expiring, [node for node in page.entries if isinstance(node, Node)])
                yield
                after = page.next_after
                if not after:
                    break
        pruning = [rule for rule in rules if rule.looks_at_versions]
        if self._find(name).versioning is not Versioning.OFF:
            for prefix in outermost(rule.prefix for rule in pruning):
                async for _ in self._prune(name, pruning, prefix):
                    yield
        for prefix in outermost(rule.prefix for rule in rules if rule.aborts_uploads):
            async for _ in self._abort(name, rules, prefix):
                yield

    async def _prune(self, name: str, rules: Sequence[LifecycleRule], prefix: str) -> AsyncGenerator[None, None]:
        """Let noncurrent versions and delete markers go."""
        looked, page = DueVersions(rules, self._day), VersionPage(())
        while True:
            store, now = self._find(name), self._clock.time()
            after = page.next_version if page.next_key else None
            page = await store.index.list_versions(prefix, "", page.next_key, after, PAGE)
            due = list(looked.find((each for each in page.entries if isinstance(each, Version)), now))
            if not page.next_key:
                due += looked.finish(now)
            for at in range(0, len(due), _TOGETHER):
                await asyncio.gather(*(self._drop(store, version) for version in due[at : at + _TOGETHER]))
            yield
            if not page.next_key:
                return

    async def _drop(self, store: NodeStore, version: Version) -> None:
        try:
            await store.delete_version(version.key, version.id, only_noncurrent=True)
            self.totals.versions += 1
        except (NotFound, PreconditionFailed):
            pass  # deleted meanwhile, or current again
        except CellsError as error:
            if error.reason == LOCKED:  # it stays until the lock ends
                self.totals.kept += 1
            else:
                self._complain(store, version.key, error)

    def _complain(self, store: NodeStore, path: str, error: CellsError) -> None:
        self.totals.failed += 1
        if store.config.name not in self._complained:  # a disk that is full or read-only fails for every object
            self._complained.add(store.config.name)
            log.warning("an object could not expire", bucket=store.config.name, path=path, error=error.message)

    def _find(self, name: str) -> NodeStore:
        """The datasource, looked up for each slice: it may be closed while a run goes on."""
        store = self._buckets.find(name)
        if store is None:
            raise NotFound(f"There is no bucket {name!r} any more", reason="root", path=name)
        return store

    async def _expire(self, store: NodeStore, rules: Sequence[LifecycleRule], nodes: Sequence[Node]) -> None:
        self.totals.looked_at += len(nodes)
        due = [node for node in nodes if self._is_due(rules, node)]
        for at in range(0, len(due), _TOGETHER):
            await asyncio.gather(*(self._delete(store, rules, node.path) for node in due[at : at + _TOGETHER]))

    def _is_due(self, rules: Sequence[LifecycleRule], node: Node) -> bool:
        expiry = find_expiry(rules, node, self._day)
        return expiry is not None and expiry.at <= self._clock.time()

    async def _delete(self, store: NodeStore, rules: Sequence[LifecycleRule], path: str) -> None:
        try:
            # The storage is asked, not the index alone: what was written a moment ago must not go as what it replaced.
            node = await store.read_node(path)
            if self._is_due(rules, node):
                conditions = Conditions() if node.is_folder else Conditions(if_match=node.effective_etag)
                is_gone = await store.delete_node(path, conditions)
                self.totals.expired += is_gone
        except (NotFound, PreconditionFailed):
            pass  # deleted or replaced meanwhile
        except CellsError as error:
            self._complain(store, path, error)

    async def _abort(self, name: str, rules: Sequence[LifecycleRule], prefix: str) -> AsyncGenerator[None, None]:
        key = upload_id = ""
        while True:
            store = self._find(name)
            page = await store.list_uploads(prefix, key, upload_id, PAGE)
            for upload in page:
                end = find_abort(rules, upload.key, upload.initiated_ns / _NS, self._day)
                if end is not None and end.at <= self._clock.time():
                    try:
                        await store.abort_upload(upload.upload_id)
                        self.totals.aborted += 1
                    except NotFound:
                        pass  # completed or aborted meanwhile
            yield
            if len(page) < PAGE:
                return
            key, upload_id = page[-1].key, page[-1].upload_id


def outermost(prefixes: Iterable[str]) -> list[str]:
    """Prefixes without those that begin with another one: each key is looked at once."""
    found: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not found or not prefix.startswith(found[-1]):
            found.append(prefix)
    return found
