"""Object lock over a whole index: whether anything in it is locked now, and what another index would lose of it."""

from collections.abc import AsyncGenerator

import msgspec

from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.locks import GOVERNANCE, LOCKED, ON, LockRule, is_as_strong, is_locked
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.version import Version, Versioning
from cellsmono.kernel.errors import Conflict

_PAGE = 1000


class LockedVersion(msgspec.Struct, frozen=True):
    """A version that can not be deleted now."""

    key: str
    id: str
    node: Node
    is_latest: bool

    @property
    def is_firm(self) -> bool:
        """Whether not even bypassing GOVERNANCE helps."""
        lock = self.node.meta.lock
        return lock is not None and (lock.hold == ON or lock.mode != GOVERNANCE)

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.key!r} (version {self.id or 'null'})"


async def list_locked(index: NodeIndex, now_ns: int, prefix: str = "") -> AsyncGenerator[LockedVersion, None]:
    """All locked versions of keys with a prefix. Costs a look at each version, and nothing where object lock is off."""
    key, version = "", None
    while index.object_lock is not None:
        page = await index.list_versions(prefix, after=key, after_version=version, limit=_PAGE)
        for entry in page.entries:
            if isinstance(entry, Version) and entry.node is not None and is_locked(entry.node.meta.lock, now_ns):
                yield LockedVersion(entry.key, entry.id, entry.node, entry.is_latest)
        key, version = page.next_key, page.next_version
        if not key:
            return


async def refuse_removal(index: NodeIndex, name: str, now_ns: int, *, bypass: bool) -> None:
    """Raise Conflict (reason ``locked``) while a datasource holds locked versions.

    With ``bypass`` those do not count whose only lock is a GOVERNANCE retention.
    """
    async for found in list_locked(index, now_ns):
        if found.is_firm:
            raise Conflict(
                f"{name!r} holds versions that are locked, such as {found.name}: a legal hold must be taken off first, "
                "and the end of a COMPLIANCE retention be awaited.",
                reason=LOCKED,
                path=name,
            )
        if not bypass:
            raise Conflict(
                f"{name!r} holds versions that are locked, such as {found.name}. Retentions in GOVERNANCE mode can be "
                "overruled with --bypass-governance, others can not.",
                reason=LOCKED,
                path=name,
            )


async def carry_over(old: NodeIndex, new: NodeIndex, now_ns: int) -> None:
    """Keep object lock on in an index that is to take the place of another one.

    Raises Conflict (reason ``locked``) where a locked version would be lost, or its lock be weaker.
    """
    rule = old.object_lock
    if rule is None:
        return
    async for found in list_locked(old, now_ns):
        kept = await new.find_version(found.key, found.id)
        lock = None if kept is None or kept.node is None else kept.node.meta.lock
        if kept is None or not is_as_strong(lock, found.node.meta.lock, now_ns) or not _has_content(kept, found.node):
            raise Conflict(
                f"{found.name} is locked, and would be lost or less locked with this snapshot. Take one that was made "
                "since, or wait for the end of the lock.",
                reason=LOCKED,
                path=found.key,
            )
    await _enable(new, rule)


def _has_content(kept: Version, node: Node) -> bool:
    return kept.node is not None and (kept.node.uuid, kept.node.blob) == (node.uuid, node.blob)


async def _enable(index: NodeIndex, rule: LockRule) -> None:
    await index.set_versioning(Versioning.ENABLED)
    if index.object_lock != rule:
        await index.set_object_lock(rule)
