"""Multipart uploads on local folders: the Multipart half of a ``LocalStore``."""

import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cellsmono.datasource.objects import assembly
from cellsmono.datasource.objects.assembly import Join, Slots
from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.copying import SLICE_BYTES
from cellsmono.datasource.objects.failures import explain
from cellsmono.datasource.objects.flushing import flush_file
from cellsmono.datasource.objects.multipart import UploadMaker, check_part, check_part_number
from cellsmono.datasource.objects.registry import MemoryRegistry, StoredPart, UploadRegistry, no_upload
from cellsmono.datasource.objects.service import LocalService
from cellsmono.datasource.objects.workers import DEFAULT_THREADS
from cellsmono.datasource.objects.writer import FileSink, TemporaryFile, pump
from cellsmono.interfaces.objects import Part, PartDigest, Staged, Target, Upload
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Corrupt, NotFound, TooLarge

_ALL = 1 << 30
_READ_BYTES = 1024 * 1024


class LocalUploads(LocalService):
    """Multipart on local folders. What must survive a restart stands in the register."""

    def __init__(
        self,
        name: str,
        parent: Path,
        *,
        uploads: UploadRegistry | None = None,
        clock: Clock | None = None,
        threads: int = DEFAULT_THREADS,
    ) -> None:
        super().__init__(name, parent, clock=clock, threads=threads)
        self._register: UploadRegistry = uploads or MemoryRegistry()
        self._slots: dict[str, Slots] = {}
        self._maker = UploadMaker(self.clock)

    async def create_upload(self, bucket: str, key: str, context: bytes = b"", target: Target | None = None) -> Upload:
        """Begin an upload."""
        self.bucket(bucket)
        upload = self._maker.make(bucket, key, context)
        await self._register.add_upload(upload)
        return upload

    async def _find(self, bucket: str, upload_id: str) -> tuple[Upload, int]:
        self.bucket(bucket)
        found = await self._register.find_upload(upload_id)
        if found is None or found[0].bucket != bucket:
            raise no_upload(upload_id)
        return found

    async def read_upload(self, bucket: str, upload_id: str) -> Upload:
        """One upload."""
        return (await self._find(bucket, upload_id))[0]

    async def list_uploads(
        self, bucket: str, prefix: str = "", after_key: str = "", after_id: str = "", limit: int = 1000
    ) -> list[Upload]:
        """Uploads in order of key and initiation."""
        self.bucket(bucket)
        return await self._register.list_uploads(bucket, prefix, after_key, after_id, limit)

    async def list_parts(self, bucket: str, upload_id: str, after: int = 0, limit: int = 1000) -> list[Part]:
        """Parts by number."""
        await self._find(bucket, upload_id)
        return [stored.part for stored in await self._register.list_parts(upload_id, after, limit)]

    @asynccontextmanager
    async def _use_slots(self, bucket: str, upload_id: str) -> AsyncIterator[Slots]:
        """The upload's slots, kept as long as somebody uses them, so that all see the same."""
        _, part_bytes = await self._find(bucket, upload_id)
        if upload_id not in self._slots:
            stored = await self._register.list_parts(upload_id, 0, _ALL)
            self._slots.setdefault(upload_id, Slots(part_bytes, stored))
        slots = self._slots[upload_id]
        slots.users += 1
        try:
            yield slots
        finally:
            slots.users -= 1
            if not slots.users:
                self._slots.pop(upload_id, None)

    async def put_part(
        self,
        bucket: str,
        upload_id: str,
        number: int,
        body: AsyncIterable[bytes],
        digest: PartDigest,
        size: int | None = None,
    ) -> Part:
        """Store (or replace) a part."""
        check_part_number(number)
        found = self.bucket(bucket)
        async with self._use_slots(bucket, upload_id) as slots:
            start = await self._reserve(found, upload_id, slots, number, size)
            file = "" if start is not None else assembly.new_part_file(number)
            stored: StoredPart | None = None
            try:
                limit = size if start is not None else None
                count = await self._write_part(found, upload_id, file, start or 0, body, digest, limit)
                part = Part(number, count, digest.etag(), self.clock.time_ns(), digest.checksum())
                stored = await self._enter(found, upload_id, StoredPart(part, file, start or 0), slots.part_bytes)
                return stored.part
            except OSError as error:
                raise explain(error, writing=True) from error
            finally:
                if start is not None:
                    if stored is None and size:
                        await self.workers.run(assembly.free_place, found, upload_id, start, size)
                    slots.settle(number, stored=stored is not None)
                elif stored is None:
                    await self.workers.run(assembly.remove_part_file, found, upload_id, file)

    async def _reserve(
        self, bucket: LocalBucket, upload_id: str, slots: Slots, number: int, size: int | None
    ) -> int | None:
        async with slots.lock:
            try:
                is_shared = await self.workers.run(assembly.is_shared, bucket, upload_id)
            except OSError as error:
                raise explain(error, writing=True) from error
            return None if is_shared else slots.reserve(number, size)

    async def _write_part(
        self,
        bucket: LocalBucket,
        upload_id: str,
        file: str,
        start: int,
        body: AsyncIterable[bytes],
        digest: PartDigest,
        limit: int | None,
    ) -> int:
        """Write and flush a part's bytes; how many they were. Raises OSError, and what the body or digest raises."""
        descriptor = await self.workers.acquire(os.close, assembly.open_part, bucket, upload_id, file)
        try:
            sink = FileSink(self.workers, descriptor, [digest], durable=bucket.durable, offset=start)
            # A body that is longer than announced would run into the next part's place.
            stream = aiter(body) if limit is None else _bounded(body, limit)
            await pump([], stream, sink)
            digest.verify()
            if bucket.durable:
                await self.workers.run(flush_file, descriptor, inode=False)
        finally:
            await self.workers.run(os.close, descriptor)
        return sink.size

    async def _enter(self, bucket: LocalBucket, upload_id: str, stored: StoredPart, part_bytes: int) -> StoredPart:
        try:
            before = await self._register.put_part(upload_id, stored, 0 if stored.file else part_bytes)
        except NotFound:
            # Completed or aborted meanwhile: its folder may have been made anew for this part.
            await self.workers.run(assembly.remove_upload_folder, bucket, upload_id)
            raise
        if before is not None and before.file:
            await self.workers.run(assembly.remove_part_file, bucket, upload_id, before.file)
        return stored

    async def read_part(self, bucket: str, upload_id: str, part: Part) -> AsyncGenerator[bytes, None]:
        """The bytes of a part."""
        found = self.bucket(bucket)
        async with self._use_slots(bucket, upload_id):  # so that nobody frees its place meanwhile
            stored = {one.part.number: one for one in await self._register.list_parts(upload_id, 0, _ALL)}
            check_part(part, stored[part.number].part if part.number in stored else None)
            one = stored[part.number]
            try:
                descriptor = await self.workers.acquire(os.close, assembly.open_part, found, upload_id, one.file)
            except OSError as error:
                raise explain(error, writing=False) from error
            try:
                for done in range(0, part.size, _READ_BYTES):
                    wanted = min(_READ_BYTES, part.size - done)
                    data = await self.workers.run(os.pread, descriptor, wanted, one.start + done)
                    if len(data) < wanted:
                        raise Corrupt(f"Part {part.number} lost bytes on the disk; upload it again.", reason="part")
                    yield data
            except OSError as error:
                raise explain(error, writing=False) from error
            finally:
                await self.workers.run(os.close, descriptor)

    async def stage_upload(self, bucket: str, upload_id: str, parts: Sequence[Part]) -> Staged:
        """Join parts into staged bytes: by a link where they lie one after the other, else by a copy."""
        found = self.bucket(bucket)
        async with self._use_slots(bucket, upload_id) as slots, slots.lock:
            stored = {one.part.number: one for one in await self._register.list_parts(upload_id, 0, _ALL)}
            for part in parts:
                check_part(part, stored[part.number].part if part.number in stored else None)
            chosen = [stored[part.number] for part in parts]
            try:
                kept = await self._link(found, upload_id, chosen, stored, slots)
                if kept is None:
                    kept = await self._join(found, upload_id, chosen)
            except OSError as error:
                raise explain(error, writing=True) from error
        return self.keep(bucket, kept)

    async def _link(
        self,
        bucket: LocalBucket,
        upload_id: str,
        chosen: Sequence[StoredPart],
        stored: dict[int, StoredPart],
        slots: Slots,
    ) -> TemporaryFile | None:
        if slots.writing or not assembly.is_tiled(chosen):
            return None
        size = sum(one.part.size for one in chosen)
        end = max(one.start + one.part.size for one in stored.values() if not one.file)
        return await self.workers.acquire(_discard_if_any, assembly.link_assembly, bucket, upload_id, size, end)

    async def _join(self, bucket: LocalBucket, upload_id: str, chosen: Sequence[StoredPart]) -> TemporaryFile:
        join = await self.workers.acquire(lambda one: one.kept.discard(), Join, bucket, upload_id, chosen)
        try:
            while await self.workers.run(join.step, SLICE_BYTES):
                pass
        except BaseException:
            await self.workers.run(join.kept.discard)
            raise
        return join.kept

    async def finish_upload(self, bucket: str, upload_id: str) -> None:
        """Forget the upload and its parts."""
        await self._find(bucket, upload_id)
        if not await self._register.remove_upload(upload_id):
            raise no_upload(upload_id)
        await self.workers.run(assembly.remove_upload_folder, self.bucket(bucket), upload_id)

    async def remove_finished_uploads(self, bucket: str) -> None:
        """Remove what completed and aborted uploads left on the disk, when a crash came before their clean-up."""
        finished = await self._register.list_finished(bucket)
        for upload_id in finished:
            await self.workers.run(assembly.remove_upload_folder, self.bucket(bucket), upload_id)
        if finished:
            await self._register.forget_finished(finished)

    async def remove_stale_uploads(self, older_than_ns: int) -> int:
        """Abort uploads begun before this time; remove what lies in the work folders and belongs to none."""
        removed = 0
        for name, bucket in list(self._buckets.items()):
            for upload in await self._register.list_uploads(name, "", "", "", _ALL):
                if upload.initiated_ns < older_than_ns:
                    removed += await self._abort_quietly(name, upload.upload_id)
            for upload_id in await self.workers.run(assembly.list_upload_folders, bucket, older_than_ns):
                if upload_id not in await self._register.list_ids(name):
                    await self.workers.run(assembly.remove_upload_folder, bucket, upload_id)
            await self.workers.run(bucket.work.remove_leftovers, older_than_ns)
            await self.remove_finished_uploads(name)
        return removed

    async def _abort_quietly(self, bucket: str, upload_id: str) -> bool:
        try:
            await self.finish_upload(bucket, upload_id)
        except CellsError:
            return False
        return True


def _discard_if_any(kept: TemporaryFile | None) -> None:
    if kept is not None:
        kept.discard()


async def _bounded(body: AsyncIterable[bytes], limit: int) -> AsyncIterator[bytes]:
    total = 0
    async for chunk in body:
        total += len(chunk)
        if total > limit:
            raise TooLarge(f"The part is longer than the {limit} bytes that were announced.", reason="size")
        yield chunk
