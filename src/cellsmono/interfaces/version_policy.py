"""What of a key's old versions is kept, and for how long, as versioning policies of Cells have it. Pure: times are
arguments.

A *period* begins at an age and says how many versions of that age are kept; it ends where the next one begins. Younger
versions than the first period are all kept. A version's age is the time since something newer took its place.
"""

import enum
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from cellsmono.interfaces.locks import is_locked
from cellsmono.interfaces.version import Version
from cellsmono.kernel.errors import Invalid

ALL = -1
"""As the number of a period: all of them."""

_NS = 1_000_000_000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_PERIOD = re.compile(r"(\d{1,9})([smhdwy])=(all|\d{1,9})")


class DeletedStrategy(enum.StrEnum):
    """What is kept of a key that was deleted: what the periods say, the last version alone, or nothing."""

    KEEP_ALL = "keep-all"
    KEEP_LAST = "keep-last"
    KEEP_NONE = "keep-none"


class KeepPeriod(msgspec.Struct, frozen=True):
    """From the age ``start`` (seconds) on, the ``number`` newest versions are kept."""

    start: int
    number: int


class VersionPolicy(msgspec.Struct, frozen=True):
    """The policy of a datasource. Sizes are bytes, 0: no limit.

    ``max_size`` is for the noncurrent versions of one key together, ``max_total`` for those of the datasource. Versions
    larger than ``ignore_larger`` are not kept at all.
    """

    periods: tuple[KeepPeriod, ...] = ()
    max_size: int = 0
    max_total: int = 0
    ignore_larger: int = 0
    deleted: DeletedStrategy = DeletedStrategy.KEEP_ALL

    @property
    def keeps_all(self) -> bool:
        """Whether nothing ever goes by this policy."""
        return self == VersionPolicy()

    def choose(self, versions: Sequence[Version], now_ns: int) -> Iterator[tuple[Version, str]]:
        """Which of the versions of one key go, and why. All of them are given, newest first.

        What an object lock keeps is kept, and counts as such: nor does the delete marker above it go.
        """
        latest = versions[0]
        is_deleted = latest.is_latest and latest.node is None
        kept = dict.fromkeys(range(-1, len(self.periods)), 0)
        size = number = 0
        for version in versions[1:] if latest.is_latest else versions:
            if version.node is None:
                continue
            period = self._period_of((now_ns - version.since_ns) / _NS)
            why = self._judge(version, is_deleted, number, period, kept[period], size)
            if why and not is_locked(version.node.meta.lock, now_ns):
                yield version, why
                continue
            kept[period] += 1
            number += 1
            size += version.size
        if is_deleted and not number and not self.keeps_all:
            yield latest, "nothing left below the delete marker"

    def _judge(self, version: Version, is_deleted: bool, number: int, period: int, kept: int, size: int) -> str:
        if self.ignore_larger and version.size > self.ignore_larger:
            return "larger than what is kept"
        if is_deleted and self.deleted == DeletedStrategy.KEEP_NONE:
            return "its key was deleted"
        if is_deleted and self.deleted == DeletedStrategy.KEEP_LAST and number:
            return "not the last one of a key that was deleted"
        if period >= 0 and self.periods[period].number != ALL and kept >= self.periods[period].number:
            return "more than are kept of its age"
        if self.max_size and size + version.size > self.max_size:
            return "more bytes than are kept of one key"
        return ""

    def _period_of(self, age: float) -> int:
        return sum(period.start <= age for period in self.periods) - 1


def parse_periods(text: str) -> tuple[KeepPeriod, ...]:
    """Periods as a configuration has them: ``0s=all, 1h=10, 1d=5, 30d=0``. Raises Invalid (reason ``periods``)."""
    periods = []
    for piece in text.split(",") if text.strip() else ():
        found = _PERIOD.fullmatch(piece.strip())
        if found is None:
            raise Invalid(
                f"{piece.strip()!r} is no period: write AGE=NUMBER, the age with s, m, h, d, w or y, the number or "
                "'all', as in '1h=10, 1d=5, 30d=0'",
                reason="periods",
            )
        number = ALL if found[3] == "all" else int(found[3])
        periods.append(KeepPeriod(int(found[1]) * _UNITS[found[2]], number))
    starts = [period.start for period in periods]
    if starts != sorted(set(starts)):
        raise Invalid(f"The periods {text!r} are not in the order of their ages", reason="periods")
    return tuple(periods)


def find_cut(remaining: Iterable[tuple[int, int]], most: int) -> int:
    """Up to which ``since_ns`` versions go, so that those that stay have at most so many bytes; -1: none.

    ``remaining`` are (``since_ns``, size) of all versions, in any order. They are kept in arrays: there may be
    millions.
    """
    times, sizes = array("q"), array("q")
    for since, size in remaining:
        times.append(since)
        sizes.append(size)
    total, cut = sum(sizes), -1
    for at in sorted(range(len(times)), key=times.__getitem__):
        if total <= most:
            break
        total -= sizes[at]
        cut = times[at]
    return cut


class PruneProgress(msgspec.Struct, frozen=True):
    """How far a prune is: keys looked at, versions that went, and the key that it is at."""

    keys: int
    removed: int
    path: str = ""


class PrunedVersion(msgspec.Struct, frozen=True):
    """A version that went, or would go, and why. ``version`` is its id (empty: the null version)."""

    path: str
    version: str
    size: int
    why: str


class PruneReport(msgspec.Struct):
    """What a prune did, or with ``dry_run`` would do. ``pruned`` lists at most 1,000.

    ``kept`` are versions that were to go and stay, for they were locked before they went.
    """

    datasource: str
    dry_run: bool = False
    keys: int = 0
    removed: int = 0
    removed_bytes: int = 0
    failed: int = 0
    kept: int = 0
    pruned: list[PrunedVersion] = []
    seconds: float = 0.0
