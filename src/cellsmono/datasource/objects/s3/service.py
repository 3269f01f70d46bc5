"""What the halves of an ``S3Store`` share: the connection, the places that are its buckets, and staged bytes."""

import asyncio
import itertools
from collections.abc import Sequence

import msgspec

from cellsmono.datasource.objects.registry import StoredPart
from cellsmono.datasource.objects.s3.copying import Version
from cellsmono.datasource.objects.s3.endpoint import Connection, Endpoint
from cellsmono.datasource.objects.s3.folders import Folders
from cellsmono.datasource.objects.s3.holding import Holds
from cellsmono.datasource.objects.s3.moves import finish_moves
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.spool import Spool
from cellsmono.datasource.objects.s3.staging import Courier, OpenUpload
from cellsmono.datasource.objects.s3.sweep import Sweeper
from cellsmono.datasource.objects.workers import Workers
from cellsmono.interfaces.objects import Staged, Upload
from cellsmono.kernel.clock import Clock, SystemClock
from cellsmono.kernel.errors import AlreadyExists, NotFound


class Join(msgspec.Struct, frozen=True):
    """Parts of one of our uploads that are to become one object."""

    upload: Upload
    parts: Sequence[StoredPart]
    is_native: bool


class Temporary(msgspec.Struct, frozen=True):
    """A whole object under a hidden key, because its own was not known when it came in."""

    version: Version


Held = Spool | OpenUpload | Temporary | Version | Join


class S3Service:
    """One endpoint and key pair, and the places on it that are buckets."""

    def __init__(self, name: str, endpoint: Endpoint, *, clock: Clock | None = None) -> None:
        self.name = name
        self.endpoint = endpoint
        self.clock = clock or SystemClock()
        self.workers = Workers()
        self.connection = Connection(endpoint)
        self.courier = Courier(self.connection, self.workers)
        self.folders = Folders(self.connection)
        self.sweeper = Sweeper(self.connection)
        self.holds = Holds(self.connection, self.clock)
        self._places: dict[str, Place] = {}
        self._staged: dict[str, tuple[Held, bool]] = {}
        self._tokens = itertools.count(1)
        self._settled: set[str] = set()
        self._settling = asyncio.Lock()

    def add_bucket(self, place: Place) -> None:
        """Serve a place as a bucket; it need not be there now. Raises AlreadyExists for a name that is served."""
        if place.name in self._places:
            raise AlreadyExists(f"The bucket '{place.name}' is served already.", reason="bucket")
        self._places[place.name] = place

    def forget_bucket(self, bucket: str) -> None:
        """Serve it no longer; what is on the server stays. Nothing happens for an unknown one."""
        place = self._places.pop(bucket, None)
        self._settled.discard(bucket)
        if place is not None:
            self.holds.let_go(bucket)
            self.folders.forget(place)
            self.sweeper.forget(place)

    def place(self, bucket: str) -> Place:
        """A bucket that is served. Raises NotFound (reason ``bucket``)."""
        found = self._places.get(bucket)
        if found is None:
            raise NotFound(f"There is no bucket '{bucket}'.", reason="bucket")
        return found

    def writable(self, bucket: str) -> Place:
        """A bucket that may be changed.

        Raises NotFound, Forbidden (reason ``read_only``), Unavailable (reason ``hold_lost``).
        """
        place = self.place(bucket)
        place.check_writable()
        self.holds.check(bucket)
        return place

    async def hold_bucket(self, bucket: str) -> None:
        """See ``Holder``: by a lease. One that is read-only is not held, since that would be a change."""
        place = self.place(bucket)
        if not place.read_only:
            await self.holds.take(place)

    def describe_loss(self, bucket: str) -> str:
        """See ``Holder``."""
        return self.holds.describe_loss(bucket)

    async def settled(self, bucket: str) -> Place:
        """A bucket that may be changed, once the moves are at their end that a crash broke off."""
        place = self.writable(bucket)
        await self.finish_moves(place)
        return place

    async def finish_moves(self, place: Place) -> None:
        """Take up what a crash broke off, before the first look or change."""
        if place.name in self._settled or place.read_only:
            return
        async with self._settling:
            if place.name not in self._settled:
                await finish_moves(self.connection, place)
                self._settled.add(place.name)

    def keep(self, bucket: str, held: Held, size: int, key: str = "", *, is_free: bool = False) -> Staged:
        """Hand out a token for staged bytes.

        ``key``: the only one at which they can be committed. ``is_free``: no folder is where they go (see ``Target``).
        """
        token = str(next(self._tokens))
        self._staged[token] = held, is_free
        return Staged(bucket, size, token, key)

    def take(self, staged: Staged) -> tuple[Held | None, bool]:
        """What a token stands for, and whether no folder is where it goes; each is taken once."""
        return self._staged.pop(staged.token, (None, False))

    async def close(self) -> None:
        """Discard what is staged, end the connections and threads."""
        held, self._staged = [each for each, _ in self._staged.values()], {}
        await asyncio.gather(*(self.drop(each) for each in held))
        await self.holds.close()
        await self.connection.close()
        await self.workers.close()

    async def drop(self, held: Held) -> None:
        """Throw away what was staged. Never raises for what is gone already."""
        raise NotImplementedError
