"""Expiry rules of a bucket, and when they let an object go. Pure: times are arguments.

A day is a number of seconds, 86,400 but in tests; days begin at multiples of it from the epoch (midnight, UTC).
"""

from collections.abc import Iterable
from math import ceil

import msgspec

from cellsmono.interfaces.node import FolderKind, Node, time_of_uuid
from cellsmono.interfaces.version import Version

DAY_SECONDS = 86_400.0
_NS = 1_000_000_000


class LifecycleRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule.

    It is about keys that begin with ``prefix``, carry all of ``tags``, and are larger than ``larger_than`` and smaller
    than ``smaller_than`` bytes (None: any). Objects go ``days`` after they came (0: never), or from ``date`` on
    (seconds since the epoch); uploads in parts ``abort_days`` after they were begun (0: never). ``has_filter`` tells
    how the prefix was written: below a ``Filter``, or in the older form.

    Where versions are kept, an object that goes leaves a delete marker. Noncurrent versions go ``noncurrent_days``
    after they became that (0: never), but for the ``keeps_newer`` newest of them. With ``expires_markers``, and when
    objects go by days, a delete marker goes that is all that there is of a key.
    """

    id: str
    is_enabled: bool = True
    prefix: str = ""
    tags: dict[str, str] = {}
    larger_than: int | None = None
    smaller_than: int | None = None
    days: int = 0
    date: int | None = None
    abort_days: int = 0
    has_filter: bool = True
    noncurrent_days: int = 0
    keeps_newer: int = 0
    expires_markers: bool = False

    @property
    def expires_objects(self) -> bool:
        """Whether objects go by this rule."""
        return self.is_enabled and (self.days > 0 or self.date is not None)

    @property
    def aborts_uploads(self) -> bool:
        """Whether uploads in parts go by this rule."""
        return self.is_enabled and self.abort_days > 0

    @property
    def looks_at_versions(self) -> bool:
        """Whether noncurrent versions or delete markers go by this rule."""
        return self.is_enabled and (self.noncurrent_days > 0 or self.expires_markers or self.days > 0)

    @property
    def is_about_all(self) -> bool:
        """Whether nothing but the key decides, so that the rule is about delete markers, too."""
        return not self.tags and self.larger_than is None and self.smaller_than is None

    def covers_version(self, version: Version) -> bool:
        """Whether the rule is about this version."""
        if version.node is not None:
            return self.covers(version.node)
        return self.is_about_all and version.key.startswith(self.prefix)

    def covers(self, node: Node) -> bool:
        """Whether the rule is about this node."""
        return (
            node.path.startswith(self.prefix)
            and (self.larger_than is None or node.size > self.larger_than)
            and (self.smaller_than is None or node.size < self.smaller_than)
            and all(node.meta.tags.get(key) == value for key, value in self.tags.items())
        )


class Expiry(msgspec.Struct, frozen=True):
    """When an object goes, in seconds since the epoch, and the rule that says so."""

    at: float
    rule: str


def came_at(node: Node) -> float:
    """From when on the age of an object counts, in seconds since the epoch.

    Modification times can be older than the object: tools keep them when they upload. It is not older than its
    identity, so the later of the two counts.
    """
    return max(node.mtime_ns / _NS, time_of_uuid(node.uuid) or 0.0)


def end_of_days(start: float, days: int, day_seconds: float = DAY_SECONDS) -> float:
    """So many days after ``start``, rounded up to the beginning of a day."""
    return ceil((start + days * day_seconds) / day_seconds) * day_seconds


def find_expiry(rules: Iterable[LifecycleRule], node: Node, day_seconds: float = DAY_SECONDS) -> Expiry | None:
    """The first moment at which a rule lets an object go, None when none ever does.

    Folders that are there by themselves are not objects that somebody put, and stay.
    """
    if node.is_folder and node.kind is not FolderKind.MARKER:
        return None
    found: Expiry | None = None
    for rule in rules:
        if not (rule.expires_objects and rule.covers(node)):
            continue
        at = float(rule.date) if rule.date is not None else end_of_days(came_at(node), rule.days, day_seconds)
        if found is None or at < found.at:
            found = Expiry(at, rule.id)
    return found


def find_version_expiry(
    rules: Iterable[LifecycleRule], version: Version, newer: int, *, is_only: bool, day_seconds: float = DAY_SECONDS
) -> Expiry | None:
    """The first moment at which a rule lets a noncurrent version or a delete marker go, None when none ever does.

    ``newer`` is the number of noncurrent versions of its key that are newer, ``is_only`` says that there is no other
    version at all.
    """
    ends = []
    for rule in rules:
        if not (rule.looks_at_versions and rule.covers_version(version)):
            continue
        if not version.is_latest:
            if rule.noncurrent_days and newer >= rule.keeps_newer:
                ends.append(Expiry(end_of_days(version.since_ns / _NS, rule.noncurrent_days, day_seconds), rule.id))
        elif version.node is None and is_only:
            if rule.expires_markers:
                ends.append(Expiry(0.0, rule.id))
            elif rule.days:
                ends.append(Expiry(end_of_days(version.mtime_ns / _NS, rule.days, day_seconds), rule.id))
    return min(ends, key=lambda each: each.at, default=None)


def find_abort(
    rules: Iterable[LifecycleRule], key: str, initiated: float, day_seconds: float = DAY_SECONDS
) -> Expiry | None:
    """The first moment at which a rule ends an upload in parts, None when none ever does."""
    ends = [
        Expiry(end_of_days(initiated, rule.abort_days, day_seconds), rule.id)
        for rule in rules
        if rule.aborts_uploads and key.startswith(rule.prefix)
    ]
    return min(ends, key=lambda each: each.at, default=None)
