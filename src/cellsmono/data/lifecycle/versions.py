"""Which noncurrent versions and delete markers of a page go, with what is remembered from the page before."""

from collections.abc import Iterable, Iterator, Sequence

from cellsmono.interfaces.lifecycle import LifecycleRule, find_version_expiry
from cellsmono.interfaces.version import Version


class DueVersions:
    """Looks through the versions of a bucket, key by key and newest first; a key may go on on the next page."""

    def __init__(self, rules: Sequence[LifecycleRule], day_seconds: float) -> None:
        self._rules = rules
        self._day = day_seconds
        self._key = ""
        self._newer = 0
        self._marker: Version | None = None
        """A delete marker that is the newest version of its key, until it is known whether there are others."""

    def find(self, page: Iterable[Version], now: float) -> Iterator[Version]:
        """The versions of a page that go by now."""
        for version in page:
            if version.key != self._key:
                yield from self.finish(now)
                self._key, self._newer = version.key, 0
            else:
                self._marker = None
            if not version.is_latest:
                if self._is_due(version, now, is_only=False):
                    yield version
                self._newer += 1
            elif version.node is None:
                self._marker = version

    def finish(self, now: float) -> Iterator[Version]:
        """What is left when the key, or the bucket, ends: a delete marker that is all that there is."""
        marker, self._marker = self._marker, None
        if marker is not None and self._is_due(marker, now, is_only=True):
            yield marker

    def _is_due(self, version: Version, now: float, *, is_only: bool) -> bool:
        end = find_version_expiry(self._rules, version, self._newer, is_only=is_only, day_seconds=self._day)
        return end is not None and end.at <= now
