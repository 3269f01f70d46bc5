"""Multipart uploads in memory."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence

from cellsmono.datasource.objects.multipart import UploadMaker, check_part, check_part_number
from cellsmono.datasource.objects.registry import is_after, no_upload
from cellsmono.interfaces.objects import Part, PartDigest, Staged, Target, Upload
from cellsmono.kernel.clock import Clock


class MemoryUploads:
    """The Multipart half of a ``MemoryStore``."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._maker = UploadMaker(clock)
        self._uploads: dict[str, tuple[Upload, dict[int, tuple[Part, bytes]]]] = {}

    def _check_bucket(self, bucket: str) -> None:
        raise NotImplementedError

    def _stage_bytes(self, bucket: str, data: bytes) -> Staged:
        raise NotImplementedError

    def _upload(self, bucket: str, upload_id: str) -> tuple[Upload, dict[int, tuple[Part, bytes]]]:
        self._check_bucket(bucket)
        found = self._uploads.get(upload_id)
        if found is None or found[0].bucket != bucket:
            raise no_upload(upload_id)
        return found

    async def create_upload(self, bucket: str, key: str, context: bytes = b"", target: Target | None = None) -> Upload:
        """Begin an upload."""
        self._check_bucket(bucket)
        upload = self._maker.make(bucket, key, context)
        self._uploads[upload.upload_id] = (upload, {})
        return upload

    async def read_upload(self, bucket: str, upload_id: str) -> Upload:
        """One upload."""
        return self._upload(bucket, upload_id)[0]

    async def list_uploads(
        self, bucket: str, prefix: str = "", after_key: str = "", after_id: str = "", limit: int = 1000
    ) -> list[Upload]:
        """Uploads in order of key and initiation."""
        self._check_bucket(bucket)
        start = (after_key.encode(), after_id)
        found = [
            upload
            for upload, _ in self._uploads.values()
            if upload.bucket == bucket and upload.key.startswith(prefix) and is_after(upload, start)
        ]
        return sorted(found, key=lambda u: (u.key.encode(), u.upload_id))[:limit]

    async def put_part(
        self,
        bucket: str,
        upload_id: str,
        number: int,
        body: AsyncIterable[bytes],
        digest: PartDigest,
        size: int | None = None,
    ) -> Part:
        """Keep a part."""
        check_part_number(number)
        _, parts = self._upload(bucket, upload_id)
        data = bytearray()
        async for chunk in body:
            digest.update(chunk)
            data += chunk
        digest.verify()
        self._upload(bucket, upload_id)
        part = Part(number, len(data), digest.etag(), self.clock.time_ns(), digest.checksum())
        parts[number] = (part, bytes(data))
        return part

    async def list_parts(self, bucket: str, upload_id: str, after: int = 0, limit: int = 1000) -> list[Part]:
        """Parts by number."""
        parts = self._upload(bucket, upload_id)[1]
        return [parts[number][0] for number in sorted(parts) if number > after][:limit]

    async def read_part(self, bucket: str, upload_id: str, part: Part) -> AsyncGenerator[bytes, None]:
        """The bytes of a part."""
        found, data = self._upload(bucket, upload_id)[1].get(part.number, (None, b""))
        check_part(part, found)
        yield data

    async def stage_upload(self, bucket: str, upload_id: str, parts: Sequence[Part]) -> Staged:
        """Join parts."""
        stored = self._upload(bucket, upload_id)[1]
        pieces = []
        for part in parts:
            found, data = stored.get(part.number, (None, b""))
            check_part(part, found)
            pieces.append(data)
        return self._stage_bytes(bucket, b"".join(pieces))

    async def finish_upload(self, bucket: str, upload_id: str) -> None:
        """Forget an upload."""
        self._upload(bucket, upload_id)
        del self._uploads[upload_id]

    async def remove_stale_uploads(self, older_than_ns: int) -> int:
        """Abort old uploads."""
        stale = [upload_id for upload_id, (upload, _) in self._uploads.items() if upload.initiated_ns < older_than_ns]
        for upload_id in stale:
            del self._uploads[upload_id]
        return len(stale)
