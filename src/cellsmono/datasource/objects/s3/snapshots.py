"""The snapshots of a bucket on an S3 server: objects below a hidden prefix of the datasource's own place."""

from collections.abc import AsyncGenerator, AsyncIterable

from cellsmono.datasource.objects.s3.endpoint import Connection
from cellsmono.datasource.objects.s3.facts import time_ns
from cellsmono.datasource.objects.s3.place import RESERVED_ROOT, Place
from cellsmono.datasource.objects.s3.reader import open_reader
from cellsmono.datasource.objects.s3.requests import ask, has_any, head, list_pages
from cellsmono.datasource.objects.s3.spool import Spool
from cellsmono.datasource.objects.s3.staging import Courier, Intake
from cellsmono.interfaces.snapshots import StoredFile, check_basename, no_snapshot
from cellsmono.kernel.errors import NotFound

PREFIX = RESERVED_ROOT + "snapshots/"
"""No listing of the tree shows it, and the clean-up of leftovers goes by other prefixes."""

_PIECE = 1024 * 1024


class S3Snapshots:
    """See ``SnapshotPlace``. Long ones go in parts; the object is there once the last part is."""

    def __init__(self, connection: Connection, courier: Courier, place: Place) -> None:
        self._connection = connection
        self._courier = courier
        self._place = place

    async def put(self, name: str, body: AsyncIterable[bytes]) -> int:
        """See ``SnapshotPlace``. Of an upload that a crash broke off the parts go with the stale uploads."""
        check_basename(name)
        self._place.check_writable()
        self._place.check_length(PREFIX + name)
        intake = Intake(self._courier, self._place, PREFIX + name, 0, {}, None)
        held = await intake.run(body, ())
        if isinstance(held, Spool):
            try:
                await self._courier.put(self._place, PREFIX + name, held, {})
            finally:
                held.close()
            return intake.size
        try:
            await held.complete()
        except BaseException:
            await held.abort()
            raise
        return intake.size

    async def open(self, name: str) -> AsyncGenerator[bytes, None]:
        """See ``SnapshotPlace``. A stream that breaks is taken up again, in the same version of the object."""
        check_basename(name)
        try:
            reader = await open_reader(self._connection, self._place, PREFIX + name)
        except NotFound:
            raise no_snapshot(name) from None
        try:
            offset = 0
            while data := await reader.read(offset, _PIECE):
                yield data
                offset += len(data)
        finally:
            reader.close()

    async def list_files(self) -> list[StoredFile]:
        """See ``SnapshotPlace``."""
        found = []
        async for page in list_pages(self._connection, self._place, PREFIX, delimiter="/"):
            for key, entry in page.objects:
                if name := key.removeprefix(PREFIX):
                    found.append(StoredFile(name, entry["Size"], time_ns(entry["LastModified"])))
        return found

    async def delete(self, name: str) -> None:
        """See ``SnapshotPlace``."""
        check_basename(name)
        self._place.check_writable()
        if await head(self._connection, self._place, PREFIX + name) is None:
            raise no_snapshot(name)
        await ask(self._connection, "delete_object", name, **self._place.at(PREFIX + name))

    async def keeps_bucket(self) -> bool:
        """See ``SnapshotPlace``."""
        return await has_any(self._connection, self._place, PREFIX)
