"""A lease: an object that says which process holds a place, renewed for as long as it does.

It is written under the condition that nobody else wrote it meanwhile, so of two processes one is refused, and who was
away for too long notices that somebody else came. Servers that know no such conditions are found out when the lease is
taken: there it is read back after a moment instead, and before each renewal.

A process that ended without a word leaves its lease behind. On the same machine that is seen at once; elsewhere the
lease must have rested for longer than it lasts, by the server's clock or while somebody watches it.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from cellsmono.datasource.objects.s3.endpoint import Connection
from cellsmono.datasource.objects.s3.place import RESERVED_ROOT, Place
from cellsmono.datasource.objects.s3.processes import Process, this_process
from cellsmono.datasource.objects.s3.requests import ask, fetch
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Corrupt, Invalid, Locked, NotFound, PreconditionFailed
from cellsmono.kernel.log import get_logger
from cellsmono.kernel.worker import Worker

log = get_logger("objects")

KEY = RESERVED_ROOT + "lease.json"
LASTS_SECONDS = 60.0
"""How long a holder may go on after the last renewal that it is sure of."""
RENEW_SECONDS = 20.0
MARGIN_SECONDS = 5.0
"""How much longer others wait: servers tell whole seconds, and clocks do not run equally fast."""
LOOK_SECONDS = 2.0
"""How often a lease is looked at that may have been left behind."""
SETTLE_SECONDS = 2.0
"""How long after writing it is read back, where the server knows no conditions: then a rival's write is there, too."""
RELEASE_SECONDS = 5.0

_ours: set[str] = set()
"""Tokens of the leases of this process: its own number alone does not tell whether it still holds one."""

Pause = Callable[[float], Awaitable[None]]


class Record(msgspec.Struct, frozen=True):
    """What the object says. ``turn`` counts renewals, so that each of them changes the object."""

    token: str
    since: str
    process: Process
    turn: int = 0
    about: str = "The process that this names is the only one to change what lies here. See cellsmono's README."

    def is_left(self) -> bool | None:
        """Whether its holder ended without giving it back; None when that can not be told from here."""
        is_running = self.process.is_running()
        if is_running and self.process.pid == this_process().pid:
            return self.token not in _ours
        return None if is_running is None else not is_running

    def describe(self) -> str:
        """The holder, for people."""
        return f"process {self.process.pid} on {self.process.host}, since {self.since}"


class Found(msgspec.Struct, frozen=True):
    """A lease on the server. ``record`` is None when it can not be read; ``age`` is in seconds, None: not known."""

    etag: str
    record: Record | None
    age: float | None

    def describe(self) -> str:
        """The holder, for people."""
        return "an unknown process" if self.record is None else self.record.describe()


class Lease:
    """This process's lease on one place."""

    def __init__(self, connection: Connection, place: Place, clock: Clock, pause: Pause = asyncio.sleep) -> None:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock.time()))
        self._connection = connection
        self._place = place
        self._clock = clock
        self._pause = pause
        self._record = Record(secrets.token_hex(16), since, this_process())
        self._etag = ""
        self._knows_conditions = True
        self._confirmed = (0.0, 0.0)
        self._lost = ""
        self._trouble = ""
        self._worker = Worker(f"objects-s3-lease:{place.name}", self.renew, interval=RENEW_SECONDS, clock=clock)

    @property
    def _title(self) -> str:
        return f"'s3://{self._place.bucket}/{self._place.prefix}'"

    # taking

    async def take(self) -> None:
        """Hold the place, waiting for a lease that was left behind to run out. Raises Locked when somebody holds it."""
        _ours.add(self._record.token)
        try:
            await self._win()
            self._knows_conditions = self._knows_conditions and not await self._write(IfNoneMatch="*")
            if not self._knows_conditions:
                log.info("the S3 server knows no conditional writes; a hold is read back", bucket=self._place.name)
                await self._pause(SETTLE_SECONDS)
                await self._read_back()
        except BaseException:
            _ours.discard(self._record.token)
            raise
        self._worker.start()

    async def _win(self) -> None:
        """Write the lease where there is none, or in the place of one that was left behind."""
        watched, begun = "", 0.0
        while True:
            found = await self._read()
            if found is None:
                if await self._write(IfNoneMatch="*"):
                    return
                continue
            if self._is_mine(found):  # the answer to our own write was lost
                self._etag = found.etag
                return
            if found.etag != watched:
                if watched:
                    raise self._held_by(found)
                watched, begun = found.etag, self._clock.monotonic()
            if not self._may_take(found, self._clock.monotonic() - begun):
                await self._pause(LOOK_SECONDS)
            elif await self._write(IfMatch=found.etag):
                log.warning("a hold that was left behind is taken over", bucket=self._place.name, of=found.describe())
                return

    def _may_take(self, found: Found, watched: float) -> bool:
        is_left = None if found.record is None else found.record.is_left()
        if is_left is False:
            raise self._held_by(found)
        return is_left is True or max(watched, found.age or 0.0) > LASTS_SECONDS + MARGIN_SECONDS

    async def _read_back(self) -> None:
        found = await self._read()
        if found is None or not self._is_mine(found):
            raise Locked(f"Another process took {self._title} in the same moment; try again.", reason="held")
        self._etag = found.etag

    def _held_by(self, found: Found) -> Locked:
        return Locked(
            f"{self._title} is held by another process ({found.describe()}), which alone may change it. Stop that one "
            f"first, or choose another bucket or prefix. One that has ended loses its hold {LASTS_SECONDS:.0f} seconds "
            "after.",
            reason="held",
        )

    def _is_mine(self, found: Found) -> bool:
        return found.record is not None and found.record.token == self._record.token

    # holding

    async def renew(self) -> bool:
        """Write the lease once more. A step of a worker: what goes wrong for a while is tried again by the next one."""
        if self._lost:
            return False
        try:
            async with asyncio.timeout(RENEW_SECONDS):
                await self._renew()
            self._trouble = ""
        except (CellsError, TimeoutError) as error:
            self._trouble = str(error) or "the S3 server does not answer in time"
            log.warning("the hold on a bucket is not renewed", bucket=self._place.name, error=self._trouble)
        return False

    async def _renew(self) -> None:
        if self._knows_conditions and await self._write(IfMatch=self._etag):
            return
        found = await self._read()
        if found is None or not self._is_mine(found):
            self._lose(found)
            return
        await self._write(**({"IfMatch": found.etag} if self._knows_conditions else {}))

    def _lose(self, found: Found | None) -> None:
        what = "is gone, as from a bucket that was emptied" if found is None else f"is now that of {found.describe()}"
        self._lost = (
            f"The hold of this process on {self._title} was lost: the lease '{KEY}' {what}. Nothing is written any "
            "more. See that one server alone serves this bucket and that its objects are there, then restart."
        )
        log.error("the hold on a bucket was lost", bucket=self._place.name, lease=what)

    def describe_loss(self) -> str:
        """See ``Holder``."""
        if self._lost or self._elapsed() < LASTS_SECONDS:
            return self._lost
        self._worker.wake()
        return (
            f"The hold of this process on {self._title} could not be renewed for {self._elapsed():.0f} seconds, so "
            f"that another one may have it. Nothing is written until it is renewed. {self._trouble}"
        ).rstrip()

    def _elapsed(self) -> float:
        """Seconds since the last renewal; one of the clocks stands still while the machine sleeps."""
        return max(now - then for now, then in zip(self._now(), self._confirmed, strict=True))

    def _now(self) -> tuple[float, float]:
        return self._clock.monotonic(), self._clock.time()

    async def release(self) -> None:
        """Give the lease back, if it is still ours and the server can be reached."""
        try:
            await self._worker.stop(RELEASE_SECONDS)
            with suppress(CellsError, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self._remove()
        finally:
            _ours.discard(self._record.token)

    async def _remove(self) -> None:
        # While it is certain that nobody else took it, removing it can not hit another one's.
        if self._elapsed() < LASTS_SECONDS - RELEASE_SECONDS and not self._lost:
            found = await self._read()
            if found is not None and self._is_mine(found):
                await ask(self._connection, "delete_object", KEY, **self._place.at(KEY))

    # the object

    async def _read(self) -> Found | None:
        """The lease as it is now; None when there is none."""
        try:
            answer, text = await fetch(self._connection, KEY, **self._place.at(KEY))
        except NotFound:
            return None
        try:
            record = msgspec.json.decode(text, type=Record)
        except msgspec.DecodeError:
            record = None
        return Found(answer["ETag"], record, _age_of(answer))

    async def _write(self, **conditions: str) -> bool:
        """Write the lease; False when a condition does not hold. One that the server does not know is left out."""
        now = self._now()
        self._record = msgspec.structs.replace(self._record, turn=self._record.turn + 1)
        body = msgspec.json.format(msgspec.json.encode(self._record))
        arguments = {**self._place.at(KEY), "Body": body, "ContentType": "application/json"}
        wanted = conditions if self._knows_conditions else {}
        try:
            answer = await ask(self._connection, "put_object", KEY, **arguments, **wanted)
        except (PreconditionFailed, NotFound):
            return False
        except (Invalid, Corrupt):
            if not wanted:
                raise
            self._knows_conditions = False
            return await self._write()
        self._etag, self._confirmed = answer["ETag"], now
        return True


def _age_of(answer: dict[str, Any]) -> float | None:
    """Seconds since an object was written, by the server's own clock; None when it tells no time."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        return float((parsedate_to_datetime(date) - answer["LastModified"]).total_seconds())
    except (TypeError, ValueError):
        return None
