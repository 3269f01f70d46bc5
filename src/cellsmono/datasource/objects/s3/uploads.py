"""Multipart uploads: the Multipart half of an ``S3Store``.

Where the key is known from the beginning, an upload is one on the server, too (see ``native``). Elsewhere each part is
a hidden object, so that parts may have any size, come in any order, survive a restart and be joined more than once.
They are joined inside the server; only parts that are smaller than S3's least size pass through here.
"""

import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from cellsmono.datasource.objects.multipart import UploadMaker, check_part, check_part_number
from cellsmono.datasource.objects.registry import MemoryRegistry, StoredPart, UploadRegistry, no_upload
from cellsmono.datasource.objects.s3.copying import (
    LEAST_PART_BYTES,
    Piece,
    Version,
    copy_piece,
    copy_version,
    find_version,
    join_pieces,
)
from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.facts import time_ns
from cellsmono.datasource.objects.s3.native import (
    MOST_WAITING_BYTES,
    bare_id,
    begin_native,
    is_joined_natively,
    name_sent,
    open_native,
    sent_part,
)
from cellsmono.datasource.objects.s3.place import RESERVED_ROOT, Place
from cellsmono.datasource.objects.s3.reader import open_reader
from cellsmono.datasource.objects.s3.requests import ask, ask_many, delete_keys, list_pages
from cellsmono.datasource.objects.s3.service import Join, S3Service
from cellsmono.datasource.objects.s3.spool import Spool
from cellsmono.datasource.objects.s3.staging import Intake
from cellsmono.interfaces.objects import Part, PartDigest, Staged, Target, Upload
from cellsmono.kernel.clock import Clock
from cellsmono.kernel.errors import CellsError, Corrupt, Invalid, NotFound

PARTS = RESERVED_ROOT + "uploads/"
TEMPORARY = RESERVED_ROOT + "t-"

_ALL = 1 << 30
_READ_BYTES = 1024 * 1024


class S3Uploads(S3Service):
    """Multipart on a bucket. What must survive a restart stands in the register."""

    def __init__(
        self, name: str, endpoint: Endpoint, *, uploads: UploadRegistry | None = None, clock: Clock | None = None
    ) -> None:
        super().__init__(name, endpoint, clock=clock)
        self._register: UploadRegistry = uploads or MemoryRegistry()
        self._maker = UploadMaker(self.clock)
        self._completed: set[str] = set()

    async def create_upload(self, bucket: str, key: str, context: bytes = b"", target: Target | None = None) -> Upload:
        """Begin an upload; with a target, on the server as well."""
        place = self.writable(bucket)
        upload = self._maker.make(bucket, key, context)
        if target is not None:
            upload = await begin_native(self.connection, place, upload, target)
        await self._register.add_upload(upload)
        return upload

    async def read_upload(self, bucket: str, upload_id: str) -> Upload:
        """One upload."""
        self.place(bucket)
        found = await self._register.find_upload(upload_id)
        if found is None or found[0].bucket != bucket:
            raise no_upload(upload_id)
        return found[0]

    async def list_uploads(
        self, bucket: str, prefix: str = "", after_key: str = "", after_id: str = "", limit: int = 1000
    ) -> list[Upload]:
        """Uploads in order of key and initiation."""
        self.place(bucket)
        return await self._register.list_uploads(bucket, prefix, after_key, after_id, limit)

    async def list_parts(self, bucket: str, upload_id: str, after: int = 0, limit: int = 1000) -> list[Part]:
        """Parts by number."""
        await self.read_upload(bucket, upload_id)
        return [stored.part for stored in await self._register.list_parts(upload_id, after, limit)]

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
        place = self.writable(bucket)
        upload = await self.read_upload(bucket, upload_id)
        native = open_native(self.connection, place, upload)
        file = f"p-{number}-{secrets.token_hex(6)}"
        key = _part_key(upload_id, file)
        intake = Intake(self.courier, place, key, 0, {}, size, 0 if native is None else MOST_WAITING_BYTES)
        held = await intake.run(body, [digest])
        try:
            digest.verify()
            if native is not None and isinstance(held, Spool) and await self._is_sent_on(upload_id, held):
                file = name_sent(await self.courier.send_part(native, number, held))
            elif isinstance(held, Spool):
                await self.courier.put(place, key, held, {})
                held.close()
            else:
                await held.complete()
        except BaseException:
            await self.drop(held)
            raise
        part = Part(number, intake.size, digest.etag(), self.clock.time_ns(), digest.checksum())
        await self._enter_part(place, upload_id, StoredPart(part, file, 0))
        return part

    async def _is_sent_on(self, upload_id: str, spool: Spool) -> bool:
        """Whether a part goes into the server's upload: a small one only behind others, as it must be the last."""
        if spool.size >= LEAST_PART_BYTES:
            return True
        return any(sent_part(one) for one in await self._register.list_parts(upload_id, 0, _ALL))

    async def _enter_part(self, place: Place, upload_id: str, stored: StoredPart) -> None:
        """Enter a part in the register, and remove the hidden object of the one before it."""
        try:
            before = await self._register.put_part(upload_id, stored, 0)
        except BaseException:
            await self._remove_hidden(place, upload_id, stored)
            raise
        if before is not None:
            await self._remove_hidden(place, upload_id, before)

    async def read_part(self, bucket: str, upload_id: str, part: Part) -> AsyncGenerator[bytes, None]:
        """The bytes of a part that is a hidden object."""
        place = self.place(bucket)
        await self.read_upload(bucket, upload_id)
        stored = {one.part.number: one for one in await self._register.list_parts(upload_id, 0, _ALL)}
        found = stored.get(part.number)
        check_part(part, None if found is None else found.part)
        if found is None or sent_part(found) is not None:
            raise Invalid(f"The server holds part {part.number}, and tells its bytes to nobody.", reason="part")
        if part.size:
            version = await self._find_part(place, _part_key(upload_id, found.file), part)
            async for data in self._read_all([version]):
                yield data

    async def stage_upload(self, bucket: str, upload_id: str, parts: Sequence[Part]) -> Staged:
        """Note which parts are to be joined; the commit joins them at their key."""
        self.writable(bucket)
        upload = await self.read_upload(bucket, upload_id)
        stored = {one.part.number: one for one in await self._register.list_parts(upload_id, 0, _ALL)}
        chosen = []
        for part in parts:
            found = stored.get(part.number)
            check_part(part, None if found is None else found.part)
            if found is not None:
                chosen.append(found)
        filled = [one for one in chosen if one.part.size]
        join = Join(upload, filled, is_joined_natively(filled))
        return self.keep(bucket, join, sum(one.part.size for one in filled))

    async def join(self, place: Place, join: Join, key: str, options: dict[str, Any]) -> str:
        """Make the parts one object; its ETag."""
        if join.is_native:
            return await self._join_natively(place, join, key)
        upload_id = join.upload.upload_id
        versions = await ask_many(
            lambda one: self._find_part(place, _part_key(upload_id, one.file), one.part), join.parts
        )
        if len(versions) == 1:
            return await copy_version(self.connection, versions[0], place, key, options)
        if versions and all(version.size >= LEAST_PART_BYTES for version in versions[:-1]):
            pieces = [Piece(version, 0, version.size) for version in versions]
            return await join_pieces(self.connection, pieces, place, key, options)
        size = sum(version.size for version in versions)
        held = await Intake(self.courier, place, key, 0, options, size).run(self._read_all(versions), [])
        if not isinstance(held, Spool):
            return await held.complete()
        try:
            return await self.courier.put(place, key, held, options)
        finally:
            held.close()

    async def _join_natively(self, place: Place, join: Join, key: str) -> str:
        native = open_native(self.connection, place, join.upload)
        if native is None or native.key != key:
            raise ValueError(f"this upload can be completed at {join.upload.key!r} only")

        async def take(stored: StoredPart) -> None:
            sent = sent_part(stored)
            if sent is not None:
                native.parts[stored.part.number] = sent
                return
            hidden = _part_key(join.upload.upload_id, stored.file)
            version = await self._find_part(place, hidden, stored.part)
            await copy_piece(self.connection, native, stored.part.number, Piece(version, 0, version.size))

        await ask_many(take, join.parts)
        etag = await native.complete()
        self._completed.add(join.upload.upload_id)
        return etag

    async def _find_part(self, place: Place, key: str, part: Part) -> Version:
        try:
            version, _ = await find_version(self.connection, place, key)
        except NotFound:
            version = None
        if version is None or version.size != part.size:
            raise Corrupt(f"Part {part.number} lost bytes on the S3 server; upload it again.", reason="part")
        return version

    async def _read_all(self, versions: Sequence[Version]) -> AsyncIterator[bytes]:
        for version in versions:
            reader = await open_reader(self.connection, version.place, version.key)
            try:
                for offset in range(0, version.size, _READ_BYTES):
                    yield await reader.read(offset, _READ_BYTES)
            finally:
                reader.close()

    async def finish_upload(self, bucket: str, upload_id: str) -> None:
        """Forget the upload and its parts."""
        place = self.writable(bucket)
        upload = await self.read_upload(bucket, upload_id)
        has_hidden = not all(sent_part(one) for one in await self._register.list_parts(upload_id, 0, _ALL))
        if not await self._register.remove_upload(upload_id):
            raise no_upload(upload_id)
        native = open_native(self.connection, place, upload)
        if native is not None and upload_id not in self._completed:
            await native.abort()
        self._completed.discard(upload_id)
        with suppress(CellsError):  # what is left goes with the stale uploads
            if has_hidden:
                await self._remove_parts(place, upload_id)
            await self._register.forget_finished([upload_id])

    async def _remove_parts(self, place: Place, upload_id: str) -> None:
        async for page in list_pages(self.connection, place, _part_key(upload_id, "")):
            await delete_keys(self.connection, place, [key for key, _ in page.objects])

    async def remove_stale_uploads(self, older_than_ns: int) -> int:
        """Abort uploads begun before this time; remove what is hidden and belongs to none."""
        removed = 0
        for name, place in list(self._places.items()):
            if place.read_only:
                continue
            for upload in await self._register.list_uploads(name, "", "", "", _ALL):
                if upload.initiated_ns < older_than_ns:
                    with suppress(NotFound):
                        await self.finish_upload(name, upload.upload_id)
                        removed += 1
            await self._remove_leftovers(place, older_than_ns)
            await self._register.forget_finished(await self._register.list_finished(name))
        return removed

    async def _remove_leftovers(self, place: Place, older_than_ns: int) -> None:
        known = {bare_id(upload_id) for upload_id in await self._register.list_ids(place.name)}
        for prefix in (PARTS, TEMPORARY):
            async for page in list_pages(self.connection, place, prefix):
                old = [key for key, entry in page.objects if time_ns(entry["LastModified"]) < older_than_ns]
                stray = [key for key in old if key[len(PARTS) :].split("/")[0] not in known or prefix == TEMPORARY]
                await delete_keys(self.connection, place, stray)
        answer = await ask(
            self.connection, "list_multipart_uploads", Bucket=place.bucket, Prefix=place.prefix, MaxUploads=1000
        )
        for upload in answer.get("Uploads", ()):
            if time_ns(upload["Initiated"]) < older_than_ns:
                arguments = {"Bucket": place.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                with suppress(CellsError):
                    await ask(self.connection, "abort_multipart_upload", **arguments)

    async def _remove_hidden(self, place: Place, upload_id: str, stored: StoredPart) -> None:
        if sent_part(stored) is None:
            await self._remove_quietly(place, _part_key(upload_id, stored.file))

    async def _remove_quietly(self, place: Place, key: str) -> None:
        with suppress(CellsError):
            await ask(self.connection, "delete_object", key, **place.at(key))


def _part_key(upload_id: str, file: str) -> str:
    return f"{PARTS}{bare_id(upload_id)}/{file}"
