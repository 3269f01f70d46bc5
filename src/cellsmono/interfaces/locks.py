"""Object lock: what keeps a version of an object from being deleted, as S3 has it. Pure rules, the time is an argument.

A version may have a *retention* (until a moment it stays) and, apart from that, a *legal hold* (it stays until somebody
says otherwise). Retention in GOVERNANCE mode gives way to whoever may, and says so; in COMPLIANCE mode to nobody: until
its end it can be made longer, and that is all. A delete marker takes no version away and is always allowed.

Source: "Locking objects with Object Lock" in the Amazon S3 user guide.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from cellsmono.kernel.errors import Forbidden

Mode = Literal["", "GOVERNANCE", "COMPLIANCE"]
Hold = Literal["", "ON", "OFF"]

GOVERNANCE: Final = "GOVERNANCE"
COMPLIANCE: Final = "COMPLIANCE"
ON: Final = "ON"

MAX_DAYS: Final = 36_500
MAX_YEARS: Final = 100
"""The longest default retention."""

LOCKED: Final = "locked"
"""The ``reason`` of a Forbidden or Conflict that says: an object lock is in the way."""
_NS: Final = 1_000_000_000


class ObjectLock(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one version is under. ``until`` is in whole seconds since the epoch, UTC; without a mode it means nothing.

    ``hold`` is empty while nobody ever said anything about it.
    """

    mode: Mode = ""
    until: int = 0
    hold: Hold = ""


NO_LOCK: Final = ObjectLock()


class LockRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Object lock of a whole datasource: it is on, and new versions without a retention of their own get this one.

    Either ``days`` or ``years`` is set, or there is no mode and new versions get none.
    """

    mode: Mode = ""
    days: int = 0
    years: int = 0

    def lock_new(self, lock: ObjectLock, now_ns: int) -> ObjectLock:
        """The lock of a version that is made now and was to have this one."""
        if lock.mode or not self.mode:
            return lock
        return ObjectLock(self.mode, self._end(now_ns), lock.hold)

    def _end(self, now_ns: int) -> int:
        """When a retention ends that begins now: a part of a second more rather than less."""
        begin = datetime.fromtimestamp(-(-now_ns // _NS), UTC)
        if not self.years:
            return int((begin + timedelta(days=self.days)).timestamp())
        try:
            end = begin.replace(year=begin.year + self.years)
        except ValueError:  # 29 February, and there is none in that year
            end = begin.replace(year=begin.year + self.years, month=3, day=1)
        return int(end.timestamp())


def is_retained(lock: ObjectLock, now_ns: int) -> bool:
    """Whether a retention has not ended yet."""
    return bool(lock.mode) and now_ns < lock.until * _NS


def is_locked(lock: ObjectLock | None, now_ns: int) -> bool:
    """Whether a version can not be deleted now, unless somebody bypasses GOVERNANCE."""
    return lock is not None and (lock.hold == ON or is_retained(lock, now_ns))


def check_deletion(lock: ObjectLock | None, now_ns: int, *, bypass: bool = False) -> None:
    """Raise Forbidden (reason ``locked``) for a version that can not be deleted now.

    ``bypass`` says that whoever asks may bypass GOVERNANCE, and wants to.
    """
    if lock is None or not is_locked(lock, now_ns):
        return
    if lock.hold == ON or lock.mode != GOVERNANCE or not bypass:
        raise refusal()


def change_retention(
    old: ObjectLock | None, mode: Mode, until: int, now_ns: int, *, bypass: bool = False
) -> ObjectLock:
    """The lock with another retention, the empty mode for none; a hold stays.

    Raises Forbidden (reason ``locked``) for what would weaken a retention that has not ended. To change GOVERNANCE into
    COMPLIANCE is such a change, too: nobody could undo it.
    """
    old = old or NO_LOCK
    if is_retained(old, now_ns) and not (old.mode == GOVERNANCE and bypass) and (mode != old.mode or until < old.until):
        raise refusal()
    return ObjectLock(mode, until if mode else 0, old.hold)


def change_hold(old: ObjectLock | None, hold: Hold) -> ObjectLock:
    """The lock with another legal hold; whoever may set one may take it away."""
    return msgspec.structs.replace(old or NO_LOCK, hold=hold)


def is_as_strong(lock: ObjectLock | None, other: ObjectLock | None, now_ns: int) -> bool:
    """Whether ``lock`` keeps a version at least as long and as firmly as ``other`` does."""
    if other is None or not is_locked(other, now_ns):
        return True
    lock = lock or NO_LOCK
    if other.hold == ON and lock.hold != ON:
        return False
    if not is_retained(other, now_ns):
        return True
    return bool(lock.mode) and lock.until >= other.until and not (other.mode == COMPLIANCE != lock.mode)


def refusal() -> Forbidden:
    """The refusal, in the words of AWS."""
    return Forbidden("Access Denied because object protected by object lock.", reason=LOCKED)
