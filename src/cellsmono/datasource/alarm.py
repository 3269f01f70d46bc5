"""The alarm of a datasource: once a disk lost what it was told to keep, nothing more is written.

After a failed flush the kernel counts the lost pages as clean: a repeated flush, and one of somebody else, succeeds and
proves nothing (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So the datasource
becomes read-only until somebody looked at the disk and says so, by a restart or a resync.
"""

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from cellsmono.kernel.errors import DISK_FAILED, Unavailable
from cellsmono.kernel.log import get_logger

P = ParamSpec("P")
R = TypeVar("R")

log = get_logger("datasource")


class Alarm:
    """Why a datasource is read-only; silent while ``reason`` is empty.

    ``remedy`` says what to do once the disk was checked. ``held`` is why writing is forbidden although no disk failed,
    and is for whoever set it to take back.
    """

    def __init__(self, datasource: str, remedy: str) -> None:
        self._datasource = datasource
        self._remedy = remedy
        self._failure = ""
        self.held = ""

    @property
    def reason(self) -> str:
        """Why it sounds, or writing is forbidden; empty when neither is so."""
        return self._failure or self.held

    def hear(self, error: BaseException | None) -> None:
        """Sound for an error that tells of a failed disk; every other one is left to the caller."""
        if self._failure or not isinstance(error, Unavailable) or error.reason != DISK_FAILED:
            return
        self._failure = (
            f"The datasource '{self._datasource}' is read-only because its disk failed: {error.message} Check the disk "
            f"and the kernel's log; then {self._remedy}, or restart."
        )
        log.error("a disk failed, the datasource is read-only now", datasource=self._datasource, error=error.message)

    def check(self) -> None:
        """Raise Unavailable (reason ``read_only``) while it sounds."""
        if self.reason:
            raise Unavailable(self.reason, reason="read_only")

    def silence(self) -> None:
        """Allow writing again: somebody looked at the disk."""
        if self._failure:
            self._failure = ""
            log.warning("writing is allowed again", datasource=self._datasource)


class _HasAlarm(Protocol):
    @property
    def alarm(self) -> Alarm:
        """The alarm of the datasource."""

    async def check_root(self) -> None:
        """Raise Unavailable when the datasource's folder is not in its place."""


S = TypeVar("S", bound=_HasAlarm)


def guarded(
    method: Callable[Concatenate[S, P], Awaitable[R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Refuse a writing method while the alarm sounds or the folder is away; sound when it tells of a failed disk.

    What was under way while it began to sound is not acknowledged either: its own flush may have been a false success.
    """

    @functools.wraps(method)
    async def write(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self.alarm.check()
        await self.check_root()
        try:
            result = await method(self, *args, **kwargs)
        except Unavailable as error:
            self.alarm.hear(error)
            raise
        self.alarm.check()
        return result

    return write
