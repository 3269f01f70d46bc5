"""The buckets that this process holds, each by a lease."""

import asyncio

from cellsmono.datasource.objects.s3.endpoint import Connection
from cellsmono.datasource.objects.s3.lease import Lease
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import Unavailable
from cellsmono.kernel.tasks import create_task


class Holds:
    """Takes leases, knows whether they still count, and gives them back."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._leases: dict[str, Lease] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def take(self, place: Place) -> None:
        """Hold a place until ``let_go`` or ``close``. Raises Locked, and what keeps the server from telling."""
        while self._ending:  # it may be this one that is just given back
            await asyncio.wait(self._ending)
        lease = Lease(self._connection, place, self._clock)
        await lease.take()
        self._leases[place.name] = lease

    def describe_loss(self, bucket: str) -> str:
        """See ``Holder``."""
        lease = self._leases.get(bucket)
        return "" if lease is None else lease.describe_loss()

    def check(self, bucket: str) -> None:
        """Raise Unavailable (reason ``hold_lost``) when somebody else may hold what was held here."""
        loss = self.describe_loss(bucket)
        if loss:
            raise Unavailable(loss, reason="hold_lost", path=bucket)

    def let_go(self, bucket: str) -> None:
        """Give a lease back, soon. Nothing happens for a bucket that is not held."""
        lease = self._leases.pop(bucket, None)
        if lease is not None:
            task = create_task(lease.release(), f"objects-s3-release:{bucket}")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Give all leases back; returns when that is done."""
        for bucket in list(self._leases):
            self.let_go(bucket)
        while self._ending:
            await asyncio.wait(self._ending)
