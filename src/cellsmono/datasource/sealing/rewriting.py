"""Sealing blobs anew with the present data key, while they are being used.

A blob keeps its name, number and time: the index is not concerned. Each is replaced in one step, and those that are
done are known by their headers, so that a run that was killed is simply begun again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from msgspec.structs import replace

from cellsmono.datasource.flat.blobs import Blob, Blobs
from cellsmono.datasource.flat.layout import seal_of
from cellsmono.datasource.sealing.format import HEADER_BYTES, WITH_CLIENT_KEY, Header, read_header
from cellsmono.datasource.sealing.store import SealedStore
from cellsmono.interfaces.encryption import RotationReport
from cellsmono.interfaces.node import Facts, NodeAttributes
from cellsmono.interfaces.objects import ObjectReader, Target
from cellsmono.interfaces.sync import Progress
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Corrupt, NotFound
from cellsmono.kernel.log import get_logger

log = get_logger("sealing")

Note = Callable[[Progress], None]
SHOWN = 1000
_TOGETHER = 4
"""Blobs that are sealed anew at the same time."""
_CHUNK = 256
_PIECE = 1024 * 1024


class Rewriting:
    """One run over all blobs of a store."""

    def __init__(self, blobs: Blobs, sealed: SealedStore, clock: Clock, note: Note | None = None) -> None:
        self.report = RotationReport(blobs.bucket)
        self._blobs = blobs
        self._sealed = sealed
        self._clock = clock
        self._note = note
        self._begun = clock.monotonic()
        self._key = b""

    async def run(self) -> RotationReport:
        """Seal everything anew that was sealed with an older key.

        A blob that can not be read is named and left as it is. Raises what keeps the storage from being listed or
        written at all.
        """
        async with self._blobs.checking:
            self._key = (await self._sealed.keys.current())[0]
            self.report.key = self._key.hex()
            folders = await self._blobs.list_folders()
            for number, folder in enumerate(folders, start=1):
                found = await self._blobs.list_blobs(folder)
                for start in range(0, len(found), _CHUNK):
                    await self._take(found[start : start + _CHUNK])
                    self._tell(number, len(folders), folder)
        self.report.seconds = self._clock.monotonic() - self._begun
        return self.report

    async def has_old(self) -> bool:
        """Whether anything is sealed with another key than the present one."""
        self._key = (await self._sealed.keys.current())[0]
        for folder in await self._blobs.list_folders():
            for blob in await self._blobs.list_blobs(folder):
                if seal_of(blob.key) and await self._is_old(blob.key):
                    return True
        return False

    async def _is_old(self, key: str) -> bool:
        try:
            header = await self._read_header(key)
        except CellsError:
            return False
        return header.kind != WITH_CLIENT_KEY and header.key != self._key

    async def _read_header(self, key: str) -> Header:
        inner = await self._sealed.below.open(self._blobs.bucket, key)
        try:
            return read_header(await inner.read(0, HEADER_BYTES), key)
        finally:
            inner.close()

    def _tell(self, folders: int, total: int, path: str) -> None:
        if self._note is not None:
            seconds = self._clock.monotonic() - self._begun
            rate = self.report.blobs / seconds if seconds else 0.0
            eta = seconds / folders * (total - folders) if folders < total else None
            self._note(Progress(folders, total, self.report.blobs, rate, eta, path))

    async def _take(self, found: Sequence[Blob]) -> None:
        gate = asyncio.Semaphore(_TOGETHER)

        async def work(blob: Blob) -> None:
            async with gate:
                await self._take_one(blob)

        done = await asyncio.gather(*(work(blob) for blob in found if blob.uuid), return_exceptions=True)
        for outcome in done:
            if outcome is not None:
                raise outcome

    async def _take_one(self, blob: Blob) -> None:
        self.report.blobs += 1
        if not seal_of(blob.key):
            self.report.plain += 1
            return
        try:
            size = await self._rewrite(blob.key)
        except NotFound:
            return  # it was replaced or deleted meanwhile
        except CellsError as error:
            if not isinstance(error, Corrupt) and error.reason not in ("key", "changed"):
                raise
            self.report.failed += 1
            if len(self.report.failures) < SHOWN:
                self.report.failures.append((blob.key, error.message))
            return
        if size is not None:
            self.report.rewritten += 1
            self.report.bytes += size

    async def _rewrite(self, key: str) -> int | None:
        """Seal one blob anew, unless it is sealed with the present key; bytes of its content."""
        header = await self._read_header(key)
        if header.kind == WITH_CLIENT_KEY:
            self.report.foreign += 1
            return None
        if header.key == self._key or key in self._blobs.busy():
            return None  # what is being changed goes, or is new
        reader = await self._sealed.open(self._blobs.bucket, key)
        try:
            with self._blobs.renewing(key):
                return await self._replace(key, reader)
        finally:
            reader.close()

    async def _replace(self, key: str, reader: ObjectReader) -> int:
        bucket, facts = self._blobs.bucket, reader.info.facts
        (kept,) = await self._sealed.read_attributes(bucket, [key])
        target = Target(key, mtime_ns=facts.mtime_ns)
        if kept is not None:
            target = replace(target, meta=kept.meta, path=kept.path)
        staged = await self._sealed.stage(bucket, _read_all(reader), (), facts.size, target)
        if staged.size != facts.size or await self._blobs.find_size(key) is None:
            await self._sealed.discard(staged)
            raise NotFound(f"The blob '{key}' is gone.", path=key)

        def describe(made: Facts) -> NodeAttributes:
            mine = kept or NodeAttributes(0, 0)
            return replace(mine, size=made.size, mtime_ns=made.mtime_ns)

        attributes = None if kept is None else describe
        await self._sealed.commit(staged, key, mtime_ns=facts.mtime_ns, attributes=attributes)
        return facts.size


async def _read_all(reader: ObjectReader) -> AsyncIterator[bytes]:
    offset = 0
    while data := await reader.read(offset, _PIECE):
        yield data
        offset += len(data)
